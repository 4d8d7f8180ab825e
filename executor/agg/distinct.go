package agg

import (
	"encoding/binary"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// distinctRows is an aggregate over distinct values. The values lie in a set of the slab's heap; the inner aggregate is only
// run for the result, over the sorted values, so that their order of arrival never shows. Words: number of values, start
// of the group's chain in the set.
type distinctRows struct {
	args  []types.Type
	inner Kernel
	// keepNull: NULL is a value too (array_agg); elsewhere rows whose first argument is NULL do not count.
	keepNull bool
}

// distinctOf makes the DISTINCT form of an aggregate that ignores NULL.
func distinctOf(args []types.Type, inner Kernel) Kernel {
	return distinctRows{args: slices.Clone(args), inner: inner}
}

func (distinctRows) Words() int         { return 2 }
func (k distinctRows) Type() types.Type { return k.inner.Type() }

func (k distinctRows) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	set := s.setAt(off)
	for i, g := range gids {
		if !k.keepNull && args[0].IsNull(i) {
			continue
		}
		set.scratch = set.scratch[:0]
		for _, a := range args {
			set.scratch = batch.AppendKey(set.scratch, a, i)
		}
		if err := addDistinct(s, set, g, set.scratch); err != nil {
			return err
		}
	}
	return nil
}

// addDistinct puts an encoded value into a group.
func addDistinct(s *Slab, set *set, gid uint32, value []byte) error {
	w := s.Words[s.word(set.off, gid):]
	fresh, err := set.add(gid, value, &w[1])
	if fresh {
		w[0]++
	}
	return err
}

// each calls fn with every value of a group.
func (distinctRows) each(s *Slab, off int, gid uint32, fn func(value []byte) error) error {
	set := s.setAt(off)
	for e := uint32(s.Words[s.word(off, gid)+1]); e != 0; {
		if err := fn(set.value(e - 1)); err != nil {
			return err
		}
		e = set.entries[e-1].next
	}
	return nil
}

func (k distinctRows) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	set := dst.setAt(off)
	return k.each(src, off, sg, func(value []byte) error { return addDistinct(dst, set, dg, value) })
}

func (k distinctRows) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	n := s.Words[s.word(off, gid)]
	if _, ok := k.inner.(countValues); ok {
		return types.NewInt(types.Int8, int64(n)), nil
	}
	cols := make([]*batch.Vec, len(k.args))
	for i, t := range k.args {
		cols[i] = new(batch.Vec)
		cols[i].Reset(t)
	}
	err := k.each(s, off, gid, func(value []byte) error {
		_, err := batch.DecodeKey(value, cols)
		return err
	})
	if err != nil {
		return types.Value{}, err
	}
	cols = sortRows(cols)
	one := Slab{Stride: k.inner.Words()}
	one.Grow(1)
	if err := k.inner.Update(&one, 0, make([]uint32, cols[0].N), cols); err != nil {
		return types.Value{}, err
	}
	return k.inner.Result(&one, 0, 0)
}

// sortRows returns the rows in the order of their columns, NULLs last.
func sortRows(cols []*batch.Vec) []*batch.Vec {
	order := slices.Clone(batch.All(cols[0].N))
	slices.SortFunc(order, func(a, b uint32) int {
		for _, c := range cols {
			if o := compareRows(c, int(a), int(b)); o != 0 {
				return o
			}
		}
		return 0
	})
	sorted := make([]*batch.Vec, len(cols))
	for i, c := range cols {
		sorted[i] = new(batch.Vec)
		sorted[i].Reset(c.Type)
		for _, row := range order {
			sorted[i].AppendFrom(c, int(row))
		}
	}
	return sorted
}

func compareRows(c *batch.Vec, a, b int) int {
	switch an, bn := c.IsNull(a), c.IsNull(b); {
	case an && bn:
		return 0
	case an:
		return 1
	case bn:
		return -1
	}
	return types.Compare(c.Value(a), c.Value(b))
}

// Results implements BulkResult for count(DISTINCT x).
func (k distinctRows) Results(dst *batch.Vec, s *Slab, off int, gids []uint32) bool {
	if _, ok := k.inner.(countValues); !ok {
		return false
	}
	return countRows{}.Results(dst, s, off, gids)
}

func (k distinctRows) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	dst = binary.AppendUvarint(dst, s.Words[s.word(off, gid)])
	_ = k.each(s, off, gid, func(value []byte) error {
		dst = append(dst, value...)
		return nil
	})
	return dst
}

func (k distinctRows) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	set := s.setAt(off)
	for ; n > 0; n-- { // each round takes at least one byte of src or fails
		rest, err := SkipKey(src, k.args)
		if err != nil {
			return nil, err
		}
		if err := addDistinct(s, set, gid, src[:len(src)-len(rest)]); err != nil {
			return nil, err
		}
		src = rest
	}
	return src, nil
}

// SkipKey returns what follows an encoded key (batch.AppendKey) of the given types; it refuses anything that is not one.
func SkipKey(src []byte, args []types.Type) ([]byte, error) {
	for _, t := range args {
		if len(src) == 0 || src[0] > 1 {
			return nil, errState("bad value in a set")
		}
		isNull := src[0] == 0
		src = src[1:]
		switch {
		case isNull:
		case t.Phys() != types.PhysBytes:
			if len(src) < 8 {
				return nil, errState("bad value in a set")
			}
			src = src[8:]
		default:
			value, rest, err := takeBytes(src)
			if err != nil {
				return nil, err
			}
			if err := checkStored(t, value); err != nil {
				return nil, err
			}
			src = rest
		}
	}
	return src, nil
}
