// The commands of ds, one function each: 0 on success, or they throw a Failure.
#pragma once

#include "host.h"

namespace ds_cli {

int run_generate(const Options &options);  // generate, fim, chat
int run_tokenize(const Options &options);
int run_detokenize(const Options &options);
int run_logits(const Options &options);
int run_bench(const Options &options);
int run_info(const Options &options);
int run_plan(const Options &options);
int run_verify(const Options &options);
int run_pack(const Options &options);
int run_export(const Options &options);
int run_synth(const Options &options);
int run_plugins(const Options &options);

struct Command {
  const char *name;
  int (*run)(const Options &);
};

inline constexpr Command kCommands[] = {
    {"generate", run_generate},
    {"fim", run_generate},
    {"chat", run_generate},
    {"tokenize", run_tokenize},
    {"detokenize", run_detokenize},
    {"logits", run_logits},
    {"bench", run_bench},
    {"info", run_info},
    {"plan", run_plan},
    {"verify", run_verify},
    {"pack", run_pack},
    {"export", run_export},
    {"synth", run_synth},
    {"plugins", run_plugins},
};

}  // namespace ds_cli
