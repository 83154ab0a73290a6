/* The plugin API: what a compute backend of deepseam offers and what it may rely on. C99, libc headers only.
 *
 * Conventions, in force for every struct and slot below:
 *  1. A plugin exports one symbol, ds_backend_main, and holds no mutable statics. Everything hangs off an instance.
 *  2. Structs begin with struct_size, the size known to who filled it; a reader treats missing fields as zero. Arrays
 *     of structs come with a stride in bytes, so that their elements may grow; structs marked frozen never change
 *     and come without. No bool, enum, bitfield, implicit padding.
 *  3. Slots return DS_OK or a status of status.h and fill the ds_error given last (it may be NULL). No exception, no
 *     abort, no print. A slot that a plugin leaves NULL, or that its table is too short for, is DS_E_UNSUPPORTED.
 *  4. Slots may be called from any thread, but never two at once on one exec, pool, sampler or layout being written.
 *     There is no thread affinity; a device context is pushed and popped within each call.
 *  5. Each side frees what it allocated: what a _create, _open, _load or plan_ slot returned goes back to the matching
 *     slot, children before parents. All such slots accept NULL.
 *  6. A graph says what it needs: every node carries op_version and required_features, and what is not known is refused
 *     by plan_graph, with a reason. Steps are plain structs, checked by the plugin against the program's limits.
 *
 * Shape letters: T rows in a step, S sequences, H hidden, N heads, R kv_lora_rank, E experts, K experts per token,
 * I expert width, V vocabulary rows of lm_head. */
#ifndef DEEPSEAM_BACKEND_H
#define DEEPSEAM_BACKEND_H

#include <stdint.h>

#include "deepseam/export.h"
#include "deepseam/status.h"
#include "deepseam/version.h"

DS_EXTERN_C_BEGIN

#define DSB_NONE 0xffffffffu

/* Number formats; the ids of lib/base/dtype.def. */
#define DSB_F32 1u
#define DSB_F16 2u
#define DSB_BF16 3u
#define DSB_F8_E4M3 4u
#define DSB_I32 5u
#define DSB_Q8_0 16u
#define DSB_Q4_0 17u
#define DSB_Q4_1 67u
#define DSB_Q5_0 70u
#define DSB_Q4_K 76u
#define DSB_Q5_K 77u
#define DSB_Q6_K 78u

/* Formats of a KV row (R latent values, then the rotated key). Scales are F32 and follow the latent values. */
#define DSB_KV_F32 1u
#define DSB_KV_BF16 2u
#define DSB_KV_E4M3X128_BF16 3u /* R e4m3 bytes, a scale per 128 of them, rope in BF16 */
#define DSB_KV_Q8X64_BF16 4u    /* R int8 bytes, a scale per 64 of them, rope in BF16 */

typedef struct dsb_instance dsb_instance;
typedef struct dsb_device dsb_device;
typedef struct dsb_group dsb_group;
typedef struct dsb_layout dsb_layout;
typedef struct dsb_weight dsb_weight;
typedef struct dsb_program dsb_program;
typedef struct dsb_pool dsb_pool;
typedef struct dsb_sampler dsb_sampler;
typedef struct dsb_exec dsb_exec;
typedef struct dsb_ticket dsb_ticket;

/* ------------------------------------------------------------------------------------------------ host services */

#define DSB_HOST_CONCURRENT 1u /* parallel() really runs its tasks at the same time: barriers inside are allowed */

#define DSB_LOG_ERROR 1u
#define DSB_LOG_WARNING 2u
#define DSB_LOG_INFO 3u
#define DSB_LOG_DEBUG 4u

#define DSB_TAG_OTHER 0u
#define DSB_TAG_WEIGHTS 1u
#define DSB_TAG_KV 2u
#define DSB_TAG_SCRATCH 3u

typedef void(DS_CALL *dsb_task)(void *arg, uint32_t index);

