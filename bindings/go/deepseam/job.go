package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"math"
	"runtime"
	"time"
	"unsafe"
)

// JobState says where a job is; treat what you do not know as running.
type JobState uint32

// Where a job is.
const (
	JobQueued  = JobState(C.DS_JOB_QUEUED)
	JobRunning = JobState(C.DS_JOB_RUNNING)
	JobDone    = JobState(C.DS_JOB_DONE) // well or not: take its outcome
)

// job is what both kinds share.
type job struct {
	h       *handle
	news    chan struct{} // the library has something
	running *running
}

type startFunction func(options *C.ds_job_options, out **C.ds_job, e *C.ds_error) C.ds_status

func startJob(a *arena, spontaneous bool, running *running, function startFunction) (job, error) {
	options := record[C.ds_job_options](a)
	options.struct_size = C.sizeof_ds_job_options
	options.flags = flags(spontaneous, C.DS_JOB_SPONTANEOUS)
	news := make(chan struct{}, 1)
	user := newUser(news)
	C.ds_go_job_options(options, user)
	var pointer *C.ds_job
	if err := call(func(e *C.ds_error) C.ds_status { return function(options, &pointer, e) }); err != nil {
		drop(user)
		return job{}, err
	}
	release := func(p unsafe.Pointer) { C.ds_job_release((*C.ds_job)(p)) }
	return job{newHandle(unsafe.Pointer(pointer), release), news, running}, nil
}

func (j *job) raw() *C.ds_job { return (*C.ds_job)(j.h.get()) }

// Close releases it. If it is not done, it is cancelled, and its session is busy for a moment longer.
func (j *job) Close() error {
	j.h.close()
	return nil
}

// State says where it is.
func (j *job) State() (JobState, error) {
	var state C.uint32_t
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_job_poll(j.raw(), &state, e) })
	runtime.KeepAlive(j.h)
	return JobState(state), err
}

// Progress says how far it is.
func (j *job) Progress() (Progress, error) {
	progress := C.ds_progress{struct_size: C.sizeof_ds_progress}
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_job_progress(j.raw(), &progress, e) })
	runtime.KeepAlive(j.h)
	return Progress{uint32(progress.stage), uint64(progress.done), uint64(progress.total)}, err
}

// Cancel asks it to stop; what there is by then is its outcome.
func (j *job) Cancel() error {
	defer runtime.KeepAlive(j.h)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_job_cancel(j.raw(), e) })
}

func (j *job) wait(timeout C.uint64_t) error {
	defer runtime.KeepAlive(j.h)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_job_wait(j.raw(), timeout, e) })
}

// deliver runs waiting callbacks here, and says whether the job is done and all of them ran.
func (j *job) deliver() (bool, error) {
	if _, err := j.State(); err != nil { // so that it wakes again
		return false, err
	}
	err := j.wait(0)
	if codeOf(err) != Timeout {
		return err == nil, err
	}
	// It may be done while its wake still runs on another thread, and will not wake for that again.
	state, err := j.State()
	if err != nil || state != JobDone {
		return false, err
	}
	return true, j.wait(math.MaxUint64)
}

