package agg

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Runner computes users' aggregates, in processes of its own. Calls block until they are done or a limit is broken, which is a
// *sqlerr.Error with a UDF* code.
type Runner interface {
	// Aggregate does one step for many groups.
	Aggregate(id uint64, s *Step) error
	// Merges reports that the aggregate can put two states together.
	Merges(id uint64) bool
}

// StepKind is what a Step does to its groups.
type StepKind byte

// The steps.
const (
	// Accumulate folds rows into states, Merge one state into another; both give states.
	Accumulate StepKind = 'a'
	Merge      StepKind = 'm'
	// Finish gives results.
	Finish StepKind = 'f'
)

// Step is the work of a Runner for the groups of one batch. States are the bytes that the Runner gave before.
type Step struct {
	Kind StepKind
	// States has a row of bytea for each group, NULL where it has none yet. Others are the states that Merge adds.
	States, Others *batch.Vec
	// Counts are how many rows of Args each group has; the rows stand in the order of the groups.
	Counts []uint32
	Args   []*batch.Vec
	// Out takes a state, or for Finish a result, for each group. A row, or for Finish a group, that fails is told RowErr, and
	// leaves the state as it was, or a NULL.
	Out    *batch.Vec
	RowErr func(row int, err error)
}

// Script is a user's aggregate. A group's state is what the Runner makes of it, kept as a block of the heap: one word.
type Script struct {
	Runner Runner // nil: there is none here
	ID     uint64
	Name   string
	Args   []types.Type
	Ret    types.Type
}

var _ RowFailer = Script{}

// RowFailer is a kernel whose Update may fail for single rows.
type RowFailer interface {
	Kernel
	// UpdateRows is Update that tells of rows which fail, by their place in args, and goes on without them.
	UpdateRows(s *Slab, off int, gids []uint32, args []*batch.Vec, failed func(i int, err error)) error
}

// DefOf is the definition of a user's aggregate: over its own argument types.
func (k Script) DefOf() *Def {
	return &Def{
		Name: k.Name,
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if !slices.Equal(args, k.Args) {
				return nil, false
			}
			if distinct {
				return distinctRows{args: k.Args, inner: k, keepNull: true}, true
			}
			return k, true
		},
		Params: func(args []types.Type) []types.Type {
			if len(args) != len(k.Args) {
				return nil
			}
			return k.Args
		},
	}
}

// ScriptOf returns the user's aggregate that a kernel computes, false when it is none.
func ScriptOf(k Kernel) (Script, bool) {
	switch k := k.(type) {
	case Script:
		return k, true
	case distinctRows:
		return ScriptOf(k.inner)
	case orderedRows:
		return ScriptOf(k.inner)
	}
	return Script{}, false
}

// NeedsMerge reports that a kernel is a user's aggregate that has no way of putting two states together, although windows want that.
func NeedsMerge(k Kernel) (name string, lacks bool) {
	s, ok := k.(Script) // the others keep rows
	return s.Name, ok && (s.Runner == nil || !s.Runner.Merges(s.ID))
}

// Words implements Kernel.
func (Script) Words() int { return 1 }

// Type implements Kernel.
func (k Script) Type() types.Type { return k.Ret }

func (k Script) run(s *Step) error {
	if k.Runner == nil {
		return sqlerr.NotSupported("JavaScript", "This server runs without JavaScript workers.")
	}
	return k.Runner.Aggregate(k.ID, s)
}

// Update implements Kernel.
func (k Script) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	var first error
	err := k.UpdateRows(s, off, gids, args, func(_ int, err error) {
		if first == nil {
			first = err
		}
	})
	if err == nil {
		err = first
	}
	return err
}

// UpdateRows implements RowFailer.
func (k Script) UpdateRows(s *Slab, off int, gids []uint32, args []*batch.Vec, failed func(i int, err error)) error {
	if len(gids) == 0 {
		return nil
	}
	order, groups, counts := byGroup(gids)
	step := Step{Kind: Accumulate, States: k.states(s, off, groups), Counts: counts, Out: newVec(types.T(types.Bytea))}
	for i, a := range args {
		v := newVec(k.Args[i])
		for _, row := range order {
			if a.Type.Phys() != v.Type.Phys() {
				v.AppendNull() // an untyped NULL
				continue
			}
			v.AppendFrom(a, int(row))
		}
		step.Args = append(step.Args, v)
	}
	type failure struct {
		row int
		err error
	}
	var failures []failure
	step.RowErr = func(row int, err error) { failures = append(failures, failure{int(order[row]), err}) }
	if err := k.run(&step); err != nil {
		return err
	}
	slices.SortFunc(failures, func(a, b failure) int { return a.row - b.row })
	for _, f := range failures {
		failed(f.row, f.err)
	}
	return k.store(s, off, groups, step.Out)
}

