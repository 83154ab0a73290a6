/* Constants, structs and callback types of deepseam.h. Include <deepseam/deepseam.h>; its conventions hold here.
 *
 * Every struct starts with struct_size, has no hidden padding and grows only at its end. Structs marked "frozen" have
 * no struct_size, never change, may stand in arrays. Zero is every field's default; comments say what it means. */
#ifndef DEEPSEAM_TYPES_H
#define DEEPSEAM_TYPES_H

#include <stdint.h>

#include "deepseam/export.h"
#include "deepseam/status.h"
#include "deepseam/version.h"

#pragma pack(push, 8)
DS_EXTERN_C_BEGIN

/* ---- Handles: opaque values, never dereferenced by the host. NULL is "none" and releasing it does nothing. ---- */
typedef struct ds_runtime ds_runtime; /* log, allocator, threads, plugins, models, caches of one host component */
typedef struct ds_model ds_model;     /* an opened model: weights on devices, tokenizer, engine */
typedef struct ds_session ds_session; /* one sequence of tokens of a model */
typedef struct ds_job ds_job;         /* an open or a generation under way */
typedef struct ds_result ds_result;   /* what a generation produced */
typedef struct ds_info ds_info;       /* a snapshot of named values: plan, model facts, statistics, findings */
typedef struct ds_cancel ds_cancel;   /* a flag that asks running calls to stop */
typedef struct ds_cache ds_cache;     /* a store of computed prefixes, shared by models and sessions */
typedef struct ds_model_adapter ds_model_adapter; /* low-rank weights on top of a model */

/* Text: UTF-8 bytes, not necessarily terminated. size DS_STRLEN: data ends with NUL. {NULL, 0} is empty. Frozen. */
typedef struct ds_text {
  const char *data;
  uint64_t size;
} ds_text;
#define DS_STRLEN UINT64_MAX

/* A rare setting. Integers go into value (flags and counts too), texts and numbers with a fraction (written with a
 * decimal point) into data, size. An unknown key is DS_E_UNKNOWN_FIELD unless it is flagged ignorable. Frozen. */
typedef struct ds_option {
  const char *key; /* NUL-terminated */
  uint32_t flags;  /* DS_OPTION_* */
  uint32_t reserved;
  int64_t value;
  const void *data;
  uint64_t size; /* bytes of data; DS_STRLEN for NUL-terminated text */
} ds_option;
#define DS_OPTION_IGNORABLE 1u

/* Answers of callbacks that may stop the call that runs them. */
#define DS_CONTINUE 0
#define DS_STOP 1

/* Called exactly once when the library no longer uses `user`, on any thread, after the last other callback with it. */
typedef void(DS_CALL *ds_free_fn)(void *user);
/* Something is ready (ds_job_poll, ds_process_events). Any thread, coalesced, must be short, may call nothing. While
 * the one for a job's end runs, ds_job_wait(job, 0) answers DS_E_TIMEOUT, although ds_job_poll says DS_JOB_DONE. */
typedef void(DS_CALL *ds_wake_fn)(void *user);

/* ---- Runtime ---- */
#define DS_LOG_OFF 0u
#define DS_LOG_ERROR 1u
#define DS_LOG_WARNING 2u
#define DS_LOG_INFO 3u
#define DS_LOG_DEBUG 4u
#define DS_LOG_OTHER 255u

/* Valid during the callback only. */
typedef struct ds_log_message {
  uint32_t struct_size;
  uint32_t level;     /* DS_LOG_* */
  const char *domain; /* the part that speaks: "session", "plugin", … */
  ds_text text;       /* one sentence, no line end */
} ds_log_message;
/* Any thread, several at once; may call [callback-safe] functions only. */
typedef void(DS_CALL *ds_log_fn)(void *user, const ds_log_message *message);

#define DS_MEMORY_OTHER 0u
#define DS_MEMORY_WEIGHTS 1u
#define DS_MEMORY_KV 2u
#define DS_MEMORY_SCRATCH 3u
#define DS_MEMORY_RESULT 4u
#define DS_MEMORY_STAGING 5u

