package op

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Sort orders its whole input, stable.
type Sort struct {
	spec *spec.Sort
	ctx  *expr.Ctx
	keys []*expr.Evaluator
	rows *rowStore
	// sortKeys holds the evaluated keys of each row.
	sortKeys *rowStore
	out      *outBatch
}

var _ Operator = (*Sort)(nil)

// NewSort compiles ORDER BY over rows of a schema.
func NewSort(s *spec.Sort, schema *types.Schema, mem *Memory) (*Sort, error) {
	keys, err := compileSortKeys(s.Keys)
	if err != nil {
		return nil, err
	}
	return &Sort{spec: s, keys: keys, rows: newRowStore(schema, mem), sortKeys: newRowStore(sortSchema(s.Keys), mem),
		out: newOutBatch(schema)}, nil
}

func compileSortKeys(keys []spec.SortKey) ([]*expr.Evaluator, error) {
	list := make([]expr.Expr, len(keys))
	for i, k := range keys {
		list[i] = k.X
	}
	return compileAll(list)
}

// sortSchema is the row type of evaluated sort keys.
func sortSchema(keys []spec.SortKey) *types.Schema {
	s := &types.Schema{Cols: make([]types.Column, len(keys))}
	for i, k := range keys {
		s.Cols[i] = types.Column{Name: "key", Type: k.X.Type()}
	}
	return s
}

// Open implements Operator.
func (s *Sort) Open(ctx *expr.Ctx) error {
	s.ctx = ctx
	s.rows.reset()
	s.sortKeys.reset()
	s.out.b.Reset(nil)
	return nil
}

// Process implements Operator.
func (s *Sort) Process(_ int, in Input, _ Emitter) error {
	vecs, err := evalAll(s.ctx, s.keys, in)
	if err != nil {
		return err
	}
	if err := s.sortKeys.addVecs(vecs, len(in.Sel)); err != nil {
		return err
	}
	return s.rows.add(in)
}

// Advance implements Operator: the end of the input starts the output.
func (s *Sort) Advance(watermark types.EventTime, out Emitter) error {
	if watermark != types.MaxTime {
		return nil
	}
	order := make([]int32, s.rows.n)
	for i := range order {
		order[i] = int32(i)
	}
	sortRows(order, s.sortKeys, s.spec.Keys)
	b := s.out.b
	for _, r := range order {
		src, i := s.rows.at(int(r))
		for c := range b.Cols {
			if src.Cols[c].Absent {
				b.Cols[c].Absent = true
				continue
			}
			b.Cols[c].AppendFrom(&src.Cols[c], i)
		}
		if b.N++; b.N == batch.RowsMax {
			if err := s.out.flush(out); err != nil {
				return err
			}
		}
	}
	return s.out.flush(out)
}

// sortRows orders row numbers by their keys in store, stable.
func sortRows(order []int32, store *rowStore, keys []spec.SortKey) {
	slices.SortStableFunc(order, func(a, b int32) int {
		ba, ia := store.at(int(a))
		bb, ib := store.at(int(b))
		for k := range keys {
			if c := compareKey(&ba.Cols[k], ia, &bb.Cols[k], ib, &keys[k]); c != 0 {
				return c
			}
		}
		return 0
	})
}

// compareKey compares one sort key of two rows.
func compareKey(a *batch.Vec, i int, b *batch.Vec, j int, key *spec.SortKey) int {
	an, bn := a.IsNull(i), b.IsNull(j)
	switch {
	case an && bn:
		return 0
	case an != bn:
		if an == key.NullsFirst {
			return -1
		}
		return 1
	}
	c := compareRows(a, i, b, j)
	if key.Desc {
		return -c
	}
	return c
}

// compareRows compares two values that are not NULL in the order of their type.
func compareRows(a *batch.Vec, i int, b *batch.Vec, j int) int {
	switch {
	case a.Type.Phys() == types.PhysInt:
		return cmp.Compare(a.I64[i], b.I64[j])
	case a.Type.Kind.IsText() && a.Type.Kind != types.BPChar:
		return bytes.Compare(a.Bytes(i), b.Bytes(j))
	}
	return types.Compare(a.Value(i), b.Value(j))
}

// Close implements Operator.
func (s *Sort) Close() error {
	s.rows.reset()
	s.sortKeys.reset()
	return nil
}

// String implements Operator.
func (s *Sort) String() string { return "Sort " + sortKeysString(s.spec.Keys) }

// sortKeysString prints ORDER BY terms.
func sortKeysString(keys []spec.SortKey) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k.X.String()
		if k.Desc {
			parts[i] += " desc"
		}
		if k.NullsFirst != k.Desc {
			parts[i] += map[bool]string{true: " nulls first", false: " nulls last"}[k.NullsFirst]
		}
	}
	return strings.Join(parts, ", ")
}
