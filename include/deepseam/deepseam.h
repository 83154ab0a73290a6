/* deepseam: DeepSeek mixture-of-experts models inside your program. The whole API for hosts; C99 and C++.
 *
 * Conventions, which every function follows; the comments below do not repeat them.
 *
 *  1. Status. A call that can fail returns ds_status (DS_OK is 0) and takes `error` last: NULL, or a ds_error of the
 *     caller with struct_size set. It is written on failure only. No thread-local state, nothing to free.
 *  2. Structs go in by pointer, with struct_size = sizeof of the caller's own struct. The library accepts smaller ones
 *     (older callers; missing fields are zero) and larger ones if what it does not know is zero, else
 *     DS_E_UNKNOWN_FIELD. Below the first version's size or above 64 KiB: DS_E_STRUCT. Output structs: the library
 *     writes what both sides know and zeroes the rest. `reserved` fields and unnamed flag bits are zero.
 *     Structs marked frozen have no struct_size and never change. The headers set the packing they need, whatever the
 *     host packs its own structs with.
 *  3. Zero is the default. Each field says what zero means. Output constants that a program may not know yet have an
 *     _OTHER in their group: treat every unknown number as that one.
 *  4. Text is UTF-8 in ds_text or (data, size); DS_STRLEN as size means NUL-terminated. Text from the library is valid
 *     UTF-8. Token ids are uint32_t below the vocabulary's size.
 *  5. Filling a caller's buffer: *size gets the full size. Capacity 0 asks for it (DS_OK). Too small: DS_E_BUFFER and
 *     nothing is written but *size. Texts get a NUL behind them if there is room; it is not counted.
 *  6. Views (ds_text, pointers) into an object are valid until that object is released.
 *  7. Handles. A function that gives one out sets it to NULL first; on DS_OK the caller owns it and releases it once.
 *     Children keep what they need of their parents: any order of release is fine. A released or foreign handle gives
 *     DS_E_HANDLE. ds_*_release never blocks, joins or calls back; it is safe in finalizers, callbacks and under locks.
 *     A process may hold 32,768 handles.
 *  8. Ending. ds_runtime_shutdown is the one call that waits for our threads. After it returned DS_OK no callback runs,
 *     children give DS_E_SHUT_DOWN and stay releasable, and the library may be unloaded once all handles are released.
 *  9. Callbacks. `user` is the host's; the library passes it on. The matching user_free (any name *_free) is called
 *     exactly once if the call returned DS_OK or gave out an object, and never if it failed without one. Callbacks must
 *     not throw or longjmp. They run on the calling thread of a blocking call; else inside ds_process_events or
 *     ds_job_wait, unless DS_JOB_SPONTANEOUS asks for delivery on the library's own threads. Those block all signals,
 *     but not in callbacks: there they have the mask of the host's thread that made them come into being.
 * 10. Thread classes. [any-thread]: any thread, several at once. [session-serial]: one call per session at a time, a
 *     second one gets DS_E_BUSY. [callback-safe]: also inside any callback; all others give DS_E_REENTRANT there.
 * 11. What a call is given is copied before it returns, except memory that says otherwise (ds_source_memory).
 * 12. Cancelling. Every call that may take long accepts a ds_cancel. Generation that is cancelled, out of time or
 *     stopped by a callback returns DS_OK, a finish reason and the text so far; other calls DS_E_CANCELLED or
 *     DS_E_STOPPED. A device lost or a failure after the start returns its status *and* the result so far.
 * 13. Forks. In a forked child handles of the parent give DS_E_FORKED, and releasing them does nothing.
 * 14. The library never prints, exits, aborts, changes signals, locale or directory, or reads the environment. It sets
 *     the floating-point control word it needs inside its calls, callbacks included, and restores the caller's. */
#ifndef DEEPSEAM_DEEPSEAM_H
#define DEEPSEAM_DEEPSEAM_H

#include "deepseam/types.h"

#pragma pack(push, 8)
DS_EXTERN_C_BEGIN

/* ---- Library ---- */

