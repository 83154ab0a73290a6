// 01: the shortest useful program. Introduces runtime, model, session, generate, result, and the one way of failing: an
// error with a code and a sentence. usage: 01_hello [MODEL]   (default: the model that ships with the library)
package main

import (
	"context"
	"fmt"
	"os"

	"deepseam"
)

func hello(path string) error {
	runtime, err := deepseam.NewRuntime(deepseam.RuntimeOptions{})
	if err != nil {
		return err
	}
	defer runtime.Close() // waits for the library's threads; no other Close waits
	model, err := runtime.Open(context.Background(), deepseam.ModelOptions{Source: deepseam.Path(path)})
	if err != nil {
		return err
	}
	defer model.Close()
	session, err := model.NewSession(deepseam.SessionOptions{})
	if err != nil {
		return err
	}
	defer session.Close()
	result, err := session.Generate(context.Background(), deepseam.Text("int main(void) {"), deepseam.Params{MaxTokens: 32})
	if err != nil {
		return err
	}
	defer result.Close()
	text, err := result.Text(0)
	fmt.Println(text)
	return err
}

func main() {
	path := "embedded"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	if err := hello(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(int(deepseam.LiveObjects()))
}