/* What the host does for a plugin. Valid until instance_destroy returns; callable from any thread inside a slot. */
typedef struct dsb_host {
  uint32_t struct_size;
  uint32_t abi_version;
  uint32_t flags; /* DSB_HOST_* */
  uint32_t width; /* tasks that parallel() can run at once, at least 1 */
  void *user;
  void(DS_CALL *log)(void *user, uint32_t level, const char *message);
  void *(DS_CALL *allocate)(void *user, uint64_t size, uint64_t alignment, uint32_t tag); /* NULL on failure */
  void(DS_CALL *release)(void *user, void *memory, uint64_t size, uint32_t tag);
  /* Calls task(arg, 0) … task(arg, n - 1) and returns when all are done. Without DSB_HOST_CONCURRENT they may run one
   * after another on one thread, so no task may wait for another. */
  void(DS_CALL *parallel)(void *user, uint32_t n, dsb_task task, void *arg);
  uint64_t(DS_CALL *clock_ns)(void *user); /* monotonic */
  /* A vendor library by the host's policy: `name` is a bare file name ("libdnnl.so.2"). NULL if there is none. */
  void *(DS_CALL *library_open)(void *user, const char *name);
  void *(DS_CALL *library_symbol)(void *user, void *library, const char *symbol);
  void(DS_CALL *library_close)(void *user, void *library);
  const char *isa_cap; /* highest CPU instruction set the host allows ("avx2", "avx512", "amx"), "" for no cap */
} dsb_host;

/* ------------------------------------------------------------------------------------------- devices and groups */

#define DSB_DEVICE_CPU 1u
#define DSB_DEVICE_GPU 2u

typedef struct dsb_device_info {
  uint32_t struct_size;
  uint32_t kind;  /* DSB_DEVICE_* */
  uint32_t score; /* the host prefers the highest; 0: works, but only as a reference */
  uint32_t reserved;
  uint64_t memory_bytes; /* 0: ask device_memory */
  char name[64];
  char uuid[40];
  char pci[16];
  char arch[24]; /* instruction set or GPU architecture that kernels will be chosen for */
} dsb_device_info;

#define DSB_DEVICE_OK 0u
#define DSB_DEVICE_LOST 1u
#define DSB_DEVICE_LOST_SHARED 2u

typedef struct dsb_device_options {
  uint32_t struct_size;
  uint32_t priority;     /* 0 balanced, 1 background, 2 interactive */
  uint64_t budget_bytes; /* 0: no limit */
  void *host_context;    /* the host's own device context, or NULL */
  void *host_stream;
} dsb_device_options;

/* Adds up, gathers or swaps `bytes` at `data` over the ranks of a group; called by the plugin inside exec_submit or
 * ticket_wait, by every rank in the same order. operation: 0 barrier, 1 all-gather (data holds world parts, the own one
 * filled in). */
typedef ds_status(DS_CALL *dsb_exchange)(void *user, uint32_t operation, void *data, uint64_t bytes_per_rank);

typedef struct dsb_group_desc {
  uint32_t struct_size;
  uint32_t rank;
  uint32_t world;
  uint32_t n_devices;
  dsb_device *const *devices;
  dsb_exchange exchange;
  void *exchange_user;
} dsb_group_desc;

/* ----------------------------------------------------------------------------------------------- graph to layout */

#define DSB_ACT_NATIVE 0u
#define DSB_ACT_INT8X32 1u
#define DSB_ACT_INT8X64 2u
#define DSB_ACT_INT8X128 3u
#define DSB_ACT_FP8X128 4u

#define DSB_PLAN_DETERMINISTIC 1u

typedef struct dsb_plan_options {
  uint32_t struct_size;
  uint32_t flags;    /* DSB_PLAN_* */
  uint32_t max_rows; /* T of the largest step */
  uint32_t max_seqs;
  uint32_t max_blocks_per_seq;
  uint32_t max_logit_rows;
  uint32_t max_adapters; /* slots 1 … max_adapters; slot 0 means no adapter */
  uint32_t max_lora_rank;
  uint32_t act_type;      /* DSB_ACT_*; ignored with DSB_PLAN_DETERMINISTIC if it would change with the batch */
  uint32_t kv_format;     /* DSB_KV_* */
  uint32_t block_tokens;  /* rows per KV block */
  uint32_t slice_hint_us; /* longest time between two points where a step can yield; 0: no slices */
} dsb_plan_options;

/* Part of a graph's weight tensor that goes into a packed weight: the whole if dim is DSB_NONE. */
typedef struct dsb_weight_slice {
  uint32_t tensor; /* index in the graph's tensor list */
  uint32_t dim;
  uint64_t begin;
  uint64_t length;
} dsb_weight_slice;

