#include "options.h"

#include <deepseam/version.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "console.h"

namespace ds_cli {
namespace {

void add_model(CLI::App *app, Options *o) {
  app->add_option("--model,-m", o->model, "folder, model file, 'embedded', or NAME:TAG of Ollama's")->required();
  app->add_option("--ollama-models", o->ollama_models,
                  "where NAME:TAG is looked up; default: $OLLAMA_MODELS, else .ollama/models of this user");
}

void add_device(CLI::App *app, Options *o) {
  app->add_option("--backend", o->backend, "plugin to use (ref, onednn); default: the best that fits");
  app->add_option("--plugin-dir", o->plugin_dirs, "also search this folder for plugins");
  app->add_option("--context", o->context, "context length in tokens");
  app->add_option("--threads", o->threads, "worker threads; default: one per core");
  app->add_option("--kv", o->kv, "cache rows as f32, bf16, e4m3 or q8");
  app->add_option("--ram-budget", o->ram_budget, "bytes of memory the model may take")->check(CLI::NonNegativeNumber);
  app->add_option("--max-rows", o->max_rows, "rows in a step");
  app->add_flag("--deterministic", o->deterministic, "same bits for any chunking and batching");
  app->add_option("--map", o->map, "use the model file in place: always, never, or auto (where it cannot be truncated)")
      ->check(CLI::IsMember({"auto", "never", "always"}));
  app->add_option("--pack-cache", o->pack_cache,
                  "a folder that keeps repacked weights, so that the next start maps them");
  app->add_flag("--quiet,-q", o->quiet, "no progress bar");
}

void add_adapter(CLI::App *app, Options *o, const char *what) { app->add_option("--adapter", o->adapter, what); }

void add_json(CLI::App *app, Options *o) { app->add_flag("--json", o->json, "print one JSON object"); }

void add_sampling(CLI::App *app, Options *o) {
  app->add_option("-n,--max-tokens", o->max_tokens, "tokens to generate; default: to the end of the context");
  app->add_option("--temperature,-t", o->temperature, "0 takes the likeliest token");
  app->add_option("--top-p", o->top_p);
  app->add_option("--top-k", o->top_k);
  app->add_option("--min-p", o->min_p);
  app->add_option("--repetition-penalty", o->repetition_penalty);
  app->add_option("--seed,-s", o->seed)->check(CLI::NonNegativeNumber);
  app->add_flag("--random-seed", o->random_seed, "draw a seed");
  app->add_option("--choices", o->choices, "independent answers");
  app->add_option("--logprobs", o->logprobs, "candidates to report per token (with --json)");
  app->add_option("--stop", o->stops, "end before this text; may be given several times");
  app->add_flag("--model-defaults", o->model_defaults,
                "what is not given is as the model's files say (generation_config.json, parameters of Ollama's), and "
                "their stops end the text too");
  app->add_option("--cache-salt", o->salt);
}

void add_run(CLI::App *app, Options *o) {
  add_model(app, o);
  add_device(app, o);
  add_adapter(app, o, "a folder with a low-rank adapter (PEFT) to run with");
  add_sampling(app, o);
  add_json(app, o);
  app->add_flag("--timings", o->timings, "say on stderr, after the text, how long it took (--json has that anyway)");
}

void add_prompt(CLI::App *app, Options *o) {
  app->add_option("--prompt,-p", o->prompt, "the text itself")->each([o](const std::string &) {
    o->has_prompt = true;
  });
  app->add_option("--prompt-file,-f", o->prompt_file, "a file with the text; - is stdin");
  app->add_option("--ids", o->ids, "token ids instead of text: 1,2,3")->each([o](const std::string &) {
    o->has_ids = true;
  });
  app->add_flag("--special", o->special, "special tokens written in the prompt become those tokens");
}

void add_bench(CLI::App *app, Options *o) {
  add_model(app, o);
  add_device(app, o);
  add_json(app, o);
  app->add_option("-p,--prefill", o->prefill, "prompt lengths: 512,2048")->delimiter(',');
  app->add_option("-n,--decode", o->max_tokens, "tokens to decode; default 64");
  app->add_option("-d,--depth", o->depth, "tokens already in the context: 0,4096")->delimiter(',');
  app->add_option("--batch", o->batch, "sequences decoded together: 1,8")->delimiter(',')->check(CLI::PositiveNumber);
  app->add_option("-r,--repetitions", o->repetitions, "runs of each case; the median is reported");
  app->add_flag("--fim-trace", o->fim_trace, "type 500 keys through anchored fill-in-the-middle");
  app->add_flag("--profile", o->profile, "where the time of each case goes, op by op");
}

void add_pack(CLI::App *app, Options *o) {
  add_model(app, o);
  app->add_option("--out,-o", o->out)->required();
  CLI::Option *type =
      app->add_option("--type", o->type,
                      "f32, f16, bf16, fp8, q8, q6, q5, q4, q3, or a block format such as q4_k; default: "
                      "as stored");
  app->add_flag("--as-is", o->as_is, "as stored: blocks are copied bit for bit")->excludes(type);
  app->add_option("--keep", o->keep,
                  "weights of another type: q8=embed,kv_a,o; groups: attention, dense, shared, experts, "
                  "vocabulary; may be given several times");
  app->add_option("--calibrate", o->calibrate,
                  "a text file, like what the model is for: its first 4,096 tokens say which errors matter");
  app->add_option("--report", o->report, "write what became of each weight there, as JSON, and print a summary");
  app->add_option("--card", o->card, "a text file about the model, to be stored in it; default: the source's");
  add_adapter(app, o, "a folder with a low-rank adapter (PEFT) to add to the weights");
  app->add_option("--for", o->for_backend, "also store this backend's own layout");
  app->add_flag("--quiet,-q", o->quiet);
}

void declare(CLI::App *app, Options *o) {
  app->require_subcommand(1);
  CLI::App *c = app->add_subcommand("generate", "go on from a prompt");
  add_run(c, o);
  add_prompt(c, o);
  c = app->add_subcommand("fim", "fill in between a prefix and a suffix");
  add_run(c, o);
  c->add_option("--prefix", o->prefix);
  c->add_option("--prefix-file", o->prefix_file, "- is stdin");
  c->add_option("--suffix", o->suffix);
  c->add_option("--suffix-file", o->suffix_file);
  c->add_option("--typed", o->typed, "what was typed after the host's anchor");
  c->add_option("--file-name", o->file_name);
  c->add_option("--layout", o->layout)->check(CLI::IsMember({"plain", "anchored"}));
  c = app->add_subcommand("chat", "answer a message");
  add_run(c, o);
  add_prompt(c, o);
  c->add_option("--system", o->system);
  c->add_option("--template", o->chat_template, "v2, v2.5, v3, r1 or v3.1; default: the model's own");
  for (const char *name : {"tokenize", "detokenize"}) {
    c = app->add_subcommand(name, std::string(name) == "tokenize" ? "text on stdin to ids" : "ids on stdin to text");
    add_model(c, o);
    add_device(c, o);
    add_json(c, o);
    c->add_flag("--special", o->special, "treat special tokens as such");
  }
  c = app->add_subcommand("logits", "write logits as a .npy file");
  add_model(c, o);
  add_device(c, o);
  add_adapter(c, o, "a folder with a low-rank adapter (PEFT) to run with");
  c->add_option("--ids", o->ids, "1,2,3")->required();
  c->add_flag("--all", o->all, "of every position, not only the last");
  c->add_option("--chunk", o->chunk, "prefill in pieces of this many tokens");
  c->add_option("--out,-o", o->out)->required();
  add_bench(app->add_subcommand("bench", "measure prefill and decode"), o);
  for (const char *name : {"info", "plan", "verify"}) {
    c = app->add_subcommand(name, std::string(name) == "info"   ? "what a model is"
                                  : std::string(name) == "plan" ? "what opening it would take"
                                                                : "check a whole model file");
    add_model(c, o);
    add_device(c, o);
    add_json(c, o);
  }
  add_pack(app->add_subcommand("pack", "write a model as one .dsm file"), o);
  c = app->add_subcommand("export",
                          "write a model's weights, as they are multiplied with, as a Hugging Face folder in f32");
  add_model(c, o);
  c->add_option("--out,-o", o->out, "folder; made if it is missing")->required();
  add_adapter(c, o, "a folder with a low-rank adapter (PEFT) to add to the weights");
  c->add_flag("--quiet,-q", o->quiet);
  c = app->add_subcommand("synth", "write a model of a known shape with random weights");
  c->add_option("--shape", o->shape, "tiny, lite, v2 or r1")->required();
  c->add_option("--type", o->type, "as for pack; default bf16");
  c->add_option("--out,-o", o->out)->required();
  c->add_option("--seed", o->seed)->check(CLI::NonNegativeNumber);
  c->add_flag("--quiet,-q", o->quiet);
  c = app->add_subcommand("plugins", "every plugin candidate, and why it is not used");
  c->add_option("--plugin-dir", o->plugin_dirs);
  add_json(c, o);
}

// NAME:TAG becomes a path where no file has that name and Ollama's models are at hand.
void resolve_model(Options *o) {
  std::error_code ignored;
  if (o->model.empty() || o->model == "embedded" || std::filesystem::exists(file_path(o->model), ignored)) return;
  std::string models = o->ollama_models.empty() ? environment("OLLAMA_MODELS") : o->ollama_models;
  const std::string home = environment(kHomeVariable);
  if (models.empty() && !home.empty()) models = home + "/.ollama/models";
  if (std::filesystem::is_directory(file_path(models + "/manifests"), ignored)) o->model = models + "/" + o->model;
}

}  // namespace

int parse(const std::vector<std::string> &arguments, Options *options) {
  CLI::App app("ds: DeepSeek MoE code models, through the public C API of deepseam", "ds");
  app.set_version_flag("--version", DS_VERSION_STRING);
  declare(&app, options);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend() - 1));  // backwards, without the name
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options->command = app.get_subcommands().front()->get_name();
  resolve_model(options);
  return -1;
}

}  // namespace ds_cli
