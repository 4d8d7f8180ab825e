package meta

import "github.com/vigil-sql/vigil/storage/kv"

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
