package op

import (
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Violation is a broken rule of the contract between operators and those who run them. It is always a bug.
type Violation struct{ Operator, Rule string }

// Error implements error.
func (v *Violation) Error() string { return "operator contract: " + v.Operator + ": " + v.Rule }

// Check wraps an operator so that each broken rule of the contract, by it or by its caller, is returned as a *Violation:
// the order of the life cycle, watermarks that go back, empty or malformed batches, in or out. In builds with the tag
// "invariants" it also overwrites each input after the call and each output after its Emit, so that whoever kept a
// reference reads garbage. The result is Stateful when the operator is.
func Check(o Operator) Operator { return check(o, poisonDefault) }

func check(o Operator, poison bool) Operator {
	c := &checked{op: o, watermark: types.MinTime, poison: poison}
	if s, ok := o.(Stateful); ok {
		return &checkedStateful{checked: c, state: s}
	}
	return c
}

// life is where an operator is between Open and Close. A closed one may be opened again: it starts anew.
type life uint8

const (
	made life = iota
	opened
	closed
)

type checked struct {
	op        Operator
	life      life
	watermark types.EventTime
	poison    bool
	in        poisoner // of inputs
}

func (c *checked) violation(rule string, args ...any) error {
	return &Violation{c.op.String(), fmt.Sprintf(rule, args...)}
}

// Open implements Operator.
func (c *checked) Open(ctx *expr.Ctx) error {
	if c.life == opened {
		return c.violation("Open called twice")
	}
	if ctx == nil {
		return c.violation("Open without a context")
	}
	c.life, c.watermark = opened, types.MinTime
	return c.op.Open(ctx)
}

// Process implements Operator.
func (c *checked) Process(port int, in Input, out Emitter) error {
	if c.life != opened {
		return c.violation("Process before Open or after Close")
	}
	if c.watermark == types.MaxTime {
		return c.violation("Process after the end of the input")
	}
	if rule := badInput(in); rule != "" {
		return c.violation("input: %s", rule)
	}
	if c.poison {
		in = c.in.copy(in)
		defer c.in.spoil()
	}
	return c.op.Process(port, in, &checkedEmitter{c: c, out: out})
}

// Advance implements Operator.
func (c *checked) Advance(watermark types.EventTime, out Emitter) error {
	if c.life != opened {
		return c.violation("Advance before Open or after Close")
	}
	if watermark < c.watermark {
		return c.violation("watermark went back from %d to %d", c.watermark, watermark)
	}
	c.watermark = watermark
	return c.op.Advance(watermark, &checkedEmitter{c: c, out: out})
}

// EndEpoch implements EpochEnder; it does nothing for other operators.
func (c *checked) EndEpoch(out Emitter) error {
	e, ok := c.op.(EpochEnder)
	if !ok {
		return nil
	}
	if c.life != opened {
		return c.violation("EndEpoch before Open or after Close")
	}
	return e.EndEpoch(&checkedEmitter{c: c, out: out})
}

// Holding implements EpochEnder.
func (c *checked) Holding() bool {
	e, ok := c.op.(EpochEnder)
	return ok && e.Holding()
}

// Close implements Operator.
func (c *checked) Close() error {
	if c.life != opened {
		return c.violation("Close before Open, or called twice")
	}
	c.life = closed
	return c.op.Close()
}

// String implements Operator.
func (c *checked) String() string { return c.op.String() }

// LateRows implements LateCounter; 0 when the operator counts none.
func (c *checked) LateRows() int64 {
	if l, ok := c.op.(LateCounter); ok {
		return l.LateRows()
	}
	return 0
}

type checkedStateful struct {
	*checked
	state    Stateful
	restored bool
	used     bool
}

var _ Stateful = (*checkedStateful)(nil)

// Process implements Operator.
func (c *checkedStateful) Process(port int, in Input, out Emitter) error {
	c.used = true
	return c.checked.Process(port, in, out)
}

// Snapshot implements Stateful.
func (c *checkedStateful) Snapshot(w StateWriter) error {
	if c.life != opened {
		return c.violation("Snapshot before Open or after Close")
	}
	return c.state.Snapshot(w)
}

// Changed implements AheadCopier; 0 when the operator is none.
func (c *checkedStateful) Changed() int {
	if a, ok := c.op.(AheadCopier); ok {
		return a.Changed()
	}
	return 0
}

// CopyAhead implements AheadCopier.
func (c *checkedStateful) CopyAhead(out StateWriter, most int) (int, error) {
	a, ok := c.op.(AheadCopier)
	if !ok {
		return 0, nil
	}
	if c.life != opened {
		return 0, c.violation("CopyAhead before Open or after Close")
	}
	return a.CopyAhead(out, most)
}

// Restore implements Stateful.
func (c *checkedStateful) Restore(r StateReader, own func(uint64) bool) error {
	if c.life != opened || c.restored || c.used {
		return c.violation("Restore must be called at most once, after Open and before Process")
	}
	c.restored = true
	return c.state.Restore(r, own)
}

type checkedEmitter struct {
	c   *checked
	out Emitter
}

// Emit implements Emitter.
func (e *checkedEmitter) Emit(in Input) error {
	if rule := badInput(in); rule != "" {
		return e.c.violation("output: %s", rule)
	}
	if len(in.Sel) == 0 {
		return e.c.violation("output: empty batch")
	}
	if !e.c.poison {
		return e.out.Emit(in)
	}
	var p poisoner
	in = p.copy(in)
	defer p.spoil()
	return e.out.Emit(in)
}

// badInput returns the rule that an input breaks, "" when it is well formed.
func badInput(in Input) string {
	b := in.B
	switch {
	case b == nil || b.Schema == nil:
		return "no batch or no schema"
	case len(b.Cols) != len(b.Schema.Cols):
		return fmt.Sprintf("%d columns for a schema of %d", len(b.Cols), len(b.Schema.Cols))
	}
	for i := range b.Cols {
		if rule := badColumn(&b.Cols[i], b.N); rule != "" {
			return fmt.Sprintf("column %s: %s", b.Schema.Cols[i].Name, rule)
		}
	}
	if n := len(b.Ops); n != 0 && n != b.N {
		return fmt.Sprintf("%d operations for %d rows", n, b.N)
	}
	for i, row := range in.Sel {
		if int(row) >= b.N {
			return fmt.Sprintf("selected row %d of %d", row, b.N)
		}
		if i > 0 && row <= in.Sel[i-1] {
			return "selection is not ascending"
		}
	}
	for i, m := range b.Behind {
		if int(m.Row) >= b.N || i > 0 && m.Row <= b.Behind[i-1].Row {
			return "rows behind the watermark are not ascending, or not in the batch"
		}
		if i > 0 && m.Watermark < b.Behind[i-1].Watermark {
			return "watermarks of rows behind it go back"
		}
	}
	return badKeys(in)
}

func badKeys(in Input) string {
	k := in.Keys
	if k == nil {
		return ""
	}
	if len(k.Hash) != len(in.Sel) || len(k.Off) != len(in.Sel)+1 {
		return fmt.Sprintf("%d keys for %d rows", len(k.Hash), len(in.Sel))
	}
	if !slices.IsSorted(k.Off) || int(k.Off[len(k.Off)-1]) > len(k.Buf) {
		return "offsets of keys are not within their bytes"
	}
	return ""
}

// badColumn checks the layout of a vector that should hold n rows.
func badColumn(v *batch.Vec, n int) string {
	if v.Absent {
		return ""
	}
	if v.N != n {
		return fmt.Sprintf("%d rows in a batch of %d", v.N, n)
	}
	if len(v.Nulls) != 0 && len(v.Nulls)*64 < n {
		return "bitmap of NULLs is too short"
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		if len(v.I64) != n {
			return fmt.Sprintf("%d integers for %d rows", len(v.I64), n)
		}
	case types.PhysFloat:
		if len(v.F64) != n {
			return fmt.Sprintf("%d floats for %d rows", len(v.F64), n)
		}
	default:
		if len(v.Off) != n+1 || v.Off[0] != 0 || !slices.IsSorted(v.Off) || int(v.Off[n]) > len(v.Buf) {
			return "offsets are not within the bytes"
		}
	}
	return ""
}

// poisoner hands out a copy of an input that it can spoil afterwards. Not the zero of each type: garbage shows.
type poisoner struct{ given []Input }

func (p *poisoner) copy(in Input) Input {
	b := *in.B
	b.Cols = make([]batch.Vec, len(in.B.Cols))
	for i := range b.Cols {
		b.Cols[i] = in.B.Cols[i]
		c := &b.Cols[i]
		c.I64, c.F64, c.Nulls = slices.Clone(c.I64), slices.Clone(c.F64), slices.Clone(c.Nulls)
		c.Off, c.Buf = slices.Clone(c.Off), slices.Clone(c.Buf)
	}
	b.Behind, b.Ops = slices.Clone(b.Behind), slices.Clone(b.Ops)
	out := Input{B: &b, Sel: slices.Clone(in.Sel), Others: in.Others, Several: in.Several}
	if in.Keys != nil {
		out.Keys = &batch.Keys{Hash: slices.Clone(in.Keys.Hash), Off: slices.Clone(in.Keys.Off), Buf: slices.Clone(in.Keys.Buf)}
	}
	p.given = append(p.given, out)
	return out
}

// Garbage that no test would expect.
const (
	poisonInt  = -0x5555555555555555
	poisonByte = 0xA5
)

func (p *poisoner) spoil() {
	for _, in := range p.given {
		for i := range in.B.Cols {
			c := &in.B.Cols[i]
			fill(c.I64, poisonInt)
			fill(c.F64, math.Inf(-1))
			fill(c.Buf, poisonByte)
			fill(c.Nulls, 0)
			fill(c.Off, 0)
		}
		fill(in.Sel, 0)
		if in.Keys != nil {
			fill(in.Keys.Buf, poisonByte)
			fill(in.Keys.Hash, 0)
			fill(in.Keys.Off, 0)
		}
	}
	p.given = p.given[:0]
}

func fill[T any](s []T, x T) {
	for i := range s {
		s[i] = x
	}
}
