// 02: text as it comes, in the two ways there are. Introduces the text callback of a blocking call, which may stop the
// generation, and streaming over a channel. (A program with a loop of its own calls the job's State and Read.)
// usage: 02_stream [MODEL]
package main

import (
	"fmt"

	"deepseam"
	. "samples/internal/sample"
)

const prompt = deepseam.Text("def quicksort(items):")

func byCallback(session *deepseam.Session) {
	wanted := 40
	// Runs on this goroutine, inside of Generate. How much comes at once depends on who is faster.
	show := func(event deepseam.TextEvent) bool {
		piece := event.Text
		if len(piece) > wanted {
			piece = piece[:wanted]
		}
		fmt.Print(piece)
		wanted -= len(piece)
		return wanted > 0
	}
	result := Must(session.Generate(Background, prompt, deepseam.Params{OnText: show}))
	defer result.Close()
	end := "finished"
	if Must(result.Finish(0)) == deepseam.FinishCallback {
		end = "stopped by the callback"
	}
	fmt.Printf("\n[%s]\n", end)
}

func byChannel(session *deepseam.Session) {
	params := deepseam.Params{MaxTokens: 48, Temperature: 0.8, Seed: 7}
	pieces, job, err := session.Stream(Background, prompt, params)
	Check(err)
	defer job.Close()
	total := 0
	for piece := range pieces {
		fmt.Print(piece)
		total += len(piece)
		if total > 2000 {
			Check(job.Cancel())
		}
	}
	Must(job.Result(Background)).Close()
	fmt.Printf("\n[%d bytes]\n", total)
}

func main() {
	Run(func(runtime *deepseam.Runtime) int {
		model := Open(runtime)
		defer model.Close()
		session := Must(model.NewSession(deepseam.SessionOptions{}))
		defer session.Close()
		byCallback(session)
		byChannel(session)
		return 0
	})
}
