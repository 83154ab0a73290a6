"""The C structs of deepseam/types.h and status.h that the evaluation uses, for ctypes.

Field order is that of the headers; every struct has all fields of its first version.
Nothing here calls anything.
"""
import ctypes as c

ABI_VERSION = 1  # major 0, minor 1
STRLEN = 2**64 - 1

SOURCE_PATH = 1
MAP_AUTO = 0
WANT_ALL, WANT_NONE = 1, 2
INPUT_TEXT, INPUT_TOKENS, INPUT_FIM = 1, 2, 3
TEXT_NO_BOS = 2
GEN_NO_STORE, GEN_NO_REUSE, GEN_IGNORE_END = 32, 128, 256
FINISH = {0: "none", 1: "end", 2: "stop", 3: "length", 4: "context", 5: "cancelled", 6: "deadline", 7: "callback",
          8: "prefill", 9: "error"}


def struct(name, *fields):
    """A ctypes struct; with the field struct_size first, new() sets it."""
    def new(cls, **values):
        made = cls(**values)
        if hasattr(made, "struct_size"):
            made.struct_size = c.sizeof(cls)
        return made

    return type(name, (c.Structure,), {"_fields_": list(fields), "new": classmethod(new)})


u32, u64, i32, f32, ptr = c.c_uint32, c.c_uint64, c.c_int32, c.c_float, c.c_void_p

Text = struct("Text", ("data", ptr), ("size", u64))
Error = struct("Error", ("struct_size", u32), ("code", i32), ("os_code", i32), ("flags", u32), ("byte_offset", u64),
               ("bytes_needed", u64), ("bytes_available", u64), ("domain", c.c_char * 16), ("path", c.c_char * 256),
               ("message", c.c_char * 512))
RuntimeOptions = struct(
    "RuntimeOptions", ("struct_size", u32), ("abi_version", u32), ("flags", u32), ("log_level", u32),
    ("n_threads", u32), ("n_cpus", u32), ("cpus", ptr), ("isa_cap", Text), ("log", ptr), ("log_user", ptr),
    ("log_free", ptr), ("allocator", ptr), ("task_runner", ptr), ("plugin_dirs", ptr), ("n_plugin_dirs", u64),
    ("verify_plugin", ptr), ("verify_user", ptr), ("verify_free", ptr), ("wake", ptr), ("wake_user", ptr),
    ("wake_free", ptr), ("options", ptr), ("n_options", u64))
SourcePath = struct("SourcePath", ("struct_size", u32), ("tag", u32), ("path", Text))
ModelOptions = struct(
    "ModelOptions", ("struct_size", u32), ("flags", u32), ("source", c.POINTER(SourcePath)), ("backend", Text),
    ("devices", ptr), ("n_devices", u32), ("map_mode", u32), ("kv_format", u32), ("context_length", u32),
    ("max_rows", u32), ("max_sequences", u32), ("ram_budget", u64), ("vram_budget", u64), ("pack_cache_dir", Text),
    ("cache", ptr), ("cancel", ptr), ("progress", ptr), ("progress_user", ptr), ("progress_free", ptr),
    ("options", ptr), ("n_options", u64))
EvalInput = struct(
    "EvalInput", ("struct_size", u32), ("want", u32), ("ids", ptr), ("n_ids", u64), ("chunk", u32), ("flags", u32),
    ("logits", ptr), ("capacity", u64), ("cache_salt", Text), ("cancel", ptr))
EvalOutput = struct("EvalOutput", ("struct_size", u32), ("reserved", u32), ("logits", ptr), ("rows", u64),
                    ("vocab", u64), ("n_computed", u64))
TextInput = struct("TextInput", ("struct_size", u32), ("tag", u32), ("text", Text), ("flags", u32), ("reserved", u32))
TokensInput = struct("TokensInput", ("struct_size", u32), ("tag", u32), ("ids", ptr), ("n_ids", u64))
FimInput = struct(
    "FimInput", ("struct_size", u32), ("tag", u32), ("prefix", Text), ("suffix", Text), ("typed", Text),
    ("file_name", Text), ("snippets", ptr), ("n_snippets", u64), ("layout", u32), ("flags", u32))
Params = struct(
    "Params", ("struct_size", u32), ("flags", u32), ("temperature", f32), ("top_p", f32), ("min_p", f32),
    ("repetition_penalty", f32), ("presence_penalty", f32), ("frequency_penalty", f32), ("top_k", u32),
    ("n_choices", u32), ("seed", u64), ("max_tokens", u32), ("n_logprobs", u32), ("deadline_ns", u64),
    ("logit_bias", ptr), ("n_logit_bias", u64), ("stops", ptr), ("n_stops", u64), ("stop_ids", ptr),
    ("n_stop_ids", u64), ("adapter", ptr), ("cache_salt", Text), ("cancel", ptr), ("on_text", ptr),
    ("on_logits", ptr), ("on_mask", ptr), ("on_progress", ptr), ("callback_user", ptr), ("callback_free", ptr),
    ("options", ptr), ("n_options", u64))
BatchItem = struct("BatchItem", ("struct_size", u32), ("status", i32), ("session", ptr), ("input", ptr),
                   ("parameters", ptr), ("result", ptr))

# name -> argument types without the ds_error that comes last.
STATUS_CALLS = {
    "runtime_create": (ptr, ptr), "runtime_shutdown": (ptr, u64), "model_open": (ptr, ptr, ptr),
    "model_info": (ptr, ptr), "info_json": (ptr, ptr), "tokenize": (ptr, ptr, u64, u32, ptr, ptr, u64, ptr),
    "token_text": (ptr, u32, ptr, u64, ptr), "session_create": (ptr, ptr, ptr), "session_eval": (ptr, ptr, ptr),
    "session_rewind": (ptr, u64), "generate_batch": (ptr, u64, u64), "result_text": (ptr, u32, ptr),
    "result_ids": (ptr, u32, ptr, ptr), "result_finish_reason": (ptr, u32, ptr), "result_info": (ptr, ptr),
}
RELEASES = ("runtime", "model", "session", "result", "info")
