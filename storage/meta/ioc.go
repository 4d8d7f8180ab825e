package meta

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

const iocVersion = 1

// IOCEntry is one indicator of a list during a span of epochs, as earlier versions kept it: it belongs to the list from epoch Added on, and no
// longer from epoch Deleted on (0: it still does). Now storage/ioc has them.
type IOCEntry struct {
	Value          []byte
	Added, Deleted uint64
	// Meta is the caller's: source, confidence, expiry.
	Meta []byte
}

// HasIOC reports whether there are entries of earlier versions.
func (s *Store) HasIOC() (found bool, err error) {
	lo, hi := kindRange(kindIOC)
	err = s.kv.Scan(lo, hi, func(_, _ []byte) (bool, error) {
		found = true
		return false, nil
	})
	return found, err
}

// ScanIOCAll calls fn for all entries of a list that are kept, ended ones too, until it returns false or an error. The
// slices are valid during the call.
func (s *Store) ScanIOCAll(listID uint64, fn func(IOCEntry) (bool, error)) error {
	lo := listKey(listID)
	return s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		e, err := decodeIOC(key, value)
		if err != nil {
			return false, err
		}
		return fn(e)
	})
}

// RemoveIOC adds to b that the entries of earlier versions are forgotten.
func (s *Store) RemoveIOC(b kv.Batch) {
	for _, kind := range []byte{kindIOC, kindIOCGone} {
		b.DeleteRange(kindRange(kind))
	}
}

func listKey(listID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixMeta, kindIOC}, listID)
}

func decodeIOC(key, stored []byte) (IOCEntry, error) {
	if len(stored) > 0 && stored[0] != iocVersion {
		return IOCEntry{}, fmt.Errorf("%w: %w", ErrCorrupt, kv.CheckVersion("an IOC entry", stored, iocVersion))
	}
	if len(key) < 10+2+8 || len(stored) < 9 {
		return IOCEntry{}, fmt.Errorf("%w: IOC entry %x", ErrCorrupt, key)
	}
	escaped := key[10 : len(key)-8]
	if !bytes.HasSuffix(escaped, []byte{0x00, 0x01}) {
		return IOCEntry{}, fmt.Errorf("%w: IOC entry %x", ErrCorrupt, key)
	}
	value := escaped[:len(escaped)-2]
	if bytes.IndexByte(value, 0) >= 0 {
		value = bytes.ReplaceAll(value, []byte{0x00, 0xff}, []byte{0x00})
	}
	return IOCEntry{
		Value: value, Added: binary.BigEndian.Uint64(key[len(key)-8:]),
		Deleted: binary.BigEndian.Uint64(stored[1:]), Meta: stored[9:],
	}, nil
}
