//! How to generate.

use crate::cancel::Cancel;
use crate::handle::{nanoseconds, text};
use crate::model::Adapter;
use crate::settings::{self, Setting};
use deepseam_sys::*;
use std::time::Duration;

/// How to generate. Numbers that are negative or not numbers are refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// 0: greedy.
    pub temperature: f32,
    /// 0 and 1: off.
    pub top_p: f32,
    /// 0: off.
    pub min_p: f32,
    /// 0: off.
    pub top_k: u32,
    /// 0 and 1: off.
    pub repetition_penalty: f32,
    /// 0: off.
    pub presence_penalty: f32,
    /// 0: off.
    pub frequency_penalty: f32,
    /// How many answers; 0: one. Each has its own stream of random numbers.
    pub n_choices: u32,
    /// 0 is seed 0.
    pub seed: u64,
    /// Draw a seed; the result's info tells it as "seed".
    pub random_seed: bool,
    /// Where temperature, top_p, top_k and max_tokens are zero, take the model's own; its stops count, too.
    pub model_defaults: bool,
    /// Tokens; 0: up to the context's end.
    pub max_tokens: u32,
    /// From the call on; zero: none.
    pub deadline: Duration,
    /// Record logprobs of the chosen tokens, and of that many candidates beside each (at most 20). None: record none.
    pub logprobs: Option<u32>,
    /// (id, what is added to its logit).
    pub logit_bias: &'a [(u32, f32)],
    /// The text ends before the first of these.
    pub stops: &'a [&'a str],
    /// Tokens that end the text, besides the model's own.
    pub stop_ids: &'a [u32],
    /// Low-rank weights on top of the model.
    pub adapter: Option<&'a Adapter>,
    /// Prefixes are shared only under the same salt; empty: the common one.
    pub cache_salt: &'a str,
    /// Stops the generation from outside.
    pub cancel: Option<&'a Cancel>,
    /// Compute and cache the prompt, generate nothing.
    pub prefill_only: bool,
    /// Keep nothing of this request in the cache.
    pub no_store: bool,
    /// Keep it in memory only.
    pub no_persist: bool,
    /// Compute everything even if it is cached.
    pub no_reuse: bool,
    /// Do not end at the model's end-of-text tokens.
    pub ignore_end: bool,
    /// Rare settings.
    pub settings: &'a [Setting<'a>],
}

/// The same in the form of C. The record points into the other fields, whose memory does not move with them.
pub(crate) struct Lowered<'a> {
    pub record: ds_params,
    _bias: Vec<ds_logit_bias>,
    _stops: Vec<ds_text>,
    _settings: settings::Lowered<'a>,
}

impl<'a> Params<'a> {
    fn flags(&self) -> u32 {
        let flags = [
            (self.random_seed, DS_SAMPLING_RANDOM_SEED),
            (self.model_defaults, DS_SAMPLING_MODEL_DEFAULTS),
            (self.logprobs.is_some(), DS_SAMPLING_LOGPROBS),
            (self.prefill_only, DS_GEN_PREFILL_ONLY),
            (self.no_store, DS_GEN_NO_STORE),
            (self.no_persist, DS_GEN_NO_PERSIST),
            (self.no_reuse, DS_GEN_NO_REUSE),
            (self.ignore_end, DS_GEN_IGNORE_END),
        ];
        flags.iter().filter(|flag| flag.0).fold(0, |sum, flag| sum | flag.1)
    }

    pub(crate) fn lower(&self) -> Lowered<'a> {
        let bias: Vec<ds_logit_bias> =
            self.logit_bias.iter().map(|(id, bias)| ds_logit_bias { id: *id, bias: *bias }).collect();
        let stops: Vec<ds_text> = self.stops.iter().map(text).collect();
        let settings = settings::lower(self.settings);
        let record = ds_params {
            flags: self.flags(),
            temperature: self.temperature,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            top_k: self.top_k,
            n_choices: self.n_choices,
            seed: self.seed,
            max_tokens: self.max_tokens,
            n_logprobs: self.logprobs.unwrap_or(0),
            deadline_ns: nanoseconds(self.deadline),
            logit_bias: bias.as_ptr(),
            n_logit_bias: bias.len() as u64,
            stops: stops.as_ptr(),
            n_stops: stops.len() as u64,
            stop_ids: self.stop_ids.as_ptr(),
            n_stop_ids: self.stop_ids.len() as u64,
            adapter: Adapter::raw(self.adapter),
            cache_salt: text(self.cache_salt),
            cancel: Cancel::raw(self.cancel),
            options: settings.data(),
            n_options: settings.size(),
            ..ds_params::default()
        };
        Lowered { record, _bias: bias, _stops: stops, _settings: settings }
    }
}
