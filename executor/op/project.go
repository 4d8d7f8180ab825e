package op

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Project computes new columns. Columns that are taken over as they are share their memory with the input, when all its
// rows are selected.
type Project struct {
	spec   *spec.Project
	list   exprList
	failed rowFailures
	evalFn func(*batch.Batch, []uint32) error // the method eval, bound once
	ctx    *expr.Ctx
	out    batch.Batch
}

var _ Operator = (*Project)(nil)

// NewProject compiles the expressions; schema is the output schema.
func NewProject(s *spec.Project, schema *types.Schema) (*Project, error) {
	list, err := newExprList(s.Exprs)
	p := &Project{spec: s, list: list, out: batch.Batch{Schema: schema, Cols: make([]batch.Vec, len(s.Exprs))}}
	p.evalFn = p.eval
	return p, err
}

// Open implements Operator.
func (p *Project) Open(ctx *expr.Ctx) error {
	p.ctx = ctx
	return nil
}

func (p *Project) eval(b *batch.Batch, sel []uint32) error { return p.list.eval(p.ctx, b, sel) }

// Process implements Operator.
func (p *Project) Process(_ int, in Input, out Emitter) error {
	sel, err := p.failed.run(p.ctx, in.B, in.Sel, p.evalFn)
	if err != nil || len(sel) == 0 {
		return err
	}
	for i, v := range p.list.vecs {
		p.out.Cols[i] = *v
	}
	p.out.N = len(sel)
	p.out.Behind = renumber(p.out.Behind[:0], in.B.Behind, sel)
	p.out.Src = AppendSrc(p.out.Src[:0], in.B, sel)
	p.out.Ops = p.out.Ops[:0]
	if len(in.B.Ops) > 0 {
		for _, row := range sel {
			p.out.Ops = append(p.out.Ops, in.B.Ops[row])
		}
	}
	return out.Emit(Input{B: &p.out, Sel: batch.All(len(sel)), Others: in.Others, Several: in.Several})
}

// AppendSrc appends, for rows of b, which rows of the stream's batch they come from.
func AppendSrc(dst []uint32, b *batch.Batch, rows []uint32) []uint32 {
	if len(b.Src) == 0 {
		return append(dst, rows...)
	}
	for _, row := range rows {
		dst = append(dst, b.Src[row])
	}
	return dst
}

// renumber appends the marks of the rows of sel, by their places in sel.
func renumber(dst, behind []batch.Behind, sel []uint32) []batch.Behind {
	if len(behind) == 0 {
		return dst
	}
	next := 0
	for i, row := range sel {
		for next < len(behind) && behind[next].Row < row {
			next++
		}
		if next < len(behind) && behind[next].Row == row {
			dst = append(dst, batch.Behind{Row: uint32(i), Watermark: behind[next].Watermark})
		}
	}
	return dst
}

// Advance implements Operator: a projection holds nothing back.
func (p *Project) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (p *Project) Close() error { return nil }

// String implements Operator.
func (p *Project) String() string { return "Project " + exprText(p.spec.Exprs) }

// exprText joins expressions by commas.
func exprText(list []expr.Expr) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}
