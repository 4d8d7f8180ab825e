package op

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// collector keeps the first column of what is emitted, up to a number of rows.
type collector struct {
	got []int64
	max int
}

func (c *collector) Emit(in Input) error {
	for _, i := range in.Sel {
		c.got = append(c.got, in.B.Cols[0].I64[i])
	}
	if c.max > 0 && len(c.got) >= c.max {
		return ErrDone
	}
	return nil
}

// counting runs a recursion whose rounds give each row of the round before plus one, modulo mod.
func counting(all bool, mod int64, mem *Memory, rounds int, out *collector) error {
	schema := &types.Schema{Cols: []types.Column{{Name: "n", Type: types.T(types.Int8)}}}
	work := NewWorkTable(schema, mem)
	step := func(_ [][]types.Value, emit func(Input) error) error {
		return work.emit(emitFunc(func(in Input) error {
			b := batch.New(schema, nil)
			for _, i := range in.Sel {
				b.AppendRow([]types.Value{types.NewInt(types.Int8, (in.B.Cols[0].I64[i]+1)%mod)})
			}
			return emit(Input{B: b, Sel: batch.All(b.N)})
		}))
	}
	r := NewRecursive(&spec.Recursive{Name: "t", All: all}, work, step, mem)
	r.max = rounds
	if err := r.Open(&expr.Ctx{}); err != nil {
		return err
	}
	defer r.Close()
	first := batch.New(schema, nil)
	first.AppendRow([]types.Value{types.NewInt(types.Int8, 0)})
	if err := r.Process(0, Input{B: first, Sel: batch.All(1)}, out); err != nil {
		return err
	}
	return r.Advance(types.MaxTime, out)
}

func TestRecursiveEnds(t *testing.T) {
	out := &collector{}
	if err := counting(false, 4, NewMemory(0), 100, out); err != nil {
		t.Fatal(err)
	}
	if len(out.got) != 4 {
		t.Errorf("UNION gave %v, want each of four rows once", out.got)
	}
	out = &collector{max: 7}
	if err := counting(true, 4, NewMemory(0), 100, out); err != ErrDone {
		t.Errorf("a consumer with enough got %v", err)
	}
	if len(out.got) != 7 {
		t.Errorf("a consumer of seven rows got %v", out.got)
	}
}

func TestRecursiveLimits(t *testing.T) {
	err := counting(true, 4, NewMemory(0), 100, &collector{})
	if e := sqlerr.As(err); err == nil || e.Code != sqlerr.ProgramLimitExceeded || !strings.Contains(e.Message, "after 100 rounds") || e.Hint == "" {
		t.Errorf("a recursion without end gave %v", err)
	}
	if err := counting(false, 1<<40, NewMemory(10_000), 1<<30, &collector{}); err == nil || sqlerr.As(err).Code != sqlerr.OutOfMemory {
		t.Errorf("a recursion that keeps too many rows gave %v", err)
	}
	mem := NewMemory(1 << 20)
	_ = counting(false, 4, mem, 100, &collector{})
	if mem.used != 0 {
		t.Errorf("%d bytes are still held after Close", mem.used)
	}
}
