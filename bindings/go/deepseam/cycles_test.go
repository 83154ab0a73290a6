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

func cycle(t *testing.T) {
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

// Open, generate, close, again and again: no handle and no memory stays behind. DS_TEST_FULL: ten thousand times.
func TestCyclesKeepMemoryFlat(t *testing.T) {
	cycles := 400
	if os.Getenv("DS_TEST_FULL") != "" {
		cycles = 10000
	}
	for i := 0; i < cycles/4; i++ {
		cycle(t)
	}
	// A leak of 200 bytes in each of 7,500 cycles would be more. Heaps take some megabytes until they have grown to their
	// size, Go's own among them, so one flat round in four is enough; a leak shows in each.
	for round := 0; round < 4; round++ {
		before := resident()
		for i := 0; i < cycles*3/4; i++ {
			cycle(t)
		}
		grown := resident() - before
		t.Logf("round %d: %d cycles, %d bytes more", round, cycles*3/4, grown)
		if grown < 1500000 {
			return
		}
	}
	t.Fatal("memory grew by 1.5 MB or more in each of four rounds")
}
