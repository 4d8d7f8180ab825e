package ioc

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

// The second byte of a key; docs/formats/kv.md describes keys and values.
const (
	kindSecret = 0x00
	kindEpoch  = 0x01
	kindStat   = 0x02
	kindMark   = 0x03
	kindRow    = 0x04
	kindUndo   = 0x05
	kindExpiry = 0x06
)

// The format versions of values.
const (
	secretVersion = 1
	epochVersion  = 1
	statVersion   = 1
	markVersion   = 1
	rowVersion    = 1
	undoVersion   = 1
)

// ErrCorrupt is wrapped by the errors about stored bytes that cannot be read.
var ErrCorrupt = errors.New("stored IOC entries cannot be read")

// ValueMax bounds the length of an entry's value, bytes.
const ValueMax = 1<<16 - 1

func kindKey(kind byte) []byte { return []byte{kv.PrefixIOC, kind} }

func numberKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(kindKey(kind), n)
}

func listKey(kind byte, list uint64) []byte { return numberKey(kind, list) }

// appendEntry writes what names an entry in keys: list, hash, length and value, so that none is the beginning of another.
func appendEntry(dst []byte, list, hash uint64, value []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, list)
	dst = binary.BigEndian.AppendUint64(dst, hash)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

const (
	rowHead  = 2           // before what names the entry
	hashAt   = rowHead + 8 // of a row's key
	lengthAt = hashAt + 8
	valueAt  = lengthAt + 2
)

// row is one version of an entry: what is known of it from change seq on, or that it is gone.
type row struct {
	hash    uint64
	value   []byte
	seq     uint64
	gone    bool
	expires int64
	info    []byte
}

// appendRowKey is the key of a row; newer ones come first.
func appendRowKey(dst []byte, list, hash uint64, value []byte, seq uint64) []byte {
	dst = appendEntry(append(dst, kv.PrefixIOC, kindRow), list, hash, value)
	return binary.BigEndian.AppendUint64(dst, ^seq)
}

func appendRowValue(dst []byte, expires int64, info []byte) []byte {
	dst = append(dst, rowVersion, 0)
	return append(binary.AppendVarint(dst, expires), info...)
}

var goneValue = []byte{rowVersion, 1}

// decodeRow reads a row; its slices are those of key and value.
func decodeRow(key, value []byte) (row, error) {
	if len(key) < valueAt+8 || len(key) != valueAt+int(binary.BigEndian.Uint16(key[lengthAt:]))+8 {
		return row{}, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	if err := kv.CheckVersion("an IOC entry", value, rowVersion); err != nil {
		return row{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	r := row{hash: binary.BigEndian.Uint64(key[hashAt:]), value: key[valueAt : len(key)-8], seq: ^binary.BigEndian.Uint64(key[len(key)-8:])}
	if len(value) == 2 && value[1] == 1 {
		r.gone = true
		return r, nil
	}
	if len(value) < 3 || value[1] != 0 {
		return row{}, fmt.Errorf("%w: entry %x", ErrCorrupt, key)
	}
	n := 0
	if r.expires, n = binary.Varint(value[2:]); n <= 0 {
		return row{}, fmt.Errorf("%w: entry %x", ErrCorrupt, key)
	}
	r.info = value[2+n:]
	return r, nil
}

// stat is what is known of a list from change seq on.
type stat struct {
	seq uint64
	Stat
}

// Stat is what is known of one version of a list.
type Stat struct {
	// Version counts the changes of the list, Size its entries.
	Version, Size uint64
	// Longest is no less than the length of the longest value.
	Longest uint64
	// Expiring: an entry may have a time at which it expires.
	Expiring bool
}

func statKey(list, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(listKey(kindStat, list), seq)
}

func (s *Stat) append(dst []byte) []byte {
	expiring := byte(0)
	if s.Expiring {
		expiring = 1
	}
	dst = append(dst, statVersion, expiring)
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(dst, s.Version), s.Size), s.Longest)
}

func decodeStat(key, value []byte) (list uint64, s stat, err error) {
	if len(key) != 18 {
		return 0, s, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	if err := kv.CheckVersion("the size of an IOC list", value, statVersion); err != nil {
		return 0, s, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	list, s.seq = binary.BigEndian.Uint64(key[2:]), binary.BigEndian.Uint64(key[10:])
	if len(value) < 5 || value[1] > 1 {
		return 0, s, fmt.Errorf("%w: size %x of list %d", ErrCorrupt, value, list)
	}
	s.Expiring = value[1] == 1
	rest := value[2:]
	for _, to := range []*uint64{&s.Version, &s.Size, &s.Longest} {
		n := 0
		if *to, n = binary.Uvarint(rest); n <= 0 {
			return 0, s, fmt.Errorf("%w: size %x of list %d", ErrCorrupt, value, list)
		}
		rest = rest[n:]
	}
	return list, s, nil
}

// undo says what a change did to an entry: which row it was before, 0 for none, and whether the change ended it.
type undo struct {
	seq  uint64
	list uint64
	// entry is what names the entry in keys, the list included.
	entry []byte
	prev  uint64
	gone  bool
}

func appendUndoKey(dst []byte, seq uint64, entry []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, kv.PrefixIOC, kindUndo), seq), entry...)
}

func appendUndoValue(dst []byte, prev uint64, gone bool) []byte {
	flag := byte(0)
	if gone {
		flag = 1
	}
	return binary.BigEndian.AppendUint64(append(dst, undoVersion, flag), prev)
}

func decodeUndo(key, value []byte) (undo, error) {
	if err := kv.CheckVersion("a change of an IOC entry", value, undoVersion); err != nil {
		return undo{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(key) < 10+18 || len(value) != 10 || value[1] > 1 {
		return undo{}, fmt.Errorf("%w: change %x of an entry", ErrCorrupt, key)
	}
	return undo{seq: binary.BigEndian.Uint64(key[2:]), list: binary.BigEndian.Uint64(key[10:]), entry: key[10:],
		prev: binary.BigEndian.Uint64(value[2:]), gone: value[1] == 1}, nil
}

// rowKeyOf is the key of a row of the entry that u is about.
func (u *undo) rowKeyOf(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(kindKey(kindRow), u.entry...), ^seq)
}

func appendExpiryKey(dst []byte, at int64, entry []byte) []byte {
	dst = append(dst, kv.PrefixIOC, kindExpiry)
	return append(binary.BigEndian.AppendUint64(dst, uint64(at)^1<<63), entry...)
}
