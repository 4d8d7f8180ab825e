package op

import (
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Spiller is a Stateful that tells how much of its state leaves memory when that is scarce, bytes. The rest is on the Go heap.
type Spiller interface{ Spillable() int64 }

// breathEvery is after how many groups those who go through all of them look after memory.
const breathEvery = 1 << 15

// breathRows is breathEvery for those who go to several places for each row.
const breathRows = 128

// breathKeys is breathEvery for those who read whole keys.
const breathKeys = 1 << 12

// blockList is blocks of a checkpoint that are gathered before they are read: as much as there is state, maybe.
type blockList struct {
	mem   *arena.Part
	block arena.Block
	data  []byte
	ends  []int
}

// add copies a block.
func (l *blockList) add(data []byte) {
	l.data = arena.Append(l.mem, &l.block, l.data, data...)
	l.ends = append(l.ends, len(l.data))
}

// Block implements StateWriter: a list takes what one operator has of a slice to another one.
func (l *blockList) Block(_ int64, data []byte) error {
	l.add(data)
	return nil
}

// Rewrite implements StateWriter.
func (l *blockList) Rewrite(int64) error { return nil }

// Drop implements StateWriter.
func (l *blockList) Drop(int64) error { return nil }

func (l *blockList) len() int { return len(l.ends) }

// at is a block; valid until the next call of add or reset.
func (l *blockList) at(i int) []byte {
	from := 0
	if i > 0 {
		from = l.ends[i-1]
	}
	return l.data[from:l.ends[i]:l.ends[i]]
}

// size is how many bytes the blocks have together.
func (l *blockList) size() int { return len(l.data) }

// reset forgets the blocks; the memory goes back at free.
func (l *blockList) reset() { l.data, l.ends = l.data[:0], l.ends[:0] }

func (l *blockList) free() {
	l.block.Free()
	l.data, l.ends = nil, nil
}

// growTo returns s with n elements at least; new ones are zero.
func growTo[T any](s []T, n int) []T { return growIn(nil, nil, s, n) }

// growIn is growTo for what lies in state memory.
func growIn[T any](mem *arena.Part, b *arena.Block, s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	had := len(s)
	s = arena.Grow(mem, b, s, n)[:n]
	clear(s[had:])
	return s
}
