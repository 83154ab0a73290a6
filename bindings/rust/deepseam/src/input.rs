//! What to go on from: text, tokens, the place of a cursor, or a conversation.

use crate::handle::{text, NO_TEXT};
use deepseam_sys::*;
use std::marker::PhantomData;

/// What to go on from. A `&str`, `&[u32]`, `&Fim` or `&Chat` becomes one by `into`.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Text, behind the model's begin-of-text token.
    Text(&'a str),
    /// Text with `sys::DS_TEXT_…` flags.
    TextWith(&'a str, u32),
    /// Token ids, used as they are.
    Tokens(&'a [u32]),
    /// A cursor in code.
    Fim(&'a Fim<'a>),
    /// A conversation.
    Chat(&'a Chat<'a>),
}

/// Code before and after the cursor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fim<'a> {
    /// Text before the cursor, or before `typed`.
    pub prefix: &'a str,
    /// Text after the cursor.
    pub suffix: &'a str,
    /// What was typed behind `prefix` since the host fixed its anchor; None: the library finds the anchor.
    pub typed: Option<&'a str>,
    /// Shown to the model; empty: none.
    pub file_name: &'a str,
    /// Other files that help.
    pub snippets: &'a [Snippet<'a>],
    /// The layout that is cheap while typing, instead of the form that the model was trained on.
    pub anchored: bool,
}

/// Another file that helps the model.
#[derive(Clone, Copy, Debug)]
pub struct Snippet<'a> {
    /// Its name.
    pub file_name: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// A conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chat<'a> {
    /// The messages, oldest first.
    pub messages: &'a [Message<'a>],
    /// "v2", "v2.5", "v3", "r1", "v3.1"; empty: the model's own.
    pub template: &'a str,
    /// The last message is the assistant's and is continued.
    pub continued: bool,
    /// Open the answer with the model's thinking mark, if it has one.
    pub think: bool,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// "system", "user", "assistant" or "tool".
    pub role: &'a str,
    /// What was said.
    pub content: &'a str,
}

impl<'a> From<&'a str> for Input<'a> {
    fn from(text: &'a str) -> Self {
        Input::Text(text)
    }
}
impl<'a> From<&'a String> for Input<'a> {
    fn from(text: &'a String) -> Self {
        Input::Text(text)
    }
}
impl<'a> From<&'a [u32]> for Input<'a> {
    fn from(ids: &'a [u32]) -> Self {
        Input::Tokens(ids)
    }
}
impl<'a> From<&'a Vec<u32>> for Input<'a> {
    fn from(ids: &'a Vec<u32>) -> Self {
        Input::Tokens(ids)
    }
}
impl<'a> From<&'a Fim<'a>> for Input<'a> {
    fn from(fim: &'a Fim<'a>) -> Self {
        Input::Fim(fim)
    }
}
impl<'a> From<&'a Chat<'a>> for Input<'a> {
    fn from(chat: &'a Chat<'a>) -> Self {
        Input::Chat(chat)
    }
}

/// An input in the form of C; boxed, so that its address stays.
pub(crate) enum Lowered<'a> {
    Text(Box<ds_text_input>, PhantomData<&'a ()>),
    Tokens(Box<ds_tokens_input>),
    Fim(LoweredFim<'a>),
    Chat(LoweredChat<'a>),
}
pub(crate) struct LoweredFim<'a> {
    pub record: Box<ds_fim_input>,
    _snippets: Vec<ds_snippet>,
    _input: PhantomData<&'a ()>,
}
pub(crate) struct LoweredChat<'a> {
    pub record: Box<ds_chat_input>,
    _messages: Vec<ds_message>,
    _input: PhantomData<&'a ()>,
}

impl<'a> Input<'a> {
    pub(crate) fn lower(self) -> Lowered<'a> {
        match self {
            Input::Text(content) => Input::TextWith(content, 0).lower(),
            Input::TextWith(content, flags) => {
                let record = ds_text_input { text: text(content), flags, ..ds_text_input::default() };
                Lowered::Text(Box::new(record), PhantomData)
            }
            Input::Tokens(ids) => {
                let record =
                    ds_tokens_input { ids: ids.as_ptr(), n_ids: ids.len() as u64, ..ds_tokens_input::default() };
                Lowered::Tokens(Box::new(record))
            }
            Input::Fim(fim) => Lowered::Fim(fim.lower()),
            Input::Chat(chat) => Lowered::Chat(chat.lower()),
        }
    }
}

impl Lowered<'_> {
    pub fn head(&self) -> *const ds_input {
        match self {
            Lowered::Text(record, _) => (&**record as *const ds_text_input).cast(),
            Lowered::Tokens(record) => (&**record as *const ds_tokens_input).cast(),
            Lowered::Fim(lowered) => (&*lowered.record as *const ds_fim_input).cast(),
            Lowered::Chat(lowered) => (&*lowered.record as *const ds_chat_input).cast(),
        }
    }
}

impl<'a> Fim<'a> {
    pub(crate) fn lower(&self) -> LoweredFim<'a> {
        let one = |snippet: &Snippet<'a>| ds_snippet { file_name: text(snippet.file_name), text: text(snippet.text) };
        let snippets: Vec<ds_snippet> = self.snippets.iter().map(one).collect();
        let record = ds_fim_input {
            prefix: text(self.prefix),
            suffix: text(self.suffix),
            typed: self.typed.map_or(NO_TEXT, text),
            file_name: text(self.file_name),
            snippets: snippets.as_ptr(),
            n_snippets: snippets.len() as u64,
            layout: if self.anchored { DS_FIM_ANCHORED } else { DS_FIM_PLAIN },
            ..ds_fim_input::default()
        };
        LoweredFim { record: Box::new(record), _snippets: snippets, _input: PhantomData }
    }
}

impl<'a> Chat<'a> {
    pub(crate) fn lower(&self) -> LoweredChat<'a> {
        let one = |message: &Message<'a>| ds_message { role: text(message.role), content: text(message.content) };
        let messages: Vec<ds_message> = self.messages.iter().map(one).collect();
        let continued = if self.continued { DS_CHAT_CONTINUE } else { 0 };
        let think = if self.think { DS_CHAT_THINK } else { 0 };
        let record = ds_chat_input {
            messages: messages.as_ptr(),
            n_messages: messages.len() as u64,
            chat_template: text(self.template),
            flags: continued | think,
            ..ds_chat_input::default()
        };
        LoweredChat { record: Box::new(record), _messages: messages, _input: PhantomData }
    }
}
