package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// ProjectSet computes output columns of which some are sets: each input row becomes as many rows as its longest set has,
// shorter sets are filled up with NULL, and a row whose sets are all empty vanishes.
type ProjectSet struct {
	spec  *spec.ProjectSet
	mem   *Memory
	ctx   *expr.Ctx
	plain []*expr.Evaluator   // by output column; nil for sets
	args  [][]*expr.Evaluator // by output column; nil for plain ones
	defs  []*fn.SetDef
	names [][]string // by output column: the fields of rows
	out   *batch.Batch
	from  []uint32 // by row of out: the input's row
	// sets are the values of the current row's sets, by output column.
	sets [][]types.Value
	row  []types.Value
	// Of the batch being processed: dense columns of the rows that can be evaluated.
	values []*batch.Vec
	calls  [][]*batch.Vec
	failed rowFailures
}

var _ Operator = (*ProjectSet)(nil)

// NewProjectSet compiles the expressions; schema is the output schema.
func NewProjectSet(s *spec.ProjectSet, schema *types.Schema, mem *Memory) (*ProjectSet, error) {
	n := len(s.Exprs)
	p := &ProjectSet{spec: s, mem: mem, plain: make([]*expr.Evaluator, n), args: make([][]*expr.Evaluator, n),
		defs: make([]*fn.SetDef, n), names: make([][]string, n), out: batch.New(schema, nil), sets: make([][]types.Value, n),
		row: make([]types.Value, n), values: make([]*batch.Vec, n), calls: make([][]*batch.Vec, n)}
	for i := range s.Exprs {
		var err error
		if i < len(s.Funcs) && s.Funcs[i] != nil {
			if p.defs[i], err = findSet(s.Funcs[i]); err == nil {
				p.names[i] = columnNames(p.defs[i], s.Funcs[i])
				p.args[i], err = compileAll(s.Funcs[i].Args)
			}
		} else {
			p.plain[i], err = expr.Compile(s.Exprs[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// columnNames are the names of a set's columns.
func columnNames(def *fn.SetDef, f *spec.FuncScan) []string {
	if def.Cols == nil {
		return nil
	}
	args := make([]types.Type, len(f.Args))
	for i, a := range f.Args {
		args[i] = a.Type()
	}
	var names []string
	for _, c := range def.Cols(args) {
		names = append(names, c.Name)
	}
	return names
}

// compileAll compiles a list of expressions.
func compileAll(list []expr.Expr) ([]*expr.Evaluator, error) {
	out := make([]*expr.Evaluator, len(list))
	for i, e := range list {
		ev, err := expr.Compile(e)
		if err != nil {
			return nil, err
		}
		out[i] = ev
	}
	return out, nil
}

// Open implements Operator.
func (p *ProjectSet) Open(ctx *expr.Ctx) error {
	p.ctx = ctx
	p.out.Reset(nil)
	p.from = p.from[:0]
	return nil
}

// Process implements Operator. A row whose set fails is reported and left out where the context takes errors of rows.
func (p *ProjectSet) Process(_ int, in Input, out Emitter) error {
	sel, err := p.failed.run(p.ctx, in.B, in.Sel, p.eval)
	if err != nil {
		return err
	}
	for r, row := range sel {
		n, err := p.expand(r)
		if err != nil && p.ctx.RowError != nil {
			p.ctx.RowError(row, err)
			continue
		}
		if err != nil {
			return err
		}
		for k := range n {
			if err := p.add(in, row, k, out); err != nil {
				return err
			}
		}
	}
	return p.flush(in, out)
}

// eval computes the plain columns and the arguments of the sets.
func (p *ProjectSet) eval(b *batch.Batch, sel []uint32) error {
	for i := range p.plain {
		var err error
		if p.plain[i] != nil {
			p.values[i], err = p.plain[i].Eval(p.ctx, b, sel)
		} else {
			p.calls[i], err = evalAll(p.ctx, p.args[i], Input{B: b, Sel: sel})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flush emits what is there, with the marks of the input's rows; an empty batch is never emitted.
func (p *ProjectSet) flush(in Input, out Emitter) error {
	if p.out.N == 0 {
		return nil
	}
	p.out.Behind = renumber(p.out.Behind[:0], in.B.Behind, p.from)
	p.out.Src = AppendSrc(p.out.Src[:0], in.B, p.from)
	if len(in.B.Ops) > 0 {
		for _, row := range p.from {
			p.out.Ops = append(p.out.Ops, alone(in.B.Ops[row]))
		}
	}
	err := out.Emit(Input{B: p.out, Sel: batch.All(p.out.N), Others: in.Others, Several: in.Several})
	p.out.Reset(nil)
	p.from = p.from[:0]
	return err
}

// evalAll evaluates each expression over the input's rows.
func evalAll(ctx *expr.Ctx, list []*expr.Evaluator, in Input) ([]*batch.Vec, error) {
	out := make([]*batch.Vec, len(list))
	for i, ev := range list {
		v, err := ev.Eval(ctx, in.B, in.Sel)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// expand computes the sets of row r of the dense columns, and tells how long the longest is.
func (p *ProjectSet) expand(r int) (longest int, err error) {
	var held int64
	defer func() { p.mem.Release(held) }()
	for i, def := range p.defs {
		if def == nil {
			p.row[i] = p.values[i].Value(r)
			continue
		}
		p.sets[i] = p.sets[i][:0]
		call := make([]types.Value, len(p.calls[i]))
		for k, v := range p.calls[i] {
			call[k] = v.Value(r)
		}
		err := callSet(p.ctx, def, call, func(row []types.Value) error {
			v := row[0]
			if p.spec.Funcs[i].Row {
				v = types.NewRecord(row, p.names[i])
			}
			size := int64(valueFixedBytes + len(v.S))
			if err := p.mem.Grow(size); err != nil {
				return err
			}
			held += size
			p.sets[i] = append(p.sets[i], v)
			return nil
		})
		if err != nil {
			return 0, err
		}
		longest = max(longest, len(p.sets[i]))
	}
	return longest, nil
}

// add emits, or keeps for the next batch, the input's row with element k of each set.
func (p *ProjectSet) add(in Input, row uint32, k int, out Emitter) error {
	for i, def := range p.defs {
		switch {
		case def == nil:
		case k < len(p.sets[i]):
			p.row[i] = p.sets[i][k]
		default:
			p.row[i] = types.Null(p.out.Cols[i].Type)
		}
	}
	p.out.AppendRow(p.row)
	if p.from = append(p.from, row); p.out.N < batch.RowsMax {
		return nil
	}
	return p.flush(in, out)
}

// alone is an operation on a row without its other half: the rows of an update do not follow each other any more.
func alone(o batch.Op) batch.Op {
	switch o {
	case batch.UpdateBefore:
		return batch.Delete
	case batch.UpdateAfter:
		return batch.Insert
	}
	return o
}

// valueFixedBytes is what a types.Value takes besides the bytes of its string.
const valueFixedBytes = 48

// Advance implements Operator.
func (p *ProjectSet) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (p *ProjectSet) Close() error { return nil }

// String implements Operator.
func (p *ProjectSet) String() string {
	return fmt.Sprintf("ProjectSet (%d columns)", len(p.spec.Exprs))
}
