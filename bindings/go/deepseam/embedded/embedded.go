// Package embedded has the model that ships with deepseam inside of the program, as deepseam.Path("embedded") has it beside
// the library. Programs that import it link libdeepseam-embedded as well.
//
//	model, err := runtime.Open(ctx, deepseam.ModelOptions{Source: deepseam.Bytes(embedded.Model())})
package embedded

/*
#cgo pkg-config: deepseam-embedded
#include <deepseam/embedded.h>
*/
import "C"

import "unsafe"

// Model is the model's file. It is the library's memory, which nobody may write to.
func Model() []byte {
	var size C.uint64_t
	data := C.ds_embedded_model(&size)
	return unsafe.Slice((*byte)(data), int(size))
}
