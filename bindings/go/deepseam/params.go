package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

// Params says how to generate. Numbers that are negative or not numbers are refused. Callbacks answer whether to go on.
type Params struct {
	Temperature       float32 // 0: greedy
	TopP              float32 // 0 and 1: off
	MinP              float32 // 0: off
	TopK              uint32  // 0: off
	RepetitionPenalty float32 // 0 and 1: off
	PresencePenalty   float32 // 0: off
	FrequencyPenalty  float32 // 0: off
	Choices           uint32  // how many answers; 0: one
	Seed              uint64  // 0 is seed 0
	RandomSeed        bool    // draw a seed; the result's info tells it as "seed"
	ModelDefaults     bool    // where Temperature, TopP, TopK and MaxTokens are zero, take the model's own; its stops count, too
	MaxTokens         uint32  // 0: up to the context's end
	Deadline          time.Duration
	RecordLogprobs    bool   // of the chosen tokens, and of
	Candidates        uint32 // that many beside each, at most 20
	LogitBias         map[uint32]float32
	Stops             []string // the text ends before the first of these
	StopIDs           []uint32 // besides the model's own
	Adapter           *Adapter
	CacheSalt         string // prefixes are shared only under the same salt
	PrefillOnly       bool   // compute and cache the prompt, generate nothing
	NoStore           bool   // keep nothing of this request in the cache
	NoPersist         bool   // keep it in memory only
	NoReuse           bool   // compute everything even if it is cached
	IgnoreEnd         bool   // do not end at the model's end-of-text tokens
	Settings          []Setting

	OnText     func(TextEvent) bool
	OnLogits   func(LogitsEvent) bool
	OnMask     func(MaskEvent) bool
	OnProgress func(Progress) bool // prefill and decoding, in tokens
}

func (p *Params) callbacks() (which C.int) {
	for bit, set := range map[C.int]bool{C.DS_GO_TEXT: p.OnText != nil, C.DS_GO_LOGITS: p.OnLogits != nil,
		C.DS_GO_MASK: p.OnMask != nil, C.DS_GO_PROGRESS: p.OnProgress != nil} {
		if set {
			which |= bit
		}
	}
	return which
}

// lowered is Params in C memory. The user is nil without callbacks; who calls drops it if the library did not take it.
func (a *arena) params(p *Params, cancel *C.ds_cancel) (*C.ds_params, *C.ds_go_user, *running) {
	to := record[C.ds_params](a)
	to.struct_size = C.sizeof_ds_params
	to.flags = flags(p.RandomSeed, C.DS_SAMPLING_RANDOM_SEED, p.ModelDefaults, C.DS_SAMPLING_MODEL_DEFAULTS,
		p.RecordLogprobs, C.DS_SAMPLING_LOGPROBS, p.PrefillOnly, C.DS_GEN_PREFILL_ONLY, p.NoStore, C.DS_GEN_NO_STORE,
		p.NoPersist, C.DS_GEN_NO_PERSIST, p.NoReuse, C.DS_GEN_NO_REUSE, p.IgnoreEnd, C.DS_GEN_IGNORE_END)
	to.temperature, to.top_p, to.min_p = C.float(p.Temperature), C.float(p.TopP), C.float(p.MinP)
	to.repetition_penalty, to.presence_penalty = C.float(p.RepetitionPenalty), C.float(p.PresencePenalty)
	to.frequency_penalty = C.float(p.FrequencyPenalty)
	to.top_k, to.n_choices, to.seed = C.uint32_t(p.TopK), C.uint32_t(p.Choices), C.uint64_t(p.Seed)
	to.max_tokens, to.n_logprobs, to.deadline_ns = C.uint32_t(p.MaxTokens), C.uint32_t(p.Candidates), nanoseconds(p.Deadline)
	bias := array[C.ds_logit_bias](a, len(p.LogitBias))
	for id, value := range p.LogitBias {
		bias[to.n_logit_bias] = C.ds_logit_bias{id: C.uint32_t(id), bias: C.float(value)}
		to.n_logit_bias++
	}
	to.logit_bias = first(bias)
	stops := array[C.ds_text](a, len(p.Stops))
	for i, stop := range p.Stops {
		stops[i] = a.text(stop)
	}
	to.stops, to.n_stops = first(stops), C.uint64_t(len(stops))
	to.stop_ids, to.n_stop_ids = copied[C.uint32_t](a, p.StopIDs), C.uint64_t(len(p.StopIDs))
	if p.Adapter != nil {
		to.adapter = (*C.ds_model_adapter)(p.Adapter.h.get())
	}
	to.cache_salt = a.text(p.CacheSalt)
	to.cancel = cancel
	to.options, to.n_options = a.settings(p.Settings)
	own := *p
	r := &running{params: &own, progress: own.OnProgress}
	which := p.callbacks()
	if which == 0 {
		return to, nil, r
	}
	user := newUser(r)
	C.ds_go_params(to, user, which)
	return to, user, r
}

