// 06: everything that can go wrong comes back as a number and a sentence, and the next call works. Introduces the ranges of
// statuses, what an error tells, plans (what does not fit is said before loading), cancelling, and the report on plugins.
// usage: 06_errors [MODEL]
package main

import (
	"context"
	"errors"
	"fmt"

	"deepseam"
	. "samples/internal/sample"
)

// expect prints a failure; 1 if it was not the expected one.
func expect(expected deepseam.Code, err error) int {
	var failure *deepseam.Error
	if !errors.As(err, &failure) {
		failure = &deepseam.Error{}
	}
	fmt.Printf("%-22s %s\n", failure.Code, failure.Message)
	if errors.Is(err, expected) {
		return 0
	}
	return 1
}

func openWhatIsNotThere(runtime *deepseam.Runtime) int {
	_, err := runtime.Open(Background, deepseam.ModelOptions{Source: deepseam.Path("/no/such/model")})
	wrong := expect(deepseam.NotFound, err)
	var failure *deepseam.Error
	if errors.As(err, &failure) && failure.Path != "/no/such/model" {
		fmt.Printf("(the error names %s)\n", failure.Path)
	}
	return wrong
}

func planWithTooLittle(runtime *deepseam.Runtime) int {
	// A plan that does not fit is an answer, not an error.
	plan := Must(runtime.Plan(deepseam.ModelOptions{Source: Path(), RAMBudget: 4096}))
	defer plan.Close()
	reason := ""
	fits := int(Number(plan, "fits"))
	if fits == 0 {
		reason = Must(plan.Text("reason"))
	}
	fmt.Printf("%-22s %s\n", "(plan)", reason)
	return fits
}

// Whoever has the cancel function may call it, from any goroutine; here a callback does, before there is any text.
func cancelWhenItBegins(session *deepseam.Session) int {
	ctx, cancel := context.WithCancel(Background)
	params := deepseam.Params{MaxTokens: 100000, IgnoreEnd: true}
	params.OnProgress = func(deepseam.Progress) bool {
		cancel()
		return true
	}
	result, err := session.Generate(ctx, deepseam.Text("x"), params)
	if !errors.Is(err, context.Canceled) || result == nil {
		return 1
	}
	defer result.Close()
	reason := Must(result.Finish(0))
	fmt.Printf("%-22s finish reason %d\n", "(cancelled)", reason)
	if reason == deepseam.FinishCancelled {
		return 0
	}
	return 1
}

func main() {
	Run(func(runtime *deepseam.Runtime) int {
		wrong := openWhatIsNotThere(runtime) + planWithTooLittle(runtime)
		model := Open(runtime)
		defer model.Close()
		session := Must(model.NewSession(deepseam.SessionOptions{}))
		defer session.Close()
		_, err := session.Generate(Background, deepseam.Text("x"), deepseam.Params{Temperature: -1})
		wrong += expect(deepseam.Argument, err)
		size, kind := mistakes(string(Path()))
		wrong += expect(deepseam.Struct, size) + expect(deepseam.Handle, kind)
		wrong += cancelWhenItBegins(session)
		report := Must(runtime.PluginReport()) // why each backend is there, or is not
		defer report.Close()
		fmt.Println(Must(report.JSON()))
		return wrong
	})
}
