package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"runtime"
	"time"
	"unsafe"
)

// LogLevel says how much of the log is kept.
type LogLevel uint32

// The levels; zero is warnings and errors.
const (
	LogDefault = LogLevel(0)
	LogError   = LogLevel(C.DS_LOG_ERROR)
	LogWarning = LogLevel(C.DS_LOG_WARNING)
	LogInfo    = LogLevel(C.DS_LOG_INFO)
	LogDebug   = LogLevel(C.DS_LOG_DEBUG)
	LogNothing = LogLevel(C.DS_LOG_OTHER)
)

// PluginFile is a plugin about to be loaded; valid during the callback.
type PluginFile struct {
	Name, Path string
	Binary     []byte // the very file content that will run
	Signature  []byte // bytes from the manifest, for the program's own scheme
}

// TaskRunner is the program's threads, for the library's tasks.
type TaskRunner interface {
	// Width is the number of tasks worth having at once; at least 1.
	Width() uint32
	// Concurrent says whether Width tasks of one run really run at the same time, so that they may wait for each other.
	Concurrent() bool
	// Run calls task for each index below n, in any order, on any goroutines, and returns when all are done. Several
	// threads may call it at once.
	Run(n uint32, task func(index uint32))
}

// RuntimeOptions says how a runtime is made. (An allocator of the host is for C alone: Go has no memory to give it.)
type RuntimeOptions struct {
	Spin             bool // idle workers poll for about 50 µs before they park
	NoAMX            bool // never ask the system for AMX state
	NoDefaultPlugins bool // search PluginDirs only, not the library's own folder
	LogLevel         LogLevel
	Threads          uint32   // of the library's own pool; 0: one for each usable core
	CPUs             []uint32 // that these are pinned to; empty: not pinned
	ISACap           string   // "avx2", "avx512", "amx": nothing above it is used
	PluginDirs       []string // absolute, searched before the library's own
	Settings         []Setting
	TaskRunner       TaskRunner // nil: an own pool

	Log          func(level uint32, part, sentence string) // any thread; nil: messages wait for ReadLog
	VerifyPlugin func(PluginFile) Code                     // OK lets it load; nil: the manifest's hash alone decides
	Wake         func()                                    // ProcessEvents has something; any thread, short, calls nothing here
}

// Runtime is the owner of log, threads, plugins and budgets.
type Runtime struct{ h *handle }

// NewRuntime makes a runtime. Plugins are found and probed when first needed. Errors: ABI, Argument, Memory.
func NewRuntime(options RuntimeOptions) (*Runtime, error) {
	var a arena
	defer a.free()
	to := record[C.ds_runtime_options](&a)
	to.struct_size, to.abi_version = C.sizeof_ds_runtime_options, C.DS_ABI_VERSION
	to.flags = flags(options.Spin, C.DS_RUNTIME_SPIN, options.NoAMX, C.DS_RUNTIME_NO_AMX,
		options.NoDefaultPlugins, C.DS_RUNTIME_NO_DEFAULT_PLUGINS)
	to.log_level, to.n_threads = C.uint32_t(options.LogLevel), C.uint32_t(options.Threads)
	to.cpus, to.n_cpus = copied[C.uint32_t](&a, options.CPUs), C.uint32_t(len(options.CPUs))
	to.isa_cap = a.text(options.ISACap)
	folders := array[C.ds_text](&a, len(options.PluginDirs))
	for i, folder := range options.PluginDirs {
		folders[i] = a.text(folder)
	}
	to.plugin_dirs, to.n_plugin_dirs = first(folders), C.uint64_t(len(folders))
	to.options, to.n_options = a.settings(options.Settings)
	var users []*C.ds_go_user
	user := func(value interface{}) *C.ds_go_user {
		users = append(users, newUser(value))
		return users[len(users)-1]
	}
	if options.Log != nil {
		C.ds_go_log(to, user(options.Log))
	}
	if options.VerifyPlugin != nil {
		C.ds_go_verify_plugin(to, user(options.VerifyPlugin))
	}
	if options.Wake != nil {
		C.ds_go_runtime_wake(to, user(options.Wake))
	}
	if options.TaskRunner != nil {
		runner := record[C.ds_task_runner](&a)
		runner.struct_size, runner.width = C.sizeof_ds_task_runner, C.uint32_t(options.TaskRunner.Width())
		runner.flags = flags(options.TaskRunner.Concurrent(), C.DS_TASKS_CONCURRENT)
		C.ds_go_task_runner(runner, user(options.TaskRunner))
		to.task_runner = runner
	}
	var pointer *C.ds_runtime
	if err := call(func(e *C.ds_error) C.ds_status { return C.ds_runtime_create(to, &pointer, e) }); err != nil {
		for _, user := range users {
			drop(user)
		}
		return nil, err
	}
	release := func(p unsafe.Pointer) { C.ds_runtime_release((*C.ds_runtime)(p)) }
	return &Runtime{newHandle(unsafe.Pointer(pointer), release)}, nil
}

func (r *Runtime) raw() *C.ds_runtime { return (*C.ds_runtime)(r.h.get()) }

// Shutdown cancels all jobs and calls under way, ends the library's threads, and frees what callbacks hold. Afterwards no
// callback runs, and what came from this runtime answers ShutDown. Errors: Timeout (it is still under way; call again).
func (r *Runtime) Shutdown(timeout time.Duration) error {
	defer runtime.KeepAlive(r)
	if timeout <= 0 {
		timeout = 1 // 0 would be the library's default
	}
	return call(func(e *C.ds_error) C.ds_status { return C.ds_runtime_shutdown(r.raw(), nanoseconds(timeout), e) })
}