// Input is what to go on from: Text, TextWith, Tokens, *Fim or *Chat.
type Input interface{ lower(a *arena) *C.ds_input }

// Text is text, behind the model's begin-of-text token.
type Text string

// TextWith is text with flags.
type TextWith struct {
	Text  string
	Flags TextFlags
}

// TextFlags are DS_TEXT_….
type TextFlags uint32

// How text and tokens are turned into each other.
const (
	ParseSpecial = TextFlags(C.DS_TEXT_PARSE_SPECIAL) // special tokens written out in the text become those tokens
	NoBOS        = TextFlags(C.DS_TEXT_NO_BOS)        // the model's begin-of-text token is not put in front
	KeepSpecial  = TextFlags(C.DS_TEXT_KEEP_SPECIAL)  // Detokenize only: special tokens appear as their text
)

// Tokens are token ids, used as they are.
type Tokens []uint32

// Snippet is another file that helps the model.
type Snippet struct{ FileName, Text string }

// Fim is code before and after the cursor.
type Fim struct {
	Prefix   string
	Suffix   string
	Typed    *string // what was typed behind Prefix since the host fixed its anchor; nil: the library finds the anchor
	FileName string  // shown to the model
	Snippets []Snippet
	Anchored bool // the layout that is cheap while typing, instead of the form that the model was trained on
}

// Message is one message; Role is "system", "user", "assistant" or "tool".
type Message struct{ Role, Content string }

// Chat is a conversation.
type Chat struct {
	Messages []Message // oldest first
	Template string    // "v2", "v2.5", "v3", "r1", "v3.1"; empty: the model's own
	Continue bool      // the last message is the assistant's and is continued
	Think    bool      // open the answer with the model's thinking mark, if it has one
}

func (t Text) lower(a *arena) *C.ds_input { return TextWith{Text: string(t)}.lower(a) }

func (t TextWith) lower(a *arena) *C.ds_input {
	to := record[C.ds_text_input](a)
	to.head = C.ds_input{struct_size: C.sizeof_ds_text_input, tag: C.DS_INPUT_TEXT}
	to.text, to.flags = a.text(t.Text), C.uint32_t(t.Flags)
	return &to.head
}

func (t Tokens) lower(a *arena) *C.ds_input {
	to := record[C.ds_tokens_input](a)
	to.head = C.ds_input{struct_size: C.sizeof_ds_tokens_input, tag: C.DS_INPUT_TOKENS}
	to.ids, to.n_ids = copied[C.uint32_t](a, t), C.uint64_t(len(t))
	return &to.head
}

func (f *Fim) lower(a *arena) *C.ds_input {
	to := record[C.ds_fim_input](a)
	to.head = C.ds_input{struct_size: C.sizeof_ds_fim_input, tag: C.DS_INPUT_FIM}
	to.prefix, to.suffix, to.file_name = a.text(f.Prefix), a.text(f.Suffix), a.text(f.FileName)
	if f.Typed != nil {
		to.typed = a.text(*f.Typed)
	}
	snippets := array[C.ds_snippet](a, len(f.Snippets))
	for i, snippet := range f.Snippets {
		snippets[i] = C.ds_snippet{file_name: a.text(snippet.FileName), text: a.text(snippet.Text)}
	}
	to.snippets, to.n_snippets = first(snippets), C.uint64_t(len(snippets))
	if f.Anchored {
		to.layout = C.DS_FIM_ANCHORED
	}
	return &to.head
}

func (c *Chat) lower(a *arena) *C.ds_input {
	to := record[C.ds_chat_input](a)
	to.head = C.ds_input{struct_size: C.sizeof_ds_chat_input, tag: C.DS_INPUT_CHAT}
	messages := array[C.ds_message](a, len(c.Messages))
	for i, message := range c.Messages {
		messages[i] = C.ds_message{role: a.text(message.Role), content: a.text(message.Content)}
	}
	to.messages, to.n_messages = first(messages), C.uint64_t(len(messages))
	to.chat_template = a.text(c.Template)
	to.flags = flags(c.Continue, C.DS_CHAT_CONTINUE, c.Think, C.DS_CHAT_THINK)
	return &to.head
}

func (f *Fim) raw(a *arena) *C.ds_fim_input   { return (*C.ds_fim_input)(unsafe.Pointer(f.lower(a))) }
func (c *Chat) raw(a *arena) *C.ds_chat_input { return (*C.ds_chat_input)(unsafe.Pointer(c.lower(a))) }
