package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Finish says why a text ended; treat what you do not know as FinishOther.
type Finish uint32

// Why a text ended.
const (
	FinishNone      = Finish(C.DS_FINISH_NONE)
	FinishEnd       = Finish(C.DS_FINISH_END)     // the model ended its text
	FinishStop      = Finish(C.DS_FINISH_STOP)    // a stop string or stop id of the request
	FinishLength    = Finish(C.DS_FINISH_LENGTH)  // MaxTokens
	FinishContext   = Finish(C.DS_FINISH_CONTEXT) // the context is full
	FinishCancelled = Finish(C.DS_FINISH_CANCELLED)
	FinishDeadline  = Finish(C.DS_FINISH_DEADLINE)
	FinishCallback  = Finish(C.DS_FINISH_CALLBACK) // a callback said so
	FinishPrefill   = Finish(C.DS_FINISH_PREFILL)  // PrefillOnly
	FinishError     = Finish(C.DS_FINISH_ERROR)    // the error says which
	FinishOther     = Finish(C.DS_FINISH_OTHER)
)

// Result is what a generation produced: one text for each choice.
type Result struct{ h *handle }

func newResult(pointer *C.ds_result) *Result {
	if pointer == nil {
		return nil
	}
	return &Result{newHandle(unsafe.Pointer(pointer), func(p unsafe.Pointer) { C.ds_result_release((*C.ds_result)(p)) })}
}

func (r *Result) raw() *C.ds_result { return (*C.ds_result)(r.h.get()) }

// Close releases it.
func (r *Result) Close() error {
	r.h.close()
	return nil
}

// Text is the text of a choice.
func (r *Result) Text(choice uint32) (string, error) {
	var a arena
	defer a.free()
	view := record[C.ds_text](&a)
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_result_text(r.raw(), C.uint32_t(choice), view, e) })
	if err != nil {
		return "", err
	}
	text := toString(*view)
	runtime.KeepAlive(r)
	return text, nil
}

// IDs are the generated tokens, without the one that ended the text.
func (r *Result) IDs(choice uint32) ([]uint32, error) {
	var data *C.uint32_t
	var n C.uint64_t
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_result_ids(r.raw(), C.uint32_t(choice), &data, &n, e) })
	if err != nil {
		return nil, err
	}
	copied := append([]uint32(nil), ids(data, n)...)
	runtime.KeepAlive(r)
	return copied, nil
}

// Finish says why the text of a choice ended.
func (r *Result) Finish(choice uint32) (Finish, error) {
	var reason C.uint32_t
	err := call(func(e *C.ds_error) C.ds_status {
		return C.ds_result_finish_reason(r.raw(), C.uint32_t(choice), &reason, e)
	})
	runtime.KeepAlive(r)
	return Finish(reason), err
}

// Logprob is a token and the natural logarithm of its probability.
type Logprob struct {
	ID      uint32
	Logprob float32
}

// Logprobs has one row for each generated token: the chosen one, then the most likely ones. Nil if none were recorded.
func (r *Result) Logprobs(choice uint32) ([][]Logprob, error) {
	var entries *C.ds_token_logprob
	var n C.uint64_t
	var width C.uint32_t
	err := call(func(e *C.ds_error) C.ds_status {
		return C.ds_result_logprobs(r.raw(), C.uint32_t(choice), &entries, &n, &width, e)
	})
	if err != nil || width == 0 {
		return nil, err
	}
	all := unsafe.Slice(entries, int(n)*int(width))
	rows := make([][]Logprob, n)
	for i := range rows {
		for _, entry := range all[i*int(width) : (i+1)*int(width)] {
			rows[i] = append(rows[i], Logprob{uint32(entry.id), float32(entry.logprob)})
		}
	}
	runtime.KeepAlive(r)
	return rows, nil
}

// Info has counts and timings. Keys: "choices", "seed", "usage.prompt_tokens", "usage.cached_tokens",
// "usage.completion_tokens", "timings.prefill_ms", "timings.decode_ms", "timings.ttft_ms", "timings.tokens_per_second".
func (r *Result) Info() (*Info, error) {
	defer runtime.KeepAlive(r)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_result_info(r.raw(), out, e) })
}