/* Host memory for large buffers. Both functions: any thread, several at once, may call nothing. allocate returns NULL
 * on failure; alignment is a power of two up to 4096; release gets the size and tag that allocate got. */
typedef struct ds_allocator {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  void *user;
  void *(DS_CALL *allocate)(void *user, uint64_t size, uint64_t alignment, uint32_t tag);
  void(DS_CALL *release)(void *user, void *memory, uint64_t size, uint32_t tag);
  ds_free_fn user_free;
} ds_allocator;

typedef void(DS_CALL *ds_task_fn)(void *task_data, uint32_t index);
#define DS_TASKS_CONCURRENT 1u /* `width` tasks of one run really run at the same time, so that they may meet */

/* The host's threads. run calls task(task_data, i) for all i < n in any order, and returns when all are done; several
 * threads may call run at once. Tasks need 64 KiB of stack. Without DS_TASKS_CONCURRENT one thread may run all. */
typedef struct ds_task_runner {
  uint32_t struct_size;
  uint32_t flags; /* DS_TASKS_* */
  uint32_t width; /* tasks worth having at once; at least 1 */
  uint32_t reserved;
  void *user;
  void(DS_CALL *run)(void *user, uint32_t n, ds_task_fn task, void *task_data);
  ds_free_fn user_free;
} ds_task_runner;

/* A plugin about to be loaded; valid during the callback. binary is the very file content that will run. */
typedef struct ds_plugin_file {
  uint32_t struct_size;
  uint32_t reserved;
  ds_text name;
  ds_text path;
  const uint8_t *binary;
  uint64_t binary_size;
  const uint8_t *signature; /* bytes from the manifest, for the host's own scheme */
  uint64_t signature_size;
} ds_plugin_file;
/* DS_OK lets it load, any other status is reported as the reason for refusal. Inside the call that loads; may call
 * [callback-safe] functions only. */
typedef ds_status(DS_CALL *ds_verify_plugin_fn)(void *user, const ds_plugin_file *plugin);

#define DS_RUNTIME_SPIN 1u               /* idle workers poll for about 50 µs before they park */
#define DS_RUNTIME_NO_AMX 2u             /* never ask the system for AMX state */
#define DS_RUNTIME_NO_DEFAULT_PLUGINS 4u /* search plugin_dirs only, not the library's own folder */

typedef struct ds_runtime_options {
  uint32_t struct_size;
  uint32_t abi_version; /* DS_ABI_VERSION; another ABI is DS_E_ABI. 0 is refused */
  uint32_t flags;       /* DS_RUNTIME_* */
  uint32_t log_level;   /* most verbose level kept; 0: warnings and errors; DS_LOG_OTHER: nothing */
  uint32_t n_threads;   /* own pool without task_runner; 0: one per usable core */
  uint32_t n_cpus;      /* length of cpus */
  const uint32_t *cpus; /* pins own threads to these CPUs; NULL: not pinned */
  ds_text isa_cap;      /* "avx2", "avx512", "amx": nothing above it is used; empty: no cap */
  ds_log_fn log;        /* NULL: messages wait for ds_log_read (bounded, the oldest are dropped) */
  void *log_user;
  ds_free_fn log_free;
  const ds_allocator *allocator;     /* NULL: the C heap */
  const ds_task_runner *task_runner; /* NULL: an own pool */
  const ds_text *plugin_dirs;        /* absolute, searched before the library's own folder */
  uint64_t n_plugin_dirs;
  ds_verify_plugin_fn verify_plugin; /* NULL: the manifest's hash alone decides */
  void *verify_user;
  ds_free_fn verify_free;
  ds_wake_fn wake; /* NULL: none. Called when ds_process_events has something to deliver */
  void *wake_user;
  ds_free_fn wake_free;
  const ds_option *options;
  uint64_t n_options;
} ds_runtime_options;

/* ---- Models ---- */
#define DS_STAGE_READ 1u    /* reading headers */
#define DS_STAGE_LOAD 2u    /* weights: bytes */
#define DS_STAGE_COMPILE 3u /* preparing programs */
#define DS_STAGE_PREFILL 4u /* prompt tokens */
#define DS_STAGE_DECODE 5u  /* generated tokens */
#define DS_STAGE_WRITE 6u   /* writing a file: bytes */
#define DS_STAGE_VERIFY 7u  /* checking a file: bytes */
#define DS_STAGE_OTHER 255u

