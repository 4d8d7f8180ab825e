// Package agg owns the registry of aggregates. State lives in slabs of 64-bit words, without pointers, so that millions
// of groups cost the garbage collector nothing; an aggregate is a kernel that updates many groups in one call.
package agg

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Slab holds the states of all groups of one table: group g's words start at g*Stride.
type Slab struct {
	Words  []uint64
	Stride int
	// Mem is where the memory of words, of what they point at, and of sets comes from; nil: the Go heap. It is set before there are groups.
	Mem    *arena.Part
	holder arena.Block // of Words
	// Heap holds bytes of variable size that states point into (min/max over text, sets of count distinct).
	Heap Heap
}

// Kernel is one aggregate bound to argument types. It is stateless and shared; its words begin at offset off within a
// group's state. Zeroed words are the state of no rows.
type Kernel interface {
	// Words is the number of 64-bit words a group needs.
	Words() int
	// Update folds len(gids) rows: row i of each (dense) argument goes to group gids[i].
	Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error
	// Merge folds the state of group sg of src into group dg of dst.
	Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error
	// Result is the value of a group; it may be an error such as 22003.
	Result(s *Slab, off int, gid uint32) (types.Value, error)
	// Append serialises a group's state; Load reads it back into a zeroed group and returns the rest of src. Load rejects
	// malformed input with an error and never panics.
	Append(dst []byte, s *Slab, off int, gid uint32) []byte
	Load(src []byte, s *Slab, off int, gid uint32) (rest []byte, err error)
	// Type is the result type.
	Type() types.Type
}

// Def is one aggregate function.
type Def struct {
	Name string
	// Bind returns the kernel for argument types, or false when the aggregate does not take them. count(*) has no args.
	// distinct asks for the form over distinct values.
	Bind func(args []types.Type, distinct bool) (Kernel, bool)
	Doc  string
	// Within makes it an ordered-set aggregate, called f(direct...) WITHIN GROUP (ORDER BY x), and replaces Bind: its arguments
	// are x, then the direct ones; desc is the direction of the order.
	Within func(args []types.Type, desc bool) (Kernel, bool)
	// Fixed: the arguments after the first have one value in each group. Check, when set, refuses values of argument i that
	// are constants.
	Fixed bool
	Check func(i int, v types.Value) error
	// Params, when set, returns the types that arguments of the given types are converted to, nil for arguments that the
	// aggregate does not take.
	Params func(args []types.Type) []types.Type
	// Through names the function that the last argument goes through first (to_json, to_jsonb); one before it becomes text.
	// With distinct the arguments as they are come before those.
	Through string
	// Timed: the last argument, when it is left out, is the event time of the rows.
	Timed bool
	// Examples are run by the tests and printed in the reference.
	Examples []Example
}

// Kernel returns the kernel for argument types, or false when the aggregate does not take them; desc is the direction of
// WITHIN GROUP.
func (d *Def) Kernel(args []types.Type, distinct, desc bool) (Kernel, bool) {
	if d.Within != nil {
		return d.Within(args, desc)
	}
	return d.Bind(args, distinct)
}

// Example is one documented use: SQL is a SELECT over VALUES, Want the text of its single result.
type Example struct{ SQL, Want string }

// notPlain is the Bind of ordered-set aggregates.
func notPlain([]types.Type, bool) (Kernel, bool) { return nil, false }
