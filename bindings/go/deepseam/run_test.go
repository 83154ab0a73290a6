package deepseam

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGreedyTextRepeatsAndIsCounted(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	result, err := s.Generate(background, Text(prompt), Params{MaxTokens: 8, IgnoreEnd: true})
	check(t, err)
	defer result.Close()
	again, err := s.Generate(background, Text(prompt), Params{MaxTokens: 8, IgnoreEnd: true})
	equal(t, tokens(t, again, err), tokens(t, must(s.Generate(background, Text(prompt), Params{MaxTokens: 8, IgnoreEnd: true})), nil))
	equal(t, must(result.Finish(0)), FinishLength)
	info, err := result.Info()
	equal(t, number(t, info, err, "usage.completion_tokens"), 8)
	equal(t, must(m.Detokenize(must(result.IDs(0)), 0)), must(result.Text(0)))
	info, err = s.Info()
	if number(t, info, err, "length") < 8 {
		t.Fatal("a short sequence")
	}
	_, err = result.Text(7)
	expect(t, Argument, err)
}

func TestParametersSteer(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	forced := Params{MaxTokens: 3, LogitBias: map[uint32]float32{80: 1e6}}
	result, err := s.Generate(background, Text(prompt), forced)
	check(t, err)
	letter := must(result.Text(0))[:1]
	equal(t, tokens(t, result, nil), "[80 80 80]")
	stopped := forced
	stopped.Stops = []string{letter}
	equal(t, finish(t, must(s.Generate(background, Text(prompt), stopped)), nil), FinishStop)
	stopped = forced
	stopped.StopIDs = []uint32{80}
	equal(t, finish(t, must(s.Generate(background, Text(prompt), stopped)), nil), FinishStop)
	late := Params{MaxTokens: 1000, Deadline: 1}
	equal(t, finish(t, must(s.Generate(background, Text(prompt), late)), nil), FinishDeadline)
	equal(t, finish(t, must(s.Generate(background, Text(prompt), Params{PrefillOnly: true})), nil), FinishPrefill)
	drawn := must(s.Generate(background, Text(prompt), Params{MaxTokens: 12, Temperature: 1, Choices: 2, RandomSeed: true}))
	info, err := drawn.Info()
	seed := number(t, info, err, "seed")
	same := must(s.Generate(background, Text(prompt), Params{MaxTokens: 12, Temperature: 1, Choices: 2, Seed: seed}))
	equal(t, must(same.Text(1)), must(drawn.Text(1)))
	same.Close()
	drawn.Close()
	recorded := must(s.Generate(background, Text(prompt), Params{MaxTokens: 5, IgnoreEnd: true, Candidates: 2}))
	rows := must(recorded.Logprobs(0))
	if len(rows) != 5 || len(rows[0]) != 3 || rows[0][0].ID != must(recorded.IDs(0))[0] || rows[0][0].Logprob > 0 {
		t.Fatal(rows)
	}
	recorded.Close()
	_, err = s.Generate(background, Text(prompt), Params{Temperature: -1})
	expect(t, Argument, err)
	_, err = s.Generate(background, make(Tokens, 3000), Params{})
	expect(t, ContextFull, err)
}

func TestCallbacksSeeEditAndStop(t *testing.T) {
	r, m := openTiny(t)
	s := newSession(t, m)
	masked := Params{MaxTokens: 3, OnMask: func(e MaskEvent) bool { e.AllowOnly(70, 71); e.Forbid(71); return true }}
	equal(t, tokens(t, must(s.Generate(background, Text(prompt), masked)), nil), "[70 70 70]")
	edited := Params{MaxTokens: 3, OnLogits: func(e LogitsEvent) bool { e.Logits[72] = 1e6; return true }}
	equal(t, tokens(t, must(s.Generate(background, Text(prompt), edited)), nil), "[72 72 72]")
	var text strings.Builder
	last, steps := FinishNone, 0
	seen := Params{MaxTokens: 20, IgnoreEnd: true,
		OnText:     func(e TextEvent) bool { text.WriteString(e.Text); last = e.Finish; return true },
		OnProgress: func(Progress) bool { steps++; return true }}
	result := must(s.Generate(background, Text(prompt), seen))
	equal(t, text.String(), must(result.Text(0)))
	equal(t, last, FinishLength)
	if steps == 0 {
		t.Fatal("no progress")
	}
	result.Close()
	var nested error
	stop := Params{MaxTokens: 200, OnText: func(TextEvent) bool { _, nested = r.ProcessEvents(0); return false }}
	equal(t, finish(t, must(s.Generate(background, Text(prompt), stop)), nil), FinishCallback)
	expect(t, Reentrant, nested)
}

func TestAPanicInACallbackGoesOnInTheCaller(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	caught := func(run func()) (panicked int) {
		defer func() { panicked, _ = recover().(int) }()
		run()
		return 0
	}
	params := Params{MaxTokens: 100, OnText: func(TextEvent) bool { panic(7) }}
	equal(t, caught(func() { _, _ = s.Generate(background, Text(prompt), params) }), 7)
	job := must(s.Start(Text(prompt), params, JobOptions{}))
	equal(t, caught(func() { _, _ = job.Result(background) }), 7)
	check(t, job.Close())
	must(s.Generate(background, Text(prompt), Params{MaxTokens: 2})).Close()
}

