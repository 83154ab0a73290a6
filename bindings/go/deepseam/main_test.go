package deepseam

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const prompt = "int main(void) {"

var (
	background = context.Background()
	modelPath  string
)

// TestMain writes the tiny model that the tests open, and counts what they left behind.
func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "deepseam-go")
	if err != nil {
		panic(err)
	}
	modelPath = filepath.Join(folder, "tiny.dsm")
	r, err := NewRuntime(RuntimeOptions{})
	if err == nil {
		err = r.Synth(background, SynthOptions{Shape: "tiny", WeightType: "f32", Path: modelPath, Seed: 1})
	}
	if err == nil {
		err = r.Close()
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		fmt.Println(err)
	}
	if left := LiveObjects(); left != 0 {
		fmt.Println(left, "handles were left behind")
		status = 1
	}
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, code Code, err error) {
	t.Helper()
	var e *Error
	if !errors.Is(err, code) || !errors.As(err, &e) || e.Message == "" {
		t.Fatalf("got %v, expected %v with a sentence", err, code)
	}
}

func equal[T comparable](t *testing.T, found, expected T) {
	t.Helper()
	if found != expected {
		t.Fatalf("got %v, expected %v", found, expected)
	}
}

// newRuntime ends with the test, and so does what the others make; then nothing may be left.
func newRuntime(t *testing.T) *Runtime {
	t.Helper()
	r := must(NewRuntime(RuntimeOptions{Threads: 2}))
	t.Cleanup(func() {
		check(t, r.Close())
		check(t, r.Close())
		for i := 0; LiveObjects() != 0 && i < 100; i++ { // what a test forgot on purpose, its finalizers close
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
		equal(t, LiveObjects(), 0)
	})
	return r
}

func tiny() ModelOptions {
	return ModelOptions{Source: Path(modelPath), Backend: "ref", Deterministic: true, ContextLength: 2048, MaxSequences: 4}
}

func openTiny(t *testing.T) (*Runtime, *Model) {
	t.Helper()
	r := newRuntime(t)
	m := must(r.Open(background, tiny()))
	t.Cleanup(func() { check(t, m.Close()) })
	return r, m
}

func newSession(t *testing.T, m *Model) *Session {
	t.Helper()
	s := must(m.NewSession(SessionOptions{}))
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// tokens of a generation's first choice.
func tokens(t *testing.T, result *Result, err error) string {
	t.Helper()
	check(t, err)
	defer result.Close()
	return fmt.Sprint(must(result.IDs(0)))
}

func finish(t *testing.T, result *Result, err error) Finish {
	t.Helper()
	check(t, err)
	defer result.Close()
	return must(result.Finish(0))
}

func number(t *testing.T, info *Info, err error, key string) uint64 {
	t.Helper()
	check(t, err)
	defer info.Close()
	return must(info.Number(key))
}
