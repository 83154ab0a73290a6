// The command line of ds as plain data. options.cpp declares it; each command reads the fields it needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ds_cli {

struct Options {
  std::string command;
  std::string model, ollama_models, backend, kv, out, type, for_backend, shape, card, adapter, report, calibrate,
      pack_cache;
  std::string prompt, prompt_file, prefix, prefix_file, suffix, suffix_file, typed, file_name, system, ids, salt;
  std::string chat_template, layout = "plain", map = "auto";
  std::vector<std::string> plugin_dirs, stops, keep;
  uint32_t max_tokens = 0, context = 0, threads = 0, choices = 0, logprobs = 0, chunk = 0, top_k = 0, max_rows = 0;
  float temperature = 0, top_p = 0, min_p = 0, repetition_penalty = 0;
  uint64_t seed = 0, ram_budget = 0;
  bool json = false, deterministic = false, special = false, all = false, quiet = false, random_seed = false;
  bool as_is = false, fim_trace = false, profile = false, has_prompt = false, has_ids = false, timings = false;
  bool model_defaults = false;
  std::vector<uint32_t> prefill{512}, depth{0}, batch{1};
  uint32_t repetitions = 3;
};

// Parses the program's arguments, its name the first of them. Returns -1 to go on, else the exit status (0 after
// --help, 2 after a usage error already told).
int parse(const std::vector<std::string> &arguments, Options *options);

}  // namespace ds_cli