/* How far a long call is. Also an output struct of ds_job_progress. */
typedef struct ds_progress {
  uint32_t struct_size;
  uint32_t stage; /* DS_STAGE_* */
  uint64_t done;  /* in units of the stage */
  uint64_t total; /* 0: not known */
} ds_progress;
/* DS_CONTINUE or DS_STOP (→ DS_E_STOPPED). On the calling thread of a blocking call, else as jobs deliver; at most 50
 * times a second; may call [callback-safe] functions only. */
typedef int32_t(DS_CALL *ds_progress_fn)(void *user, const ds_progress *progress);

/* Where a model comes from: one of the ds_source_… structs below, told apart by tag. */
#define DS_SOURCE_PATH 1u
#define DS_SOURCE_MEMORY 2u
#define DS_SOURCE_IO 3u
typedef struct ds_source {
  uint32_t struct_size; /* of the whole struct that starts with this head */
  uint32_t tag;         /* DS_SOURCE_* */
} ds_source;

/* A folder with a model, a model file (a split one's: any), Ollama's manifest or MODELS/NAME:TAG, or "embedded". */
typedef struct ds_source_path {
  ds_source head;
  ds_text path;
} ds_source_path;

/* A single-file model in memory, unchanged until user_free is called or the model is gone. */
typedef struct ds_source_memory {
  ds_source head;
  const void *data;
  uint64_t size;
  void *user;
  ds_free_fn user_free;
} ds_source_memory;

#define DS_IO_CONCURRENT 1u /* read_at may be called by several threads at once; else calls come one at a time */

/* The host's own files (archives, encrypted stores). Any thread; may call [callback-safe] functions only.
 * open: `name` is relative ("config.json"), or empty for the model file, if it is one file or a part of a split GGUF
 * model ("-00001-of-00003.gguf" and so on); DS_E_NOT_FOUND if there is none. read_at fills all of `into` or fails. */
typedef struct ds_source_io {
  ds_source head;
  uint32_t flags; /* DS_IO_* */
  uint32_t reserved;
  void *user;
  ds_status(DS_CALL *open)(void *user, const char *name, void **file);
  ds_status(DS_CALL *size)(void *user, void *file, uint64_t *size);
  ds_status(DS_CALL *read_at)(void *user, void *file, uint64_t offset, void *into, uint64_t size);
  void(DS_CALL *close)(void *user, void *file);
  ds_free_fn user_free;
} ds_source_io;

#define DS_MAP_AUTO 0u   /* map regular files of local, read-only filesystems, read others: truncating cannot hurt */
#define DS_MAP_NEVER 1u  /* always read */
#define DS_MAP_ALWAYS 2u /* map or fail; then truncating a file that is open ends the process with a signal */

#define DS_KV_AUTO 0u /* the backend's best without loss beyond the weights' own type */
#define DS_KV_F32 1u
#define DS_KV_BF16 2u
#define DS_KV_E4M3 3u /* 8-bit floats with a scale per 128, rope part in BF16 */
#define DS_KV_Q8 4u   /* 8-bit integers with a scale per 64, rope part in BF16 */

#define DS_MODEL_DETERMINISTIC 1u /* same bits for any chunking, any batch mix, cache on or off */
#define DS_MODEL_NO_CACHE 2u      /* no prefix is kept or looked up */
#define DS_MODEL_NO_WEIGHTS 4u    /* facts and text only, weights are not read; sessions are DS_E_UNSUPPORTED */

