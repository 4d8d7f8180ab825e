package predindex

import (
	"hash/maphash"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/expr"
)

// dict remembers the distinct values of a text column, what they led to in the column's probe, and their lower-case forms, while
// values come again often enough for that to pay. It belongs to one Matcher.
type dict struct {
	probe *probe   // of the column, nil: nothing is looked up in it
	slots []uint32 // 1 + entry, 0: free; open addressing
	ents  []dictEntry
	buf   []byte
	hits  []hit
	// gen counts how often the dict was emptied: entries of another gen are other values.
	gen uint32
	// asked and known are look-ups since the last decision, and how many of them found their value; off is how many look-ups go
	// by before the dict is tried again.
	asked, known, off int
}

type dictEntry struct {
	hash       uint64
	from, to   uint32 // of the value in buf
	lowTo      uint32 // its lower-case form is buf[to:lowTo]
	hits, upTo uint32
}

// Bounds of a dict, and when it is given up for a while: if less than half of a number of look-ups found their value.
const (
	dictBytes = 1 << 20
	valueMax  = 1024
	offFor    = 1 << 17
)

// Variables, so that tests reach the bounds. dictEntries is a power of two.
var (
	dictEntries = 4096
	decideAfter = 4096
)

var (
	dictSeed = maphash.MakeSeed()
	// shortSeed and shortFactor, which is odd, are anybody's guess.
	shortSeed   = maphash.Bytes(dictSeed, []byte("seed"))
	shortFactor = maphash.Bytes(dictSeed, []byte("factor")) | 1
)

// hashOf tells values apart that are as long and have at most shortText bytes: those need not be compared.
func hashOf(value []byte) uint64 {
	if len(value) > shortText {
		return maphash.Bytes(dictSeed, value)
	}
	return bits.ReverseBytes64((firstWord(value) ^ shortSeed) * shortFactor)
}

const shortText = 8

// find returns the entry of a value, which it adds when it is new; -1 when the dict is out of use. It may empty the dict first, which
// gen tells.
func (d *dict) find(value []byte) int32 {
	if d.off > 0 || len(value) > valueMax {
		d.off--
		return -1
	}
	if d.asked++; d.asked == decideAfter {
		if d.known < decideAfter/2 {
			d.clear()
			d.off = offFor
		}
		d.asked, d.known = 0, 0
	}
	if d.slots == nil {
		d.slots = make([]uint32, 4*dictEntries)
	}
	h := hashOf(value)
	mask := uint64(len(d.slots) - 1)
	i := h & mask
	for ; d.slots[i] != 0; i = (i + 1) & mask {
		e := &d.ents[d.slots[i]-1]
		if e.hash == h && int(e.to-e.from) == len(value) && (len(value) <= shortText || string(d.buf[e.from:e.to]) == string(value)) {
			d.known++
			return int32(d.slots[i] - 1)
		}
	}
	if len(d.ents) >= dictEntries || len(d.buf) > dictBytes {
		d.clear()
		i = h & mask
	}
	return d.add(h, i, value)
}

func (d *dict) add(h, slot uint64, value []byte) int32 {
	e := dictEntry{hash: h, from: uint32(len(d.buf)), hits: uint32(len(d.hits))}
	d.buf = append(d.buf, value...)
	e.to = uint32(len(d.buf))
	d.buf = expr.AppendLower(d.buf, value)
	e.lowTo = uint32(len(d.buf))
	if d.probe != nil {
		d.hits = d.probe.find(value, d.low(&e), d.hits)
	}
	e.upTo = uint32(len(d.hits))
	d.ents = append(d.ents, e)
	d.slots[slot] = uint32(len(d.ents))
	return int32(len(d.ents) - 1)
}

func (d *dict) clear() {
	clear(d.slots)
	d.ents, d.buf, d.hits = d.ents[:0], d.buf[:0], d.hits[:0]
	d.gen++ // and with it the answers of the entries
}

// low is an entry's lower-case form.
func (d *dict) low(e *dictEntry) []byte { return d.buf[e.to:e.lowTo] }

// answers remembers what values of dicts answered to costly atoms. It forgets whatever falls into the same slot.
type answers struct{ slots []uint64 }

const answerSlots = 1 << 15

// What a key has room for; an entry is below dictEntries, which is less than 1<<16.
const (
	genMask  = 1<<12 - 1
	colMask  = 1<<10 - 1
	atomMask = 1<<24 - 1
)

// slot packs who was asked what. The last bit is the answer, the one before tells a used slot.
func (a *answers) slot(col, entry, gen, atom uint32) (at *uint64, key uint64) {
	if a.slots == nil {
		a.slots = make([]uint64, answerSlots)
	}
	key = uint64(gen&genMask)<<52 | uint64(col)<<42 | uint64(entry)<<26 | uint64(atom)<<2 | 2
	return &a.slots[key*0x9E3779B97F4A7C15>>(64-15)], key
}
