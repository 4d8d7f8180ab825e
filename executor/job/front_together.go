package job

import (
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/predindex"
)

// rowsTogether are rows of a batch that were encoded together, each once, for the queries that select the same columns.
type rowsTogether struct {
	rows codec.RowBlock
	// cols is the list of columns, which such queries share; nil: no rows were encoded.
	cols []int
	// in tells for each item of the index whether its rows are among them, here whether those of the item in work are.
	in   []bool
	here bool
	// Scratch of wanted: the rows, a bit each, and listed.
	of   []uint64
	list []uint32
}

// togetherMin is from how many result rows on they are encoded together.
const togetherMin = 32

// encodeTogether encodes the rows of items, if they are many, for all queries that select the columns which the first of them selects.
func (f *front) encodeTogether(items []predindex.Item) {
	k, n := &f.block, 0
	k.cols, k.here = nil, false
	k.in = slices.Grow(k.in[:0], len(items))[:len(items)]
	for i := range items {
		fq := f.only[i]
		if fq == nil {
			fq = f.firstOpen(items[i].Rule)
		}
		k.in[i] = fq != nil && fq.direct && len(fq.cols) > 0 && (k.cols == nil || &fq.cols[0] == &k.cols[0])
		if !k.in[i] {
			continue
		}
		if k.cols == nil {
			k.cols = fq.cols
		}
		n += len(items[i].Rows)
	}
	rows := f.fb.valid
	switch {
	case n < togetherMin:
		k.cols = nil
		return
	case n < len(rows):
		rows = k.wanted(items, f.fb.b.N)
	}
	if !k.rows.Encode(f.fb.b, k.cols, rows) {
		k.cols = nil
	}
}

// wanted lists the rows, of n, of the items that are in.
func (k *rowsTogether) wanted(items []predindex.Item, n int) []uint32 {
	words := (n + 63) / 64
	k.of = slices.Grow(k.of[:0], words)[:words]
	clear(k.of)
	for i := range items {
		if k.in[i] {
			for _, r := range items[i].Rows {
				k.of[r>>6] |= 1 << (r & 63)
			}
		}
	}
	k.list = k.list[:0]
	for w, word := range k.of {
		for ; word != 0; word &= word - 1 {
			k.list = append(k.list, uint32(w<<6+bits.TrailingZeros64(word)))
		}
	}
	return k.list
}

// firstOpen is the first query of a rule of the segment in work that is in service and had rows before; nil: none.
func (f *front) firstOpen(rule uint32) *frontQuery {
	for _, ordinal := range f.seg.class(int(rule)) {
		if fq := f.seg.queries[ordinal]; fq != nil && !hasBit(f.seg.dead, ordinal) {
			return fq
		}
	}
	return nil
}

// has tells whether the rows of the item in work were encoded, of the columns cols.
func (k *rowsTogether) has(cols []int) bool {
	return k.here && k.cols != nil && len(cols) > 0 && &cols[0] == &k.cols[0]
}
