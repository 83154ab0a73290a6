// Package sample has what the samples share: opening a model as 01_hello does, and ending the program with the library's
// sentence when a call fails.
package sample

import (
	"context"
	"fmt"
	"os"

	"deepseam"
)

// Background is the context of calls that nothing stops.
var Background = context.Background()

// Check ends the program if a call failed.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Must is a value of a call that must not fail.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Path is the first argument, or the model that ships with the library.
func Path() deepseam.Path {
	if len(os.Args) > 1 {
		return deepseam.Path(os.Args[1])
	}
	return "embedded"
}

// Open opens the model.
func Open(runtime *deepseam.Runtime) *deepseam.Model {
	return Must(runtime.Open(Background, deepseam.ModelOptions{Source: Path()}))
}

// Number is one of a snapshot's.
func Number(info *deepseam.Info, key string) uint64 { return Must(info.Number(key)) }

// Run runs a sample, ends its runtime, and exits with its status; handles that are left are a failure.
func Run(sample func(runtime *deepseam.Runtime) int) {
	runtime := Must(deepseam.NewRuntime(deepseam.RuntimeOptions{}))
	status := sample(runtime)
	Check(runtime.Close())
	if left := deepseam.LiveObjects(); left != 0 {
		fmt.Fprintln(os.Stderr, left, "handles were not closed")
		status = 1
	}
	os.Exit(status)
}