/* DS_ABI_VERSION of the library. [any-thread, callback-safe] */
DS_API uint32_t DS_CALL ds_abi_version(void);
/* Such as "0.1.0"; static. [any-thread, callback-safe] */
DS_API const char *DS_CALL ds_version_string(void);
/* The name of a status, such as "DS_E_FORMAT"; "DS_E_?" for an unknown one; static. [any-thread, callback-safe] */
DS_API const char *DS_CALL ds_status_string(ds_status status);
/* Handles of this process that are not released, for leak tests. [any-thread, callback-safe] */
DS_API uint64_t DS_CALL ds_live_objects(void);

/* ---- Runtime ---- */

/* Creates the owner of log, threads, plugins and budgets. `options` is needed for its abi_version. Plugins are found
 * and probed when first needed. Errors: ABI, ARGUMENT, MEMORY. [any-thread] */
DS_API ds_status DS_CALL ds_runtime_create(const ds_runtime_options *options, ds_runtime **runtime, ds_error *error);
/* Cancels all jobs and calls under way, joins our threads, quiesces and unloads plugins, calls every user_free that is
 * due. Waits at most timeout_ns (0: one second): DS_E_TIMEOUT leaves it under way, call again. Further calls return
 * DS_OK. Errors: TIMEOUT. [any-thread] */
DS_API ds_status DS_CALL ds_runtime_shutdown(ds_runtime *runtime, uint64_t timeout_ns, ds_error *error);
/* Without a shutdown before, the library ends its work on its own threads once the last child is released.
 * [any-thread, callback-safe] */
DS_API void DS_CALL ds_runtime_release(ds_runtime *runtime);
/* Loads one plugin by the absolute path of its manifest (NAME.dsplugin). Errors: NOT_FOUND, FORMAT, PLUGIN,
 * ABI. [any-thread] */
DS_API ds_status DS_CALL ds_runtime_load_plugin(ds_runtime *runtime, const char *path, uint64_t path_size,
                                                ds_error *error);
/* Registers a backend that is linked into the host: `entry` is its ds_backend_main (<deepseam/backend.h>).
 * Errors: PLUGIN, ABI, ARGUMENT. [any-thread] */
struct dsb_root;
typedef const struct dsb_root *(DS_CALL *ds_backend_entry)(void);
DS_API ds_status DS_CALL ds_runtime_register_backend(ds_runtime *runtime, ds_backend_entry entry, ds_error *error);
/* Every plugin candidate with its path and, if it is not used, the reason. Keys: "plugins", "plugins.N.name", ".path",
 * ".state", ".reason", ".version". [any-thread] */
DS_API ds_status DS_CALL ds_runtime_plugin_report(ds_runtime *runtime, ds_info **report, ds_error *error);
/* Devices of all usable backends. [any-thread] */
DS_API ds_status DS_CALL ds_device_count(ds_runtime *runtime, uint32_t *count, ds_error *error);
/* One device. Keys: "name", "backend", "kind", "uuid", "luid", "pci", "memory.total", "memory.free", "isa".
 * [any-thread] */
DS_API ds_status DS_CALL ds_device_info(ds_runtime *runtime, uint32_t index, ds_info **info, ds_error *error);
/* Delivers waiting callbacks on this thread, waiting up to timeout_ns for the first one (0: not at all). *n_delivered
 * (may be NULL) gets their number. [any-thread] */
DS_API ds_status DS_CALL ds_process_events(ds_runtime *runtime, uint64_t timeout_ns, uint64_t *n_delivered,
                                           ds_error *error);
/* The oldest waiting log message, for runtimes without a log callback: *level and "domain: sentence" by convention 5.
 * It goes when it was copied. DS_E_PENDING: none waits. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_log_read(ds_runtime *runtime, uint32_t *level, char *buffer, uint64_t capacity,
                                     uint64_t *size, ds_error *error);

/* ---- Cancel ---- */

/* A flag for any number of calls, one after another or at once; once set it stays set. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_cancel_create(ds_cancel **cancel, ds_error *error);
/* Asks all calls with this flag to stop. Also allowed in a signal handler. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_cancel_set(ds_cancel *cancel, ds_error *error);
DS_API void DS_CALL ds_cancel_release(ds_cancel *cancel); /* [any-thread, callback-safe] */

/* ---- Infos: snapshots of named values. Keys are dotted lower-case paths; numbers after a dot index lists. ---- */

