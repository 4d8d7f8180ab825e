package ioc

import "encoding/binary"

// Load is many entries that come at once, held in little memory: about the length of a value and 4 bytes each. Not for concurrent use.
type Load struct {
	chunks [][]byte
	n      int
	bytes  int64
	infos  [][]byte
	ids    map[string]uint64
}

// loadChunk is the size of the pieces of memory; an entry lies in one. loadInfos bounds how many infos are looked for again.
const (
	loadChunkBits = 20
	loadChunk     = 1 << loadChunkBits
	loadInfosMax  = 1 << 16
)

// Add adds an entry, in place of an earlier one with its value. The slices are copied.
func (l *Load) Add(value, info []byte, expires int64) {
	if l.ids == nil || len(l.ids) >= loadInfosMax {
		l.ids = map[string]uint64{}
	}
	id, ok := l.ids[string(info)]
	if !ok {
		id = uint64(len(l.infos))
		l.infos = append(l.infos, append([]byte(nil), info...))
		l.ids[string(info)] = id
		l.bytes += int64(len(info)) * 2
	}
	need := len(value) + 3*binary.MaxVarintLen64
	last := len(l.chunks) - 1
	if last < 0 || cap(l.chunks[last])-len(l.chunks[last]) < need {
		l.chunks = append(l.chunks, make([]byte, 0, loadChunk))
		last++
		l.bytes += loadChunk
	}
	c := binary.AppendUvarint(l.chunks[last], uint64(len(value)))
	c = binary.AppendUvarint(append(c, value...), id)
	l.chunks[last] = binary.AppendVarint(c, expires)
	l.n++
}

// Len is how many entries were added, Bytes about what they take in memory.
func (l *Load) Len() int { return l.n }

// Bytes is about the memory of the entries.
func (l *Load) Bytes() int64 { return l.bytes }

// each calls fn with the place of each entry and its value, in the order in which they came.
func (l *Load) each(fn func(at uint64, value []byte)) {
	for i, c := range l.chunks {
		for off := 0; off < len(c); {
			n, w := binary.Uvarint(c[off:])
			fn(uint64(i)<<loadChunkBits|uint64(off), c[off+w:off+w+int(n)])
			off += w + int(n)
			_, w = binary.Uvarint(c[off:])
			off += w
			_, w = binary.Varint(c[off:])
			off += w
		}
	}
}

// Each calls fn for all entries, in the order in which they came. The slices are valid as long as the Load is.
func (l *Load) Each(fn func(value, info []byte, expires int64)) {
	l.each(func(at uint64, _ []byte) {
		x := l.step(at)
		fn(x.value, x.info, x.expires)
	})
}

func (l *Load) step(at uint64) step {
	c := l.chunks[at>>loadChunkBits][at&(loadChunk-1):]
	n, w := binary.Uvarint(c)
	x := step{value: c[w : w+int(n)]}
	c = c[w+int(n):]
	id, w := binary.Uvarint(c)
	x.info = l.infos[id]
	x.expires, _ = binary.Varint(c[w:])
	return x
}
