package deepseam

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"deepseam/internal/entry"
)

func TestTheLibrarySaysWhatItIs(t *testing.T) {
	equal(t, LibraryABIVersion(), ABIVersion)
	equal(t, Version(), "0.1.0")
	equal(t, Format.String(), "DS_E_FORMAT")
	equal(t, Code(-1).Error(), "DS_E_?")
	check(t, CheckABI(ABIVersion))
	expect(t, ABI, CheckABI(ABIVersion+1<<16))
}

func TestDevicesAndPluginsAreDescribed(t *testing.T) {
	r := newRuntime(t)
	if must(r.DeviceCount()) < 1 {
		t.Fatal("no device")
	}
	device := must(r.DeviceInfo(0))
	defer device.Close()
	equal(t, must(device.Text("kind")), "cpu")
	if must(device.Real("memory.total")) <= 0 || !strings.HasPrefix(must(device.JSON()), "{") {
		t.Fatal(must(device.JSON()))
	}
	_, err := device.Number("nothing.like.this")
	expect(t, NotFound, err)
	_, err = device.Number("name")
	expect(t, Argument, err)
	_, err = r.DeviceInfo(99)
	expect(t, Argument, err)
	equal(t, must(r.ProcessEvents(0)), 0)
}

func TestPluginsLoadByNameAndByEntry(t *testing.T) {
	other := newRuntime(t)
	must(other.DeviceCount())
	report := must(other.PluginReport())
	defer report.Close()
	folder := filepath.Dir(must(report.Text("plugins.0.path")))
	for _, linked := range []bool{false, true} {
		r := must(NewRuntime(RuntimeOptions{NoDefaultPlugins: true}))
		equal(t, must(r.DeviceCount()), 0)
		expect(t, NotFound, r.LoadPlugin("/no/such.dsplugin"))
		expect(t, Argument, r.RegisterBackend(nil))
		if linked {
			check(t, r.RegisterBackend(entry.Of(filepath.Join(folder, "deepseam-ref.so"))))
		} else {
			check(t, r.LoadPlugin(filepath.Join(folder, "deepseam-ref.dsplugin")))
		}
		equal(t, must(r.DeviceCount()), 1)
		check(t, must(r.Open(background, tiny())).Close())
		check(t, r.Close())
	}
}

func TestAProgramMayRefusePluginsAndHearTheLog(t *testing.T) {
	var asked, woken int32
	var mutex sync.Mutex
	var heard []string
	r := must(NewRuntime(RuntimeOptions{
		LogLevel: LogInfo,
		Log: func(level uint32, part, sentence string) {
			mutex.Lock()
			defer mutex.Unlock()
			heard = append(heard, part+": "+sentence)
		},
		VerifyPlugin: func(plugin PluginFile) Code {
			if len(plugin.Binary) > 1000 && plugin.Name != "" {
				atomic.AddInt32(&asked, 1)
			}
			return Permission
		},
		Wake: func() { atomic.AddInt32(&woken, 1) },
	}))
	equal(t, must(r.DeviceCount()), 0)
	report := must(r.PluginReport())
	expect(t, Plugin, r.LoadPlugin(must(report.Text("plugins.0.path"))))
	check(t, report.Close())
	check(t, r.Close())
	if asked == 0 || len(heard) == 0 || !strings.Contains(heard[0], " is not used: ") {
		t.Fatal(asked, heard)
	}
}

func TestAnUnreadLogWaits(t *testing.T) {
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "broken.dsplugin"), []byte("nothing of a manifest"), 0o600))
	r := must(NewRuntime(RuntimeOptions{LogLevel: LogInfo, PluginDirs: []string{folder}}))
	must(r.DeviceCount())
	level, text, err := r.ReadLog()
	check(t, err)
	if level != uint32(LogInfo) || !strings.Contains(text, "broken.dsplugin") {
		t.Fatal(level, text)
	}
	for err == nil {
		_, _, err = r.ReadLog()
	}
	if codeOf(err) != Pending {
		t.Fatal(err)
	}
	expect(t, Format, r.LoadPlugin(filepath.Join(folder, "broken.dsplugin")))
	check(t, r.Close())
}

type oneByOne struct{ runs *int32 }

func (oneByOne) Width() uint32    { return 2 }
func (oneByOne) Concurrent() bool { return false }
func (o oneByOne) Run(n uint32, task func(uint32)) {
	atomic.AddInt32(o.runs, 1)
	for i := uint32(0); i < n; i++ {
		task(i)
	}
}

func TestThreadsMayBeThePrograms(t *testing.T) {
	var runs int32
	r := must(NewRuntime(RuntimeOptions{TaskRunner: oneByOne{&runs}}))
	m := must(r.Open(background, tiny()))
	s := must(m.NewSession(SessionOptions{}))
	must(s.Generate(background, Text(prompt), Params{MaxTokens: 4})).Close()
	s.Close()
	m.Close()
	check(t, r.Close())
	if runs == 0 {
		t.Fatal("the runner was not asked")
	}
}