// Close is Shutdown with ten seconds, and releases the runtime. A second one does nothing.
func (r *Runtime) Close() error {
	if r.h.get() == nil {
		return nil
	}
	err := r.Shutdown(10 * time.Second)
	if codeOf(err) == Reentrant { // in a callback nothing can be waited for, nor closed
		return err
	}
	r.h.close()
	return err
}

// LoadPlugin loads one plugin by the absolute path of its manifest. Errors: NotFound, Format, Plugin, ABI.
func (r *Runtime) LoadPlugin(manifest string) error {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(r)
	path := a.text(manifest)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_runtime_load_plugin(r.raw(), path.data, path.size, e) })
}

// RegisterBackend registers a backend that is linked into the program: the address of its ds_backend_main, which keeps the
// contract of <deepseam/backend.h>. Errors: Plugin, ABI, Argument.
func (r *Runtime) RegisterBackend(entry unsafe.Pointer) error {
	defer runtime.KeepAlive(r)
	return call(func(e *C.ds_error) C.ds_status {
		return C.ds_runtime_register_backend(r.raw(), C.ds_go_entry(entry), e)
	})
}

// PluginReport has every plugin candidate with its path and, if it is not used, the reason. Keys: "plugins",
// "plugins.N.name", ".path", ".state", ".reason", ".version".
func (r *Runtime) PluginReport() (*Info, error) {
	defer runtime.KeepAlive(r)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_runtime_plugin_report(r.raw(), out, e) })
}

// DeviceCount counts the devices of all usable backends.
func (r *Runtime) DeviceCount() (uint32, error) {
	defer runtime.KeepAlive(r)
	var count C.uint32_t
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_device_count(r.raw(), &count, e) })
	return uint32(count), err
}

// DeviceInfo is one device. Keys: "name", "backend", "kind", "uuid", "luid", "pci", "memory.total", "memory.free", "isa".
func (r *Runtime) DeviceInfo(index uint32) (*Info, error) {
	defer runtime.KeepAlive(r)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status {
		return C.ds_device_info(r.raw(), C.uint32_t(index), out, e)
	})
}

// ReadLog is the oldest waiting log message: its level and "part: sentence". The error is Pending if none waits.
func (r *Runtime) ReadLog() (level uint32, text string, err error) {
	defer runtime.KeepAlive(r)
	buffer := make([]byte, 1024)
	for {
		var size C.uint64_t
		var said C.uint32_t
		err = call(func(e *C.ds_error) C.ds_status {
			return C.ds_log_read(r.raw(), &said, (*C.char)(unsafe.Pointer(&buffer[0])), C.uint64_t(len(buffer)), &size, e)
		})
		if codeOf(err) == Buffer {
			buffer = make([]byte, size+1)
			continue
		}
		return uint32(said), string(buffer[:size]), err
	}
}

// watching fills in what all long calls have: a flag of the context, and a progress callback. Without one user is nil.
func watching(progress func(Progress) bool) (*running, *C.ds_go_user) {
	r := &running{params: &Params{}, progress: progress}
	if progress == nil {
		return r, nil
	}
	return r, newUser(r)
}

// Open opens a model: reads, loads, compiles. Errors: file, memory and device ranges, ctx.Err(), Stopped.
func (r *Runtime) Open(ctx context.Context, options ModelOptions) (*Model, error) {
	var a arena
	defer a.free()
	cancel, stop, err := watched(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	to, source := options.lower(&a)
	to.cancel = cancel
	running, user := watching(options.OnProgress)
	if user != nil {
		C.ds_go_model_progress(to, user)
	}
	var pointer *C.ds_model
	err = call(func(e *C.ds_error) C.ds_status { return C.ds_model_open(r.raw(), to, &pointer, e) })
	runtime.KeepAlive(r)
	runtime.KeepAlive(options.Cache)
	if err != nil {
		drop(user)
		source.drop()
		running.check()
		return nil, ended(ctx, err)
	}
	model := newModel(pointer)
	running.check(model)
	return model, nil
}

// OpenStart is the same in the background. Callbacks run inside of the job's waiting methods.
func (r *Runtime) OpenStart(options ModelOptions) (*OpenJob, error) {
	var a arena
	defer a.free()
	to, source := options.lower(&a)
	running, user := watching(options.OnProgress)
	if user != nil {
		C.ds_go_model_progress(to, user)
	}
	j, err := startJob(&a, false, running, func(o *C.ds_job_options, out **C.ds_job, e *C.ds_error) C.ds_status {
		return C.ds_model_open_start(r.raw(), to, o, out, e)
	})
	runtime.KeepAlive(r)
	runtime.KeepAlive(options.Cache)
	if err != nil {
		drop(user)
		source.drop()
		return nil, err
	}
	return &OpenJob{j}, nil
}

// Plan says what opening with these options would take, from headers alone. Keys: "fits", "reason", "context_length",
// "bytes.weights", "bytes.kv", "bytes.scratch", "bytes.total", "devices.N.name", "devices.N.bytes", "tokens_per_second",
// "backend". A plan that does not fit is an answer, with "fits" 0.
func (r *Runtime) Plan(options ModelOptions) (*Info, error) {
	var a arena
	defer a.free()
	to, source := options.lower(&a)
	plan, err := newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_model_plan(r.raw(), to, out, e) })
	runtime.KeepAlive(r)
	if err != nil {
		source.drop()
	}
	return plan, err
}