#define DSB_WEIGHT_MAPPABLE 1u /* weight_load keeps pointers to lasting sources instead of copying */
#define DSB_WEIGHT_PULLED 2u   /* weight_load takes sources without scales that have `read` instead of data */

/* One weight as the backend wants to hold it. `slices` belong to the layout. */
typedef struct dsb_packed_weight {
  uint32_t struct_size;
  uint32_t flags; /* DSB_WEIGHT_* */
  uint32_t n_slices;
  uint32_t slice_stride;
  const dsb_weight_slice *slices;
  uint64_t bytes;     /* memory this weight will take on the device, beyond lasting sources it points to */
  uint32_t alignment; /* wanted of weight_map's data */
  uint32_t layout_id; /* names the packed form; equal ids and arch mean weight_export's bytes fit weight_map */
} dsb_packed_weight;

typedef struct dsb_node_verdict {
  uint32_t struct_size;
  uint32_t supported; /* 1 or 0 */
  uint32_t node;
  uint32_t reserved;
  char reason[240]; /* which implementation will run, or why none can */
} dsb_node_verdict;

typedef struct dsb_layout_summary {
  uint32_t struct_size;
  uint32_t n_weights;
  uint32_t n_nodes;
  uint32_t n_kv_layers;
  uint64_t weight_bytes;       /* sum of packed weights' bytes */
  uint64_t scratch_bytes;      /* per exec of max_rows */
  uint64_t program_bytes;      /* everything else a program takes */
  uint64_t kv_bytes_per_block; /* all layers */
  uint64_t numerics_id;        /* names everything that may change an output bit */
} dsb_layout_summary;

#define DSB_SOURCE_LASTING 1u /* the bytes stay valid and unchanged until the weight is released */

/* Bytes of one part; scales: F32, row-major blocks, only for DSB_F8_E4M3. */
typedef struct dsb_weight_part {
  const void *data;
  uint64_t bytes;
  const float *scales;
  uint64_t n_scales;
} dsb_weight_part;

/* Fills `into` with bytes [offset, offset + size) of a part; fails as a whole. Any thread, several at once, and as long
 * as weight_load or its ticket runs. */
typedef ds_status(DS_CALL *dsb_source_read)(void *user, uint32_t part, uint64_t offset, void *into, uint64_t size);

/* The numbers of one graph tensor, row-major. A tensor of n_parts > 1 is stacked: part i is [i, …] of dims[0]. */
typedef struct dsb_weight_source {
  uint32_t struct_size;
  uint32_t flags; /* DSB_SOURCE_* */
  uint32_t dtype;
  uint32_t n_dims;
  uint64_t dims[4];
  uint32_t n_parts;
  uint32_t part_stride;
  const dsb_weight_part *parts;
  uint32_t scale_block_rows;
  uint32_t scale_block_cols;
  dsb_source_read read; /* not NULL: parts have no data, their bytes come from here. For DSB_WEIGHT_PULLED alone */
  void *read_user;
} dsb_weight_source;

typedef void(DS_CALL *dsb_progress)(void *user, uint64_t bytes_done);

/* ----------------------------------------------------------------------------------------------------- KV pool */

typedef struct dsb_pool_desc {
  uint32_t struct_size;
  uint32_t kv_format;
  uint32_t kv_lora_rank; /* R */
  uint32_t qk_rope_head_dim;
  uint32_t first_layer;
  uint32_t n_layers;
  uint32_t block_tokens;
  uint32_t n_blocks;
} dsb_pool_desc;

/* Rows [from_row, from_row + n_rows) of a block, all layers, to another block or the same one. Frozen. */
typedef struct dsb_row_copy {
  uint32_t from_block;
  uint32_t from_row;
  uint32_t n_rows;
  uint32_t to_block;
  uint32_t to_row;
  uint32_t reserved;
} dsb_row_copy;

/* ---------------------------------------------------------------------------------------------------- samplers */

/* Added to the logit of a token. Frozen. */
typedef struct dsb_bias {
  uint32_t token;
  float value;
} dsb_bias;

/* How tokens are drawn from logits, in this order: bias, penalties over the tokens seen, mask, temperature, top_k,
 * top_p, min_p, draw. temperature 0 takes the largest logit (of equal ones the lowest id). Draw number c of a sampler
 * uses the uniform number that splitmix64 makes of (seed, stream, c), so a seed fixes the numbers on every backend. */