// Wait waits until it is done, running its callbacks here. If the context ends first, the job goes on.
func (j *job) Wait(ctx context.Context) error {
	for {
		done, err := j.deliver()
		if done || err != nil {
			j.running.check() // not before: the session is busy until the job is done
			return err
		}
		select {
		case <-j.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Job is a generation under way. It has its session until it is done.
type Job struct {
	job
}

// JobOptions says how a job is run.
type JobOptions struct {
	Spontaneous bool // callbacks come at once on threads of the library, not inside of the job's waiting methods
}

// Start generates in the background. Errors: as Generate before its start.
func (s *Session) Start(input Input, params Params, options JobOptions) (*Job, error) {
	var a arena
	defer a.free()
	head := input.lower(&a)
	to, user, running := a.params(&params, nil)
	j, err := startJob(&a, options.Spontaneous, running, func(o *C.ds_job_options, out **C.ds_job, e *C.ds_error) C.ds_status {
		return C.ds_job_start(s.raw(), head, to, o, out, e)
	})
	runtime.KeepAlive(s)
	runtime.KeepAlive(params.Adapter)
	if err != nil {
		drop(user)
		return nil, err
	}
	return &Job{j}, nil
}

// Read is text of a choice that was not read before: whole characters, empty if there is nothing new. Never waits.
func (j *Job) Read(choice uint32) (string, error) {
	var text []byte
	var buffer [4096]byte
	for {
		var size C.uint64_t
		err := call(func(e *C.ds_error) C.ds_status {
			return C.ds_job_read(j.raw(), C.uint32_t(choice), (*C.char)(unsafe.Pointer(&buffer[0])), 4096, &size, e)
		})
		runtime.KeepAlive(j.h)
		if err != nil || size == 0 {
			return string(text), err
		}
		text = append(text, buffer[:size]...)
	}
}

// Result waits for the outcome and takes it: what Generate would have returned. If the context ends, the generation is
// cancelled.
func (j *Job) Result(ctx context.Context) (*Result, error) {
	err := j.Wait(ctx)
	if err != nil && err == ctx.Err() {
		if err := j.Cancel(); err != nil {
			return nil, err
		}
		err = j.Wait(context.Background())
	}
	if err != nil {
		return nil, err
	}
	var pointer *C.ds_result
	err = call(func(e *C.ds_error) C.ds_status { return C.ds_job_take_result(j.raw(), &pointer, e) })
	runtime.KeepAlive(j.h)
	result := newResult(pointer)
	if result != nil && err == nil {
		if reason, _ := result.Finish(0); reason == FinishCancelled {
			err = ctx.Err()
		}
	}
	return result, err
}

// Text streams the text of the first choice over a channel, which is closed when the job is done, well or not: the outcome
// is Result's to tell. If the context ends, the generation is cancelled. Callbacks run on the goroutine that sends.
func (j *Job) Text(ctx context.Context) <-chan string {
	pieces := make(chan string)
	go func() {
		defer close(pieces)
		for {
			done, err := j.deliver()
			piece, readErr := j.Read(0)
			if piece != "" {
				select {
				case pieces <- piece:
					continue
				case <-ctx.Done():
				}
			} else if done || err != nil || readErr != nil {
				return
			} else {
				select {
				case <-j.news:
					continue
				case <-ctx.Done():
				}
			}
			_ = j.Cancel()
			_ = j.wait(math.MaxUint64)
			return
		}
	}()
	return pieces
}

// Stream is Start and Text in one: the text so far comes over the channel, and the job has the outcome.
func (s *Session) Stream(ctx context.Context, input Input, params Params) (<-chan string, *Job, error) {
	j, err := s.Start(input, params, JobOptions{})
	if err != nil {
		return nil, nil, err
	}
	return j.Text(ctx), j, nil
}

// OpenJob is a model that is being opened.
type OpenJob struct {
	job
}

// Model waits for the outcome and takes it. If the context ends, the opening is cancelled.
func (j *OpenJob) Model(ctx context.Context) (*Model, error) {
	err := j.Wait(ctx)
	if err != nil && err == ctx.Err() {
		_ = j.Cancel()
		err = j.Wait(context.Background())
	}
	if err != nil {
		return nil, err
	}
	var pointer *C.ds_model
	err = call(func(e *C.ds_error) C.ds_status { return C.ds_job_take_model(j.raw(), &pointer, e) })
	runtime.KeepAlive(j.h)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return newModel(pointer), nil
}

// ProcessEvents runs waiting callbacks of jobs here, waiting up to timeout for the first one, and says how many ran.
func (r *Runtime) ProcessEvents(timeout time.Duration) (uint64, error) {
	var delivered C.uint64_t
	err := call(func(e *C.ds_error) C.ds_status {
		return C.ds_process_events(r.raw(), nanoseconds(timeout), &delivered, e)
	})
	runtime.KeepAlive(r)
	return uint64(delivered), err
}
