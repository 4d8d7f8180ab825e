package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
)

// pairsMax is how many candidate pairs a join checks against its condition in one call.
const pairsMax = 256

// hashTable maps encoded keys to chains of build rows, in the order the rows came.
type hashTable struct {
	chains map[string]chain
	// next[r] is the row after r in its chain, -1 at the end.
	next []int32
}

// chain is the first and the last row of one key.
type chain struct{ head, tail int32 }

// chainBytes is what one more key costs besides its bytes, nextBytes one more row.
const (
	chainBytes = 48
	nextBytes  = 4
)

// add appends row r, which is the next one, to the chain of key and returns the bytes that cost.
func (t *hashTable) add(key []byte, r int) int64 {
	t.next = append(t.next, -1)
	c, ok := t.chains[string(key)]
	if ok {
		t.next[c.tail] = int32(r)
		t.chains[string(key)] = chain{c.head, int32(r)}
		return nextBytes
	}
	if t.chains == nil {
		t.chains = make(map[string]chain)
	}
	t.chains[string(key)] = chain{int32(r), int32(r)}
	return nextBytes + chainBytes + int64(len(key))
}

// skip passes over a row that no key finds.
func (t *hashTable) skip() { t.next = append(t.next, -1) }

// first returns the first row of a key, -1 when there is none.
func (t *hashTable) first(key []byte) int32 {
	if c, ok := t.chains[string(key)]; ok {
		return c.head
	}
	return -1
}

// pairBatch builds joined rows. Its last len(open) rows are candidates that have not met the condition yet.
type pairBatch struct {
	out *outBatch
	// open holds the build row of each candidate, -1 where it does not matter.
	open   []int
	sel    []uint32
	kept   []uint32
	passed []int
}

func (p *pairBatch) reset() {
	p.out.b.Reset(nil)
	p.open = p.open[:0]
}

// add appends the pair of a left row (the first n columns) and a right row.
func (p *pairBatch) add(left *batch.Batch, row uint32, n int, right *batch.Batch, i int) {
	p.copyFrom(0, left, int(row))
	p.copyFrom(n, right, i)
	p.out.b.N++
}

// addLeft appends a left row without partner.
func (p *pairBatch) addLeft(left *batch.Batch, row uint32, n int) {
	p.copyFrom(0, left, int(row))
	p.nulls(n, len(p.out.b.Cols))
	p.out.b.N++
}

// addRight appends a right row without partner.
func (p *pairBatch) addRight(n int, right *batch.Batch, i int) {
	p.nulls(0, n)
	p.copyFrom(n, right, i)
	p.out.b.N++
}

// copyFrom appends a row's columns from column at on. A column nobody reads stays absent in the output.
func (p *pairBatch) copyFrom(at int, src *batch.Batch, row int) {
	for c := range src.Cols {
		dst := &p.out.b.Cols[at+c]
		if src.Cols[c].Absent {
			dst.Absent = true
			continue
		}
		dst.AppendFrom(&src.Cols[c], row)
	}
}

func (p *pairBatch) nulls(from, to int) {
	for c := from; c < to; c++ {
		p.out.b.Cols[c].AppendNull()
	}
}

// check evaluates the condition on the candidates, removes those that fail and returns the build rows of the others.
func (p *pairBatch) check(ctx *expr.Ctx, cond *expr.Evaluator) ([]int, error) {
	b := p.out.b
	first := b.N - len(p.open)
	p.sel = p.sel[:0]
	for i := first; i < b.N; i++ {
		p.sel = append(p.sel, uint32(i))
	}
	var err error
	if p.kept, err = cond.Filter(ctx, b, p.sel, p.kept[:0]); err != nil {
		return nil, err
	}
	p.passed = p.passed[:0]
	for _, r := range p.kept {
		p.passed = append(p.passed, p.open[int(r)-first])
	}
	if len(p.kept) < len(p.open) {
		p.compact(first)
	}
	p.open = p.open[:0]
	return p.passed, nil
}

// compact keeps only the rows of p.kept from row first on.
func (p *pairBatch) compact(first int) {
	b := p.out.b
	for c := range b.Cols {
		col := &b.Cols[c]
		if col.Absent {
			continue
		}
		var tail batch.Vec
		tail.Reset(col.Type)
		appendRows(&tail, col, p.kept)
		col.Truncate(first)
		for i := range tail.N {
			col.AppendFrom(&tail, i)
		}
	}
	b.N = first + len(p.kept)
}

// emitIfFull emits the rows when they are a batch full and no candidate is among them.
func (p *pairBatch) emitIfFull(out Emitter) error {
	if p.out.b.N < batch.RowsMax || len(p.open) > 0 {
		return nil
	}
	return p.out.flush(out)
}
