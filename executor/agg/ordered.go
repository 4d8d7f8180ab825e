package agg

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// Order is one term of ORDER BY within an aggregate.
type Order struct {
	Desc, NullsFirst bool
	Typ              types.Type
}

// Ordered is an aggregate whose rows are folded in an order of their own, as in array_agg(x ORDER BY y): it keeps the rows of a
// group and sorts them when it is asked; rows that are equal in all terms stay in the order in which they came. Its arguments
// are those of inner, of the given types, then the terms.
func Ordered(inner Kernel, args []types.Type, order []Order) Kernel {
	k := orderedRows{inner: inner, args: len(args), order: order, types: slices.Clone(args)}
	for _, o := range order {
		k.types = append(k.types, o.Typ)
	}
	return k
}

// IsOrdered reports a kernel of Ordered.
func IsOrdered(k Kernel) bool {
	_, ok := k.(orderedRows)
	return ok
}

// orderedRows has the words of gathered: number of rows, block of them. A row is an element of a stored array per column.
type orderedRows struct {
	inner Kernel
	args  int
	order []Order
	types []types.Type
}

func (orderedRows) Words() int { return gatheredWords }

func (k orderedRows) Type() types.Type { return k.inner.Type() }

func (k orderedRows) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	var scratch []byte
	for i, g := range gids {
		scratch = scratch[:0]
		for _, v := range args {
			scratch = appendElement(scratch, v, i)
		}
		at := s.word(off, g)
		if err := s.appendBlock(at+1, scratch); err != nil {
			return err
		}
		s.Words[at]++
	}
	return nil
}

// takeCell reads one column of a row. It never panics.
func takeCell(t types.Type, src []byte) (types.Value, []byte, error) {
	v := types.Value{Type: t}
	if len(src) == 0 || src[0] > 1 {
		return v, nil, errState("row ends early")
	}
	present := src[0] == 1
	src = src[1:]
	if !present {
		v.Null = true
		return v, src, nil
	}
	if t.Phys() == types.PhysBytes {
		b, rest, err := takeBytes(src)
		if err == nil {
			err = checkStored(t, b)
		}
		v.S = string(b)
		return v, rest, err
	}
	if len(src) < 8 {
		return v, nil, errState("row ends early")
	}
	word := binary.LittleEndian.Uint64(src)
	if t.Phys() == types.PhysInt {
		v.I = int64(word)
	} else {
		v.F = math.Float64frombits(word)
	}
	return v, src[8:], nil
}

func (orderedRows) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	return gathered{}.Merge(dst, dg, src, sg, off)
}

func (k orderedRows) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	rows := make([][]types.Value, s.Words[at])
	if len(rows) > 0 {
		b := s.block(at + 1)
		for i := range rows {
			for _, t := range k.types {
				v, rest, err := takeCell(t, b)
				if err != nil {
					return types.Value{}, err
				}
				rows[i], b = append(rows[i], v), rest
			}
		}
	}
	slices.SortStableFunc(rows, k.compare)
	own := Slab{Stride: k.inner.Words()}
	own.Grow(1)
	vecs := make([]*batch.Vec, k.args)
	for i := range vecs {
		vecs[i] = &batch.Vec{}
		vecs[i].Reset(k.types[i])
		for _, row := range rows {
			vecs[i].AppendValue(row[i])
		}
	}
	if err := k.inner.Update(&own, 0, make([]uint32, len(rows)), vecs); err != nil {
		return types.Value{}, err
	}
	return k.inner.Result(&own, 0, 0)
}

// compare orders two rows by the terms.
func (k orderedRows) compare(a, b []types.Value) int {
	for i, o := range k.order {
		x, y := a[k.args+i], b[k.args+i]
		c := 0
		switch {
		case x.Null && y.Null:
		case x.Null != y.Null:
			if c = 1; x.Null == o.NullsFirst {
				c = -1
			}
		default:
			if c = types.Compare(x, y); o.Desc {
				c = -c
			}
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (orderedRows) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	return gathered{}.Append(dst, s, off, gid)
}

func (k orderedRows) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	rest := src
	for range n { // each round takes at least one byte of src or fails
		for _, t := range k.types {
			if _, rest, err = takeCell(t, rest); err != nil {
				return nil, err
			}
		}
	}
	at := s.word(off, gid)
	s.Words[at] = n
	return rest, s.setBlock(at+1, src[:len(src)-len(rest)])
}
