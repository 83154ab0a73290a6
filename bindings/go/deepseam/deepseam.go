// Package deepseam runs the DeepSeek mixture-of-experts family inside a Go program, over the C library of the same name.
//
//	runtime, err := deepseam.NewRuntime(deepseam.RuntimeOptions{})
//	model, err := runtime.Open(ctx, deepseam.ModelOptions{Source: deepseam.Path("embedded")})
//	session, err := model.NewSession(deepseam.SessionOptions{})
//	result, err := session.Generate(ctx, deepseam.Text("int main(void) {"), deepseam.Params{MaxTokens: 32})
//	text, err := result.Text(0)
//
// What holds everywhere:
//
//   - Zero is the default. The comment of a field says what it means.
//   - Everything that has a Close owns a handle of the library. Close never waits (but Runtime.Close does), a second one
//     does nothing, any order is fine, and what is forgotten is closed by a finalizer.
//   - A Session is used by one call at a time; a second one gets Busy. All else may be used by any goroutine.
//   - A context stops what may take long. A generation that was stopped has a result with the text so far beside ctx.Err().
//   - Callbacks run on the goroutine of a blocking call; for a job inside of its waiting methods, or on threads of the
//     library if the job is spontaneous. Calls that wait answer Reentrant in there. A callback that panics stops its
//     call, and the panic goes on in the goroutine that waits for it.
//   - Errors are *Error, with a Code that errors.Is knows.
//
// C keeps no Go pointer: arguments are copied to C memory, and callbacks are numbers of cgo.Handle.
package deepseam

