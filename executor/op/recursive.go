package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// RecursionRoundsMax bounds the rounds of one WITH RECURSIVE. Rows of many rounds are bounded by the memory of the
// statement only where they are kept, so a recursion that never ends is ended here, or by the statement's timeout.
const RecursionRoundsMax = 10_000_000

// WorkTable is rows that one operator writes and others read: the last round of a recursion, or what several readers share.
type WorkTable struct {
	rows *rowStore
	// full: the rows are all there. Of shared tables only.
	full bool
}

// NewWorkTable returns an empty table; its bytes count against mem.
func NewWorkTable(schema *types.Schema, mem *Memory) *WorkTable {
	return &WorkTable{rows: newRowStore(schema, mem)}
}

// emit gives all rows to out.
func (t *WorkTable) emit(out Emitter) error {
	for _, b := range t.rows.chunks {
		if b.N == 0 {
			continue
		}
		if err := out.Emit(Input{B: b, Sel: batch.All(b.N)}); err != nil {
			return err
		}
	}
	return nil
}

// Recursive is WITH RECURSIVE: see spec.Recursive. What its input gives is the first round.
type Recursive struct {
	spec *spec.Recursive
	ctx  *expr.Ctx
	mem  *Memory
	// work is what the round under way reads, next what it has given so far.
	work *WorkTable
	next *rowStore
	step func(outer [][]types.Value, emit func(Input) error) error
	// seen are the rows that have come out, without ALL.
	seen map[string]struct{}
	held int64
	key  []byte
	sel  []uint32
	max  int // rounds
}

var _ Operator = (*Recursive)(nil)

// NewRecursive returns the operator; step runs the recursive term over the rows of work.
func NewRecursive(s *spec.Recursive, work *WorkTable, step func(outer [][]types.Value, emit func(Input) error) error, mem *Memory) *Recursive {
	return &Recursive{spec: s, mem: mem, work: work, step: step, next: newRowStore(work.rows.schema, mem), max: RecursionRoundsMax}
}

// Open implements Operator.
func (r *Recursive) Open(ctx *expr.Ctx) error {
	r.ctx = ctx
	r.drop()
	if !r.spec.All {
		r.seen = map[string]struct{}{}
	}
	return nil
}

func (r *Recursive) drop() {
	r.mem.Release(r.held)
	r.held, r.seen = 0, nil
	r.work.rows.reset()
	r.next.reset()
}

// Process implements Operator.
func (r *Recursive) Process(_ int, in Input, out Emitter) error {
	if !r.spec.All {
		var err error
		if in.Sel, err = r.fresh(in); err != nil {
			return err
		}
	}
	if len(in.Sel) == 0 {
		return nil
	}
	if err := r.next.add(in); err != nil {
		return err
	}
	view := *in.B
	view.Schema = r.next.schema
	return out.Emit(Input{B: &view, Sel: in.Sel})
}

// fresh selects the rows that have not come before.
func (r *Recursive) fresh(in Input) ([]uint32, error) {
	r.sel = r.sel[:0]
	for _, row := range in.Sel {
		r.key = r.key[:0]
		for c := range in.B.Cols {
			r.key = batch.AppendKey(r.key, &in.B.Cols[c], int(row))
		}
		if _, ok := r.seen[string(r.key)]; ok {
			continue
		}
		size := int64(len(r.key) + chainBytes)
		if err := r.mem.Grow(size); err != nil {
			return nil, err
		}
		r.held += size
		r.seen[string(r.key)] = struct{}{}
		r.sel = append(r.sel, row)
	}
	return r.sel, nil
}

// Advance implements Operator: the input is complete, the rounds follow.
func (r *Recursive) Advance(_ types.EventTime, out Emitter) error {
	enough := false
	for round := 0; r.next.n > 0; round++ {
		if round >= r.max {
			return sqlerr.New(sqlerr.ProgramLimitExceeded, "recursive query %q has not ended after %d rounds", r.spec.Name, r.max).
				WithHint("Bound the recursion in the WHERE clause of its recursive term.")
		}
		r.work.rows, r.next = r.next, r.work.rows
		r.next.reset()
		err := r.step(r.ctx.OuterRows, func(in Input) error {
			err := r.Process(0, in, out)
			enough = enough || err == ErrDone
			return err
		})
		if err != nil {
			return err
		}
		if enough {
			return ErrDone
		}
	}
	return nil
}

// Close implements Operator.
func (r *Recursive) Close() error {
	r.drop()
	return nil
}

// String implements Operator.
func (r *Recursive) String() string { return "Recursive " + r.spec.Name }

// WorkScan reads a work table.
type WorkScan struct {
	spec  *spec.WorkScan
	table *WorkTable
}

var _ Source = (*WorkScan)(nil)

// NewWorkScan returns the source.
func NewWorkScan(s *spec.WorkScan, t *WorkTable) *WorkScan { return &WorkScan{s, t} }

// Open implements Source.
func (w *WorkScan) Open(*expr.Ctx) error { return nil }

// Run implements Source.
func (w *WorkScan) Run(out Emitter) error { return w.table.emit(out) }

// Close implements Source.
func (w *WorkScan) Close() error { return nil }

// String implements Source.
func (w *WorkScan) String() string { return fmt.Sprintf("WorkScan %s", w.spec.Name) }

// Shared keeps its input's rows in a table that outlives it: the first one to run fills it, all give its rows.
type Shared struct {
	spec  *spec.Shared
	table *WorkTable
}

var _ Sated = (*Shared)(nil)

// NewShared returns the operator over the table of its ID.
func NewShared(s *spec.Shared, t *WorkTable) *Shared { return &Shared{s, t} }

// Sated implements Sated: a full table needs no input.
func (s *Shared) Sated() bool { return s.table.full }

// Open implements Operator. What a run left behind that ended early is dropped.
func (s *Shared) Open(*expr.Ctx) error {
	if !s.table.full {
		s.table.rows.reset()
	}
	return nil
}

// Process implements Operator.
func (s *Shared) Process(_ int, in Input, _ Emitter) error { return s.table.rows.add(in) }

// Advance implements Operator.
func (s *Shared) Advance(_ types.EventTime, out Emitter) error {
	s.table.full = true
	return s.table.emit(out)
}

// Close implements Operator.
func (s *Shared) Close() error { return nil }

// String implements Operator.
func (s *Shared) String() string { return "Shared " + s.spec.Name }
