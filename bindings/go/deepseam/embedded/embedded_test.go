package embedded_test

import (
	"context"
	"testing"

	"deepseam"
	"deepseam/embedded"
)

func TestTheModelInsideCompletesCode(t *testing.T) {
	ctx := context.Background()
	runtime, err := deepseam.NewRuntime(deepseam.RuntimeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	model, err := runtime.Open(ctx, deepseam.ModelOptions{Source: deepseam.Bytes(embedded.Model())})
	if err != nil {
		t.Fatal(err)
	}
	session, err := model.NewSession(deepseam.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := session.Generate(ctx, deepseam.Text("int main(void) {"), deepseam.Params{MaxTokens: 4})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := result.Text(0); err != nil || text == "" {
		t.Fatalf("text %q, error %v", text, err)
	}
	for _, one := range []interface{ Close() error }{result, session, model, runtime} {
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left := deepseam.LiveObjects(); left != 0 {
		t.Fatalf("%d handles are left", left)
	}
}
