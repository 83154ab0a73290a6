package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"io"
	"runtime"
	"unsafe"
)

// Priority says who goes first when sessions share a device.
type Priority uint32

// The priorities.
const (
	Balanced    = Priority(C.DS_PRIORITY_BALANCED)
	Background  = Priority(C.DS_PRIORITY_BACKGROUND)
	Interactive = Priority(C.DS_PRIORITY_INTERACTIVE)
)

// SessionOptions says how a session is made.
type SessionOptions struct {
	Priority        Priority
	MaxGPUSliceUS   uint32  // longest uninterrupted device work; 0: no limit
	ContextLength   uint32  // tokens it may hold; 0: the model's
	TokensPerSecond float64 // cap on decoding; 0: none
	Settings        []Setting
}

// Session is one sequence of tokens of a model. What runs is for one goroutine at a time.
type Session struct{ h *handle }

// NewSession makes an empty sequence.
func (m *Model) NewSession(options SessionOptions) (*Session, error) {
	var a arena
	defer a.free()
	to := record[C.ds_session_options](&a)
	to.struct_size = C.sizeof_ds_session_options
	to.priority, to.max_gpu_slice_us = C.uint32_t(options.Priority), C.uint32_t(options.MaxGPUSliceUS)
	to.context_length, to.tokens_per_second = C.uint32_t(options.ContextLength), C.double(options.TokensPerSecond)
	to.options, to.n_options = a.settings(options.Settings)
	var pointer *C.ds_session
	if err := call(func(e *C.ds_error) C.ds_status { return C.ds_session_create(m.raw(), to, &pointer, e) }); err != nil {
		return nil, err
	}
	runtime.KeepAlive(m)
	release := func(p unsafe.Pointer) { C.ds_session_release((*C.ds_session)(p)) }
	return &Session{newHandle(unsafe.Pointer(pointer), release)}, nil
}

func (s *Session) raw() *C.ds_session { return (*C.ds_session)(s.h.get()) }

// Close releases it. A job on it goes on until it is closed.
func (s *Session) Close() error {
	s.h.close()
	return nil
}

// Set changes settings, also while a job runs, from any goroutine. Keys: "priority", "max_gpu_slice_us",
// "tokens_per_second", "suspended".
func (s *Session) Set(settings ...Setting) error {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(s)
	options, n := a.settings(settings)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_session_set(s.raw(), options, n, e) })
}

// Info has the keys "length" (tokens held), "context_length", "tokens_computed", "tokens_cached".
func (s *Session) Info() (*Info, error) {
	defer runtime.KeepAlive(s)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_session_info(s.raw(), out, e) })
}

// watched is a flag that is set when the context ends. It is nil for a context that cannot end. stop waits for the
// goroutine that watches, and releases the flag.
func watched(ctx context.Context) (flag *C.ds_cancel, stop func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if ctx.Done() == nil {
		return nil, func() {}, nil
	}
	if err := call(func(e *C.ds_error) C.ds_status { return C.ds_cancel_create(&flag, e) }); err != nil {
		return nil, nil, err
	}
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-ctx.Done():
			C.ds_cancel_set(flag, nil)
		case <-over:
		}
	}()
	return flag, func() {
		close(over)
		<-gone
		C.ds_cancel_release(flag)
	}, nil
}

// ended is the error of a call whose context may have ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (err == nil || codeOf(err) == Cancelled) {
		return ctx.Err()
	}
	return err
}

func codeOf(err error) Code {
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return OK
}

type runFunction func(params *C.ds_params, result **C.ds_result, e *C.ds_error) C.ds_status

