package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Union concatenates its inputs under one schema.
type Union struct {
	schema *types.Schema
	ports  int
	view   batch.Batch
}

var _ Operator = (*Union)(nil)

// NewUnion returns a UNION ALL of the given number of inputs.
func NewUnion(schema *types.Schema, ports int) *Union { return &Union{schema: schema, ports: ports} }

// Open implements Operator.
func (u *Union) Open(*expr.Ctx) error { return nil }

// Process implements Operator.
func (u *Union) Process(_ int, in Input, out Emitter) error {
	u.view = *in.B
	u.view.Schema = u.schema
	in.B = &u.view
	return out.Emit(in)
}

// Advance implements Operator.
func (u *Union) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (u *Union) Close() error { return nil }

// String implements Operator.
func (u *Union) String() string { return "Union" }

// SetOp is INTERSECT or EXCEPT: port 1 is counted by row, port 0 is kept or dropped against the counts.
type SetOp struct {
	spec *spec.SetOp
	view batch.Batch
	mem  *Memory
	held int64
	// counts has the rows of port 1 that are not used up. Without ALL, spent marks rows that have come out already.
	counts map[string]int64
	spent  map[string]struct{}
	schema *types.Schema
	key    []byte
	sel    []uint32
}

var _ PortAdvancer = (*SetOp)(nil)

// NewSetOp returns an INTERSECT or EXCEPT.
func NewSetOp(s *spec.SetOp, schema *types.Schema, mem *Memory) *SetOp {
	return &SetOp{spec: s, mem: mem, schema: schema}
}

// Open implements Operator.
func (s *SetOp) Open(*expr.Ctx) error {
	s.drop()
	s.counts, s.spent = map[string]int64{}, map[string]struct{}{}
	return nil
}

func (s *SetOp) drop() {
	s.mem.Release(s.held)
	s.held, s.counts, s.spent = 0, nil, nil
}

// grow charges one key.
func (s *SetOp) grow() error {
	size := int64(len(s.key) + chainBytes)
	if err := s.mem.Grow(size); err != nil {
		return err
	}
	s.held += size
	return nil
}

// Process implements Operator.
func (s *SetOp) Process(port int, in Input, out Emitter) error {
	s.sel = s.sel[:0]
	for _, r := range in.Sel {
		s.key = s.key[:0]
		for c := range in.B.Cols {
			s.key = batch.AppendKey(s.key, &in.B.Cols[c], int(r))
		}
		if port == 1 {
			n, ok := s.counts[string(s.key)]
			if !ok {
				if err := s.grow(); err != nil {
					return err
				}
			}
			s.counts[string(s.key)] = n + 1
			continue
		}
		keep, err := s.keep()
		if err != nil {
			return err
		}
		if keep {
			s.sel = append(s.sel, r)
		}
	}
	if len(s.sel) == 0 {
		return nil
	}
	s.view = *in.B
	s.view.Schema = s.schema
	return out.Emit(Input{B: &s.view, Sel: s.sel})
}

// keep decides on the left row whose key is in s.key.
func (s *SetOp) keep() (bool, error) {
	n := s.counts[string(s.key)]
	if s.spec.All {
		if n > 0 {
			s.counts[string(s.key)] = n - 1
		}
		return (n > 0) != s.spec.Except, nil
	}
	if (n > 0) == s.spec.Except {
		return false, nil
	}
	if _, seen := s.spent[string(s.key)]; seen {
		return false, nil
	}
	s.spent[string(s.key)] = struct{}{}
	return true, s.grow()
}

// AdvancePort implements PortAdvancer.
func (s *SetOp) AdvancePort(int, types.EventTime, Emitter) error { return nil }

// Advance implements Operator.
func (s *SetOp) Advance(types.EventTime, Emitter) error { return nil }

// Close implements Operator.
func (s *SetOp) Close() error {
	s.drop()
	return nil
}

// String implements Operator.
func (s *SetOp) String() string {
	name := "Intersect"
	if s.spec.Except {
		name = "Except"
	}
	if s.spec.All {
		name += " all"
	}
	return name
}