/* Also for ds_model_plan. Option keys: "weight_type", "compute_type" (as for packing), "profile" (1: time by op). */
typedef struct ds_model_options {
  uint32_t struct_size;
  uint32_t flags;          /* DS_MODEL_* */
  const ds_source *source; /* needed */
  ds_text backend;         /* plugin name such as "onednn" or "ref"; empty: the best that fits */
  const uint32_t *devices; /* indices below ds_device_count; NULL: the backend's first, or any */
  uint32_t n_devices;
  uint32_t map_mode;       /* DS_MAP_* */
  uint32_t kv_format;      /* DS_KV_* */
  uint32_t context_length; /* tokens; 0: the model's, as far as the budgets hold it */
  uint32_t max_rows;       /* rows in a step; 0: chosen by the backend */
  uint32_t max_sequences;  /* sequences in a step; 0: 8 */
  uint64_t ram_budget;     /* bytes, hard; 0: what the machine has */
  uint64_t vram_budget;    /* bytes per device, hard; 0: what the device has */
  ds_text pack_cache_dir;  /* an existing folder that keeps repacked weights for the next open; empty: none */
  ds_cache *cache;         /* NULL: an in-memory one of its own */
  ds_cancel *cancel;       /* NULL: none */
  ds_progress_fn progress; /* NULL: none */
  void *progress_user;
  ds_free_fn progress_free;
  const ds_option *options;
  uint64_t n_options;
} ds_model_options;

/* ds_model_pack, where types and option keys stand. */
typedef struct ds_pack_options {
  uint32_t struct_size;
  uint32_t flags;          /* 0 */
  const ds_source *source; /* needed */
  ds_text path;            /* what to write; files are replaced whole or not at all */
  ds_text weight_type;     /* empty: as the source stores them */
  ds_text backend;         /* also store this backend's own layout, for this machine; empty: canonical tensors only */
  ds_cancel *cancel;
  ds_progress_fn progress;
  void *progress_user;
  ds_free_fn progress_free;
  const ds_option *options;
  uint64_t n_options;
} ds_pack_options;

/* ds_model_synth: a model with random weights. Shapes: "tiny", "lite", "v2", "r1". */
typedef struct ds_synth_options {
  uint32_t struct_size;
  uint32_t flags;      /* 0 */
  ds_text shape;       /* needed */
  ds_text weight_type; /* as for pack; empty: "bf16" */
  ds_text path;        /* the .dsm file to write */
  uint64_t seed;
  ds_cancel *cancel;
  ds_progress_fn progress;
  void *progress_user;
  ds_free_fn progress_free;
  const ds_option *options;
  uint64_t n_options;
} ds_synth_options;

/* ds_model_verify: every byte is read, structure, checksums and numbers are checked. */
typedef struct ds_verify_options {
  uint32_t struct_size;
  uint32_t flags;          /* 0 */
  const ds_source *source; /* needed */
  ds_cancel *cancel;
  ds_progress_fn progress;
  void *progress_user;
  ds_free_fn progress_free;
} ds_verify_options;

/* ---- Sessions ---- */
#define DS_PRIORITY_BALANCED 0u
#define DS_PRIORITY_BACKGROUND 1u
#define DS_PRIORITY_INTERACTIVE 2u

typedef struct ds_session_options {
  uint32_t struct_size;
  uint32_t flags;            /* 0 */
  uint32_t priority;         /* DS_PRIORITY_* */
  uint32_t max_gpu_slice_us; /* longest uninterrupted device work; 0: no limit */
  uint32_t context_length;   /* tokens this session may hold; 0: the model's */
  uint32_t reserved;
  double tokens_per_second; /* cap on decoding; 0: none */
  const ds_option *options;
  uint64_t n_options;
} ds_session_options;

#define DS_WANT_LAST 0u /* logits of the last given token */
#define DS_WANT_ALL 1u  /* logits of every given token */
#define DS_WANT_NONE 2u

/* ds_session_eval: token ids appended to the session's sequence. */
typedef struct ds_eval_input {
  uint32_t struct_size;
  uint32_t want; /* DS_WANT_* */
  const uint32_t *ids;
  uint64_t n_ids;    /* at least 1 */
  uint32_t chunk;    /* rows in a step; 0: chosen by the scheduler */
  uint32_t flags;    /* DS_GEN_NO_STORE and DS_GEN_NO_REUSE only */
  float *logits;     /* the caller's array of float [rows, V]; NULL: the output views the session's */
  uint64_t capacity; /* floats in logits */
  ds_text cache_salt;
  ds_cancel *cancel;
  ds_model_adapter *adapter; /* NULL: none */
} ds_eval_input;

