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

// TestCheckFires: each rule of the contract, broken once, is reported, and by the right words.
func TestCheckFires(t *testing.T) {
	ctx := &expr.Ctx{}
	good := Input{B: twoColumns(3), Sel: []uint32{0, 2}}
	spoiled := func(change func(*Input)) Input {
		in := Input{B: twoColumns(3), Sel: []uint32{0, 2}}
		change(&in)
		return in
	}
	run := func(f *fakeOp, steps func(Operator) error) func() error {
		return func() error {
			c := Check(f)
			if err := c.Open(ctx); err != nil {
				return err
			}
			return steps(c)
		}
	}
	feed := func(in Input) func() error {
		return run(&fakeOp{}, func(c Operator) error { return c.Process(0, in, emitFunc(discard)) })
	}
	emit := func(in Input) func() error {
		f := &fakeOp{advance: func(out Emitter) error { return out.Emit(in) }}
		return run(f, func(c Operator) error { return c.Advance(1, emitFunc(discard)) })
	}
	for want, broken := range map[string]func() error{
		"": feed(good),
		"Process before Open": func() error {
			return Check(&fakeOp{}).Process(0, good, emitFunc(discard))
		},
		"Open without a context": func() error { return Check(&fakeOp{}).Open(nil) },
		"Open called twice":      run(&fakeOp{}, func(c Operator) error { return c.Open(ctx) }),
		"Process before Open or after Close": run(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Close(), c.Process(0, good, emitFunc(discard)))
		}),
		"Advance before Open or after Close": run(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Close(), c.Advance(1, emitFunc(discard)))
		}),
		"Close before Open, or called twice": run(&fakeOp{}, func(c Operator) error { return errors.Join(c.Close(), c.Close()) }),
		"watermark went back from 5 to 4": run(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Advance(5, emitFunc(discard)), c.Advance(5, emitFunc(discard)), c.Advance(4, emitFunc(discard)))
		}),
		"Process after the end": run(&fakeOp{}, func(c Operator) error {
			return errors.Join(c.Advance(types.MaxTime, emitFunc(discard)), c.Process(0, good, emitFunc(discard)))
		}),
		"no batch":                  feed(Input{}),
		"1 columns for a schema":    feed(spoiled(func(in *Input) { in.B.Cols = in.B.Cols[:1] })),
		"column k: 2 rows":          feed(spoiled(func(in *Input) { in.B.Cols[0].N = 2 })),
		"column k: 2 integers":      feed(spoiled(func(in *Input) { in.B.Cols[0].I64 = in.B.Cols[0].I64[:2] })),
		"column s: offsets are not": feed(spoiled(func(in *Input) { in.B.Cols[1].Off[3] = 99 })),
		"column k: 0 floats": feed(spoiled(func(in *Input) {
			in.B.Cols[0].Type = types.T(types.Float8)
		})),
		"bitmap of NULLs is too short": feed(spoiled(func(in *Input) {
			in.B, in.Sel = twoColumns(65), nil
			in.B.Cols[0].Nulls = []uint64{1}
		})),
		"selected row 3 of 3":        feed(spoiled(func(in *Input) { in.Sel = []uint32{3} })),
		"selection is not ascending": feed(spoiled(func(in *Input) { in.Sel = []uint32{1, 1} })),
		"rows behind the watermark are": feed(spoiled(func(in *Input) {
			in.B.Behind = []batch.Behind{{Row: 2}, {Row: 1}}
		})),
		"watermarks of rows behind it go back": feed(spoiled(func(in *Input) {
			in.B.Behind = []batch.Behind{{Row: 1, Watermark: 9}, {Row: 2, Watermark: 8}}
		})),
		"1 keys for 2 rows":       feed(spoiled(func(in *Input) { in.Keys = &batch.Keys{Hash: []uint64{1}, Off: []uint32{0, 0}} })),
		"offsets of keys are not": feed(spoiled(func(in *Input) { in.Keys = &batch.Keys{Hash: []uint64{1, 2}, Off: []uint32{0, 0, 4}} })),
		"output: empty batch":     emit(Input{B: twoColumns(3)}),
		"output: selected row 7":  emit(Input{B: twoColumns(3), Sel: []uint32{7}}),
	} {
		err := broken()
		if want == "" {
			if err != nil {
				t.Errorf("nothing is wrong, but: %v", err)
			}
			continue
		}
		if _, ok := errors.AsType[*Violation](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
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
