package agg

import (
	"math/bits"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Subtracter is a kernel that can take a state away again, exactly: Merge(a, b), then Subtract of b, leaves a, in its
// result and in the bytes that Append writes. Kernels whose sums are rounded, and those that forget values (min, max), are
// none.
type Subtracter interface {
	Kernel
	// Subtract takes the state of group sg of src out of group dg of dst, into which it was merged before. It fails with
	// XX000 when dst holds fewer values than src.
	Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error
}

// errSubtract is the answer to a state that was never merged into the one it is taken from.
func errSubtract() error {
	return sqlerr.New(sqlerr.InternalError, "aggregate state: more values are taken away than were there")
}

// Subtract implements Subtracter.
func (countRows) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	return subtractCount(&dst.Words[dst.word(off, dg)], src.Words[src.word(off, sg)])
}

func subtractCount(have *uint64, n uint64) error {
	if n > *have {
		return errSubtract()
	}
	*have -= n
	return nil
}

// Subtract implements Subtracter.
func (sumInt) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	if err := subtractCount(&d[2], f[2]); err != nil {
		return err
	}
	subtract128(d, f)
	return nil
}

// subtract128 takes the two words of f from those of d.
func subtract128(d, f []uint64) {
	lo, borrow := bits.Sub64(d[0], f[0], 0)
	d[0] = lo
	d[1] -= f[1] + borrow
}

// Subtract implements Subtracter.
func (sumInterval) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	if err := (sumInt{}).Subtract(dst, dg, src, sg, off); err != nil {
		return err
	}
	d[ivMonths] -= f[ivMonths]
	d[ivDays] -= f[ivDays]
	return nil
}

// Subtract implements Subtracter.
func (boolFold) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	if f[boolDeciding] > d[boolDeciding] {
		return errSubtract()
	}
	if err := subtractCount(&d[boolCount], f[boolCount]); err != nil {
		return err
	}
	d[boolDeciding] -= f[boolDeciding]
	return nil
}

// Subtract implements Subtracter.
func (k sumNumeric) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	d, f := dst.Words[at:at+numWords], src.Words[from:from+numWords]
	if f[numCount] == 0 {
		return nil
	}
	if d[numText]|d[numScales]|f[numText]|f[numScales] == 0 && d[numScale] == f[numScale] {
		if err := subtractCount(&d[numCount], f[numCount]); err != nil {
			return err
		}
		subtract128(d, f)
		return nil
	}
	have, err := finiteTotal(dst, at)
	if err != nil {
		return err
	}
	gone, err := finiteTotal(src, from)
	if err != nil {
		return err
	}
	left, ok := subtractScales(scalesOf(dst, at), scalesOf(src, from))
	if !ok {
		return errSubtract()
	}
	sum, err := addDecimals(have, negated(gone))
	if err != nil {
		return err
	}
	return putNumeric(dst, at, left, sum)
}

// subtractScales takes counts away; both lists ascend. It reports false when one would be negative.
func subtractScales(from, gone []scaleCount) ([]scaleCount, bool) {
	left := from[:0]
	for _, c := range from {
		if len(gone) > 0 && gone[0].scale == c.scale {
			if gone[0].n > c.n {
				return nil, false
			}
			c.n -= gone[0].n
			gone = gone[1:]
		}
		if c.n > 0 {
			left = append(left, c)
		}
	}
	return left, len(gone) == 0
}

// Subtract implements Subtracter.
func (spreadExact) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	if err := (sumNumeric{}).Subtract(dst, dg, src, sg, off); err != nil {
		return err
	}
	return sumNumeric{}.Subtract(dst, dg, src, sg, off+numWords)
}
