package results

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The second byte of a key.
const (
	kindBlock  = 0x01
	kindTail   = 0x02
	kindCursor = 0x03
)

const (
	blockVersion = 1
	// blockBytes is the size at which the rows of an epoch are split into another block, so that a reader in the middle does not
	// unpack megabytes.
	blockBytes = 256 << 10
)

func blockKey(queryID uint64, first int64) []byte {
	key := append(make([]byte, 0, 18), kv.PrefixResults, kindBlock)
	key = binary.BigEndian.AppendUint64(key, queryID)
	return binary.BigEndian.AppendUint64(key, uint64(first))
}

// queryRange bounds the blocks of a query.
func queryRange(queryID uint64) (lo, hi []byte) {
	lo = blockKey(queryID, 0)[:10]
	return lo, kv.PrefixEnd(lo)
}

func tailKey(queryID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixResults, kindTail}, queryID)
}

func parseBlockKey(key []byte) (queryID uint64, first int64, err error) {
	if len(key) != 18 {
		return 0, 0, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(key[2:]), int64(binary.BigEndian.Uint64(key[10:])), nil
}

// block is the head of a block and its rows, still packed.
type block struct {
	first, rows int64
	epoch       uint64
	clock       int64
	packed      []byte
	query       uint64
}

// packBlock packs as many of the rows from one on as a block takes, at least one.
func packBlock(epoch uint64, clock int64, rows Source, from int) (n int, value []byte) {
	size := 0
	for from+n < rows.Len() && (n == 0 || size < blockBytes) {
		_, data := rows.Row(from + n)
		size += len(data) + 6
		n++
	}
	value = make([]byte, 0, size+32)
	value = append(value, blockVersion)
	value = binary.AppendUvarint(value, epoch)
	value = binary.LittleEndian.AppendUint64(value, uint64(clock))
	value = binary.AppendUvarint(value, uint64(n))
	for i := range n {
		op, data := rows.Row(from + i)
		value = append(value, op)
		value = binary.AppendUvarint(value, uint64(len(data)))
		value = append(value, data...)
	}
	return n, value
}

func parseBlock(key, value []byte) (block, error) {
	id, first, err := parseBlockKey(key)
	if err != nil {
		return block{}, err
	}
	b := block{first: first, query: id}
	bad := func(what string) (block, error) {
		return block{}, fmt.Errorf("%w: query %d, offset %d: %s", ErrCorrupt, id, first, what)
	}
	if len(value) == 0 || value[0] != blockVersion {
		return bad("unknown version")
	}
	value = value[1:]
	var n int
	if b.epoch, n = binary.Uvarint(value); n <= 0 || len(value) < n+8 {
		return bad("epoch")
	}
	value = value[n:]
	b.clock = int64(binary.LittleEndian.Uint64(value))
	value = value[8:]
	rows, n := binary.Uvarint(value)
	if n <= 0 || rows == 0 || rows > uint64(len(value))/2 {
		return bad("number of rows")
	}
	b.rows, b.packed = int64(rows), value[n:]
	return b, nil
}

// each calls fn for each row, in order; false means that fn ended it.
func (b *block) each(fn func(Row) (bool, error)) (bool, error) {
	packed := b.packed
	for i := int64(0); i < b.rows; i++ {
		if len(packed) < 2 {
			return false, fmt.Errorf("%w: query %d, offset %d: the block is too short", ErrCorrupt, b.query, b.first+i)
		}
		op := packed[0]
		size, n := binary.Uvarint(packed[1:])
		if n <= 0 || size > uint64(len(packed)-1-n) {
			return false, fmt.Errorf("%w: query %d, offset %d: row length", ErrCorrupt, b.query, b.first+i)
		}
		packed = packed[1+n:]
		r := Row{Offset: b.first + i, Epoch: b.epoch, Clock: b.clock, Op: op, Data: packed[:size:size]}
		packed = packed[size:]
		if more, err := fn(r); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}
