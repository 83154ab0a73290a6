"""A model through the C library: open it, tokens, logits, generation. Public API only.

Every failure of a call is a LibraryError with the library's own sentence. Objects live as long as the process: the
evaluation opens one model. Generation runs in groups of `batch` requests that share the steps of the device.
"""
import ctypes as c
import ctypes.util
import json
from dataclasses import dataclass, field

import numpy as np

from . import abi


class LibraryError(Exception):
    """A call of the library that did not answer DS_OK."""


@dataclass
class Request:
    """What to go on from: text, ids, or prefix and suffix (bytes each), and how."""
    text: bytes = None
    ids: list = None
    prefix: bytes = None
    suffix: bytes = None
    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 0.0
    seed: int = 0
    stops: tuple = ()
    ignore_end: bool = False


@dataclass
class Answer:
    """What came out. `text` ends before a stop string; ids has what was generated, without the end token."""
    text: str
    ids: list
    finish: str  # a value of abi.FINISH
    info: dict = field(default_factory=dict)


def view(data, keep):
    """A Text on bytes; `keep` holds what must stay alive."""
    if data is None:
        return abi.Text()
    buffer = c.create_string_buffer(data, len(data) + 1)
    keep.append(buffer)
    return abi.Text(c.addressof(buffer), len(data))


class Library:
    """The shared library with typed functions: call("model_open", ...) raises on failure."""

    def __init__(self, path=None):
        path = path or ctypes.util.find_library("deepseam") or "libdeepseam.so"
        try:
            self.binary = c.CDLL(str(path))
        except OSError as error:
            raise LibraryError(f"{path}: {error}; name the library with --library") from None
        self.path = str(path)
        self.binary.ds_version_string.restype = c.c_char_p
        self.binary.ds_status_string.restype = c.c_char_p
        self.binary.ds_abi_version.restype = c.c_uint32
        found = self.binary.ds_abi_version()
        if found != abi.ABI_VERSION:
            raise LibraryError(f"{path}: ABI {found:#x}, this script was written for {abi.ABI_VERSION:#x}")
        for name, arguments in abi.STATUS_CALLS.items():
            function = getattr(self.binary, "ds_" + name)
            function.restype, function.argtypes = c.c_int32, [*arguments, c.c_void_p]
        for name in abi.RELEASES:
            function = getattr(self.binary, f"ds_{name}_release")
            function.restype, function.argtypes = None, [c.c_void_p]

    def version(self):
        return self.binary.ds_version_string().decode()

    def name_of(self, status):
        return self.binary.ds_status_string(status).decode()

    def call(self, function, *arguments):
        error = abi.Error.new()
        status = getattr(self.binary, "ds_" + function)(*arguments, c.addressof(error))
        if status:
            where = error.path.decode(errors="replace")
            sentence = error.message.decode(errors="replace")
            raise LibraryError(f"{self.name_of(status)}: {where + ': ' if where else ''}{sentence}")

    def release(self, kind, handle):
        getattr(self.binary, f"ds_{kind}_release")(handle)

    def taken_json(self, info):
        """The JSON of a ds_info, which is released."""
        text = abi.Text()
        try:
            self.call("info_json", info, c.addressof(text))
            return json.loads(c.string_at(text.data, text.size))
        finally:
            self.release("info", info)


