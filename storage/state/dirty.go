package state

import "math/bits"

// Dirty is a set of numbers, those of keys that changed, by bit. The zero Dirty is empty.
type Dirty []uint64

// Room makes room for numbers below n; new ones are clean.
func (d *Dirty) Room(n int) {
	for len(*d)*64 < n {
		*d = append(*d, 0)
	}
}

// Mark makes a number dirty that there is room for.
func (d Dirty) Mark(n uint32) { d[n>>6] |= 1 << (n & 63) }

// Clean makes a number clean that there is room for.
func (d Dirty) Clean(n uint32) { d[n>>6] &^= 1 << (n & 63) }

// MarkAll makes all numbers below n dirty, which there is room for, and no others.
func (d Dirty) MarkAll(n int) {
	clear(d)
	for i := range n / 64 {
		d[i] = ^uint64(0)
	}
	if n%64 > 0 {
		d[n/64] = 1<<(n%64) - 1
	}
}

// Len is how many numbers are dirty.
func (d Dirty) Len() int {
	n := 0
	for _, w := range d {
		n += bits.OnesCount64(w)
	}
	return n
}

// Append appends the dirty numbers, ascending.
func (d Dirty) Append(dst []uint32) []uint32 {
	for i, w := range d {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// Take appends the lowest of the dirty numbers, up to about most, and makes those clean.
func (d Dirty) Take(dst []uint32, most int) []uint32 {
	for i, w := range d {
		if most <= 0 {
			break
		}
		if w == 0 {
			continue
		}
		most -= bits.OnesCount64(w)
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
		d[i] = 0
	}
	return dst
}
