// Package entry finds the entry of a backend in a shared library, for the test of RegisterBackend: a program has its
// backend linked in.
package entry

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
*/
import "C"

import "unsafe"

// Of answers ds_backend_main of the library at a path, or nil.
func Of(path string) unsafe.Pointer {
	file, name := C.CString(path), C.CString("ds_backend_main")
	defer C.free(unsafe.Pointer(file))
	defer C.free(unsafe.Pointer(name))
	library := C.dlopen(file, C.RTLD_NOW)
	if library == nil {
		return nil
	}
	return C.dlsym(library, name)
}