typedef struct dsb_sampler_desc {
  uint32_t struct_size;
  uint32_t top_k; /* 0: off */
  float temperature;
  float top_p;              /* 0 or 1: off */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 0 or 1: off */
  float presence_penalty;
  float frequency_penalty;
  uint32_t penalty_last_n; /* tokens looked back on; 0: all */
  uint32_t n_bias;
  const dsb_bias *bias; /* copied */
  uint64_t seed;
  uint64_t stream; /* tells the choices of one request apart */
} dsb_sampler_desc;

/* ---------------------------------------------------------------------------------------------------- adapters */

/* A low-rank delta of one weight: y += scale * B (A x). A [rank, in], B [out, rank], F32, copied. */
typedef struct dsb_lora {
  uint32_t tensor; /* the weight's index in the graph's tensor list; for kv_b the delta acts in factored form */
  uint32_t expert; /* which expert of a stacked weight, DSB_NONE otherwise */
  uint32_t rank;
  float scale;
  const float *a;
  const float *b;
} dsb_lora;

typedef struct dsb_adapter_desc {
  uint32_t struct_size;
  uint32_t n_loras;
  const dsb_lora *loras;
  uint32_t lora_stride;
  uint32_t reserved;
} dsb_adapter_desc;

/* ------------------------------------------------------------------------------------------------------- steps */

#define DSB_TOKEN_HOST 0u  /* token_id is the token */
#define DSB_TOKEN_LAST 1u  /* the token last drawn by the sequence's sampler */
#define DSB_TOKEN_DRAFT 2u /* token_id is an index into the sequence's draft_ids */

#define DSB_WANT_LOGITS 1u
#define DSB_WANT_SAMPLE 2u
#define DSB_WANT_HIDDEN 4u

/* One token of the ragged batch. Rows of a sequence are adjacent and in the order of their kv_row. */
typedef struct dsb_row {
  uint32_t seq;          /* index into dsb_step.seqs */
  uint32_t position;     /* what RoPE turns by */
  uint32_t kv_row;       /* where in the sequence the row's latent is stored; equals position but in token trees */
  uint32_t token_source; /* DSB_TOKEN_* */
  uint32_t token_id;
  uint32_t hidden_row;  /* row of dsb_step.hidden_in for graphs with input_hidden, else DSB_NONE */
  uint32_t mask_offset; /* DSB_NONE: causal. Else index into dsb_step.ancestors of this row's bit words */
  uint32_t want;        /* DSB_WANT_* */
} dsb_row;

#define DSB_KV_LEN_HOST 0u
#define DSB_KV_LEN_DEVICE 1u /* *kv_len_word, which accept and repeat move */

#define DSB_SEQ_NEW_TABLE 1u /* forget the slot's block table before applying the delta */

typedef struct dsb_seq {
  uint32_t seq_slot;      /* < max_seqs; names the block table that the program keeps */
  uint32_t flags;         /* DSB_SEQ_* */
  uint32_t kv_len;        /* committed rows: visible to every row of this step */
  uint32_t kv_len_source; /* DSB_KV_LEN_* */
  uint32_t *kv_len_word;  /* NULL with DSB_KV_LEN_HOST */
  uint32_t first_block;   /* table[first_block … first_block + n_blocks) = blocks */
  uint32_t n_blocks;
  const uint32_t *blocks;
  uint32_t adapter_slot; /* 0: none */
  uint32_t n_stop_ids;
  const uint32_t *stop_ids;
  dsb_sampler *sampler;       /* needed for DSB_WANT_SAMPLE and DSB_TOKEN_LAST */
  const uint32_t *token_mask; /* bit i of word i / 32: token i is allowed; NULL: all are */
  const uint32_t *draft_ids;
  uint32_t n_draft_ids;
  uint32_t max_new; /* tokens that repeat may draw for this sequence; 0: as many as repeat says */
} dsb_seq;

#define DSB_ENTRY_FORWARD 1u
#define DSB_ENTRY_SAMPLE 2u /* alone: draws from outputs.logits, which the host may have edited after a forward */
#define DSB_ENTRY_ACCEPT 4u /* after SAMPLE: compares draws with the drafts, see dsb_outputs.n_accepted */

#define DSB_OP_TIMES 32u /* length of dsb_outputs.op_ns */