/*
#cgo pkg-config: deepseam
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// ABIVersion is that of the headers that this package was compiled with; the library's must be the same while it is 0.x.
const ABIVersion = uint32(C.DS_ABI_VERSION)

// LibraryABIVersion is that of the loaded library.
func LibraryABIVersion() uint32 { return uint32(C.ds_abi_version()) }

// Version is that of the loaded library, such as "0.1.0".
func Version() string { return C.GoString(C.ds_version_string()) }

// LiveObjects counts the handles of this process that are not closed, for leak tests.
func LiveObjects() uint64 { return uint64(C.ds_live_objects()) }

// CheckABI says whether the library serves a program of ABI minABI.
func CheckABI(minABI uint32) error {
	api := C.ds_api{struct_size: C.sizeof_ds_api}
	return call(func(e *C.ds_error) C.ds_status { return C.ds_get_api(C.uint32_t(minABI), &api, e) })
}

// Code is a status of the library. As an error it stands for every *Error that has it: errors.Is(err, deepseam.NotFound).
type Code int32

// The statuses, in their ranges: the call, files, memory, devices, state, the library's own fault.
const (
	OK               = Code(C.DS_OK)
	Argument         = Code(C.DS_E_ARGUMENT)
	Handle           = Code(C.DS_E_HANDLE)
	Struct           = Code(C.DS_E_STRUCT)
	UnknownField     = Code(C.DS_E_UNKNOWN_FIELD)
	Unsupported      = Code(C.DS_E_UNSUPPORTED)
	ABI              = Code(C.DS_E_ABI)
	Buffer           = Code(C.DS_E_BUFFER)
	NotFound         = Code(C.DS_E_NOT_FOUND)
	IO               = Code(C.DS_E_IO)
	Format           = Code(C.DS_E_FORMAT)
	BadModel         = Code(C.DS_E_MODEL)
	Checksum         = Code(C.DS_E_CHECKSUM)
	Permission       = Code(C.DS_E_PERMISSION)
	Memory           = Code(C.DS_E_MEMORY)
	Budget           = Code(C.DS_E_BUDGET)
	ContextFull      = Code(C.DS_E_CONTEXT_FULL)
	CacheFull        = Code(C.DS_E_CACHE_FULL)
	NoDevice         = Code(C.DS_E_NO_DEVICE)
	Device           = Code(C.DS_E_DEVICE)
	DeviceLost       = Code(C.DS_E_DEVICE_LOST)
	DeviceLostShared = Code(C.DS_E_DEVICE_LOST_SHARED)
	Plugin           = Code(C.DS_E_PLUGIN)
	Busy             = Code(C.DS_E_BUSY)
	Reentrant        = Code(C.DS_E_REENTRANT)
	Cancelled        = Code(C.DS_E_CANCELLED)
	Timeout          = Code(C.DS_E_TIMEOUT)
	ShutDown         = Code(C.DS_E_SHUT_DOWN)
	Forked           = Code(C.DS_E_FORKED)
	Pending          = Code(C.DS_E_PENDING)
	Stopped          = Code(C.DS_E_STOPPED)
	Internal         = Code(C.DS_E_INTERNAL)
)

// String is its name in C, such as "DS_E_FORMAT"; "DS_E_?" for one that the library does not know.
func (c Code) String() string { return C.GoString(C.ds_status_string(C.ds_status(c))) }

// Error is the same as String.
func (c Code) Error() string { return c.String() }

// Error is what went wrong.
type Error struct {
	Code           Code
	OSCode         int    // errno or GetLastError; 0 if none
	ByteOffset     int64  // where in the file; -1 if it does not apply
	BytesNeeded    uint64 // that a buffer, a budget or a file would have needed
	BytesAvailable uint64
	Domain         string // the part of the library that noticed
	Path           string // the file or object concerned; may be empty
	Message        string // one English sentence
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Is reports whether the target is this error's Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// call runs a function of the library that takes an error record.
func call(function func(*C.ds_error) C.ds_status) error {
	record := C.ds_error{struct_size: C.sizeof_ds_error}
	status := function(&record)
	if status == C.DS_OK {
		return nil
	}
	offset := int64(-1)
	if record.byte_offset <= math.MaxInt64 {
		offset = int64(record.byte_offset)
	}
	return &Error{
		Code: Code(status), OSCode: int(record.os_code), ByteOffset: offset,
		BytesNeeded: uint64(record.bytes_needed), BytesAvailable: uint64(record.bytes_available),
		Domain: C.GoString(&record.domain[0]), Path: C.GoString(&record.path[0]), Message: C.GoString(&record.message[0]),
	}
}

// handle owns a handle of the library: released once, by close or by the finalizer.
type handle struct {
	pointer unsafe.Pointer
	release func(unsafe.Pointer)
}

func newHandle(pointer unsafe.Pointer, release func(unsafe.Pointer)) *handle {
	h := &handle{pointer, release}
	runtime.SetFinalizer(h, (*handle).close)
	return h
}

func (h *handle) close() {
	if pointer := atomic.SwapPointer(&h.pointer, nil); pointer != nil {
		runtime.SetFinalizer(h, nil)
		h.release(pointer)
	}
}

// get is NULL after close, which the library refuses. Who uses it keeps h alive over the call.
func (h *handle) get() unsafe.Pointer { return atomic.LoadPointer(&h.pointer) }

// arena is C memory for the arguments of a call.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) bytes(size uintptr) unsafe.Pointer {
	block := C.calloc(1, C.size_t(size+1))
	if block == nil {
		panic("deepseam: no memory for the arguments of a call")
	}
	a.blocks = append(a.blocks, block)
	return block
}

func (a *arena) free() {
	for _, block := range a.blocks {
		C.free(block)
	}
	a.blocks = nil
}

// text is a copy of s; for an empty one it is not NULL.
func (a *arena) text(s string) C.ds_text {
	data := a.bytes(uintptr(len(s)))
	copy(unsafe.Slice((*byte)(data), len(s)+1), s)
	return C.ds_text{data: (*C.char)(data), size: C.uint64_t(len(s))}
}

// record is a zeroed T.
func record[T any](a *arena) *T {
	var zero T
	return (*T)(a.bytes(unsafe.Sizeof(zero)))
}

// array is n zeroed T; NULL for none.
func array[T any](a *arena, n int) []T {
	var zero T
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(a.bytes(unsafe.Sizeof(zero)*uintptr(n))), n)
}

func first[T any](items []T) *T {
	if len(items) == 0 {
		return nil
	}
	return &items[0]
}

// copied is an array of the same numbers.
func copied[T any](a *arena, items []uint32) *T {
	to := array[uint32](a, len(items))
	copy(to, items)
	return (*T)(unsafe.Pointer(first(to)))
}

func toString(view C.ds_text) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(view.data)), int(view.size)))
}

func nanoseconds(d time.Duration) C.uint64_t {
	if d < 0 {
		d = 0
	}
	return C.uint64_t(d)
}

// flags adds up those whose condition holds.
func flags(pairs ...interface{}) (sum C.uint32_t) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i].(bool) {
			sum |= C.uint32_t(pairs[i+1].(int))
		}
	}
	return sum
}

// Setting is a rare setting that has no field: a key with a number or a text. An unknown key is an error unless it is
// ignorable.
type Setting struct {
	Key       string
	Number    int64
	Text      string // used if it is not empty
	Ignorable bool
}

func (a *arena) settings(settings []Setting) (*C.ds_option, C.uint64_t) {
	options := array[C.ds_option](a, len(settings))
	for i, setting := range settings {
		options[i].key = a.text(setting.Key).data
		options[i].value = C.int64_t(setting.Number)
		options[i].flags = flags(setting.Ignorable, C.DS_OPTION_IGNORABLE)
		if setting.Text != "" {
			text := a.text(setting.Text)
			options[i].data, options[i].size = unsafe.Pointer(text.data), text.size
		}
	}
	return first(options), C.uint64_t(len(options))
}
