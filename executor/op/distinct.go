package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Distinct passes the first row of each key: the whole row, or the expressions of DISTINCT ON.
type Distinct struct {
	spec *spec.Distinct
	mem  *Memory
	ctx  *expr.Ctx
	on   []*expr.Evaluator
	seen map[string]struct{}
	held int64
	key  []byte
	sel  []uint32
}

var _ Operator = (*Distinct)(nil)

// NewDistinct compiles DISTINCT.
func NewDistinct(s *spec.Distinct, mem *Memory) (*Distinct, error) {
	on, err := compileAll(s.On)
	return &Distinct{spec: s, mem: mem, on: on}, err
}

// Open implements Operator.
func (d *Distinct) Open(ctx *expr.Ctx) error {
	d.ctx = ctx
	d.drop()
	d.seen = map[string]struct{}{}
	return nil
}

func (d *Distinct) drop() {
	d.mem.Release(d.held)
	d.held, d.seen = 0, nil
}

// Process implements Operator.
func (d *Distinct) Process(_ int, in Input, out Emitter) error {
	on, err := evalAll(d.ctx, d.on, in)
	if err != nil {
		return err
	}
	d.sel = d.sel[:0]
	for i, r := range in.Sel {
		d.key = d.key[:0]
		for _, c := range on {
			d.key = batch.AppendKey(d.key, c, i)
		}
		for c := range in.B.Cols {
			if len(on) == 0 {
				d.key = batch.AppendKey(d.key, &in.B.Cols[c], int(r))
			}
		}
		if _, ok := d.seen[string(d.key)]; ok {
			continue
		}
		size := int64(len(d.key) + chainBytes)
		if err := d.mem.Grow(size); err != nil {
			return err
		}
		d.held += size
		d.seen[string(d.key)] = struct{}{}
		d.sel = append(d.sel, r)
	}
	if len(d.sel) == 0 {
		return nil
	}
	return out.Emit(Input{B: in.B, Sel: d.sel})
}

// Advance implements Operator.
func (d *Distinct) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (d *Distinct) Close() error {
	d.drop()
	return nil
}

// String implements Operator.
func (d *Distinct) String() string {
	if len(d.spec.On) == 0 {
		return "Distinct"
	}
	return fmt.Sprintf("Distinct on %v", d.spec.On)
}