/* Where results go: host memory of the caller, untouched for what no row wants. Any pointer may be NULL. */
typedef struct dsb_outputs {
  uint32_t struct_size;
  uint32_t n_top;    /* how many best tokens per draw */
  float *logits;     /* [rows that want logits or a sample, V], in row order */
  float *hidden;     /* [rows that want it, H]: the input of lm_head (after the final norm) */
  uint32_t *ids;     /* [repeat][rows that want a sample]; DSB_NONE where a sequence had stopped */
  float *logprobs;   /* same shape: log probability of the drawn token under softmax of the raw logits */
  uint32_t *top_ids; /* [repeat][rows][n_top], best first */
  float *top_logprobs;
  uint32_t *n_steps;       /* how many of `repeat` are complete; written as they complete */
  uint32_t *n_accepted;    /* [n_seqs]: draft rows accepted, 0 … */
  uint32_t *accepted_ids;  /* [rows]: for each sequence, from its first row on, n_accepted + 1 drawn tokens */
  uint32_t *expert_counts; /* [MoE layers][E], added to */
  int32_t *route_ids;      /* [MoE layers][T][K] of the first repeat, best selection score first */
  float *route_weights;    /* [MoE layers][T][K] */
  uint64_t *op_ns; /* [DSB_OP_TIMES]: nanoseconds in nodes of the op with this id, added to; a fused node's are in
                    * what it was fused with. Only for backends with DSB_FEATURE_OP_TIMES */
} dsb_outputs;

/* One run of a program over T = n_rows rows. The caller keeps everything alive until the ticket is done.
 *
 * Commit: when a step is DONE, the latents of its rows are stored, and the caller counts them in by the next kv_len. A
 * step that ends CANCELLED or with an error has committed nothing: the caller keeps kv_len, whatever was written above
 * it is overwritten later.
 *
 * Visibility: a row attends to rows [0, kv_len) of its sequence and, among this step's rows of the sequence, to those
 * with kv_row <= its own; with a mask, to those whose bit is set (bit j of its words: the j-th row of the sequence in
 * this step; its own bit must be set). ceil(rows of the sequence / 32) words per masked row.
 *
 * repeat = n > 1: after each draw the drawn token is the sequence's next row, at position + 1 and kv_row + 1, without
 * the host; only for sequences with one row that wants a sample. Blocks for all rows must be in the table. A sequence
 * stops after a stop id or max_new; the step ends when all have stopped.
 *
 * accept: rows of a sequence are a token tree whose first row is the root; every row wants a sample. From the root on,
 * the row whose parent is the current one (its nearest ancestor in the mask, or the row before without masks) and whose
 * token equals the token drawn there is accepted. Accepted rows' latents are moved to directly behind the root's. */
typedef struct dsb_step {
  uint32_t struct_size;
  uint32_t entry; /* DSB_ENTRY_* bits */
  uint32_t n_rows;
  uint32_t n_seqs;
  const dsb_row *rows;
  const dsb_seq *seqs;
  uint32_t row_stride;
  uint32_t seq_stride;
  dsb_pool *pool;
  const float *hidden_in; /* [n_hidden_in, H] */
  uint32_t n_hidden_in;
  uint32_t repeat; /* 0 and 1: once */
  const uint32_t *ancestors;
  uint64_t n_ancestor_words;
  const uint32_t *cancel_word; /* nonzero: stop as soon as possible; NULL: cannot be cancelled */
  dsb_outputs *outputs;
} dsb_step;

#define DSB_TICKET_RUNNING 0u
#define DSB_TICKET_DONE 1u
#define DSB_TICKET_YIELDED 2u /* a slice ended: exec_resume goes on */
#define DSB_TICKET_CANCELLED 3u
#define DSB_TICKET_FAILED 4u /* ticket_wait and ticket_poll return the status */

/* ------------------------------------------------------------------------------------------------------- table */