/* A count, size or flag. `key` is NUL-terminated. Errors: NOT_FOUND (no such key), ARGUMENT (the value is of another
 * kind; a whole number is also readable as f64). [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_info_get_u64(const ds_info *info, const char *key, uint64_t *value, ds_error *error);
DS_API ds_status DS_CALL ds_info_get_f64(const ds_info *info, const char *key, double *value, ds_error *error);
DS_API ds_status DS_CALL ds_info_get_text(const ds_info *info, const char *key, ds_text *view, ds_error *error);
/* All of it as one JSON object. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_info_json(const ds_info *info, ds_text *view, ds_error *error);
DS_API void DS_CALL ds_info_release(ds_info *info); /* [any-thread, callback-safe] */

/* ---- Models ---- */

/* What opening with these options would take, from headers alone. Keys: "fits", "reason", "context_length",
 * "bytes.weights", "bytes.kv", "bytes.scratch", "bytes.total", "devices.N.name", "devices.N.bytes",
 * "tokens_per_second", "backend"; "bytes.stored" (weights in the files) and "bytes.repacked" (weights whose format only
 * files hold, in the format they are turned into); of "bytes.weights" "bytes.mapped" lie in mapped files and
 * "bytes.anonymous" in memory, and "bytes.packed" of both come ready in the backend's layout, from a .dsm packed for it
 * or from pack_cache_dir, where files that are no .dsm are sampled to know them again; "bytes.cache" is what kept
 * prefixes may take beyond the total, within the budgets. A plan that does not fit is DS_OK with "fits" 0. [any-thread]
 */
DS_API ds_status DS_CALL ds_model_plan(ds_runtime *runtime, const ds_model_options *options, ds_info **plan,
                                       ds_error *error);
/* Opens a model: reads, loads, compiles. Errors: file, memory and device ranges, CANCELLED, STOPPED. [any-thread] */
DS_API ds_status DS_CALL ds_model_open(ds_runtime *runtime, const ds_model_options *options, ds_model **model,
                                       ds_error *error);
/* The same in the background; job_options may be NULL. Errors after the start come from ds_job_take_model: CANCELLED if
 * the cancel came before the job was done, STOPPED if progress answered so before the model was taken, however quick
 * the opening was. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_model_open_start(ds_runtime *runtime, const ds_model_options *options,
                                             const ds_job_options *job_options, ds_job **job, ds_error *error);
/* Keys: "architecture", "vocab", "hidden", "layers", "heads", "experts", "experts_per_token", "parameters",
 * "context_length", "context_limit", "fingerprint", "numerics_id", "backend", "weights.bytes", "weights.type",
 * "weights.stored_bytes", "weights.repacked_bytes", "weights.mapped_bytes", "weights.anonymous_bytes",
 * "weights.packed_bytes" (as "bytes.…" of ds_model_plan); "weights.repacked_as": the formats that the repacked ones are
 * turned into ("q8_0", …), if any are; "weights.pack_cache": "used", "written", "not used: …" or
 * "not written: …", if the options named a folder and the backend repacks anything; "weights.packed_for": backends and
 * instruction sets that the file brings packed weights for;
 * "kv.bytes_per_token", "tokens.bos", "tokens.eos", "fim", "chat_template", "load_ms"; "card", if the file has one.
 * With DS_MODEL_NO_WEIGHTS there is no "fingerprint" of a folder, and what a backend decides is there if one was found.
 * "adapters": how many are loaded. Counts since the open: "engine.steps", ".rows", ".step_ns"; with the option
 * "profile" "profile.OP_ns" for every op. [any-thread] */
DS_API ds_status DS_CALL ds_model_info(ds_model *model, ds_info **info, ds_error *error);
/* [any-thread, callback-safe] */
DS_API void DS_CALL ds_model_release(ds_model *model);
/* Loads a low-rank adapter for use in ds_params and ds_eval_input: a PEFT folder with adapter_config.json and
 * adapter_model.safetensors, as a path or the host's own files. Up to 256 beside a model, ranks up to 512. Prefixes are
 * shared between adapters of equal values only. Errors: file range (MODEL: it is for another model), UNSUPPORTED (what
 * is not computed, by its field), MEMORY. [any-thread] */
DS_API ds_status DS_CALL ds_model_adapter_load(ds_model *model, const ds_source *source, ds_model_adapter **adapter,
                                               ds_error *error);
