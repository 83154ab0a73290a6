package deepseam

/*
#include "bridge.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// CacheOptions are the limits of a prefix store. (Tiers of the host and sealing hooks, which this version of the library
// refuses, are for C alone.)
type CacheOptions struct {
	RAMBytes            uint64 // 0: 1 GiB
	DeviceBytes         uint64 // 0: what the models' budgets leave
	Directory           string // disk tier; empty: none
	DiskBytes           uint64 // 0: 16 GiB
	MinFreeBytes        uint64 // left free on the disk; 0: 1 GiB
	MaxAgeSeconds       uint64 // 0: any age
	MaxWriteBytesPerDay uint64 // 0: no limit
	Settings            []Setting
}

// Cache is a store of computed prefixes, shared by the models that were opened with it.
type Cache struct{ h *handle }

// OpenCache opens a prefix store. Errors: Unsupported (a tier that this library lacks), file range.
func (r *Runtime) OpenCache(options CacheOptions) (*Cache, error) {
	var a arena
	defer a.free()
	to := record[C.ds_cache_options](&a)
	to.struct_size = C.sizeof_ds_cache_options
	to.ram_bytes, to.device_bytes = C.uint64_t(options.RAMBytes), C.uint64_t(options.DeviceBytes)
	to.directory, to.disk_bytes = a.text(options.Directory), C.uint64_t(options.DiskBytes)
	to.min_free_bytes, to.max_age_s = C.uint64_t(options.MinFreeBytes), C.uint64_t(options.MaxAgeSeconds)
	to.max_write_bytes_per_day = C.uint64_t(options.MaxWriteBytesPerDay)
	to.options, to.n_options = a.settings(options.Settings)
	var pointer *C.ds_cache
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_cache_open(r.raw(), to, &pointer, e) })
	runtime.KeepAlive(r)
	if err != nil {
		return nil, err
	}
	return &Cache{newHandle(unsafe.Pointer(pointer), func(p unsafe.Pointer) { C.ds_cache_release((*C.ds_cache)(p)) })}, nil
}

func (c *Cache) raw() *C.ds_cache { return (*C.ds_cache)(c.h.get()) }

// Close releases it. Models keep it alive.
func (c *Cache) Close() error {
	c.h.close()
	return nil
}

// Flush returns when what was stored so far survives a power loss, where a tier offers that.
func (c *Cache) Flush() error {
	defer runtime.KeepAlive(c)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_cache_flush(c.raw(), e) })
}

// Trim evicts until at most ramBytes of host memory are used; what running sessions use stays.
func (c *Cache) Trim(ramBytes uint64) error {
	defer runtime.KeepAlive(c)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_cache_trim(c.raw(), C.uint64_t(ramBytes), e) })
}

// Erase forgets everything stored under a salt; an empty one: under the common one.
func (c *Cache) Erase(salt string) error {
	var a arena
	defer a.free()
	defer runtime.KeepAlive(c)
	text := a.text(salt)
	return call(func(e *C.ds_error) C.ds_status { return C.ds_cache_erase(c.raw(), text.data, text.size, e) })
}

// Stats has the keys "ram.bytes", "ram.limit", "blocks", "tokens", "lookups", "hits", "hit_tokens", "evictions".
func (c *Cache) Stats() (*Info, error) {
	defer runtime.KeepAlive(c)
	return newInfo(func(out **C.ds_info, e *C.ds_error) C.ds_status { return C.ds_cache_stats(c.raw(), out, e) })
}

// CacheEvent is something that happened in a store.
type CacheEvent struct {
	Kind    uint32 // DS_CACHE_…; treat what you do not know as DS_CACHE_OTHER
	Tokens  uint64
	Bytes   uint64
	Dropped uint64 // events lost before this one, because nobody read them
}

// ReadEvent is the oldest event that nobody read. The error is Pending if none waits.
func (c *Cache) ReadEvent() (CacheEvent, error) {
	defer runtime.KeepAlive(c)
	next := C.ds_cache_event{struct_size: C.sizeof_ds_cache_event}
	err := call(func(e *C.ds_error) C.ds_status { return C.ds_cache_read_event(c.raw(), &next, e) })
	return CacheEvent{uint32(next.kind), uint64(next.tokens), uint64(next.bytes), uint64(next.dropped)}, err
}