// run is a blocking generation.
func (s *Session) run(ctx context.Context, a *arena, p *Params, function runFunction) (*Result, error) {
	cancel, stop, err := watched(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	params, user, running := a.params(p, cancel)
	var pointer *C.ds_result
	err = call(func(e *C.ds_error) C.ds_status { return function(params, &pointer, e) })
	if err != nil && pointer == nil {
		drop(user)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(p)
	result := newResult(pointer)
	if result == nil {
		running.check()
		return nil, ended(ctx, err)
	}
	running.check(result)
	if reason, _ := result.Finish(0); err == nil && reason != FinishCancelled {
		return result, nil // the context may have ended after that
	}
	return result, ended(ctx, err)
}

// Generate goes on from any input, which replaces the sequence; what both have in common is not computed again. If the
// context ends, the result has the text so far, and the error is ctx.Err(). Otherwise a result beside an error is what was
// produced before the failure. Errors: Argument, ContextFull, CacheFull, devices.
func (s *Session) Generate(ctx context.Context, input Input, params Params) (*Result, error) {
	var a arena
	defer a.free()
	head := input.lower(&a)
	return s.run(ctx, &a, &params, func(params *C.ds_params, result **C.ds_result, e *C.ds_error) C.ds_status {
		return C.ds_generate(s.raw(), head, params, result, e)
	})
}

// Fim fills in at the cursor.
func (s *Session) Fim(ctx context.Context, fim Fim, params Params) (*Result, error) {
	var a arena
	defer a.free()
	input := fim.raw(&a)
	return s.run(ctx, &a, &params, func(params *C.ds_params, result **C.ds_result, e *C.ds_error) C.ds_status {
		return C.ds_fim(s.raw(), input, params, result, e)
	})
}

// Chat answers a conversation.
func (s *Session) Chat(ctx context.Context, chat Chat, params Params) (*Result, error) {
	var a arena
	defer a.free()
	input := chat.raw(&a)
	return s.run(ctx, &a, &params, func(params *C.ds_params, result **C.ds_result, e *C.ds_error) C.ds_status {
		return C.ds_chat(s.raw(), input, params, result, e)
	})
}

// Request is one of a batch.
type Request struct {
	Session *Session // a different one for each
	Input   Input
	Params  Params
}

// Outcome is what Generate would have returned.
type Outcome struct {
	Result *Result
	Err    error
}

// GenerateBatch runs requests in shared steps. Each has an outcome of its own, whose *Error has a code and no sentence.
func GenerateBatch(ctx context.Context, requests []Request) ([]Outcome, error) {
	var a arena
	defer a.free()
	cancel, stop, err := watched(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	items := array[C.ds_batch_item](&a, len(requests))
	users, runs := make([]*C.ds_go_user, len(requests)), make([]*running, len(requests))
	for i := range requests {
		items[i].struct_size = C.sizeof_ds_batch_item
		items[i].session = requests[i].Session.raw()
		items[i].input = requests[i].Input.lower(&a)
		items[i].parameters, users[i], runs[i] = a.params(&requests[i].Params, cancel)
	}
	err = call(func(e *C.ds_error) C.ds_status {
		return C.ds_generate_batch(first(items), C.uint64_t(len(items)), C.sizeof_ds_batch_item, e)
	})
	runtime.KeepAlive(requests)
	outcomes := make([]Outcome, len(requests))
	var produced []io.Closer
	for i := range items {
		if err != nil || items[i].status != C.DS_OK && items[i].result == nil {
			drop(users[i])
		}
		if outcomes[i].Result = newResult(items[i].result); outcomes[i].Result != nil {
			produced = append(produced, outcomes[i].Result)
		}
		if status := Code(items[i].status); status != OK {
			outcomes[i].Err = ended(ctx, &Error{Code: status, ByteOffset: -1, Message: "a request of a batch ended with " + status.String()})
		}
	}
	for _, running := range runs {
		running.check(produced...)
	}
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// Want says of which given tokens logits are wanted.
type Want uint32

// Which logits.
const (
	WantLast = Want(C.DS_WANT_LAST)
	WantAll  = Want(C.DS_WANT_ALL)
	WantNone = Want(C.DS_WANT_NONE)
)

// Eval are tokens that are appended to the sequence.
type Eval struct {
	IDs       []uint32 // at least one
	Want      Want
	Chunk     uint32    // rows in a step; 0: chosen by the scheduler
	Logits    []float32 // where the logits go; nil: into a new slice. Too short: Buffer, before anything is computed
	NoStore   bool      // keep nothing in the cache
	NoReuse   bool      // compute everything even if it is cached
	CacheSalt string
	Adapter   *Adapter
}

// Logits are rows of Vocab numbers, one after the other.
type Logits struct {
	Values   []float32
	Vocab    int
	Computed uint64 // tokens computed now; the rest came from the cache
}

// Eval appends tokens to the sequence and gives logits. If the context ends, nothing was appended. Errors: ContextFull,
// CacheFull, Buffer, devices.
func (s *Session) Eval(ctx context.Context, eval Eval) (*Logits, error) {
	var a arena
	defer a.free()
	cancel, stop, err := watched(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	to, out := record[C.ds_eval_input](&a), record[C.ds_eval_output](&a)
	to.struct_size, out.struct_size = C.sizeof_ds_eval_input, C.sizeof_ds_eval_output
	to.want, to.chunk, to.cache_salt, to.cancel = C.uint32_t(eval.Want), C.uint32_t(eval.Chunk), a.text(eval.CacheSalt), cancel
	to.ids, to.n_ids = copied[C.uint32_t](&a, eval.IDs), C.uint64_t(len(eval.IDs))
	if eval.Adapter != nil {
		to.adapter = (*C.ds_model_adapter)(eval.Adapter.h.get())
	}
	to.flags = flags(eval.NoStore, C.DS_GEN_NO_STORE, eval.NoReuse, C.DS_GEN_NO_REUSE)
	if eval.Logits != nil { // checked by the library, which fills C memory: it could not keep a Go pointer in its struct
		to.logits, to.capacity = first(array[C.float](&a, len(eval.Logits))), C.uint64_t(len(eval.Logits))
	}
	if err := call(func(e *C.ds_error) C.ds_status { return C.ds_session_eval(s.raw(), to, out, e) }); err != nil {
		return nil, ended(ctx, err)
	}
	view := unsafe.Slice((*float32)(unsafe.Pointer(out.logits)), int(out.rows*out.vocab))
	values := eval.Logits
	if values == nil {
		values = make([]float32, len(view))
	}
	values = values[:copy(values, view)]
	runtime.KeepAlive(s)
	runtime.KeepAlive(eval.Adapter)
	return &Logits{values, int(out.vocab), uint64(out.n_computed)}, nil
}

// Rewind shortens the sequence to length tokens; 0 empties it. Errors: Argument (longer than it is).
func (s *Session) Rewind(length uint64) error {
	defer runtime.KeepAlive(s)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_session_rewind(s.raw(), C.uint64_t(length), e) })
}