typedef struct ds_eval_output {
  uint32_t struct_size;
  uint32_t reserved;
  const float *logits; /* [rows, V] row-major; the session's own until its next call or release */
  uint64_t rows;
  uint64_t vocab;      /* V */
  uint64_t n_computed; /* tokens computed now; the rest came from the cache */
} ds_eval_output;

/* ---- Inputs: one of the ds_input_… structs, told apart by tag ---- */
#define DS_INPUT_TEXT 1u
#define DS_INPUT_TOKENS 2u
#define DS_INPUT_FIM 3u
#define DS_INPUT_CHAT 4u
typedef struct ds_input {
  uint32_t struct_size; /* of the whole struct that starts with this head */
  uint32_t tag;         /* DS_INPUT_* */
} ds_input;

#define DS_TEXT_PARSE_SPECIAL 1u /* special tokens written out in the text become those tokens */
#define DS_TEXT_NO_BOS 2u        /* the model's begin-of-text token is not put in front */
#define DS_TEXT_KEEP_SPECIAL 4u  /* detokenize only: special tokens appear as their text */

/* Text to go on from. */
typedef struct ds_text_input {
  ds_input head;
  ds_text text;
  uint32_t flags; /* DS_TEXT_* */
  uint32_t reserved;
} ds_text_input;

/* Token ids to go on from, used as they are. */
typedef struct ds_tokens_input {
  ds_input head;
  const uint32_t *ids;
  uint64_t n_ids;
} ds_tokens_input;

/* Another file that helps the model. Frozen. */
typedef struct ds_snippet {
  ds_text file_name;
  ds_text text;
} ds_snippet;

#define DS_FIM_PLAIN 0u    /* the form the model was trained on */
#define DS_FIM_ANCHORED 1u /* cheap while typing: suffix and most of the prefix stay cached from key to key */

/* Code before and after the cursor. The text before the cursor is prefix followed by typed. */
typedef struct ds_fim_input {
  ds_input head;
  ds_text prefix;
  ds_text suffix;
  ds_text typed;     /* what was typed since the host fixed its anchor; data NULL: the library finds the anchor */
  ds_text file_name; /* shown to the model; empty: none */
  const ds_snippet *snippets;
  uint64_t n_snippets;
  uint32_t layout; /* DS_FIM_* */
  uint32_t flags;  /* 0 */
} ds_fim_input;

/* Role: "system", "user", "assistant" or "tool". Frozen. */
typedef struct ds_message {
  ds_text role;
  ds_text content;
} ds_message;

#define DS_CHAT_CONTINUE 1u /* the last message is the assistant's and is continued */
#define DS_CHAT_THINK 2u    /* open the answer with the model's thinking mark, if it has one */

typedef struct ds_chat_input {
  ds_input head;
  const ds_message *messages;
  uint64_t n_messages;
  ds_text chat_template; /* "v2", "v2.5", "v3", "r1", "v3.1"; empty: the model's own */
  uint32_t flags;        /* DS_CHAT_* */
  uint32_t reserved;
} ds_chat_input;

/* ---- Generation ---- */
#define DS_FINISH_NONE 0u      /* not finished */
#define DS_FINISH_END 1u       /* the model ended its text */
#define DS_FINISH_STOP 2u      /* a stop string or stop id of the request */
#define DS_FINISH_LENGTH 3u    /* max_tokens */
#define DS_FINISH_CONTEXT 4u   /* the context is full */
#define DS_FINISH_CANCELLED 5u /* ds_cancel_set, ds_job_cancel */
#define DS_FINISH_DEADLINE 6u
#define DS_FINISH_CALLBACK 7u /* a callback answered DS_STOP, also if the text had come to its end meanwhile */
#define DS_FINISH_PREFILL 8u  /* DS_GEN_PREFILL_ONLY */
#define DS_FINISH_ERROR 9u    /* the call's status says which */
#define DS_FINISH_OTHER 255u

