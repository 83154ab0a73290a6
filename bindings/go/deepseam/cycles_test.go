//go:build linux

package deepseam

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
)

// resident is the memory, in bytes, that this process really has, without what Go keeps for later.
func resident() (bytes int64) {
	debug.FreeOSMemory()
	var all, pages int64
	_, err := fmt.Sscan(string(must(os.ReadFile("/proc/self/statm"))), &all, &pages)
	if err != nil {
		panic(err)
	}
	return pages * 4096
}

// Open, generate, close, again and again: no handle and no memory stays behind. DS_TEST_FULL: ten thousand times.
func TestCyclesKeepMemoryFlat(t *testing.T) {
	cycles := 400
	if os.Getenv("DS_TEST_FULL") != "" {
		cycles = 10000
	}
	var before int64
	for cycle := 0; cycle < cycles; cycle++ {
		if cycle == cycles/4 {
			before = resident()
		}
		r := must(NewRuntime(RuntimeOptions{Threads: 2}))
		options := tiny()
		options.ContextLength = 64
		m := must(r.Open(background, options))
		s := must(m.NewSession(SessionOptions{}))
		params := Params{MaxTokens: 1, OnText: func(TextEvent) bool { return true }}
		must(s.Generate(background, Text(prompt), params)).Close()
		pieces, job, err := s.Stream(background, Text(prompt), params)
		check(t, err)
		for range pieces {
		}
		must(job.Result(background)).Close()
		job.Close()
		s.Close()
		m.Close()
		check(t, r.Close())
		equal(t, LiveObjects(), 0)
	}
	grown := resident() - before
	t.Logf("%d cycles, %d bytes more than after a quarter of them", cycles, grown)
	// Go's own heap takes some megabytes until its collector has found its pace; after that nothing may come.
	if grown > 6<<20 {
		t.Fatalf("%d bytes more after %d cycles", grown, cycles-cycles/4)
	}
}
