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
	out   *outBatch
	// sets are the values of the current row's sets, by output column.
	sets [][]types.Value
	row  []types.Value
}

var _ Operator = (*ProjectSet)(nil)

// NewProjectSet compiles the expressions; schema is the output schema.
func NewProjectSet(s *spec.ProjectSet, schema *types.Schema, mem *Memory) (*ProjectSet, error) {
	n := len(s.Exprs)
	p := &ProjectSet{spec: s, mem: mem, plain: make([]*expr.Evaluator, n), args: make([][]*expr.Evaluator, n),
		defs: make([]*fn.SetDef, n), out: newOutBatch(schema), sets: make([][]types.Value, n),
		row: make([]types.Value, n)}
	for i := range s.Exprs {
		var err error
		if i < len(s.Funcs) && s.Funcs[i] != nil {
			if p.defs[i], err = findSet(s.Funcs[i]); err == nil {
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
	p.out.b.Reset(nil)
	return nil
}

// Process implements Operator.
func (p *ProjectSet) Process(_ int, in Input, out Emitter) error {
	plain := make([]*batch.Vec, len(p.plain))
	args := make([][]*batch.Vec, len(p.plain))
	for i := range p.plain {
		var err error
		if p.plain[i] != nil {
			plain[i], err = p.plain[i].Eval(p.ctx, in.B, in.Sel)
		} else {
			args[i], err = evalAll(p.ctx, p.args[i], in)
		}
		if err != nil {
			return err
		}
	}
	for r := range in.Sel {
		if err := p.one(plain, args, r, out); err != nil {
			return err
		}
	}
	return p.out.flush(out)
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

// one expands row r of the dense columns.
func (p *ProjectSet) one(plain []*batch.Vec, args [][]*batch.Vec, r int, out Emitter) error {
	longest := 0
	var held int64
	defer func() { p.mem.Release(held) }()
	for i, def := range p.defs {
		if def == nil {
			p.row[i] = plain[i].Value(r)
			continue
		}
		p.sets[i] = p.sets[i][:0]
		call := make([]types.Value, len(args[i]))
		for k, v := range args[i] {
			call[k] = v.Value(r)
		}
		err := callSet(p.ctx, def, call, func(row []types.Value) error {
			size := int64(valueFixedBytes + len(row[0].S))
			if err := p.mem.Grow(size); err != nil {
				return err
			}
			held += size
			p.sets[i] = append(p.sets[i], row[0])
			return nil
		})
		if err != nil {
			return err
		}
		longest = max(longest, len(p.sets[i]))
	}
	for k := range longest {
		for i, def := range p.defs {
			if def == nil {
				continue
			}
			if k < len(p.sets[i]) {
				p.row[i] = p.sets[i][k]
			} else {
				p.row[i] = types.Null(p.out.b.Cols[i].Type)
			}
		}
		if err := p.out.row(p.row, out); err != nil {
			return err
		}
	}
	return nil
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