/* Requests that run with it go on. [any-thread, callback-safe] */
DS_API void DS_CALL ds_model_adapter_release(ds_model_adapter *adapter);
/* Writes a model as one .dsm file. Types: "f32", "f16", "bf16", "fp8", "q8", "q6", "q5", "q4", "q3"; "as-is"; a block
 * format of GGUF's: "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q3_k", "q4_k", "q5_k", "q6_k". Option keys, all texts:
 *   "keep"  "TYPE=NAME,NAME…": these weights get TYPE instead of weight_type. May be given several times, the last one
 *           that names a weight wins. A name is a weight ("layers.3.o", "embed"), a kind ("o", "experts.down"), or a
 *           group: "attention", "dense", "shared", "experts", "vocabulary". Norms and routers stay f32.
 *   "calibrate"  a text like those that the model is for: quantising takes more care of what it uses more. Its first
 *           tokens, 4,096 at most, are run for that.
 *   "report"  a file to write, what became of each weight as JSON: "bytes", "error", "types.NAME", and a list "weights"
 *           of "name", "type", "shape", "bytes", "error". Errors are roots of mean squares, relative to the numbers.
 *   "card"  text about the model, kept in the file; default: the source's. ds_model_info has it.
 *   "adapter"  the path of a low-rank adapter's folder (ds_model_adapter_load), which is added to the weights.
 *   "form"  "dsm", or "hf": path is an existing folder, which gets config.json and model.safetensors in f32, the very
 *           numbers that a quantised model multiplies with. No tokenizer; takes no type and no option but "adapter".
 * Errors: ARGUMENT (a name that names nothing), file range, CANCELLED, STOPPED. [any-thread] */
DS_API ds_status DS_CALL ds_model_pack(ds_runtime *runtime, const ds_pack_options *options, ds_error *error);
/* Writes a model of a known shape with random weights. Errors: as pack. [any-thread] */
DS_API ds_status DS_CALL ds_model_synth(ds_runtime *runtime, const ds_synth_options *options, ds_error *error);
/* Checks a whole model file. Keys: "ok", "findings", "findings.N.name", "findings.N.message", "bytes";
 * "notes" and "notes.N": what reading takes otherwise than the file says it, or what the model cannot be asked; of the
 * tokenizer "tokens.count" and, as in ds_model_info, "tokens.bos", "tokens.eos", "fim", "chat_template".
 * DS_OK also if there are findings. Errors: file range, CANCELLED, STOPPED. [any-thread] */
DS_API ds_status DS_CALL ds_model_verify(ds_runtime *runtime, const ds_verify_options *options, ds_info **findings,
                                         ds_error *error);

/* ---- Text ---- */

/* Text to token ids. flags: DS_TEXT_*. Bytes that are not UTF-8 are tokenised byte by byte. `cancel` may be NULL. There
 * are never more ids than bytes plus one. ids/capacity/n as convention 5, in ids. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_tokenize(ds_model *model, const char *text, uint64_t text_size, uint32_t flags,
                                     ds_cancel *cancel, uint32_t *ids, uint64_t capacity, uint64_t *n, ds_error *error);
/* Token ids to text; bytes that form no character become U+FFFD. flags: DS_TEXT_KEEP_SPECIAL.
 * [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_detokenize(ds_model *model, const uint32_t *ids, uint64_t n_ids, uint32_t flags,
                                       char *buffer, uint64_t capacity, uint64_t *size, ds_error *error);
/* The bytes of one token, not necessarily UTF-8. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_token_text(ds_model *model, uint32_t id, char *buffer, uint64_t capacity, uint64_t *size,
                                       ds_error *error);
/* The prompt of a conversation or of a fill-in-the-middle, as the run functions would build it.
 * Errors: ARGUMENT, UNSUPPORTED (the vocabulary has no such marks). [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_chat_prompt(ds_model *model, const ds_chat_input *input, uint32_t *ids, uint64_t capacity,
                                        uint64_t *n, ds_error *error);
DS_API ds_status DS_CALL ds_fim_prompt(ds_model *model, const ds_fim_input *input, uint32_t *ids, uint64_t capacity,
                                       uint64_t *n, ds_error *error);

/* ---- Sessions ---- */