/* New text of one choice; whole characters, valid during the callback. */
typedef struct ds_text_event {
  uint32_t struct_size;
  uint32_t choice;
  ds_text text;        /* may be empty in the last event */
  const uint32_t *ids; /* tokens since the last event */
  uint64_t n_ids;
  uint32_t finish_reason; /* DS_FINISH_*; not NONE in the last event of a choice */
  uint32_t reserved;
} ds_text_event;
typedef int32_t(DS_CALL *ds_text_fn)(void *user, const ds_text_event *now);

/* The next token's logits before sampling: edit in place. Valid during the callback. */
typedef struct ds_logits_event {
  uint32_t struct_size;
  uint32_t choice;
  float *logits; /* [vocab] */
  uint64_t vocab;
  const uint32_t *ids; /* prompt and generated tokens so far */
  uint64_t n_ids;
} ds_logits_event;
typedef int32_t(DS_CALL *ds_logits_fn)(void *user, const ds_logits_event *now);

/* Which tokens may come next: all bits are set; clear bit id % 32 of mask[id / 32] to forbid id. Valid during it. */
typedef struct ds_mask_event {
  uint32_t struct_size;
  uint32_t choice;
  uint32_t *mask; /* [n_words] */
  uint64_t n_words;
  const uint32_t *ids; /* prompt and generated tokens so far */
  uint64_t n_ids;
} ds_mask_event;
typedef int32_t(DS_CALL *ds_mask_fn)(void *user, const ds_mask_event *now);

/* Added to the logit of a token; -INFINITY is not a number here: use a mask. Frozen. */
typedef struct ds_logit_bias {
  uint32_t id;
  float bias;
} ds_logit_bias;

#define DS_SAMPLING_RANDOM_SEED 1u    /* draw a seed; info key "seed" of the result tells it */
#define DS_SAMPLING_MODEL_DEFAULTS 2u /* zero temperature, max_tokens, … are the model's own; its stops count, too */
#define DS_SAMPLING_LOGPROBS 4u       /* record the chosen tokens' logprobs even if n_logprobs is 0 */
#define DS_GEN_PREFILL_ONLY 16u       /* compute and cache the prompt, generate nothing */
#define DS_GEN_NO_STORE 32u           /* keep nothing of this request in the cache */
#define DS_GEN_NO_PERSIST 64u         /* keep it in memory only, not on disk or outside */
#define DS_GEN_NO_REUSE 128u          /* compute everything even if it is cached */
#define DS_GEN_IGNORE_END 256u        /* do not end at the model's end-of-text tokens */

/* How to generate. NaN, infinite or negative numbers are DS_E_ARGUMENT. The callbacks share callback_user; on_text,
 * on_logits and on_mask answer DS_CONTINUE or DS_STOP, run on the calling thread of a blocking call (else as jobs
 * deliver), and may call [callback-safe] functions only. */
typedef struct ds_params {
  uint32_t struct_size;
  uint32_t flags;           /* DS_SAMPLING_* | DS_GEN_* */
  float temperature;        /* 0: greedy */
  float top_p;              /* 0 and 1: off */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 0 and 1: off */
  float presence_penalty;   /* 0: off */
  float frequency_penalty;  /* 0: off */
  uint32_t top_k;           /* 0: off */
  uint32_t n_choices;       /* 0: one */
  uint64_t seed;            /* 0 is seed 0; choice i uses its own stream */
  uint32_t max_tokens;      /* 0: up to the context's end */
  uint32_t n_logprobs;      /* candidates recorded beside each chosen token, at most 20; 0: none */
  uint64_t deadline_ns;     /* from the call on; 0: none */
  const ds_logit_bias *logit_bias;
  uint64_t n_logit_bias;
  const ds_text *stops; /* stop strings; the text ends before the match */
  uint64_t n_stops;
  const uint32_t *stop_ids; /* besides the model's own */
  uint64_t n_stop_ids;
  ds_model_adapter *adapter; /* of the session's model; NULL: none */
  ds_text cache_salt;        /* prefixes are shared only under the same salt; empty: the common one */
  ds_cancel *cancel;         /* NULL: none */
  ds_text_fn on_text;
  ds_logits_fn on_logits;
  ds_mask_fn on_mask;
  ds_progress_fn on_progress; /* prefill and decode, in tokens */
  void *callback_user;
  ds_free_fn callback_free;
  const ds_option *options;
  uint64_t n_options;
} ds_params;

