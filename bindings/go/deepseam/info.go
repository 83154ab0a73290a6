package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Info is a snapshot of named values: a plan, facts, statistics. Keys are dotted lower-case paths, such as
// "usage.prompt_tokens"; the C header lists them beside the function that makes the snapshot.
type Info struct{ h *handle }

func newInfo(function func(**C.ds_info, *C.ds_error) C.ds_status) (*Info, error) {
	var pointer *C.ds_info
	if err := call(func(e *C.ds_error) C.ds_status { return function(&pointer, e) }); err != nil {
		return nil, err
	}
	return &Info{newHandle(unsafe.Pointer(pointer), func(p unsafe.Pointer) { C.ds_info_release((*C.ds_info)(p)) })}, nil
}

func (i *Info) raw() *C.ds_info { return (*C.ds_info)(i.h.get()) }

// Close releases it.
func (i *Info) Close() error {
	i.h.close()
	return nil
}

// Number is a count, size or flag. Errors: NotFound, Argument (the value is of another kind).
func (i *Info) Number(key string) (uint64, error) {
	var a arena
	defer a.free()
	var value C.uint64_t
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_info_get_u64(i.raw(), a.text(key).data, &value, e) })
	runtime.KeepAlive(i)
	return uint64(value), err
}

// Real is a number with a fraction; whole ones too.
func (i *Info) Real(key string) (float64, error) {
	var a arena
	defer a.free()
	var value C.double
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_info_get_f64(i.raw(), a.text(key).data, &value, e) })
	runtime.KeepAlive(i)
	return float64(value), err
}

// Text is a text.
func (i *Info) Text(key string) (string, error) {
	var a arena
	defer a.free()
	return i.view(func(view *C.ds_text, e *C.ds_error) C.ds_status {
		return C.ds_info_get_text(i.raw(), a.text(key).data, view, e)
	})
}

// JSON is all of it as one object.
func (i *Info) JSON() (string, error) {
	return i.view(func(view *C.ds_text, e *C.ds_error) C.ds_status { return C.ds_info_json(i.raw(), view, e) })
}

func (i *Info) view(function func(*C.ds_text, *C.ds_error) C.ds_status) (string, error) {
	var a arena
	defer a.free()
	view := record[C.ds_text](&a)
	if err := call(func(e *C.ds_error) C.ds_status { return function(view, e) }); err != nil {
		return "", err
	}
	text := toString(*view)
	runtime.KeepAlive(i)
	return text, nil
}
