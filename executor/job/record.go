package job

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/kv"
)

// run is a stretch of one split that an epoch consumed, at its place in the order.
type run struct {
	stream   uint64
	split    int32
	from, to int64
	// result: the stream is a query's result, whose watermark after the run is watermark.
	result    bool
	watermark types.EventTime
}

// epochRecord is what an epoch consumed; with the state before it, it determines all the epoch did. Catalogue changes are
// not repeated here: each object carries the epochs of its birth and death. Bytes: docs/formats/epochs.md.
type epochRecord struct {
	n         uint64
	clock     types.EventTime
	restarted bool
	runs      []run
}

// epochVersion 2 added runs of results; records of version 1 have none.
const epochVersion = 2

func (r *epochRecord) encode() []byte {
	b := []byte{epochVersion, 0}
	if r.restarted {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, r.n)
	b = binary.AppendVarint(b, int64(r.clock))
	b = binary.AppendUvarint(b, uint64(len(r.runs)))
	for _, x := range r.runs {
		b = binary.AppendUvarint(b, x.stream)
		b = binary.AppendVarint(b, int64(x.split))
		b = binary.AppendVarint(b, x.from)
		b = binary.AppendVarint(b, x.to)
		if !x.result {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.AppendVarint(b, int64(x.watermark))
	}
	return b
}

// byteReader reads varints from bytes that may be damaged.
type byteReader struct {
	b   []byte
	err error
}

func (r *byteReader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("record ends early or is damaged")
	}
	r.b = nil
}

func (r *byteReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *byteReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *byteReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a length that the remaining bytes can hold.
func (r *byteReader) count() int {
	v := r.uint()
	if v > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(v)
}

func decodeEpoch(b []byte) (*epochRecord, error) {
	r := &byteReader{b: b}
	if err := kv.CheckVersion("an epoch record", b, 1, epochVersion); err != nil {
		return nil, err
	}
	v := r.byte()
	rec := &epochRecord{restarted: r.byte() == 1, n: r.uint(), clock: types.EventTime(r.int())}
	for i, n := 0, r.count(); i < n && r.err == nil; i++ {
		x := run{stream: r.uint(), split: int32(r.int()), from: r.int(), to: r.int()}
		if v > 1 && r.byte() == 1 {
			x.result, x.watermark = true, types.EventTime(r.int())
		}
		rec.runs = append(rec.runs, x)
	}
	if r.err == nil && len(r.b) != 0 {
		r.fail()
	}
	if r.err != nil {
		return nil, fmt.Errorf("epoch record: %w", r.err)
	}
	return rec, nil
}
