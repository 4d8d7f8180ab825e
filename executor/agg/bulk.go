package agg

import (
	"math/bits"

	"github.com/vigil-sql/vigil/executor/types"
)

// Range is the integers from Lo to Hi.
type Range struct{ Lo, Hi int64 }

// Ranger is a kernel that can compare the results of many groups with bounds at once.
type Ranger interface {
	Kernel
	// InRange appends those of gids whose result is a bigint within a range; NULL is not. It returns false when the result of
	// one of gids is an error.
	InRange(dst []uint32, s *Slab, off int, gids []uint32, r Range) ([]uint32, bool)
}

// RangerOf returns a kernel as a Ranger, false when it is none: it gives no bigint, or none in a fixed place.
func RangerOf(k Kernel) (Ranger, bool) {
	r, ok := k.(Ranger)
	return r, ok && k.Type().Kind == types.Int8
}

// NeverFails reports that no state of a kernel has an error as its result.
func NeverFails(k Kernel) bool {
	switch k := k.(type) {
	case countRows, countValues, extremeInt, extremeFloat, extremeBytes, boolFold:
		return true
	case sumInt:
		return !k.avg && k.typ.Kind == types.Numeric
	}
	return false
}

// bulk is a kernel that moves the states of many groups at once.
type bulk interface {
	mergeAll(dst *Slab, gids []uint32, src *Slab, off int)
	subtractAll(dst *Slab, gids []uint32, src *Slab, off int) error
}

// bulkMerger is a kernel for which merging many groups is one call, which may fail.
type bulkMerger interface {
	mergeEach(dst *Slab, gids []uint32, src *Slab, off int) error
}

// MergeAll folds groups 0, 1, ... of src into the groups gids of dst, which is another slab.
func MergeAll(k Kernel, dst *Slab, gids []uint32, src *Slab, off int) error {
	if b, ok := k.(bulk); ok {
		b.mergeAll(dst, gids, src, off)
		return nil
	}
	if b, ok := k.(bulkMerger); ok {
		return b.mergeEach(dst, gids, src, off)
	}
	for sg, dg := range gids {
		if err := k.Merge(dst, dg, src, uint32(sg), off); err != nil {
			return err
		}
	}
	return nil
}

// SubtractAll takes groups 0, 1, ... of src out of the groups gids of dst, which is another slab; it fails as Subtract does.
func SubtractAll(k Subtracter, dst *Slab, gids []uint32, src *Slab, off int) error {
	if b, ok := k.(bulk); ok {
		return b.subtractAll(dst, gids, src, off)
	}
	for sg, dg := range gids {
		if err := k.Subtract(dst, dg, src, uint32(sg), off); err != nil {
			return err
		}
	}
	return nil
}

func (countRows) mergeAll(dst *Slab, gids []uint32, src *Slab, off int) {
	to, from, at := dst.Words, src.Words, off
	for _, g := range gids {
		to[int(g)*dst.Stride+off] += from[at]
		at += src.Stride
	}
}

func (countRows) subtractAll(dst *Slab, gids []uint32, src *Slab, off int) error {
	to, from, at := dst.Words, src.Words, off
	for _, g := range gids {
		if err := subtractCount(&to[int(g)*dst.Stride+off], from[at]); err != nil {
			return err
		}
		at += src.Stride
	}
	return nil
}

// InRange implements Ranger.
func (countRows) InRange(dst []uint32, s *Slab, off int, gids []uint32, r Range) ([]uint32, bool) {
	if r.Hi < r.Lo {
		return dst, true
	}
	words, span := s.Words, uint64(r.Hi)-uint64(r.Lo)
	for _, g := range gids {
		if words[int(g)*s.Stride+off]-uint64(r.Lo) <= span {
			dst = append(dst, g)
		}
	}
	return dst, true
}

func (sumInt) mergeAll(dst *Slab, gids []uint32, src *Slab, off int) {
	from := src.Words[min(off, len(src.Words)):]
	for i, g := range gids {
		d, f := dst.Words[int(g)*dst.Stride+off:], from[i*src.Stride:]
		lo, carry := bits.Add64(d[0], f[0], 0)
		d[0] = lo
		d[1] += f[1] + carry
		d[2] += f[2]
	}
}

func (sumInt) subtractAll(dst *Slab, gids []uint32, src *Slab, off int) error {
	from := src.Words[min(off, len(src.Words)):]
	for i, g := range gids {
		d, f := dst.Words[int(g)*dst.Stride+off:], from[i*src.Stride:]
		if err := subtractCount(&d[2], f[2]); err != nil {
			return err
		}
		subtract128(d, f)
	}
	return nil
}

// InRange implements Ranger for sums that are bigint.
func (sumInt) InRange(dst []uint32, s *Slab, off int, gids []uint32, r Range) ([]uint32, bool) {
	for _, g := range gids {
		w := s.Words[int(g)*s.Stride+off:]
		sum := int64(w[0])
		if int64(w[1]) != sum>>63 {
			return dst, false
		}
		if w[2] != 0 && sum >= r.Lo && sum <= r.Hi {
			dst = append(dst, g)
		}
	}
	return dst, true
}