type memoryFile struct{ *bytes.Reader }

func (m memoryFile) Size() (int64, error) { return m.Reader.Size(), nil }

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
func (f failing) Size() (int64, error)              { return 100000, nil }

func TestAModelFromAnywhereIsTheSameModel(t *testing.T) {
	r := newRuntime(t)
	content := must(os.ReadFile(modelPath))
	open := func(name string) (File, error) {
		if name != "" {
			return nil, fs.ErrNotExist
		}
		return memoryFile{bytes.NewReader(content)}, nil
	}
	expected := ""
	for _, from := range []Source{Path(modelPath), Bytes(content), Files{Open: open}, Files{Open: open, Serial: true}} {
		options := tiny()
		options.Source = from
		m := must(r.Open(background, options))
		s := must(m.NewSession(SessionOptions{}))
		result, err := s.Generate(background, Text(prompt), Params{MaxTokens: 8})
		found := tokens(t, result, err)
		if expected == "" {
			expected = found
		}
		equal(t, found, expected)
		s.Close()
		m.Close()
	}
	for err, code := range map[error]Code{IO: IO, fs.ErrPermission: Permission, errors.New("odd"): IO} {
		options := tiny()
		failure := err
		options.Source = Files{Open: func(string) (File, error) { return failing{failure}, nil }}
		_, err := r.Open(background, options)
		expect(t, code, err)
	}
}

func TestWhatIsNoModelIsRefusedWithTheReason(t *testing.T) {
	r := newRuntime(t)
	open := func(change func(*ModelOptions)) error {
		options := tiny()
		change(&options)
		_, err := r.Open(background, options)
		return err
	}
	err := open(func(o *ModelOptions) { o.Source = Path("/no/such/model") })
	expect(t, NotFound, err)
	var e *Error
	if !errors.As(err, &e) || e.Path != "/no/such/model" || e.ByteOffset != -1 {
		t.Fatalf("%+v", e)
	}
	expect(t, Format, open(func(o *ModelOptions) { o.Source = Bytes(make([]byte, 5000)) }))
	expect(t, Argument, open(func(o *ModelOptions) { o.Source = nil }))
	expect(t, NoDevice, open(func(o *ModelOptions) { o.Backend = "abacus" }))
	expect(t, Budget, open(func(o *ModelOptions) { o.RAMBudget = 1000 }))
	expect(t, Stopped, open(func(o *ModelOptions) { o.OnProgress = func(Progress) bool { return false } }))
	expect(t, UnknownField, open(func(o *ModelOptions) { o.Settings = []Setting{{Key: "no.such"}} }))
	options := tiny()
	options.RAMBudget = 1000
	plan, err := r.Plan(options)
	equal(t, number(t, plan, err, "fits"), 0)
	plan, err = r.Plan(tiny())
	equal(t, number(t, plan, err, "fits"), 1)
	ctx, cancel := context.WithCancel(background)
	options = tiny()
	options.OnProgress = func(Progress) bool { cancel(); return true }
	if m, err := r.Open(ctx, options); err == nil {
		m.Close() // it was open before the cancelling was seen
	} else if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_, err = r.Open(ctx, tiny())
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestAModelOpensInTheBackground(t *testing.T) {
	r := newRuntime(t)
	var seen int32
	options := tiny()
	options.OnProgress = func(Progress) bool { atomic.AddInt32(&seen, 1); return true }
	job := must(r.OpenStart(options))
	must(job.Progress())
	m := must(job.Model(background))
	check(t, job.Close())
	info, err := m.Info()
	if number(t, info, err, "vocab") < 100 || seen == 0 {
		t.Fatal(seen)
	}
	check(t, m.Close())
	options.Source = Path("/no/such/model")
	missing := must(r.OpenStart(options))
	_, err = missing.Model(background)
	expect(t, NotFound, err)
	missing.Close()
}

func TestTextBecomesTokensAndBack(t *testing.T) {
	r, m := openTiny(t)
	text := "int x = 1; // 你"
	ids := must(m.Tokenize(background, text, NoBOS))
	equal(t, must(m.Detokenize(ids, 0)), text)
	options := tiny()
	options.NoWeights = true
	facts := must(r.Open(background, options))
	equal(t, must(facts.Detokenize(must(facts.Tokenize(background, text, NoBOS)), 0)), text)
	_, err := facts.NewSession(SessionOptions{})
	expect(t, Unsupported, err)
	facts.Close()
	var joined []byte
	for _, id := range ids {
		joined = append(joined, must(m.TokenText(id))...)
	}
	equal(t, string(joined), text)
	equal(t, len(must(m.Tokenize(background, "\xff", NoBOS))), 1)
	equal(t, must(m.Detokenize(nil, 0)), "")
	_, err = m.TokenText(1 << 30)
	expect(t, Argument, err)
	chat := Chat{Messages: []Message{{"user", "Hello"}}, Template: "v3"}
	if len(must(m.ChatPrompt(chat))) < 3 || len(must(m.FimPrompt(Fim{Prefix: "int add(", Suffix: ";\n"}))) < 3 {
		t.Fatal("short prompts")
	}
	chat.Template = "v9"
	_, err = m.ChatPrompt(chat)
	expect(t, Argument, err)
}

// adapterFolder is a PEFT folder that moves the logit of token i by i times the sum of what lm_head sees.
func adapterFolder(t *testing.T, m *Model) string {
	info := must(m.Info())
	defer info.Close()
	hidden, vocab := must(info.Number("hidden")), must(info.Number("vocab"))
	var header, data bytes.Buffer
	half := func(name string, rows, cols uint64, value func(i uint64) float32) {
		begin := data.Len()
		for i := uint64(0); i < rows*cols; i++ {
			check(t, binary.Write(&data, binary.LittleEndian, value(i)))
		}
		fmt.Fprintf(&header, `"base_model.model.lm_head.lora_%s.weight":{"dtype":"F32","shape":[%d,%d],"data_offsets":[%d,%d]}`,
			name, rows, cols, begin, data.Len())
	}
	header.WriteString("{")
	half("A", 1, hidden, func(uint64) float32 { return 1 })
	header.WriteString(",")
	half("B", vocab, 1, func(i uint64) float32 { return float32(i) })
	header.WriteString("}")
	length := binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "adapter_config.json"), []byte(`{"peft_type": "LORA", "r": 1, "lora_alpha": 1}`), 0o600))
	weights := append(append(length, header.Bytes()...), data.Bytes()...)
	check(t, os.WriteFile(filepath.Join(folder, "adapter_model.safetensors"), weights, 0o600))
	return folder
}