// byGroup orders rows by their groups, which are in the order of their first rows; rows of a group stay in order.
func byGroup(gids []uint32) (order, groups, counts []uint32) {
	at := make(map[uint32]uint32, len(gids))
	places := make([]uint32, len(gids))
	for i, g := range gids {
		p, ok := at[g]
		if !ok {
			p = uint32(len(groups))
			at[g] = p
			groups, counts = append(groups, g), append(counts, 0)
		}
		places[i] = p
		counts[p]++
	}
	next := make([]uint32, len(groups))
	sum := uint32(0)
	for p, n := range counts {
		next[p] = sum
		sum += n
	}
	order = make([]uint32, len(gids))
	for i, p := range places {
		order[next[p]] = uint32(i)
		next[p]++
	}
	return order, groups, counts
}

func newVec(t types.Type) *batch.Vec {
	v := &batch.Vec{}
	v.Reset(t)
	return v
}

// states gathers the states of groups.
func (k Script) states(s *Slab, off int, gids []uint32) *batch.Vec {
	v := newVec(types.T(types.Bytea))
	for _, g := range gids {
		k.state(v, s, s.word(off, g))
	}
	return v
}

func (Script) state(v *batch.Vec, s *Slab, at int) {
	if b := s.block(at); b != nil {
		v.AppendBytes(b)
	} else {
		v.AppendNull()
	}
}

func (k Script) store(s *Slab, off int, gids []uint32, states *batch.Vec) error {
	for i, g := range gids {
		if states.IsNull(i) {
			continue // the first rows of the group failed
		}
		if err := s.setBlock(s.word(off, g), states.Bytes(i)); err != nil {
			return err
		}
	}
	return nil
}

// Merge implements Kernel. A state that is put into a group without one is only copied.
func (k Script) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	return k.mergeInto(dst, []uint32{dg}, src, []uint32{sg}, off)
}

// mergeEach implements bulkMerger.
func (k Script) mergeEach(dst *Slab, gids []uint32, src *Slab, off int) error {
	return k.mergeInto(dst, gids, src, batch.All(len(gids)), off)
}

func (k Script) mergeInto(dst *Slab, dgs []uint32, src *Slab, sgs []uint32, off int) error {
	bytea := types.T(types.Bytea)
	step := Step{Kind: Merge, States: newVec(bytea), Others: newVec(bytea), Out: newVec(bytea)}
	var first error
	step.RowErr = func(_ int, err error) { first = err }
	var groups []uint32
	for i, dg := range dgs {
		at, from := dst.word(off, dg), src.word(off, sgs[i])
		switch {
		case src.Words[from] == 0:
		case dst.Words[at] == 0:
			if err := dst.setBlock(at, dst.foreign(src, from)); err != nil {
				return err
			}
		default:
			k.state(step.States, dst, at)
			k.state(step.Others, src, from)
			groups = append(groups, dg)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	if name, lacks := NeedsMerge(k); lacks {
		return sqlerr.NotSupported("aggregate "+name+" here without a function merge", "Add function merge(a, b), which returns the state of the rows of both.")
	}
	if err := k.run(&step); err != nil {
		return err
	}
	if first != nil {
		return first
	}
	return k.store(dst, off, groups, step.Out)
}

// Result implements Kernel. A group without rows has the result of a new state.
func (k Script) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	out := newVec(k.Ret)
	var first error
	step := Step{Kind: Finish, States: k.states(s, off, []uint32{gid}), Out: out, RowErr: func(_ int, err error) { first = err }}
	if err := k.run(&step); err != nil {
		return types.Value{}, err
	}
	if first != nil {
		return types.Value{}, first
	}
	return out.Value(0), nil
}

// Results implements BulkResult.
func (k Script) Results(dst *batch.Vec, s *Slab, off int, gids []uint32) bool {
	out, ok := newVec(k.Ret), true
	step := Step{Kind: Finish, States: k.states(s, off, gids), Out: out, RowErr: func(int, error) { ok = false }}
	if err := k.run(&step); err != nil || !ok {
		return false
	}
	for i := range gids {
		dst.AppendFrom(out, i)
	}
	return true
}

// Append implements Kernel.
func (Script) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	return appendBytes(dst, s.block(s.word(off, gid)))
}

// Load implements Kernel. What is in a state is the Runner's to judge.
func (Script) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	b, src, err := takeBytes(src)
	if err != nil || len(b) == 0 {
		return src, err
	}
	return src, s.setBlock(s.word(off, gid), b)
}
