package meta

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

const iocVersion = 1

// IOCEntry is one indicator of a list during a span of epochs: it belongs to the list from epoch Added on, and no longer from epoch
// Deleted on (0: it still does). Adding it again later is another entry.
type IOCEntry struct {
	Value          []byte
	Added, Deleted uint64
	// Meta is the caller's: source, confidence, expiry.
	Meta []byte
}

// PutIOC adds an entry to b, in place of the one with the same list, value and Added.
func (s *Store) PutIOC(b kv.Batch, listID uint64, e IOCEntry) {
	key := iocKey(listID, e)
	value := binary.BigEndian.AppendUint64([]byte{iocVersion}, e.Deleted)
	b.Set(key, append(value, e.Meta...))
	if e.Deleted != 0 {
		b.Set(goneKey(e.Deleted, key), nil)
	}
}

// ScanIOC calls fn for the entries that belong to the list at an epoch, by value, until it returns false or an error. The slices
// are valid during the call.
func (s *Store) ScanIOC(listID, atEpoch uint64, fn func(IOCEntry) (bool, error)) error {
	lo := listKey(listID)
	return s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		e, err := decodeIOC(key, value)
		if err != nil {
			return false, err
		}
		if e.Added > atEpoch || e.Deleted != 0 && e.Deleted <= atEpoch {
			return true, nil
		}
		return fn(e)
	})
}

// IOC returns the entry of a value that belongs to the list at an epoch.
func (s *Store) IOC(listID, atEpoch uint64, value []byte) (found IOCEntry, ok bool, err error) {
	lo := appendValue(listKey(listID), value)
	err = s.kv.ScanBack(lo, kv.PrefixEnd(lo), func(key, stored []byte) (bool, error) {
		e, err := decodeIOC(key, stored)
		if err != nil || e.Added > atEpoch {
			return err == nil, err
		}
		if e.Deleted == 0 || e.Deleted > atEpoch {
			e.Value, e.Meta = bytes.Clone(e.Value), bytes.Clone(e.Meta)
			found, ok = e, true
		}
		return false, nil
	})
	return found, ok, err
}

// PurgeIOC adds to b that the entries deleted at or before an epoch are forgotten, and returns how many; at most limit (0: all)
// in one go. No epoch before the given one may have to run again after that.
func (s *Store) PurgeIOC(b kv.Batch, epoch uint64, limit int) (int, error) {
	n := 0
	lo, hi := kindRange(kindIOCGone)
	err := s.kv.Scan(lo, hi, func(key, _ []byte) (bool, error) {
		if len(key) < 10+10 {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		if binary.BigEndian.Uint64(key[2:]) > epoch || limit > 0 && n == limit {
			return false, nil
		}
		b.Delete(key)
		b.Delete(append([]byte{kv.PrefixMeta, kindIOC}, key[10:]...))
		n++
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("purge IOC entries: %w", err)
	}
	return n, nil
}

// DropIOC adds to b that the whole list is forgotten.
func (s *Store) DropIOC(b kv.Batch, listID uint64) {
	lo := listKey(listID)
	b.DeleteRange(lo, kv.PrefixEnd(lo))
}

func listKey(listID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixMeta, kindIOC}, listID)
}

func iocKey(listID uint64, e IOCEntry) []byte {
	return binary.BigEndian.AppendUint64(appendValue(listKey(listID), e.Value), e.Added)
}

// goneKey orders deleted entries by the epoch of their end, so that purging reads no living ones.
func goneKey(deleted uint64, iocKey []byte) []byte {
	return append(numberKey(kindIOCGone, deleted), iocKey[2:]...)
}

// appendValue writes a value so that keys sort as values do and none is the beginning of another: 00 becomes 00 ff, the end is 00 01.
func appendValue(dst, value []byte) []byte {
	for _, c := range value {
		if dst = append(dst, c); c == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0x00, 0x01)
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