/* One request of ds_generate_batch. Arrays of it carry a stride. */
typedef struct ds_batch_item {
  uint32_t struct_size;
  ds_status status;            /* written: what ds_generate would have returned */
  ds_session *session;         /* a different one for every item */
  const ds_input *input;       /* any tag */
  const ds_params *parameters; /* NULL: all zero */
  ds_result *result;           /* written; NULL if there is none. The caller releases it */
} ds_batch_item;

#define DS_JOB_QUEUED 1u
#define DS_JOB_RUNNING 2u
#define DS_JOB_DONE 3u /* finished or failed: take the result or the model */
#define DS_JOB_OTHER 255u

#define DS_JOB_SPONTANEOUS 1u /* callbacks come at once on threads of the library, not inside the host's calls */

typedef struct ds_job_options {
  uint32_t struct_size;
  uint32_t flags;  /* DS_JOB_SPONTANEOUS */
  ds_wake_fn wake; /* NULL: none */
  void *wake_user;
  ds_free_fn wake_free;
} ds_job_options;

/* Frozen. */
typedef struct ds_token_logprob {
  uint32_t id;
  float logprob; /* natural logarithm */
} ds_token_logprob;

/* ---- Cache ---- */
/* Names a stored block. Frozen. */
typedef struct ds_cache_key {
  uint8_t bytes[32];
} ds_cache_key;

/* The host's own store behind memory and disk. Any thread; may call [callback-safe] functions; errors are misses. */
typedef struct ds_cache_tier {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  void *user;
  ds_status(DS_CALL *exists)(void *user, const ds_cache_key *keys, uint64_t n, uint8_t *found);
  ds_status(DS_CALL *get)(void *user, const ds_cache_key *key, void *into, uint64_t capacity, uint64_t *size);
  ds_status(DS_CALL *put)(void *user, const ds_cache_key *key, const void *data, uint64_t size);
  ds_status(DS_CALL *remove)(void *user, const ds_cache_key *keys, uint64_t n);
  ds_status(DS_CALL *health)(void *user);
  ds_free_fn user_free;
} ds_cache_tier;

/* Encrypts or decrypts one stored frame into `into`; *size gets the bytes written. */
typedef ds_status(DS_CALL *ds_seal_fn)(void *user, const void *data, uint64_t data_size, void *into, uint64_t capacity,
                                       uint64_t *size);

typedef struct ds_cache_options {
  uint32_t struct_size;
  uint32_t flags;                   /* 0 */
  uint64_t ram_bytes;               /* host memory; 0: 1 GiB */
  uint64_t device_bytes;            /* device memory; 0: what the models' budgets leave */
  ds_text directory;                /* disk tier; empty: none */
  uint64_t disk_bytes;              /* 0: 16 GiB */
  uint64_t min_free_bytes;          /* left free on the disk; 0: 1 GiB */
  uint64_t max_age_s;               /* 0: any age */
  uint64_t max_write_bytes_per_day; /* 0: no limit */
  ds_seal_fn seal;
  ds_seal_fn unseal;
  void *seal_user;
  ds_free_fn seal_free;
  const ds_cache_tier *external; /* NULL: none */
  const ds_option *options;
  uint64_t n_options;
} ds_cache_options;

#define DS_CACHE_STORED 1u
#define DS_CACHE_HIT 2u
#define DS_CACHE_EVICTED 3u
#define DS_CACHE_TIER_OFF 4u
#define DS_CACHE_OTHER 255u

typedef struct ds_cache_event {
  uint32_t struct_size;
  uint32_t kind; /* DS_CACHE_* */
  uint64_t tokens;
  uint64_t bytes;
  uint64_t dropped; /* events lost before this one, because nobody read them */
} ds_cache_event;

DS_EXTERN_C_END
#pragma pack(pop)

#endif