/* An empty sequence. options may be NULL. [any-thread] */
DS_API ds_status DS_CALL ds_session_create(ds_model *model, const ds_session_options *options, ds_session **session,
                                           ds_error *error);
/* Changes settings, also while a job runs. Keys: "priority", "max_gpu_slice_us", "tokens_per_second", "suspended".
 * [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_session_set(ds_session *session, const ds_option *options, uint64_t n_options,
                                        ds_error *error);
/* Keys: "length" (tokens held), "context_length", "tokens_computed", "tokens_cached". [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_session_info(ds_session *session, ds_info **info, ds_error *error);
/* Appends tokens to the sequence and gives logits. Errors: CONTEXT_FULL, CACHE_FULL, BUFFER (needs rows * V floats;
 * told before anything is computed), CANCELLED (nothing was appended), device range. [session-serial] */
DS_API ds_status DS_CALL ds_session_eval(ds_session *session, const ds_eval_input *input, ds_eval_output *output,
                                         ds_error *error);
/* Shortens the sequence to `length` tokens; 0 empties it. Errors: ARGUMENT (longer than it is). [session-serial] */
DS_API ds_status DS_CALL ds_session_rewind(ds_session *session, uint64_t length, ds_error *error);
/* A job that runs goes on until its own handle is released. [any-thread, callback-safe] */
DS_API void DS_CALL ds_session_release(ds_session *session);

/* ---- Run. The input replaces the session's sequence; what both have in common is not computed again. ---- */

/* Generates from any ds_input. parameters may be NULL. *result is set whenever something was produced, also on failure.
 * Errors: ARGUMENT, CONTEXT_FULL, CACHE_FULL, device range. [session-serial] */
DS_API ds_status DS_CALL ds_generate(ds_session *session, const ds_input *input, const ds_params *parameters,
                                     ds_result **result, ds_error *error);
/* Fills in at the cursor. [session-serial] */
DS_API ds_status DS_CALL ds_fim(ds_session *session, const ds_fim_input *input, const ds_params *parameters,
                                ds_result **result, ds_error *error);
/* Answers a conversation. [session-serial] */
DS_API ds_status DS_CALL ds_chat(ds_session *session, const ds_chat_input *input, const ds_params *parameters,
                                 ds_result **result, ds_error *error);
/* Runs n requests in shared steps. `stride` is sizeof(ds_batch_item) of the caller. Returns DS_OK if every item's
 * status and result were written, whatever they are; convention 9 counts each item as a call. [session-serial, each] */
DS_API ds_status DS_CALL ds_generate_batch(ds_batch_item *items, uint64_t n, uint64_t stride, ds_error *error);

/* ---- Jobs: the same without blocking ---- */

/* parameters and options may be NULL. The prompt is made inside this call; the job occupies its session until it is
 * done. Errors: as ds_generate before its start; CANCELLED. [session-serial, callback-safe] */
DS_API ds_status DS_CALL ds_job_start(ds_session *session, const ds_input *input, const ds_params *parameters,
                                      const ds_job_options *options, ds_job **job, ds_error *error);
/* *state gets DS_JOB_*. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_poll(ds_job *job, uint32_t *state, ds_error *error);
/* Text of a choice that was not read before: whole characters, as many as fit; *size gets the bytes written. Unlike
 * convention 5 a small buffer is no error; 0 bytes mean nothing new. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_read(ds_job *job, uint32_t choice, char *buffer, uint64_t capacity, uint64_t *size,
                                     ds_error *error);
/* [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_progress(ds_job *job, ds_progress *progress, ds_error *error);
/* Waits until the job is done, delivering its callbacks here, and until its wake has returned and its user_free were
 * called; ds_job_take_result does not wait for these. No wake tells that they are over: after a TIMEOUT ask
 * ds_job_poll. timeout_ns UINT64_MAX: without limit. Errors: TIMEOUT. [any-thread] */
DS_API ds_status DS_CALL ds_job_wait(ds_job *job, uint64_t timeout_ns, ds_error *error);
/* [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_cancel(ds_job *job, ds_error *error);
/* The result, once: returns what ds_generate would have returned. Errors: PENDING (not done), ARGUMENT (taken, or not
 * a generation). [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_take_result(ds_job *job, ds_result **result, ds_error *error);
/* The model of a ds_model_open_start, once: returns what ds_model_open would have returned.
 * [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_job_take_model(ds_job *job, ds_model **model, ds_error *error);
/* A job that is not done is cancelled; its session is free again soon after. [any-thread, callback-safe] */
DS_API void DS_CALL ds_job_release(ds_job *job);