func TestTextStreamsOverAChannel(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	params := Params{MaxTokens: 40, IgnoreEnd: true}
	whole := must(s.Generate(background, Text(prompt), params))
	defer whole.Close()
	pieces, job, err := s.Stream(background, Text(prompt), params)
	check(t, err)
	text := ""
	for piece := range pieces {
		text += piece
	}
	equal(t, text, must(whole.Text(0)))
	equal(t, must(job.State()), JobDone)
	equal(t, must(job.Progress()).Done, 40)
	result := must(job.Result(background))
	equal(t, must(result.Text(0)), text)
	result.Close()
	check(t, job.Close())
}

func TestAContextStopsWhatRuns(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	ctx, cancel := context.WithCancel(background)
	long := Params{MaxTokens: 1900, IgnoreEnd: true, OnText: func(e TextEvent) bool {
		if len(e.Text) > 0 {
			cancel()
		}
		return true
	}}
	result, err := s.Generate(ctx, Text(prompt), long)
	if !errors.Is(err, context.Canceled) || result == nil || must(result.Text(0)) == "" {
		t.Fatal(result, err)
	}
	equal(t, must(result.Finish(0)), FinishCancelled)
	result.Close()
	_, err = s.Generate(ctx, Text(prompt), Params{})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	long.OnText = nil
	soon, done := context.WithTimeout(background, 20*time.Millisecond)
	defer done()
	check(t, s.Set(Setting{Key: "suspended", Number: 1})) // else it might be faster than that
	job := must(s.Start(Text(prompt), long, JobOptions{}))
	if err := job.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	check(t, s.Set(Setting{Key: "suspended"}))
	result, err = job.Result(soon)
	if !errors.Is(err, context.DeadlineExceeded) || result == nil {
		t.Fatal(result, err)
	}
	result.Close()
	job.Close()
	ctx, cancel = context.WithCancel(background)
	pieces, job, err := s.Stream(ctx, Text(prompt), long)
	check(t, err)
	<-pieces
	cancel()
	for range pieces {
	}
	result, err = job.Result(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	result.Close()
	job.Close()
}

func TestCallbacksOfAJobRunInItsMethodsOrSpontaneously(t *testing.T) {
	r, m := openTiny(t)
	for _, spontaneous := range []bool{false, true} {
		s := newSession(t, m)
		var seen int32
		params := Params{MaxTokens: 10, OnText: func(TextEvent) bool { atomic.AddInt32(&seen, 1); return true }}
		job := must(s.Start(Text(prompt), params, JobOptions{Spontaneous: spontaneous}))
		if !spontaneous {
			time.Sleep(10 * time.Millisecond)
			equal(t, atomic.LoadInt32(&seen), 0)
		}
		finish(t, must(job.Result(background)), nil)
		if seen == 0 {
			t.Fatal("no callback")
		}
		job.Close()
	}
	s := newSession(t, m)
	job := must(s.Start(Text(prompt), Params{MaxTokens: 10, OnText: func(TextEvent) bool { return true }}, JobOptions{}))
	delivered := uint64(0)
	for done := false; !done; { // once more after its end: it may come before the first look
		done = must(job.State()) == JobDone
		delivered += must(r.ProcessEvents(10 * time.Millisecond))
	}
	if delivered == 0 {
		t.Fatal("nothing delivered")
	}
	finish(t, must(job.Result(background)), nil)
	job.Close()
}

func TestASessionIsForOneCallAtATime(t *testing.T) {
	_, m := openTiny(t)
	s := must(m.NewSession(SessionOptions{Priority: Interactive}))
	defer s.Close()
	check(t, s.Set(Setting{Key: "suspended", Number: 1}))
	job := must(s.Start(Text(prompt), Params{MaxTokens: 4}, JobOptions{}))
	_, err := s.Generate(background, Text(prompt), Params{})
	expect(t, Busy, err)
	_, err = s.Start(Text(prompt), Params{}, JobOptions{})
	expect(t, Busy, err)
	check(t, s.Set(Setting{Key: "suspended"}))
	finish(t, must(job.Result(background)), nil)
	_, err = job.Result(background)
	expect(t, Argument, err)
	job.Close()
	_, err = job.State()
	expect(t, Handle, err)
	expect(t, UnknownField, s.Set(Setting{Key: "no.such"}))
	check(t, s.Set(Setting{Key: "no.such", Ignorable: true}))
}

func TestCursorsAndConversations(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	fim := Fim{Prefix: "int b = ", Suffix: ";\n", FileName: "b.c", Snippets: []Snippet{{"a.h", "int a;\n"}}}
	result := must(s.Fim(background, fim, Params{MaxTokens: 4}))
	info, err := result.Info()
	equal(t, number(t, info, err, "usage.prompt_tokens"), uint64(len(must(m.FimPrompt(fim)))))
	equal(t, tokens(t, must(s.Generate(background, &fim, Params{MaxTokens: 4})), nil), tokens(t, result, nil))
	typed := "a"
	fim.Typed, fim.Anchored = &typed, true
	must(s.Fim(background, fim, Params{MaxTokens: 4})).Close()
	chat := Chat{Messages: []Message{{"user", "Hello"}}, Template: "v3"}
	answer := must(s.Chat(background, chat, Params{MaxTokens: 4}))
	equal(t, tokens(t, must(s.Generate(background, &chat, Params{MaxTokens: 4})), nil), tokens(t, answer, nil))
}

func TestABatchGivesEachWhatItWouldGetAlone(t *testing.T) {
	_, m := openTiny(t)
	prompts := []Text{"int a;", "def b():", "c = 1", "int a;"}
	var alone []string
	var requests []Request
	seen := 0
	for i, prompt := range prompts {
		s := newSession(t, m)
		alone = append(alone, tokens(t, must(s.Generate(background, prompt, Params{MaxTokens: 10})), nil))
		requests = append(requests, Request{Session: s, Input: prompt, Params: Params{MaxTokens: 10}})
		if i == 0 {
			requests[i].Params.OnText = func(TextEvent) bool { seen++; return true }
		}
	}
	requests[3].Params.Temperature = -1
	requests[3].Params.OnText = func(TextEvent) bool { return true }
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	outcomes := must(GenerateBatch(ctx, requests))
	for i, outcome := range outcomes[:3] {
		equal(t, tokens(t, outcome.Result, outcome.Err), alone[i])
	}
	expect(t, Argument, outcomes[3].Err)
	if seen == 0 {
		t.Fatal("no callback")
	}
}

func TestLogits(t *testing.T) {
	_, m := openTiny(t)
	s := newSession(t, m)
	ids := []uint32{0, 65, 66, 67}
	all := must(s.Eval(background, Eval{IDs: ids, Want: WantAll}))
	equal(t, len(all.Values), 4*all.Vocab)
	for _, value := range all.Values {
		if math.IsNaN(float64(value)) || math.IsInf(float64(value), 0) {
			t.Fatal(value)
		}
	}
	check(t, s.Rewind(0))
	own := make([]float32, len(all.Values))
	_, err := s.Eval(background, Eval{IDs: ids, Want: WantAll, Logits: own[1:], NoReuse: true})
	expect(t, Buffer, err)
	var e *Error
	if !errors.As(err, &e) || e.BytesNeeded != uint64(len(own))*4 {
		t.Fatalf("%+v", e)
	}
	again := must(s.Eval(background, Eval{IDs: ids, Want: WantAll, Logits: own, Chunk: 2, NoReuse: true, NoStore: true}))
	equal(t, again.Computed, 4)
	for i := range own {
		equal(t, own[i], all.Values[i])
	}
	check(t, s.Rewind(3))
	last := must(s.Eval(background, Eval{IDs: ids[3:]}))
	equal(t, last.Values[0], all.Values[3*all.Vocab])
	expect(t, Argument, s.Rewind(100))
	_, err = s.Eval(background, Eval{})
	expect(t, Argument, err)
}

func TestSessionsOfOneModelRunSideBySide(t *testing.T) {
	_, m := openTiny(t)
	expected := tokens(t, must(newSession(t, m).Generate(background, Text(prompt), Params{MaxTokens: 12})), nil)
	var group sync.WaitGroup
	found := make(chan string, 12)
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			s := must(m.NewSession(SessionOptions{}))
			defer s.Close()
			for i := 0; i < 3; i++ {
				found <- tokens(t, must(s.Generate(background, Text(prompt), Params{MaxTokens: 12})), nil)
			}
		}()
	}
	group.Wait()
	close(found)
	for ids := range found {
		equal(t, ids, expected)
	}
}

func TestWhatIsForgottenIsClosedByFinalizers(t *testing.T) {
	_, m := openTiny(t)
	before := LiveObjects()
	func() {
		s := must(m.NewSession(SessionOptions{}))
		must(must(s.Generate(background, Text(prompt), Params{MaxTokens: 2})).Info())
		must(s.Start(Text(prompt), Params{MaxTokens: 1000}, JobOptions{}))
	}()
	for i := 0; LiveObjects() > before && i < 500; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	equal(t, LiveObjects(), before)
}

func TestAfterTheShutdownEverythingSaysSo(t *testing.T) {
	r := must(NewRuntime(RuntimeOptions{Threads: 2}))
	m := must(r.Open(background, tiny()))
	s := must(m.NewSession(SessionOptions{}))
	check(t, r.Shutdown(20*time.Second))
	_, err := s.Generate(background, Text(prompt), Params{})
	expect(t, ShutDown, err)
	_, err = m.NewSession(SessionOptions{})
	expect(t, ShutDown, err)
	check(t, r.Close())
	_, err = r.DeviceCount()
	expect(t, Handle, err)
	check(t, m.Close())
	check(t, s.Close())
	equal(t, LiveObjects(), 0)
}
