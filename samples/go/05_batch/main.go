// 05: several requests at once. Introduces GenerateBatch, whose requests share the steps of the device, several choices of one
// request, and the token counts that every result has. usage: 05_batch [MODEL]
package main

import (
	"errors"
	"fmt"

	"deepseam"
	. "samples/internal/sample"
)

var prompts = []deepseam.Text{"int main(void) {", "def hello():", "fn main() {", "package main\n"}

func show(prompt deepseam.Text, outcome deepseam.Outcome) int {
	fmt.Printf("--- %s\n", prompt)
	var failure *deepseam.Error
	if errors.As(outcome.Err, &failure) {
		fmt.Printf("failed: %s\n", failure.Code)
		return 1
	}
	defer outcome.Result.Close()
	for choice := uint32(0); choice < 2; choice++ {
		fmt.Printf("%d: %s\n", choice, Must(outcome.Result.Text(choice)))
	}
	info := Must(outcome.Result.Info())
	defer info.Close()
	fmt.Printf("   %d tokens in, %d out\n", Number(info, "usage.prompt_tokens"), Number(info, "usage.completion_tokens"))
	return 0
}

func main() {
	Run(func(runtime *deepseam.Runtime) int {
		model := Open(runtime)
		defer model.Close()
		params := deepseam.Params{MaxTokens: 16, Temperature: 0.7, TopP: 0.9, Seed: 1, Choices: 2}
		var requests []deepseam.Request
		for _, prompt := range prompts {
			session := Must(model.NewSession(deepseam.SessionOptions{})) // one sequence of tokens each
			defer session.Close()
			requests = append(requests, deepseam.Request{Session: session, Input: prompt, Params: params})
		}
		failed := 0
		for i, outcome := range Must(deepseam.GenerateBatch(Background, requests)) { // each has a status of its own
			failed += show(prompts[i], outcome)
		}
		return failed
	})
}
