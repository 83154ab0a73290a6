package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"io"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// TextEvent is new text of one choice: whole characters, perhaps none in the last event, whose Finish is not FinishNone.
type TextEvent struct {
	Choice uint32
	Text   string
	IDs    []uint32 // tokens since the last event
	Finish Finish
}

// LogitsEvent has the next token's logits before sampling, to be edited in place. Valid during the callback only.
type LogitsEvent struct {
	Choice uint32
	Logits []float32 // one for each id of the vocabulary
	IDs    []uint32  // prompt and generated tokens so far
}

// MaskEvent says which tokens may come next: all, unless forbidden. Valid during the callback only.
type MaskEvent struct {
	Choice uint32
	Words  []uint32 // bit id%32 of word id/32; a clear bit forbids
	IDs    []uint32 // prompt and generated tokens so far
}

// AllowOnly forbids all but these.
func (m MaskEvent) AllowOnly(ids ...uint32) {
	for i := range m.Words {
		m.Words[i] = 0
	}
	for _, id := range ids {
		m.Words[id/32] |= 1 << (id % 32)
	}
}

// Forbid forbids one.
func (m MaskEvent) Forbid(id uint32) { m.Words[id/32] &^= 1 << (id % 32) }

// Progress is how far a long call is.
type Progress struct {
	Stage uint32 // DS_STAGE_…
	Done  uint64 // in units of the stage: bytes, tokens
	Total uint64 // 0: not known
}

// running are callbacks at work, and the panic of one of them.
type running struct {
	params   *Params
	progress func(Progress) bool
	mutex    sync.Mutex
	panicked interface{}
}

// check lets a panic of a callback go on; before that it closes what nobody will get.
func (r *running) check(unseen ...io.Closer) {
	r.mutex.Lock()
	panicked := r.panicked
	r.panicked = nil
	r.mutex.Unlock()
	if panicked != nil {
		for _, closer := range unseen {
			_ = closer.Close()
		}
		panic(panicked)
	}
}

// run keeps a panic from unwinding through C.
func (r *running) run(callback func() bool) (answer C.int32_t) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r.mutex.Lock()
			r.panicked = panicked
			r.mutex.Unlock()
			answer = C.DS_STOP
		}
	}()
	if callback() {
		return C.DS_CONTINUE
	}
	return C.DS_STOP
}

// newUser is C memory that stands for a Go value until goFree, or drop if the library did not take it over.
func newUser(value interface{}) *C.ds_go_user {
	user := (*C.ds_go_user)(C.malloc(C.sizeof_ds_go_user))
	user.handle = C.uintptr_t(cgo.NewHandle(value))
	return user
}

func drop(user *C.ds_go_user) {
	if user != nil {
		cgo.Handle(user.handle).Delete()
		C.free(unsafe.Pointer(user))
	}
}

func valueOf(user unsafe.Pointer) interface{} {
	return cgo.Handle((*C.ds_go_user)(user).handle).Value()
}

func ids(data *C.uint32_t, n C.uint64_t) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(data)), int(n))
}

//export goFree
func goFree(user unsafe.Pointer) { drop((*C.ds_go_user)(user)) }

//export goText
func goText(user unsafe.Pointer, now *C.ds_text_event) C.int32_t {
	r := valueOf(user).(*running)
	return r.run(func() bool {
		fresh := append([]uint32(nil), ids(now.ids, now.n_ids)...)
		return r.params.OnText(TextEvent{uint32(now.choice), toString(now.text), fresh, Finish(now.finish_reason)})
	})
}

//export goLogits
func goLogits(user unsafe.Pointer, now *C.ds_logits_event) C.int32_t {
	r := valueOf(user).(*running)
	return r.run(func() bool {
		logits := unsafe.Slice((*float32)(unsafe.Pointer(now.logits)), int(now.vocab))
		return r.params.OnLogits(LogitsEvent{uint32(now.choice), logits, ids(now.ids, now.n_ids)})
	})
}

//export goMask
func goMask(user unsafe.Pointer, now *C.ds_mask_event) C.int32_t {
	r := valueOf(user).(*running)
	return r.run(func() bool {
		return r.params.OnMask(MaskEvent{uint32(now.choice), ids(now.mask, now.n_words), ids(now.ids, now.n_ids)})
	})
}

//export goProgress
func goProgress(user unsafe.Pointer, now *C.ds_progress) C.int32_t {
	r := valueOf(user).(*running)
	return r.run(func() bool {
		return r.progress(Progress{uint32(now.stage), uint64(now.done), uint64(now.total)})
	})
}

// A wake must be short and call nothing; who waits looks for itself.
//
//export goWake
func goWake(user unsafe.Pointer) {
	switch target := valueOf(user).(type) {
	case chan struct{}:
		select {
		case target <- struct{}{}:
		default:
		}
	case func():
		target()
	}
}

//export goLog
func goLog(user unsafe.Pointer, message *C.ds_log_message) {
	defer func() { _ = recover() }() // there is no call that it could go on in
	valueOf(user).(func(uint32, string, string))(uint32(message.level), C.GoString(message.domain), toString(message.text))
}

//export goVerifyPlugin
func goVerifyPlugin(user unsafe.Pointer, plugin *C.ds_plugin_file) (answer C.ds_status) {
	defer func() {
		if recover() != nil {
			answer = C.DS_E_PLUGIN
		}
	}()
	view := func(data *C.uint8_t, size C.uint64_t) []byte {
		return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))
	}
	file := PluginFile{toString(plugin.name), toString(plugin.path), view(plugin.binary, plugin.binary_size),
		view(plugin.signature, plugin.signature_size)}
	return C.ds_status(valueOf(user).(func(PluginFile) Code)(file))
}

//export goRunTasks
func goRunTasks(user unsafe.Pointer, n C.uint32_t, task C.ds_task_fn, data unsafe.Pointer) {
	done := make([]sync.Once, n)
	run := func(index uint32) { done[index].Do(func() { C.ds_go_run_task(task, data, C.uint32_t(index)) }) }
	func() {
		defer func() { _ = recover() }()
		valueOf(user).(TaskRunner).Run(uint32(n), run)
	}()
	for index := range done { // what a runner left out; the library counts on all of them
		run(uint32(index))
	}
}