/* ---- Results; all [any-thread, callback-safe] ---- */

DS_API ds_status DS_CALL ds_result_text(const ds_result *result, uint32_t choice, ds_text *view, ds_error *error);
/* The generated tokens, without the one that ended the text. */
DS_API ds_status DS_CALL ds_result_ids(const ds_result *result, uint32_t choice, const uint32_t **ids, uint64_t *n,
                                       ds_error *error);
/* *reason gets DS_FINISH_*. */
DS_API ds_status DS_CALL ds_result_finish_reason(const ds_result *result, uint32_t choice, uint32_t *reason,
                                                 ds_error *error);
/* Rows of `width` entries, one row per generated token: the chosen one, then the n_logprobs most likely. width 0 if
 * the parameters asked for none. *n gets the number of rows. */
DS_API ds_status DS_CALL ds_result_logprobs(const ds_result *result, uint32_t choice, const ds_token_logprob **entries,
                                            uint64_t *n, uint32_t *width, ds_error *error);
/* Keys: "choices", "seed", "usage.prompt_tokens", "usage.cached_tokens", "usage.completion_tokens",
 * "timings.prefill_ms", "timings.decode_ms", "timings.ttft_ms", "timings.tokens_per_second". */
DS_API ds_status DS_CALL ds_result_info(const ds_result *result, ds_info **info, ds_error *error);
DS_API void DS_CALL ds_result_release(ds_result *result);

/* ---- Cache ---- */

/* A prefix store for ds_model_options.cache. options may be NULL. Errors: UNSUPPORTED (a tier that this library lacks),
 * file range. [any-thread] */
DS_API ds_status DS_CALL ds_cache_open(ds_runtime *runtime, const ds_cache_options *options, ds_cache **cache,
                                       ds_error *error);
/* Returns when what was stored so far survives a power loss, where a tier offers that. [any-thread] */
DS_API ds_status DS_CALL ds_cache_flush(ds_cache *cache, ds_error *error);
/* Evicts until at most ram_bytes of host memory are used; what running sessions use stays. [any-thread] */
DS_API ds_status DS_CALL ds_cache_trim(ds_cache *cache, uint64_t ram_bytes, ds_error *error);
/* Forgets everything stored under a salt; salt_size 0: under the common one. [any-thread] */
DS_API ds_status DS_CALL ds_cache_erase(ds_cache *cache, const char *salt, uint64_t salt_size, ds_error *error);
/* Keys: "ram.bytes", "ram.limit", "blocks", "tokens", "lookups", "hits", "hit_tokens", "evictions".
 * [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_cache_stats(ds_cache *cache, ds_info **stats, ds_error *error);
/* The oldest event that nobody read. DS_E_PENDING: none waits. [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_cache_read_event(ds_cache *cache, ds_cache_event *next, ds_error *error);
/* [any-thread, callback-safe] */
DS_API void DS_CALL ds_cache_release(ds_cache *cache);

/* ---- The whole API as a table, for hosts that load the library themselves (loader.h) ---- */

/* Slots in the order of api.def; new ones come at the end. A slot that is NULL is newer than the library. */
typedef struct ds_api {
  uint32_t struct_size;
  uint32_t library_abi; /* DS_ABI_VERSION of the library */
#define DS_SLOT(type, name, parameters) type(DS_CALL *name) parameters;
#define DS_SLOT_VOID(name, parameters) void(DS_CALL * name) parameters;
#define DS_SLOT_VALUE(type, name, parameters, missing) type(DS_CALL *name) parameters;
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE
} ds_api;

/* Fills a table (struct_size set by the caller) if the library offers at least ABI `min_abi`: the same major number, a
 * minor number not below it; while the major number is 0 both must be equal. Errors: ABI, STRUCT, ARGUMENT.
 * [any-thread, callback-safe] */
DS_API ds_status DS_CALL ds_get_api(uint32_t min_abi, ds_api *api, ds_error *error);

DS_EXTERN_C_END
#pragma pack(pop)

#endif
