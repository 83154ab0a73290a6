package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"runtime"
	"unsafe"
)

// MapMode says whether files are mapped or read.
type MapMode uint32

// Whether files are mapped.
const (
	MapAuto   = MapMode(C.DS_MAP_AUTO) // regular files of local, read-only filesystems are
	MapNever  = MapMode(C.DS_MAP_NEVER)
	MapAlways = MapMode(C.DS_MAP_ALWAYS) // or fail; then truncating a file that is open ends the process with a signal
)

// KVFormat says how keys and values are stored.
type KVFormat uint32

// How keys and values are stored.
const (
	KVAuto = KVFormat(C.DS_KV_AUTO) // the backend's best without loss beyond the weights' own type
	KVF32  = KVFormat(C.DS_KV_F32)
	KVBF16 = KVFormat(C.DS_KV_BF16)
	KVE4M3 = KVFormat(C.DS_KV_E4M3)
	KVQ8   = KVFormat(C.DS_KV_Q8)
)

// ModelOptions says how a model is opened.
type ModelOptions struct {
	Source        Source   // needed
	Backend       string   // "onednn" or "ref"; empty: the best that fits
	Devices       []uint32 // indices below DeviceCount; empty: the backend's first, or any
	MapMode       MapMode
	KVFormat      KVFormat
	ContextLength uint32 // tokens; 0: the model's, as far as the budgets hold it
	MaxRows       uint32 // rows in a step; 0: chosen by the backend
	MaxSequences  uint32 // sequences in a step; 0: 8
	RAMBudget     uint64 // bytes, hard; 0: what the machine has
	VRAMBudget    uint64 // bytes for each device, hard; 0: what the device has
	PackCacheDir  string // an existing folder that keeps repacked weights for the next open; empty: none
	Cache         *Cache // nil: an in-memory one of its own
	Deterministic bool   // the same bits for any chunking, any batch mix, cache on or off
	NoCache       bool   // no prefix is kept or looked up
	NoWeights     bool   // facts and words only: weights are not read, and there are no sessions
	Settings      []Setting
	OnProgress    func(Progress) bool // false stops: Stopped
}

func (m *ModelOptions) lower(a *arena) (*C.ds_model_options, *source) {
	to := record[C.ds_model_options](a)
	to.struct_size = C.sizeof_ds_model_options
	to.flags = flags(m.Deterministic, C.DS_MODEL_DETERMINISTIC, m.NoCache, C.DS_MODEL_NO_CACHE,
		m.NoWeights, C.DS_MODEL_NO_WEIGHTS)
	from := &source{nil, func() {}}
	if m.Source != nil {
		from = m.Source.lower(a)
	}
	to.source = from.head
	to.backend, to.pack_cache_dir = a.text(m.Backend), a.text(m.PackCacheDir)
	to.devices, to.n_devices = copied[C.uint32_t](a, m.Devices), C.uint32_t(len(m.Devices))
	to.map_mode, to.kv_format = C.uint32_t(m.MapMode), C.uint32_t(m.KVFormat)
	to.context_length, to.max_rows = C.uint32_t(m.ContextLength), C.uint32_t(m.MaxRows)
	to.max_sequences = C.uint32_t(m.MaxSequences)
	to.ram_budget, to.vram_budget = C.uint64_t(m.RAMBudget), C.uint64_t(m.VRAMBudget)
	if m.Cache != nil {
		to.cache = m.Cache.raw()
	}
	to.options, to.n_options = a.settings(m.Settings)
	return to, from
}

// Model is an opened model. Any number of sessions may run on it at once.
type Model struct{ h *handle }

func newModel(pointer *C.ds_model) *Model {
	return &Model{newHandle(unsafe.Pointer(pointer), func(p unsafe.Pointer) { C.ds_model_release((*C.ds_model)(p)) })}
}

func (m *Model) raw() *C.ds_model { return (*C.ds_model)(m.h.get()) }

// Close releases it. Sessions keep what they need of it.
func (m *Model) Close() error {
	m.h.close()
	return nil
}

// Info has facts. Keys: "architecture", "vocab", "hidden", "layers", "heads", "experts", "experts_per_token",
// "parameters", "context_length", "context_limit", "fingerprint", "numerics_id", "backend", "weights.bytes",
// "weights.type", "kv.bytes_per_token", "tokens.bos", "tokens.eos", "fim", "chat_template", "load_ms"; "card", if the file
// has one.
func (m *Model) Info() (*Info, error) {
	defer runtime.KeepAlive(m)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_model_info(m.raw(), out, e) })
}

