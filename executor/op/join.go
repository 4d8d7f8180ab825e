package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Join joins port 0 (probe, the left side) with port 1 (build, the right side), which comes first and is kept in
// memory: by hash of the equality keys, or as a nested loop when there are none.
type Join struct {
	spec        *spec.Join
	left, right int // column counts
	mem         *Memory
	ctx         *expr.Ctx

	leftKeys, rightKeys []*expr.Evaluator
	cond                *expr.Evaluator

	build *rowStore
	table hashTable
	// matched marks build rows that found a partner (RIGHT and FULL).
	matched []bool
	held    int64

	keys  batch.Keys
	pairs pairBatch
}

var _ PortAdvancer = (*Join)(nil)

// NewJoin compiles a join that is not lateral; schema is the output schema, right the schema of port 1.
func NewJoin(s *spec.Join, schema, right *types.Schema, mem *Memory) (*Join, error) {
	j := &Join{spec: s, left: len(schema.Cols) - len(right.Cols), right: len(right.Cols), mem: mem,
		build: newRowStore(right, mem)}
	j.pairs.out = newOutBatch(schema)
	var err error
	if j.leftKeys, err = compileAll(s.LeftKeys); err != nil {
		return nil, err
	}
	if j.rightKeys, err = compileAll(s.RightKeys); err != nil {
		return nil, err
	}
	if s.Cond != nil {
		j.cond, err = expr.Compile(s.Cond)
	}
	return j, err
}

// Open implements Operator.
func (j *Join) Open(ctx *expr.Ctx) error {
	j.ctx = ctx
	j.drop()
	j.pairs.reset()
	return nil
}

// drop forgets the build side.
func (j *Join) drop() {
	j.build.reset()
	j.mem.Release(j.held)
	j.held, j.matched = 0, nil
	j.table = hashTable{}
}

// Process implements Operator.
func (j *Join) Process(port int, in Input, out Emitter) error {
	if port == 1 {
		return j.addBuild(in)
	}
	return j.probe(in, out)
}

// addBuild keeps rows of the right side, indexed by key. A row with a NULL key finds no partner; it is kept for outer joins.
func (j *Join) addBuild(in Input) error {
	first := j.build.n
	if err := j.build.add(in); err != nil {
		return err
	}
	if len(j.rightKeys) == 0 {
		return nil
	}
	vecs, err := evalAll(j.ctx, j.rightKeys, in)
	if err != nil {
		return err
	}
	j.keys.Build(vecs, len(in.Sel))
	for i := range in.Sel {
		if anyNull(vecs, i) {
			j.table.skip()
			continue
		}
		size := j.table.add(j.keys.Key(i), first+i)
		if err := j.mem.Grow(size); err != nil {
			return err
		}
		j.held += size
	}
	return nil
}

// anyNull reports whether a column is NULL in row i.
func anyNull(cols []*batch.Vec, i int) bool {
	for _, c := range cols {
		if c.IsNull(i) {
			return true
		}
	}
	return false
}

// AdvancePort implements PortAdvancer: the build side is complete.
func (j *Join) AdvancePort(int, types.EventTime, Emitter) error {
	if j.keepsRight() {
		j.matched = make([]bool, j.build.n)
	}
	return nil
}

func (j *Join) keepsRight() bool { return j.spec.Kind == spec.Right || j.spec.Kind == spec.Full }
func (j *Join) keepsLeft() bool  { return j.spec.Kind == spec.Left || j.spec.Kind == spec.Full }

// probe pairs rows of the left side with their candidates, in the order of the left side.
func (j *Join) probe(in Input, out Emitter) error {
	if len(j.leftKeys) > 0 {
		vecs, err := evalAll(j.ctx, j.leftKeys, in)
		if err != nil {
			return err
		}
		j.keys.Build(vecs, len(in.Sel))
		// The keys stay valid, the vectors need not: NULLs are noted before anything else is evaluated.
		nulls := make([]bool, len(in.Sel))
		for i := range in.Sel {
			nulls[i] = anyNull(vecs, i)
		}
		return j.probeRows(in, nulls, out)
	}
	return j.probeRows(in, nil, out)
}

func (j *Join) probeRows(in Input, nulls []bool, out Emitter) error {
	for i, row := range in.Sel {
		hit := false
		switch {
		case len(j.leftKeys) == 0:
			for r := range j.build.n {
				if err := j.candidate(in.B, row, r, &hit, out); err != nil {
					return err
				}
			}
		case !nulls[i]:
			for r := j.table.first(j.keys.Key(i)); r >= 0; r = j.table.next[r] {
				if err := j.candidate(in.B, row, int(r), &hit, out); err != nil {
					return err
				}
			}
		}
		if !j.keepsLeft() {
			continue
		}
		// Whether the row found a partner must be known before it is given up.
		if err := j.settle(&hit, out); err != nil {
			return err
		}
		if !hit {
			j.pairs.addLeft(in.B, row, j.left)
			if err := j.pairs.emitIfFull(out); err != nil {
				return err
			}
		}
	}
	return j.finish(out)
}

// candidate adds the pair of a left row and build row r; pairs are checked against the condition in bulk.
func (j *Join) candidate(left *batch.Batch, row uint32, r int, hit *bool, out Emitter) error {
	right, i := j.build.at(r)
	j.pairs.add(left, row, j.left, right, i)
	if j.cond == nil {
		*hit = true
		if j.matched != nil {
			j.matched[r] = true
		}
		return j.pairs.emitIfFull(out)
	}
	j.pairs.open = append(j.pairs.open, r)
	if len(j.pairs.open) < pairsMax {
		return nil
	}
	return j.settle(hit, out)
}

// settle checks the open pairs, drops those that fail, and notes the partners found.
func (j *Join) settle(hit *bool, out Emitter) error {
	if len(j.pairs.open) == 0 {
		return nil
	}
	if err := j.mem.poll(); err != nil {
		return err
	}
	passed, err := j.pairs.check(j.ctx, j.cond)
	if err != nil {
		return err
	}
	for _, r := range passed {
		*hit = true
		if j.matched != nil {
			j.matched[r] = true
		}
	}
	return j.pairs.emitIfFull(out)
}

// finish checks and emits what is pending at the end of an input batch, whose memory is not ours any longer.
func (j *Join) finish(out Emitter) error {
	var hit bool
	if err := j.settle(&hit, out); err != nil {
		return err
	}
	return j.pairs.out.flush(out)
}

// Advance implements Operator: at the end of the left side the build rows without partner come out of RIGHT and FULL.
func (j *Join) Advance(watermark types.EventTime, out Emitter) error {
	if watermark != types.MaxTime || j.matched == nil {
		return nil
	}
	for r, m := range j.matched {
		if m {
			continue
		}
		b, i := j.build.at(r)
		j.pairs.addRight(j.left, b, i)
		if err := j.pairs.emitIfFull(out); err != nil {
			return err
		}
	}
	return j.pairs.out.flush(out)
}

// Close implements Operator.
func (j *Join) Close() error {
	j.drop()
	return nil
}

// String implements Operator.
func (j *Join) String() string {
	how := "HashJoin"
	if len(j.leftKeys) == 0 {
		how = "NestedLoop"
	}
	return fmt.Sprintf("%s %s", how, joinKinds[j.spec.Kind])
}

var joinKinds = [...]string{spec.Inner: "inner", spec.Left: "left", spec.Right: "right", spec.Full: "full", spec.Cross: "cross"}
