package op

import (
	"errors"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// fakeOp does what its test says.
type fakeOp struct {
	process func(in Input, out Emitter) error
	advance func(out Emitter) error
}

func (f *fakeOp) Open(*expr.Ctx) error { return nil }
func (f *fakeOp) Process(_ int, in Input, out Emitter) error {
	if f.process == nil {
		return nil
	}
	return f.process(in, out)
}
func (f *fakeOp) Advance(_ types.EventTime, out Emitter) error {
	if f.advance == nil {
		return nil
	}
	return f.advance(out)
}
func (f *fakeOp) Close() error   { return nil }
func (f *fakeOp) String() string { return "fake" }

// fakeStateful is a fakeOp with nothing to keep.
type fakeStateful struct{ fakeOp }

func (f *fakeStateful) Snapshot(StateWriter) error                       { return nil }
func (f *fakeStateful) Restore(_ StateReader, _ func(uint64) bool) error { return nil }

type emitFunc func(Input) error

func (f emitFunc) Emit(in Input) error { return f(in) }

func discard(Input) error { return nil }

// twoColumns is a batch of n rows: k 0, 1, 2, ... and s "s".
func twoColumns(n int) *batch.Batch {
	b := batch.New(&types.Schema{Cols: []types.Column{{Name: "k", Type: types.T(types.Int8)}, {Name: "s", Type: types.T(types.Text)}}}, nil)
	for i := range n {
		b.AppendRow([]types.Value{types.NewInt(types.Int8, int64(i)), types.NewText("s")})
	}
	return b
}

// breaches are operators and callers that break one rule each, by the words of the report.
type breaches map[string]func() error

// expect runs them; each must end in a Violation with its words.
func (b breaches) expect(t *testing.T) {
	t.Helper()
	for want, broken := range b {
		err := broken()
		if _, ok := errors.AsType[*Violation](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// afterOpen runs steps on a checked, opened operator.
func afterOpen(f *fakeOp, steps func(Operator) error) func() error {
	return func() error {
		c := Check(f)
		if err := c.Open(&expr.Ctx{}); err != nil {
			return err
		}
		return steps(c)
	}
}

// TestCheckLifeCycle: each rule of the order of calls, broken once, is reported.
func TestCheckLifeCycle(t *testing.T) {
	good := Input{B: twoColumns(3), Sel: []uint32{0, 2}}
	out := emitFunc(discard)
	if err := afterOpen(&fakeOp{}, func(c Operator) error {
		return errors.Join(c.Process(0, good, out), c.Advance(5, out), c.Advance(5, out), c.Close(), c.Open(&expr.Ctx{}), c.Advance(4, out))
	})(); err != nil {
		t.Errorf("nothing is wrong, but: %v", err)
	}
	breaches{
		"Process before Open":    func() error { return Check(&fakeOp{}).Process(0, good, out) },
		"Open without a context": func() error { return Check(&fakeOp{}).Open(nil) },
		"Open called twice":      afterOpen(&fakeOp{}, func(c Operator) error { return c.Open(&expr.Ctx{}) }),
		"Process before Open or after Close": afterOpen(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Close(), c.Process(0, good, out))
		}),
		"Advance before Open or after Close": afterOpen(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Close(), c.Advance(1, out))
		}),
		"Close before Open, or called twice": afterOpen(&fakeOp{}, func(c Operator) error { return errors.Join(c.Close(), c.Close()) }),
		"watermark went back from 5 to 4": afterOpen(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Advance(5, out), c.Advance(4, out))
		}),
		"Process after the end": afterOpen(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Advance(types.MaxTime, out), c.Process(0, good, out))
		}),
	}.expect(t)
}