class Model:
    """An opened model. context, batch, threads 0: what the library chooses (8 sequences at once)."""

    def __init__(self, library, path, backend="", context=0, batch=0, threads=0, deterministic=False):
        self.library, self.path, self.keep = library, path, []
        options = abi.RuntimeOptions.new(abi_version=abi.ABI_VERSION, n_threads=threads)
        self.runtime = c.c_void_p()
        library.call("runtime_create", c.addressof(options), c.addressof(self.runtime))
        source = abi.SourcePath.new(tag=abi.SOURCE_PATH, path=view(path.encode(), self.keep))
        self.batch = batch or 8
        options = abi.ModelOptions.new(source=c.pointer(source), backend=view(backend.encode(), self.keep),
                                       context_length=context, max_sequences=self.batch,
                                       flags=1 if deterministic else 0)
        self.model = c.c_void_p()
        library.call("model_open", self.runtime, c.addressof(options), c.addressof(self.model))
        info = c.c_void_p()
        library.call("model_info", self.model, c.addressof(info))
        self.info = library.taken_json(info)
        self.vocab = int(self.info["vocab"])
        self.context = int(self.info["context_length"])
        self.bos = self.info.get("tokens", {}).get("bos")
        self.sessions = []

    def close(self):
        for session in self.sessions:
            self.library.release("session", session)
        self.library.release("model", self.model)
        self.library.call("runtime_shutdown", self.runtime, 10 * 10**9)
        self.library.release("runtime", self.runtime)

    def session(self, index):
        """The index-th session, made when first needed."""
        while len(self.sessions) <= index:
            handle = c.c_void_p()
            self.library.call("session_create", self.model, None, c.addressof(handle))
            self.sessions.append(handle)
        return self.sessions[index]

    def tokenize(self, data, bos=False):
        """bytes -> ids, int32 array. No text in `data` becomes a special token."""
        ids, n = np.empty(len(data) + 1, np.uint32), c.c_uint64()
        self.library.call("tokenize", self.model, data, len(data), 0 if bos else abi.TEXT_NO_BOS, None,
                          ids.ctypes.data, len(ids), c.addressof(n))
        return ids[: n.value].astype(np.int32)

    def token_bytes(self, token):
        size, buffer = c.c_uint64(), c.create_string_buffer(4096)
        self.library.call("token_text", self.model, token, buffer, 4096, c.addressof(size))
        return buffer.raw[: size.value]

    def begin(self):
        """Empties session 0, for eval."""
        self.library.call("session_rewind", self.session(0), 0)

    def eval(self, ids, want_logits, chunk=0):
        """Appends ids to session 0's sequence -> float32 logits [len(ids), V], or None. The array is valid until the
        next call."""
        ids = np.ascontiguousarray(ids, np.uint32)
        given = abi.EvalInput.new(want=abi.WANT_ALL if want_logits else abi.WANT_NONE, ids=ids.ctypes.data,
                                  n_ids=len(ids), chunk=chunk, flags=abi.GEN_NO_STORE | abi.GEN_NO_REUSE)
        if want_logits:
            if getattr(self, "rows", None) is None or len(self.rows) < len(ids):
                self.rows = np.empty((len(ids), self.vocab), np.float32)
            given.logits, given.capacity = self.rows.ctypes.data, len(ids) * self.vocab
        output = abi.EvalOutput.new()
        self.library.call("session_eval", self.session(0), c.addressof(given), c.addressof(output))
        if not want_logits:
            return None
        if output.rows != len(ids) or output.vocab != self.vocab:
            raise LibraryError(f"session_eval: {output.rows} rows of {output.vocab}, expected {len(ids)}")
        return self.rows[: len(ids)]

    def generate(self, requests, progress=None):
        """Answers in the order of the requests; progress(number done) after each group."""
        answers = []
        for start in range(0, len(requests), self.batch):
            answers += self._group(requests[start : start + self.batch])
            if progress:
                progress(len(answers))
        return answers

    def _group(self, requests):
        keep, items = [], (abi.BatchItem * len(requests))()
        for index, (item, request) in enumerate(zip(items, requests)):
            given, params = input_of(request, keep), params_of(request, keep)
            keep += [given, params]
            item.struct_size, item.session = c.sizeof(abi.BatchItem), self.session(index)
            item.input, item.parameters = c.addressof(given), c.addressof(params)
        self.library.call("generate_batch", items, len(requests), c.sizeof(abi.BatchItem))
        answers, failure = [], None
        for item in items:
            if item.status and not failure:
                failure = self.library.name_of(item.status)
            if item.result:
                answers.append(self._answer(item.result))
                self.library.release("result", item.result)
        if failure:
            raise LibraryError(f"{failure}: a request of a batch failed")
        return answers

    def _answer(self, result):
        text, ids, n, reason, info = abi.Text(), c.c_void_p(), c.c_uint64(), c.c_uint32(), c.c_void_p()
        self.library.call("result_text", result, 0, c.addressof(text))
        self.library.call("result_ids", result, 0, c.addressof(ids), c.addressof(n))
        self.library.call("result_finish_reason", result, 0, c.addressof(reason))
        self.library.call("result_info", result, c.addressof(info))
        numbers = (c.c_uint32 * n.value).from_address(ids.value) if n.value else []
        return Answer(c.string_at(text.data, text.size).decode() if text.size else "", list(numbers),
                      abi.FINISH.get(reason.value, "other"), self.library.taken_json(info))


def input_of(request, keep):
    if request.ids is not None:
        ids = np.ascontiguousarray(request.ids, np.uint32)
        keep.append(ids)
        return abi.TokensInput.new(tag=abi.INPUT_TOKENS, ids=ids.ctypes.data, n_ids=len(ids))
    if request.prefix is not None:
        return abi.FimInput.new(tag=abi.INPUT_FIM, prefix=view(request.prefix, keep), suffix=view(request.suffix, keep))
    return abi.TextInput.new(tag=abi.INPUT_TEXT, text=view(request.text, keep))


def params_of(request, keep):
    stops = (abi.Text * max(1, len(request.stops)))(*[view(stop.encode(), keep) for stop in request.stops])
    keep.append(stops)
    return abi.Params.new(
        max_tokens=request.max_tokens, temperature=request.temperature, top_p=request.top_p, seed=request.seed,
        stops=c.addressof(stops), n_stops=len(request.stops), flags=abi.GEN_IGNORE_END if request.ignore_end else 0)
