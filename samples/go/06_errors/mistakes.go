package main

/*
#cgo pkg-config: deepseam
#include <deepseam/deepseam.h>
#include <stdlib.h>

// A struct of a wrong size, and a handle of another kind.
static void make_mistakes(const char *path, ds_error *size, ds_error *kind) {
  ds_runtime_options options = {.struct_size = sizeof options, .abi_version = DS_ABI_VERSION};
  ds_source_path source = {.head = {sizeof source, DS_SOURCE_PATH}, .path = {path, DS_STRLEN}};
  ds_model_options model_options = {.struct_size = sizeof model_options, .source = &source.head};
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"x", 1}};
  ds_params params = {.struct_size = 4};
  ds_runtime *runtime = NULL;
  ds_model *model = NULL;
  ds_session *session = NULL;
  ds_result *result = NULL;
  ds_runtime_create(&options, &runtime, size);
  ds_model_open(runtime, &model_options, &model, size);
  ds_session_create(model, NULL, &session, size);
  ds_generate(session, &input.head, &params, &result, size);
  ds_generate((ds_session *)model, &input.head, NULL, &result, kind);
  ds_session_release(session);
  ds_model_release(model);
  ds_runtime_shutdown(runtime, 0, NULL);
  ds_runtime_release(runtime);
}
*/
import "C"

import (
	"unsafe"

	"deepseam"
)

// mistakes are two that Go's types do not let a program make, so that they are made in C.
func mistakes(path string) (size, kind *deepseam.Error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	records := [2]C.ds_error{{struct_size: C.sizeof_ds_error}, {struct_size: C.sizeof_ds_error}}
	C.make_mistakes(name, &records[0], &records[1])
	of := func(record *C.ds_error) *deepseam.Error {
		return &deepseam.Error{Code: deepseam.Code(record.code), Message: C.GoString(&record.message[0])}
	}
	return of(&records[0]), of(&records[1])
}