// TestCheckBatches: each malformed batch, in or out, is reported.
func TestCheckBatches(t *testing.T) {
	feed := func(change func(*Input)) func() error {
		in := Input{B: twoColumns(3), Sel: []uint32{0, 2}}
		change(&in)
		return afterOpen(&fakeOp{}, func(c Operator) error { return c.Process(0, in, emitFunc(discard)) })
	}
	emit := func(in Input) func() error {
		f := &fakeOp{advance: func(out Emitter) error { return out.Emit(in) }}
		return afterOpen(f, func(c Operator) error { return c.Advance(1, emitFunc(discard)) })
	}
	breaches{
		"no batch":                  feed(func(in *Input) { in.B = nil }),
		"1 columns for a schema":    feed(func(in *Input) { in.B.Cols = in.B.Cols[:1] }),
		"column k: 2 rows":          feed(func(in *Input) { in.B.Cols[0].N = 2 }),
		"column k: 2 integers":      feed(func(in *Input) { in.B.Cols[0].I64 = in.B.Cols[0].I64[:2] }),
		"column s: offsets are not": feed(func(in *Input) { in.B.Cols[1].Off[3] = 99 }),
		"column k: 0 floats":        feed(func(in *Input) { in.B.Cols[0].Type = types.T(types.Float8) }),
		"bitmap of NULLs is too short": feed(func(in *Input) {
			in.B, in.Sel = twoColumns(65), nil
			in.B.Cols[0].Nulls = []uint64{1}
		}),
		"selected row 3 of 3":        feed(func(in *Input) { in.Sel = []uint32{3} }),
		"selection is not ascending": feed(func(in *Input) { in.Sel = []uint32{1, 1} }),
		"rows behind the watermark are": feed(func(in *Input) {
			in.B.Behind = []batch.Behind{{Row: 2}, {Row: 1}}
		}),
		"watermarks of rows behind it go back": feed(func(in *Input) {
			in.B.Behind = []batch.Behind{{Row: 1, Watermark: 9}, {Row: 2, Watermark: 8}}
		}),
		"1 keys for 2 rows":       feed(func(in *Input) { in.Keys = &batch.Keys{Hash: []uint64{1}, Off: []uint32{0, 0}} }),
		"offsets of keys are not": feed(func(in *Input) { in.Keys = &batch.Keys{Hash: []uint64{1, 2}, Off: []uint32{0, 0, 4}} }),
		"output: empty batch":     emit(Input{B: twoColumns(3)}),
		"output: selected row 7":  emit(Input{B: twoColumns(3), Sel: []uint32{7}}),
	}.expect(t)
}

// TestCheckStateful: snapshots and restores have their place in the life cycle; other operators do not become Stateful.
func TestCheckStateful(t *testing.T) {
	if _, ok := Check(&fakeOp{}).(Stateful); ok {
		t.Error("an operator without state became Stateful")
	}
	c := Check(&fakeStateful{}).(Stateful)
	own := func(uint64) bool { return true }
	for i, broken := range []func() error{
		func() error { return c.Snapshot(nil) },
		func() error { return c.Restore(nil, own) },
		func() error {
			return errors.Join(c.Open(&expr.Ctx{}), c.Restore(nil, own), c.Snapshot(nil), c.Restore(nil, own))
		},
	} {
		if _, ok := errors.AsType[*Violation](broken()); !ok {
			t.Errorf("case %d is not reported", i)
		}
	}
}

// TestCheckPoisons: who keeps an input or an output beyond the call reads garbage.
func TestCheckPoisons(t *testing.T) {
	var keptIn Input
	f := &fakeOp{process: func(in Input, out Emitter) error {
		keptIn = in
		return out.Emit(in)
	}}
	c := check(f, true)
	if err := c.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	var keptOut Input
	seen := ""
	in := Input{B: twoColumns(3), Sel: []uint32{0, 2}, Keys: &batch.Keys{Hash: []uint64{1, 2}, Off: []uint32{0, 1, 2}, Buf: []byte("ab")}}
	err := c.Process(0, in, emitFunc(func(out Input) error {
		keptOut = out
		seen = string(out.B.Cols[1].Bytes(2)) + string(out.Keys.Key(1))
		return nil
	}))
	if err != nil || seen != "sb" {
		t.Fatalf("during the call: %q, %v", seen, err)
	}
	for name, kept := range map[string]Input{"input": keptIn, "output": keptOut} {
		if kept.B.Cols[0].I64[2] == 2 || kept.B.Cols[1].Buf[0] == 's' || kept.Sel[1] == 2 || kept.Keys.Buf[0] == 'a' {
			t.Errorf("%s is still readable after the call", name)
		}
	}
	if in.B.Cols[0].I64[2] != 2 || in.Sel[1] != 2 || string(in.Keys.Buf) != "ab" {
		t.Error("the caller's own batch was spoiled")
	}
}
