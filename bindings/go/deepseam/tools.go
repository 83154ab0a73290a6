package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"runtime"
)

// PackOptions says how a model is packed. The settings "keep", "card" and "form" stand beside ds_model_pack in the C header.
type PackOptions struct {
	Source     Source
	Path       string // what to write; files are replaced whole or not at all
	WeightType string // "f32", "f16", "bf16", "fp8", "q8" to "q3", or a block format such as "q4_k"; empty: as the source stores them
	Backend    string // also store this backend's own layout
	Settings   []Setting
	OnProgress func(Progress) bool
}

// SynthOptions says how a model with random weights is made.
type SynthOptions struct {
	Shape      string // "tiny", "lite", "v2" or "r1"
	WeightType string // as for packing; empty: "bf16"
	Path       string // the .dsm file to write
	Seed       uint64
	Settings   []Setting
	OnProgress func(Progress) bool
}

// long is a call that a context ends and that tells its progress: set puts the user of the callback into its options.
func (r *Runtime) long(ctx context.Context, progress func(Progress) bool, set func(*C.ds_cancel, *C.ds_go_user),
	function func(*C.ds_error) C.ds_status) error {
	cancel, stop, err := watched(ctx)
	if err != nil {
		return err
	}
	defer stop()
	running, user := watching(progress)
	set(cancel, user)
	err = call(function)
	runtime.KeepAlive(r)
	if err != nil {
		drop(user)
	}
	running.check()
	return ended(ctx, err)
}

// Pack writes a model as one file. Errors: Argument (a name that names nothing), file range, ctx.Err(), Stopped.
func (r *Runtime) Pack(ctx context.Context, options PackOptions) error {
	var a arena
	defer a.free()
	source := options.Source.lower(&a)
	to := record[C.ds_pack_options](&a)
	to.struct_size, to.source = C.sizeof_ds_pack_options, source.head
	to.path, to.weight_type, to.backend = a.text(options.Path), a.text(options.WeightType), a.text(options.Backend)
	to.options, to.n_options = a.settings(options.Settings)
	set := func(cancel *C.ds_cancel, user *C.ds_go_user) {
		to.cancel = cancel
		if user != nil {
			C.ds_go_pack_progress(to, user)
		}
	}
	taken := false
	err := r.long(ctx, options.OnProgress, set, func(e *C.ds_error) C.ds_status {
		status := C.ds_model_pack(r.raw(), to, e)
		taken = status == C.DS_OK
		return status
	})
	if !taken {
		source.drop()
	}
	return err
}

// Synth writes a model of a known shape with random weights. Errors: as Pack.
func (r *Runtime) Synth(ctx context.Context, options SynthOptions) error {
	var a arena
	defer a.free()
	to := record[C.ds_synth_options](&a)
	to.struct_size, to.seed = C.sizeof_ds_synth_options, C.uint64_t(options.Seed)
	to.shape, to.weight_type, to.path = a.text(options.Shape), a.text(options.WeightType), a.text(options.Path)
	to.options, to.n_options = a.settings(options.Settings)
	set := func(cancel *C.ds_cancel, user *C.ds_go_user) {
		to.cancel = cancel
		if user != nil {
			C.ds_go_synth_progress(to, user)
		}
	}
	return r.long(ctx, options.OnProgress, set, func(e *C.ds_error) C.ds_status { return C.ds_model_synth(r.raw(), to, e) })
}

// Verify checks a whole model file: every byte is read. Keys: "ok", "findings", "findings.N.name", "findings.N.message",
// "bytes". Errors: file range, ctx.Err(), Stopped.
func (r *Runtime) Verify(ctx context.Context, from Source, progress func(Progress) bool) (*Info, error) {
	var a arena
	defer a.free()
	source := from.lower(&a)
	to := record[C.ds_verify_options](&a)
	to.struct_size, to.source = C.sizeof_ds_verify_options, source.head
	set := func(cancel *C.ds_cancel, user *C.ds_go_user) {
		to.cancel = cancel
		if user != nil {
			C.ds_go_verify_progress(to, user)
		}
	}
	var pointer *C.ds_info
	err := r.long(ctx, progress, set, func(e *C.ds_error) C.ds_status {
		return C.ds_model_verify(r.raw(), to, &pointer, e)
	})
	if pointer == nil {
		source.drop()
		return nil, err
	}
	return newInfo(func(out **C.ds_info, _ *C.ds_error) C.ds_status {
		*out = pointer
		return C.DS_OK
	})
}
