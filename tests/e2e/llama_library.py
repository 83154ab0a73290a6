"""llama.cpp's C library out of the Python packages `llama_cpp` or `xllamacpp`: logits, token ids, quantised blocks.

Only functions whose arguments have long been the same are called. Parameter structs differ from release to release: here
they are bytes that the library fills itself and takes back, of which only the first three numbers of a context's (tokens of
context, of a batch, of a step) are written, and the library is asked whether it understood.
"""
import ctypes as c
import importlib.util
import os
from pathlib import Path

import numpy as np

PACKAGES = ("llama_cpp", "xllamacpp")


class Parameters(c.Structure):
    """Any struct of parameters: larger than all of them, so that it passes by value in memory."""
    _fields_ = [("words", c.c_uint32 * 256)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p), ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8))]


LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
FUNCTIONS = {  # name: result, arguments
    "ggml_quantize_chunk": (c.c_size_t, [c.c_int, c.c_void_p, c.c_void_p] + [c.c_int64] * 3 + [c.c_void_p]),
    "llama_backend_init": (None, []), "llama_log_set": (None, [LOG, c.c_void_p]),
    "llama_model_default_params": (Parameters, []), "llama_context_default_params": (Parameters, []),
    "llama_model_load_from_file": (c.c_void_p, [c.c_char_p, Parameters]), "llama_init_from_model": (c.c_void_p, [c.c_void_p, Parameters]),
    "llama_model_free": (None, [c.c_void_p]), "llama_free": (None, [c.c_void_p]), "llama_n_ctx": (c.c_uint32, [c.c_void_p]), "llama_n_batch": (c.c_uint32, [c.c_void_p]),
    "llama_set_n_threads": (None, [c.c_void_p, c.c_int32, c.c_int32]), "llama_model_get_vocab": (c.c_void_p, [c.c_void_p]), "llama_vocab_n_tokens": (c.c_int32, [c.c_void_p]),
    "llama_tokenize": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_int32, c.c_void_p, c.c_int32, c.c_bool, c.c_bool]),
    "llama_batch_init": (Batch, [c.c_int32] * 3), "llama_batch_free": (None, [Batch]), "llama_decode": (c.c_int32, [c.c_void_p, Batch]),
    "llama_get_logits": (c.POINTER(c.c_float), [c.c_void_p]), "llama_get_memory": (c.c_void_p, [c.c_void_p]), "llama_memory_clear": (None, [c.c_void_p, c.c_bool]),
}


def candidates():
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            found = [*Path(spec.origin).parent.rglob("*.so"), *Path(spec.origin).parent.rglob("*.dylib")]
            yield from sorted(found, key=lambda path: ("llama" not in path.name, path.name))


def load():
    """The library with typed functions, or None where no package has it. `origin`: the file."""
    for path in candidates():
        try:
            library = c.CDLL(str(path), mode=c.RTLD_GLOBAL)
            for name, (result, arguments) in FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        library.origin = path
        return library
    return None


def quantise(library, values, quant):
    """float32 [rows, cols] as llama.cpp writes it without an importance matrix: bytes [rows, bytes of a row]."""
    from gguf import GGML_QUANT_SIZES
    values = np.ascontiguousarray(values, np.float32).reshape(-1, values.shape[-1])
    elements, size = GGML_QUANT_SIZES[quant]
    data = np.zeros((len(values), values.shape[1] // elements * size), np.uint8)
    library.ggml_quantize_chunk(int(quant), values.ctypes.data, data.ctypes.data, 0, *values.shape, None)
    return data


def q4_k_m_type(vocabulary, comes_down, cols, layer, layers):
    """The type that llama.cpp's Q4_K_M gives: Q6_K for the vocabulary and, in the layers that count most, for what comes
    down; else Q4_K. Rows that are not whole blocks of 256 get Q8_0 and Q5_0 instead."""
    more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
    six = vocabulary or comes_down and more
    if cols % 256 == 0:
        return "Q6_K" if six else "Q4_K"
    return "Q8_0" if six else "Q5_0"


class Model:
    """A GGUF file opened by llama.cpp for windows of at most `tokens` tokens."""

    def __init__(self, library, path, tokens):
        self.library, self.said = library, []
        self.log = LOG(lambda level, text, _: self.said.append(text.decode(errors="replace").strip()) if level >= 4 else None)  # 4: errors
        library.llama_log_set(self.log, None)
        library.llama_backend_init()
        self.model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp does not open {path}: {' | '.join(self.said)}")
        parameters = library.llama_context_default_params()
        parameters.words[0] = parameters.words[1] = parameters.words[2] = tokens
        self.context = library.llama_init_from_model(self.model, parameters)
        if not self.context or library.llama_n_ctx(self.context) < tokens or library.llama_n_batch(self.context) < tokens:
            raise RuntimeError(f"llama.cpp makes no context of {tokens} tokens: {' | '.join(self.said)}")
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        library.llama_set_n_threads(self.context, 1, threads)  # one token of a small model: threads would wait for each other
        self.vocabulary = library.llama_model_get_vocab(self.model)
        self.vocab = library.llama_vocab_n_tokens(self.vocabulary)

    def close(self):
        self.library.llama_free(self.context)
        self.library.llama_model_free(self.model)
        self.library.llama_log_set(LOG(), None)

    def tokenize(self, data):
        """bytes -> ids, int32 array, without a begin-of-text token; text in `data` is no special token."""
        ids = np.empty(len(data) + 1, np.int32)
        n = self.library.llama_tokenize(self.vocabulary, data, len(data), ids.ctypes.data, len(ids), False, False)
        if n < 0:
            raise RuntimeError(f"llama_tokenize: {n}")
        return ids[:n]

    def logits(self, ids, step=0):
        """Logits behind each id of an empty context, float32 [len(ids), vocab]; `step` ids in a batch, 0: all of them."""
        self.library.llama_memory_clear(self.library.llama_get_memory(self.context), True)
        step = step or len(ids)
        return np.concatenate([self.decoded(ids[at:at + step], at) for at in range(0, len(ids), step)])

    def decoded(self, ids, at):
        """Logits behind each id of one batch whose first is the context's token number `at`."""
        library, batch = self.library, self.library.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), at + i, 1, 1
            batch.seq_id[i][0] = 0
        status = library.llama_decode(self.context, batch)
        library.llama_batch_free(batch)
        if status:
            raise RuntimeError(f"llama_decode: {status}: {' | '.join(self.said)}")
        return np.ctypeslib.as_array(library.llama_get_logits(self.context), (len(ids), self.vocab)).copy()
