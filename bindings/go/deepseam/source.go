package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"io"
	"io/fs"
	"unsafe"
)

// Source is where a model comes from: Path, Bytes or Files.
type Source interface{ lower(a *arena) *source }

// Path is a folder with config.json or a model file. "embedded" is the model that ships with the library.
type Path string

// Bytes is a model file in memory. C gets a copy.
type Bytes []byte

// Files are the program's own files: archives, encrypted stores. Read by several threads at once unless Serial.
type Files struct {
	// Open opens a file by its relative name, such as "config.json"; the empty name is the model file itself, if it is one
	// file or a part of a split GGUF model ("-00001-of-00003.gguf" and so on). fs.ErrNotExist, or any error that is
	// NotFound, if there is none. Files that are io.Closer are closed.
	Open   func(name string) (File, error)
	Serial bool // reads come one at a time
}

// File is one open file.
type File interface {
	io.ReaderAt
	Size() (int64, error)
}

// source is one in C memory. drop frees what the library takes over if the call succeeds.
type source struct {
	head *C.ds_source
	drop func()
}

func (p Path) lower(a *arena) *source {
	to := record[C.ds_source_path](a)
	to.head = C.ds_source{struct_size: C.sizeof_ds_source_path, tag: C.DS_SOURCE_PATH}
	to.path = a.text(string(p))
	return &source{&to.head, func() {}}
}

func (b Bytes) lower(a *arena) *source {
	to := record[C.ds_source_memory](a)
	to.head = C.ds_source{struct_size: C.sizeof_ds_source_memory, tag: C.DS_SOURCE_MEMORY}
	to.data, to.size = C.CBytes(b), C.uint64_t(len(b))
	C.ds_go_source_memory(to)
	data := to.data
	return &source{&to.head, func() { C.free(data) }}
}

func (f Files) lower(a *arena) *source {
	to := record[C.ds_source_io](a)
	to.head = C.ds_source{struct_size: C.sizeof_ds_source_io, tag: C.DS_SOURCE_IO}
	to.flags = flags(!f.Serial, C.DS_IO_CONCURRENT)
	user := newUser(f)
	C.ds_go_source(to, user)
	return &source{&to.head, func() { drop(user) }}
}

// status is what a failed read means to the library.
func status(err error) C.ds_status {
	var code Code
	switch {
	case err == nil:
		return C.DS_OK
	case errors.As(err, &code):
		return C.ds_status(code)
	case errors.Is(err, fs.ErrNotExist):
		return C.DS_E_NOT_FOUND
	case errors.Is(err, fs.ErrPermission):
		return C.DS_E_PERMISSION
	}
	return C.DS_E_IO
}

// guarded runs host code that must not unwind through C.
func guarded(function func() error) (answer C.ds_status) {
	defer func() {
		if recover() != nil {
			answer = C.DS_E_IO
		}
	}()
	return status(function())
}

//export goFileOpen
func goFileOpen(user unsafe.Pointer, name *C.char, file *unsafe.Pointer) C.ds_status {
	return guarded(func() error {
		opened, err := valueOf(user).(Files).Open(C.GoString(name))
		if err == nil {
			*file = unsafe.Pointer(newUser(opened))
		}
		return err
	})
}

//export goFileSize
func goFileSize(_, file unsafe.Pointer, size *C.uint64_t) C.ds_status {
	return guarded(func() error {
		found, err := valueOf(file).(File).Size()
		*size = C.uint64_t(found)
		return err
	})
}

//export goFileReadAt
func goFileReadAt(_, file unsafe.Pointer, offset C.uint64_t, into unsafe.Pointer, size C.uint64_t) C.ds_status {
	return guarded(func() error {
		n, err := valueOf(file).(File).ReadAt(unsafe.Slice((*byte)(into), int(size)), int64(offset))
		if n == int(size) { // an EOF with all bytes is none
			return nil
		}
		return err
	})
}

//export goFileClose
func goFileClose(_, file unsafe.Pointer) {
	_ = guarded(func() error {
		if closer, ok := valueOf(file).(io.Closer); ok {
			return closer.Close()
		}
		return nil
	})
	drop((*C.ds_go_user)(file))
}