/* The slots, in order of a backend's life. Out parameters are written on success only. */
typedef struct dsb_api {
  uint32_t struct_size;
  uint32_t abi_version;
  const char *name; /* "ref", "onednn", "cuda", … */
  const char *version;
  uint64_t features; /* DSB_FEATURE_* */

  ds_status(DS_CALL *instance_create)(const dsb_host *host, dsb_instance **instance, ds_error *error);
  void(DS_CALL *instance_destroy)(dsb_instance *instance);
  /* Ends all work, joins threads, frees caches; the plugin may be unloaded after instance_destroy. */
  ds_status(DS_CALL *quiesce)(dsb_instance *instance, uint64_t timeout_ns, ds_error *error);

  /* Cheap: no device is opened. */
  ds_status(DS_CALL *device_count)(dsb_instance *instance, uint32_t *count, ds_error *error);
  ds_status(DS_CALL *device_info)(dsb_instance *instance, uint32_t index, dsb_device_info *info, ds_error *error);
  ds_status(DS_CALL *device_open)(dsb_instance *instance, uint32_t index, const dsb_device_options *options,
                                  dsb_device **device, ds_error *error);
  void(DS_CALL *device_close)(dsb_device *device);
  ds_status(DS_CALL *device_set)(dsb_device *device, const dsb_device_options *options, ds_error *error);
  ds_status(DS_CALL *device_memory)(dsb_device *device, uint64_t *free_bytes, uint64_t *total_bytes, ds_error *error);
  ds_status(DS_CALL *device_state)(dsb_device *device, uint32_t *state, ds_error *error);
  ds_status(DS_CALL *device_reopen)(dsb_device *device, ds_error *error);
  ds_status(DS_CALL *cancel_word_create)(dsb_device *device, uint32_t **word, ds_error *error);
  void(DS_CALL *cancel_word_destroy)(dsb_device *device, uint32_t *word);
  ds_status(DS_CALL *host_buffer_create)(dsb_device *device, uint64_t size, void **memory, ds_error *error);
  void(DS_CALL *host_buffer_destroy)(dsb_device *device, void *memory, uint64_t size);
  ds_status(DS_CALL *host_buffer_register)(dsb_device *device, void *memory, uint64_t size, ds_error *error);
  ds_status(DS_CALL *host_buffer_unregister)(dsb_device *device, void *memory, ds_error *error);
  ds_status(DS_CALL *group_open)(const dsb_group_desc *desc, dsb_group **group, ds_error *error);
  void(DS_CALL *group_close)(dsb_group *group);

  /* `graph` is a verified-on-arrival FlatBuffers graph (lib/graph/graph.fbs). With device NULL the device of
   * device_index is described without being opened; with group not NULL the graph is this rank's share. */
  ds_status(DS_CALL *plan_graph)(dsb_instance *instance, uint32_t device_index, dsb_device *device, dsb_group *group,
                                 const void *graph, uint64_t graph_size, const dsb_plan_options *options,
                                 dsb_layout **layout, ds_error *error);
  void(DS_CALL *layout_destroy)(dsb_layout *layout);
  ds_status(DS_CALL *layout_summary)(dsb_layout *layout, dsb_layout_summary *summary, ds_error *error);
  ds_status(DS_CALL *layout_weight)(dsb_layout *layout, uint32_t index, dsb_packed_weight *weight, ds_error *error);
  ds_status(DS_CALL *layout_node)(dsb_layout *layout, uint32_t index, dsb_node_verdict *verdict, ds_error *error);
  ds_status(DS_CALL *layout_scratch)(dsb_layout *layout, uint32_t n_rows, uint64_t *bytes, ds_error *error);

  /* Sources in the order of the packed weight's slices. `*ticket` NULL: already done. */
  ds_status(DS_CALL *weight_load)(dsb_layout *layout, dsb_device *device, uint32_t index,
                                  const dsb_weight_source *sources, uint32_t n_sources, uint32_t source_stride,
                                  const uint32_t *cancel_word, dsb_progress progress, void *progress_user,
                                  dsb_ticket **ticket, dsb_weight **weight, ds_error *error);
  ds_status(DS_CALL *weight_map)(dsb_layout *layout, dsb_device *device, uint32_t index, const void *data,
                                 uint64_t size, dsb_weight **weight, ds_error *error);
  /* The packed bytes; with data NULL only *size is written. */
  ds_status(DS_CALL *weight_export)(dsb_weight *weight, void *data, uint64_t *size, ds_error *error);
  void(DS_CALL *weight_release)(dsb_weight *weight);

  /* One weight per packed weight of the layout; they and the layout outlive the program. */
  ds_status(DS_CALL *compile)(dsb_layout *layout, dsb_device *device, dsb_weight *const *weights, uint32_t n_weights,
                              dsb_program **program, ds_error *error);
  void(DS_CALL *program_destroy)(dsb_program *program);
  ds_status(DS_CALL *adapter_load)(dsb_program *program, uint32_t slot, const dsb_adapter_desc *desc, ds_error *error);
  ds_status(DS_CALL *adapter_unload)(dsb_program *program, uint32_t slot, ds_error *error);

  ds_status(DS_CALL *pool_create)(dsb_device *device, const dsb_pool_desc *desc, dsb_pool **pool, ds_error *error);
  void(DS_CALL *pool_destroy)(dsb_pool *pool);
  ds_status(DS_CALL *pool_resize)(dsb_pool *pool, uint32_t n_blocks, ds_error *error);
  ds_status(DS_CALL *kv_copy_rows)(dsb_pool *pool, const dsb_row_copy *copies, uint32_t n_copies, dsb_ticket **ticket,
                                   ds_error *error);
  /* A block's stored bytes, layers [first_layer, first_layer + n_layers): rows of a layer lie together. */
  ds_status(DS_CALL *block_read)(dsb_pool *pool, uint32_t block, uint32_t first_layer, uint32_t n_layers, void *data,
                                 uint64_t size, dsb_ticket **ticket, ds_error *error);
  ds_status(DS_CALL *block_write)(dsb_pool *pool, uint32_t block, uint32_t first_layer, uint32_t n_layers,
                                  const void *data, uint64_t size, dsb_ticket **ticket, ds_error *error);

  ds_status(DS_CALL *sampler_create)(dsb_device *device, const dsb_sampler_desc *desc, dsb_sampler **sampler,
                                     ds_error *error);
  void(DS_CALL *sampler_destroy)(dsb_sampler *sampler);
  ds_status(DS_CALL *sampler_reset)(dsb_sampler *sampler, const dsb_sampler_desc *desc, ds_error *error);
  /* A copy with its own stream: same history, other draws. */
  ds_status(DS_CALL *sampler_fork)(dsb_sampler *from, uint64_t stream, dsb_sampler **sampler, ds_error *error);
  /* Tokens that count as seen (the prompt, or what the host chose instead of a draw); the last is the last token. */
  ds_status(DS_CALL *sampler_update)(dsb_sampler *sampler, const uint32_t *ids, uint64_t n_ids, ds_error *error);

  /* An exec owns scratch for max_rows rows and runs one step at a time. */
  ds_status(DS_CALL *exec_create)(dsb_program *program, uint32_t max_rows, dsb_exec **exec, ds_error *error);
  void(DS_CALL *exec_destroy)(dsb_exec *exec);
  /* Returns at once or soon. A CPU backend may leave the work to ticket_poll (one slice) and ticket_wait (all of it),
   * which then run it on the calling thread and on parallel()'s. */
  ds_status(DS_CALL *exec_submit)(dsb_exec *exec, const dsb_step *step, dsb_ticket **ticket, ds_error *error);
  ds_status(DS_CALL *exec_resume)(dsb_exec *exec, dsb_ticket *ticket, ds_error *error);
  ds_status(DS_CALL *ticket_poll)(dsb_ticket *ticket, uint32_t *state, ds_error *error);
  ds_status(DS_CALL *ticket_wait)(dsb_ticket *ticket, uint64_t timeout_ns, uint32_t *state, ds_error *error);
  void(DS_CALL *ticket_release)(dsb_ticket *ticket); /* of a running step: cancels and waits first */
} dsb_api;

#define DSB_FEATURE_REPEAT 1u
#define DSB_FEATURE_TREE 2u
#define DSB_FEATURE_ADAPTERS 4u
#define DSB_FEATURE_ROUTE_TRACE 8u
#define DSB_FEATURE_GROUPS 16u
#define DSB_FEATURE_OP_TIMES 32u

/* What ds_backend_main returns: constant data, never freed. negotiate chooses the highest version within both ranges
 * or fails with DS_E_ABI; get_api fills at most api->struct_size bytes and lowers it to what it filled. */
typedef struct dsb_root {
  uint32_t struct_size;
  uint32_t unloadable; /* 1: dlclose is safe after the last instance is destroyed */
  ds_status(DS_CALL *negotiate)(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *error);
  ds_status(DS_CALL *get_api)(uint32_t version, dsb_api *api, ds_error *error);
} dsb_root;

typedef const dsb_root *(DS_CALL *dsb_main)(void);
DS_BACKEND_EXPORT const dsb_root *DS_CALL ds_backend_main(void);

DS_EXTERN_C_END

#endif
