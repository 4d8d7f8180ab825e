package predindex

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
)

// hit is a list of rules that a value leads to; exact: the value passes the test that put them there.
type hit struct {
	list  uint32
	exact bool
}

// intTable finds the list of an integer: open addressing, a power of two of slots, at most half full.
type intTable struct {
	keys  []int64
	lists []uint32 // 1 + the list, 0: free
	shift uint8
	n     int
}

func newIntTable(n int) *intTable {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return &intTable{keys: make([]int64, size), lists: make([]uint32, size), shift: uint8(64 - bits.TrailingZeros(uint(size)))}
}

func (t *intTable) slot(x int64) uint64 { return uint64(x) * 0x9E3779B97F4A7C15 >> t.shift }

// put adds an integer that is not there yet.
func (t *intTable) put(x int64, list uint32) {
	mask := uint64(len(t.keys) - 1)
	i := t.slot(x)
	for t.lists[i] != 0 {
		i = (i + 1) & mask
	}
	t.keys[i], t.lists[i] = x, list+1
	t.n++
}

// get returns 1 + the list, 0 when there is none.
func (t *intTable) get(x int64) uint32 {
	mask := uint64(len(t.keys) - 1)
	for i := t.slot(x); ; i = (i + 1) & mask {
		if t.lists[i] == 0 || t.keys[i] == x {
			return t.lists[i]
		}
	}
}

// intervals finds all of many closed intervals that contain a point: a balanced tree in an array sorted by lower bound, each node
// with the largest upper bound below it (Cormen et al., "Introduction to Algorithms", chapter on augmenting data structures).
type intervals struct {
	lo, hi, most []int64
	list         []uint32
}

type interval struct {
	lo, hi int64
	list   uint32
}

func newIntervals(in []interval) *intervals {
	slices.SortFunc(in, func(a, b interval) int { return cmp.Compare(a.lo, b.lo) })
	t := &intervals{most: make([]int64, len(in))}
	for _, x := range in {
		t.lo, t.hi, t.list = append(t.lo, x.lo), append(t.hi, x.hi), append(t.list, x.list)
	}
	t.augment(0, len(in))
	return t
}

func (t *intervals) augment(from, to int) int64 {
	if from >= to {
		return math.MinInt64
	}
	mid := int(uint(from+to) / 2)
	t.most[mid] = max(t.hi[mid], t.augment(from, mid), t.augment(mid+1, to))
	return t.most[mid]
}

// stab appends the lists of the intervals that contain x.
func (t *intervals) stab(x int64, dst []hit) []hit { return t.stabIn(0, len(t.lo), x, dst) }

func (t *intervals) stabIn(from, to int, x int64, dst []hit) []hit {
	for from < to {
		mid := int(uint(from+to) / 2)
		if t.most[mid] < x {
			return dst
		}
		dst = t.stabIn(from, mid, x, dst)
		if t.lo[mid] > x {
			return dst
		}
		if t.hi[mid] >= x {
			dst = append(dst, hit{list: t.list[mid], exact: true})
		}
		from = mid + 1
	}
	return dst
}

// networks finds all of many networks that contain an address: one hash table for each prefix length that occurs, of which rules
// use a handful.
type networks struct{ groups []netGroup }

// netGroup is the networks of one family and prefix length.
type netGroup struct {
	size   int // of the stored form
	bits   int
	strict bool
	nets   map[string]uint32
}

func (t *networks) add(net string, strict bool, list func() uint32) uint32 {
	size, n := len(net), int(net[0])
	i := slices.IndexFunc(t.groups, func(g netGroup) bool { return g.size == size && g.bits == n && g.strict == strict })
	if i < 0 {
		i = len(t.groups)
		t.groups = append(t.groups, netGroup{size: size, bits: n, strict: strict, nets: map[string]uint32{}})
	}
	key := string(masked(nil, []byte(net), n))
	g := &t.groups[i]
	if _, ok := g.nets[key]; !ok {
		g.nets[key] = list()
	}
	return g.nets[key]
}

// masked appends the first bits of an address in stored form, the rest zero.
func masked(dst, addr []byte, n int) []byte {
	from := len(dst)
	dst = append(dst, addr[1:]...)
	out := dst[from:]
	if n/8 < len(out) {
		out[n/8] &= ^(byte(0xff) >> (n % 8))
		clear(out[min(n/8+1, len(out)):])
	}
	return dst
}

// find appends the lists of the networks that contain an address in stored form.
func (t *networks) find(addr []byte, dst []hit) []hit {
	var buf [16]byte
	for i := range t.groups {
		g := &t.groups[i]
		if len(addr) != g.size || int(addr[0]) < g.bits || g.strict && int(addr[0]) == g.bits {
			continue
		}
		if list, ok := g.nets[string(masked(buf[:0], addr, g.bits))]; ok {
			dst = append(dst, hit{list: list, exact: true})
		}
	}
	return dst
}

// absent reports that the batch lacks a column that the probe reads: only rules read it that are left out.
func (p *probe) absent(b *batch.Batch) bool {
	return slices.ContainsFunc(p.reads, func(col int) bool { return col >= len(b.Cols) || b.Cols[col].Absent })
}
