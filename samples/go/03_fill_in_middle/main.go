// 03: completing code at a cursor. Introduces Fim with what is before and after the cursor, the file's name, other files as
// snippets, stop strings, and the two layouts of the prompt. usage: 03_fill_in_middle [MODEL]
package main

import (
	"fmt"

	"deepseam"
	. "samples/internal/sample"
)

const (
	before = "#include \"vec.h\"\n\nfloat dot(struct vec a, struct vec b) {\n  return "
	after  = ";\n}\n"
	other  = "struct vec { float x, y, z; };\n"
)

func complete(session *deepseam.Session, anchored bool, name string) {
	fim := deepseam.Fim{Prefix: before, Suffix: after, FileName: "vec.c", Anchored: anchored,
		Snippets: []deepseam.Snippet{{FileName: "vec.h", Text: other}}}
	result := Must(session.Fim(Background, fim, deepseam.Params{MaxTokens: 24, Stops: []string{"\n"}}))
	defer result.Close()
	info := Must(result.Info())
	defer info.Close()
	fmt.Printf("%s layout, %d prompt tokens: %s\n", name, Number(info, "usage.prompt_tokens"), Must(result.Text(0)))
}

func main() {
	Run(func(runtime *deepseam.Runtime) int {
		model := Open(runtime)
		defer model.Close()
		session := Must(model.NewSession(deepseam.SessionOptions{}))
		defer session.Close()
		complete(session, false, "plain")   // the form the model was trained on
		complete(session, true, "anchored") // cheap from keystroke to keystroke
		return 0
	})
}