func TestAnAdapterChangesWhatIsGeneratedWithIt(t *testing.T) {
	_, m := openTiny(t)
	_, err := m.LoadAdapter(Path("/no/adapter"))
	expect(t, NotFound, err)
	adapter := must(m.LoadAdapter(Path(adapterFolder(t, m))))
	defer adapter.Close()
	s := newSession(t, m)
	run := func(a *Adapter) string {
		result, err := s.Generate(background, Text(prompt), Params{MaxTokens: 4, Adapter: a})
		return tokens(t, result, err)
	}
	if plain := run(nil); plain == run(adapter) || plain != run(nil) {
		t.Fatal("the adapter does nothing, or stays")
	}
	logits := func(a *Adapter) []float32 {
		check(t, s.Rewind(0))
		return must(s.Eval(background, Eval{IDs: []uint32{3, 4, 5}, Adapter: a})).Values
	}
	plain, adapted := logits(nil), logits(adapter)
	equal(t, plain[0], adapted[0]) // token 0 is moved by nothing
	if plain[9] == adapted[9] {
		t.Fatal("the adapter does nothing")
	}
}

func TestACacheIsSharedCountedAndEmptied(t *testing.T) {
	r := newRuntime(t)
	cache := must(r.OpenCache(CacheOptions{RAMBytes: 64 << 20}))
	options := tiny()
	options.Cache = cache
	m := must(r.Open(background, options))
	long := Text(strings.Repeat(prompt, 20))
	for i := 0; i < 2; i++ {
		s := must(m.NewSession(SessionOptions{}))
		must(s.Generate(background, long, Params{MaxTokens: 2})).Close()
		s.Close()
	}
	stats, err := cache.Stats()
	equal(t, number(t, stats, err, "hits"), 1)
	event := must(cache.ReadEvent())
	if event.Kind == 0 {
		t.Fatal(event)
	}
	for err == nil {
		_, err = cache.ReadEvent()
	}
	equal(t, codeOf(err), Pending)
	check(t, cache.Flush())
	check(t, cache.Trim(0))
	check(t, cache.Erase(""))
	stats, err = cache.Stats()
	equal(t, number(t, stats, err, "ram.bytes"), 0)
	m.Close()
	cache.Close()
}

func TestAModelIsPackedAndVerified(t *testing.T) {
	r := newRuntime(t)
	path := filepath.Join(t.TempDir(), "packed.dsm")
	pack := PackOptions{Source: Path(modelPath), Path: path, WeightType: "q8",
		Settings: []Setting{{Key: "keep", Text: "f16=o"}, {Key: "card", Text: "A card."}}}
	check(t, r.Pack(background, pack))
	var seen int32
	findings, err := r.Verify(background, Path(path), func(Progress) bool { seen++; return true })
	equal(t, number(t, findings, err, "ok"), 1)
	pack.OnProgress = func(Progress) bool { return false }
	expect(t, Stopped, r.Pack(background, pack))
	_, err = r.Verify(background, Path("/no/such/model"), nil)
	expect(t, NotFound, err)
	if seen == 0 {
		t.Fatal("no progress")
	}
}