// Adapter is low-rank weights on top of a model.
type Adapter struct{ h *handle }

// Close releases it.
func (a *Adapter) Close() error {
	a.h.close()
	return nil
}

// LoadAdapter loads a low-rank adapter (a PEFT folder). Errors: file range, Unsupported.
func (m *Model) LoadAdapter(from Source) (*Adapter, error) {
	var a arena
	defer a.free()
	source := from.lower(&a)
	var pointer *C.ds_model_adapter
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_model_adapter_load(m.raw(), source.head, &pointer, e) })
	runtime.KeepAlive(m)
	if err != nil {
		source.drop()
		return nil, err
	}
	release := func(p unsafe.Pointer) { C.ds_model_adapter_release((*C.ds_model_adapter)(p)) }
	return &Adapter{newHandle(unsafe.Pointer(pointer), release)}, nil
}

// sized is two-call sizing: function fills n items of a buffer, or says how many there are if that is nil.
func sized[T any](function func(buffer *T, capacity C.uint64_t, n *C.uint64_t, e *C.ds_error) C.ds_status) ([]T, error) {
	var n C.uint64_t
	if err := call(func(e *C.ds_error) C.ds_status { return function(nil, 0, &n, e) }); err != nil {
		return nil, err
	}
	for {
		buffer := make([]T, n+1)
		err := call(func(e *C.ds_error) C.ds_status { return function(&buffer[0], C.uint64_t(len(buffer)), &n, e) })
		if codeOf(err) == Buffer {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buffer[:n], nil
	}
}

// Tokenize turns text into token ids. Bytes that are not UTF-8 are tokenised byte by byte.
func (m *Model) Tokenize(ctx context.Context, text string, flags TextFlags) ([]uint32, error) {
	var a arena
	defer a.free()
	cancel, stop, err := watched(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	view := a.text(text)
	buffer := make([]uint32, len(text)+1) // there are never more ids than bytes plus one
	var n C.uint64_t
	err = call(func(e *C.ds_error) C.ds_status {
		return C.ds_tokenize(m.raw(), view.data, view.size, C.uint32_t(flags), cancel,
			(*C.uint32_t)(unsafe.Pointer(&buffer[0])), C.uint64_t(len(buffer)), &n, e)
	})
	runtime.KeepAlive(m)
	return buffer[:n], ended(ctx, err)
}

// Detokenize turns token ids into text; bytes that form no character become U+FFFD.
func (m *Model) Detokenize(tokens []uint32, flags TextFlags) (string, error) {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(m)
	data := copied[C.uint32_t](&a, tokens)
	text, err := sized(func(buffer *byte, capacity C.uint64_t, n *C.uint64_t, e *C.ds_error) C.ds_status {
		return C.ds_detokenize(m.raw(), data, C.uint64_t(len(tokens)), C.uint32_t(flags),
			(*C.char)(unsafe.Pointer(buffer)), capacity, n, e)
	})
	return string(text), err
}

// TokenText is the bytes of one token, not necessarily UTF-8.
func (m *Model) TokenText(id uint32) ([]byte, error) {
	defer runtime.KeepAlive(m)
	return sized(func(buffer *byte, capacity C.uint64_t, n *C.uint64_t, e *C.ds_error) C.ds_status {
		return C.ds_token_text(m.raw(), C.uint32_t(id), (*C.char)(unsafe.Pointer(buffer)), capacity, n, e)
	})
}

// ChatPrompt is the prompt of a conversation, as Session.Chat would build it. Errors: Argument, Unsupported.
func (m *Model) ChatPrompt(chat Chat) ([]uint32, error) {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(m)
	input := chat.raw(&a)
	return sized(func(buffer *uint32, capacity C.uint64_t, n *C.uint64_t, e *C.ds_error) C.ds_status {
		return C.ds_chat_prompt(m.raw(), input, (*C.uint32_t)(unsafe.Pointer(buffer)), capacity, n, e)
	})
}

// FimPrompt is the prompt of a cursor, as Session.Fim would build it. Errors: Argument, Unsupported.
func (m *Model) FimPrompt(fim Fim) ([]uint32, error) {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(m)
	input := fim.raw(&a)
	return sized(func(buffer *uint32, capacity C.uint64_t, n *C.uint64_t, e *C.ds_error) C.ds_status {
		return C.ds_fim_prompt(m.raw(), input, (*C.uint32_t)(unsafe.Pointer(buffer)), capacity, n, e)
	})
}
