package op

import (
	"errors"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// LookupJoin looks the rows of its input up in a table, as it is in the epoch or as it was at a time of the row. It keeps
// nothing and answers at once, in the order of the input.
type LookupJoin struct {
	spec  *spec.LookupJoin
	left  int // columns of the input
	ctx   *expr.Ctx
	keys  exprList // the keys, then AsOf
	cond  *expr.Evaluator
	probe expr.TableProbe
	enc   batch.Keys
	null  []bool
	// pairs are the rows of both sides: what comes out, or what Cond is evaluated over.
	pairs  batch.Batch
	failed rowFailures
	evalFn func(*batch.Batch, []uint32) error // the method eval, bound once
	kept   []uint32
	sel    []uint32
	at     []uint32 // the input row of each pair
	// found marks the probing rows that found something that Cond lets pass.
	found []bool
	// once: neither keys nor Cond read the input, so that one lookup answers for all rows.
	once bool
}

var _ Operator = (*LookupJoin)(nil)

var errNoTables = errors.New("no tables in this place")

// NewLookupJoin compiles a lookup; in is the schema of its input.
func NewLookupJoin(s *spec.LookupJoin, in *types.Schema) (*LookupJoin, error) {
	list := append([]expr.Expr(nil), s.Keys...)
	if s.AsOf != nil {
		list = append(list, s.AsOf)
	}
	keys, err := newExprList(list)
	if err != nil {
		return nil, err
	}
	j := &LookupJoin{spec: s, left: len(in.Cols), keys: keys}
	j.evalFn = j.eval
	j.probe = expr.TableProbe{Table: s.TableID, Cols: s.Cols, NullAware: s.NullAware}
	schema := &types.Schema{Cols: append(append([]types.Column(nil), in.Cols...), s.TableSchema.Cols...)}
	j.pairs = *batch.New(schema, nil)
	j.once = !j.joins() && len(s.Keys) == 0 && s.AsOf == nil && !readsBelow(s.Cond, j.left)
	switch {
	case !j.joins():
		j.probe.First = s.Cond == nil
	case s.Kind == spec.Left && s.Cond == nil:
		j.probe.Mark = expr.MarkMissed
	case s.Kind == spec.Left:
		j.probe.Mark = expr.MarkAll
	}
	if s.Cond != nil {
		j.cond, err = expr.Compile(s.Cond)
	}
	return j, err
}

// readsBelow tells whether an expression reads a column before column n.
func readsBelow(e expr.Expr, n int) bool {
	found := false
	if e != nil {
		expr.Walk(e, func(e expr.Expr) bool {
			c, ok := e.(*expr.Column)
			found = found || ok && c.Index < n
			return !found
		})
	}
	return found
}

// joins: the table's columns come out.
func (j *LookupJoin) joins() bool { return j.spec.Kind == spec.Inner || j.spec.Kind == spec.Left }

// Open implements Operator.
func (j *LookupJoin) Open(ctx *expr.Ctx) error {
	j.ctx = ctx
	return nil
}

// Process implements Operator.
func (j *LookupJoin) Process(_ int, in Input, out Emitter) error {
	if j.ctx.Tables == nil {
		return errNoTables
	}
	sel, err := j.failed.run(j.ctx, in.B, in.Sel, j.evalFn)
	if err != nil || len(sel) == 0 {
		return err
	}
	p := &j.probe
	p.N, p.More = len(sel), false
	if j.once {
		p.N = 1
	}
	j.encode(len(sel))
	if !j.joins() {
		return j.filter(in, sel, out)
	}
	for {
		j.begin(&in)
		if err := j.lookup(in.B, sel); err != nil {
			return err
		}
		if err := j.emit(in, out); err != nil || !p.More {
			return err
		}
	}
}

func (j *LookupJoin) eval(b *batch.Batch, sel []uint32) error { return j.keys.eval(j.ctx, b, sel) }

// encode makes the keys of n rows from the vectors.
func (j *LookupJoin) encode(n int) {
	vecs := j.keys.vecs
	j.probe.AsOf = nil
	if j.spec.AsOf != nil {
		vecs, j.probe.AsOf = vecs[:len(vecs)-1], vecs[len(vecs)-1]
	}
	j.enc.Build(vecs, n)
	j.null = j.null[:0]
	for i := range n {
		j.null = append(j.null, anyNull(vecs, i))
	}
	j.probe.Keys, j.probe.Null = &j.enc, j.null
}

// begin empties the pairs; columns that the input lacks are absent in them.
func (j *LookupJoin) begin(in *Input) {
	j.pairs.Reset(nil)
	for c := range in.B.Cols {
		j.pairs.Cols[c].Absent = in.B.Cols[c].Absent
	}
	for c := range j.spec.Want {
		j.pairs.Cols[j.left+c].Absent = !j.spec.Want[c]
	}
}

// lookup fills the pairs with the next results.
func (j *LookupJoin) lookup(b *batch.Batch, sel []uint32) error {
	p := &j.probe
	p.Into = j.pairs.Cols[j.left:]
	if err := j.ctx.Tables.Lookup(p); err != nil {
		return err
	}
	j.at = j.at[:0]
	for _, i := range p.Rows {
		j.at = append(j.at, sel[i])
	}
	for c := range b.Cols {
		if !b.Cols[c].Absent {
			appendRows(&j.pairs.Cols[c], &b.Cols[c], j.at)
		}
	}
	j.pairs.N = len(j.at)
	return nil
}

// emit sends the pairs that Cond lets pass, and rows of NULLs where a row has none.
func (j *LookupJoin) emit(in Input, out Emitter) error {
	sel := batch.All(j.pairs.N)
	if j.cond != nil {
		var err error
		if sel, err = j.pass(); err != nil {
			return err
		}
	}
	if len(sel) == 0 {
		return nil
	}
	j.pairs.Behind = behindOf(j.pairs.Behind[:0], in.B.Behind, j.at)
	j.pairs.Src = AppendSrc(j.pairs.Src[:0], in.B, j.at)
	j.pairs.Ops = j.pairs.Ops[:0]
	if len(in.B.Ops) > 0 {
		for _, row := range j.at {
			j.pairs.Ops = append(j.pairs.Ops, in.B.Ops[row])
		}
	}
	return out.Emit(Input{B: &j.pairs, Sel: sel, Others: in.Others, Several: in.Several})
}

// pass evaluates Cond over the pairs. Behind the pairs of each row stands its row of NULLs, which passes when none of them did
// (of LEFT; the row may have begun in the call before).
func (j *LookupJoin) pass() ([]uint32, error) {
	p := &j.probe
	if err := j.check(); err != nil {
		return nil, err
	}
	if p.Mark != expr.MarkAll {
		return j.kept, nil
	}
	j.sel = j.sel[:0]
	next := 0
	for i, mark := range p.Marks {
		hit := next < len(j.kept) && int(j.kept[next]) == i
		if hit {
			next++
		}
		if mark {
			hit = !j.hit(p.Rows[i])
		} else if hit {
			j.found[p.Rows[i]] = true
		}
		if hit {
			j.sel = append(j.sel, uint32(i))
		}
	}
	return j.sel, nil
}

// hit tells whether a probing row has found something, and forgets it.
func (j *LookupJoin) hit(row uint32) bool {
	was := j.found[row]
	j.found[row] = false
	return was
}

// check evaluates Cond over the pairs that are not marks. A pair for which it fails is none; the failure is reported for the
// input's row.
func (j *LookupJoin) check() error {
	p := &j.probe
	for len(j.found) < p.N {
		j.found = append(j.found, false)
	}
	j.sel = j.sel[:0]
	for i, mark := range p.Marks {
		if !mark {
			j.sel = append(j.sel, uint32(i))
		}
	}
	report := j.ctx.RowError
	if report != nil {
		j.ctx.RowError = func(row uint32, err error) { report(j.at[row], err) }
	}
	var err error
	j.kept, err = j.cond.Filter(j.ctx, &j.pairs, j.sel, j.kept[:0])
	j.ctx.RowError = report
	return err
}

// filter passes the rows that find something (Semi), or nothing (Anti).
func (j *LookupJoin) filter(in Input, sel []uint32, out Emitter) error {
	p := &j.probe
	for len(j.found) < len(sel) {
		j.found = append(j.found, false)
	}
	clear(j.found)
	for more := true; more; more = p.More {
		if err := j.search(in, sel); err != nil {
			return err
		}
		if j.once && j.found[0] {
			break
		}
	}
	p.More = false
	want := j.spec.Kind == spec.Semi
	j.sel = j.sel[:0]
	for i, row := range sel {
		hit := j.found[i]
		if j.once {
			hit = j.found[0]
		}
		if hit == want {
			j.sel = append(j.sel, row)
		}
	}
	if len(j.sel) == 0 {
		return nil
	}
	return out.Emit(Input{B: in.B, Sel: j.sel, Others: in.Others, Several: in.Several})
}

// search marks the probing rows that found something among the next results.
func (j *LookupJoin) search(in Input, sel []uint32) error {
	p := &j.probe
	if j.cond == nil {
		if err := j.ctx.Tables.Lookup(p); err != nil {
			return err
		}
		for _, i := range p.Rows {
			j.found[i] = true
		}
		return nil
	}
	j.begin(&in)
	if err := j.lookup(in.B, sel); err != nil {
		return err
	}
	if err := j.check(); err != nil {
		return err
	}
	for _, i := range j.kept {
		j.found[p.Rows[i]] = true
	}
	return nil
}

// behindOf appends the marks of rows that were made from rows of a batch: at lists those, ascending, perhaps repeated.
func behindOf(dst, behind []batch.Behind, at []uint32) []batch.Behind {
	if len(behind) == 0 {
		return dst
	}
	next := 0
	for i, row := range at {
		for next < len(behind) && behind[next].Row < row {
			next++
		}
		if next < len(behind) && behind[next].Row == row {
			dst = append(dst, batch.Behind{Row: uint32(i), Watermark: behind[next].Watermark})
		}
	}
	return dst
}

// Advance implements Operator: a lookup holds nothing back.
func (j *LookupJoin) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (j *LookupJoin) Close() error { return nil }

// String implements Operator.
func (j *LookupJoin) String() string { return "LookupJoin " + j.spec.Name }
