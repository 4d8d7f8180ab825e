package ioc

import (
	"encoding/binary"
	"fmt"
)

// Expired are entries that have come to their end, or had: they may have been replaced since.
type Expired struct {
	// Values are by list.
	Values map[uint64][]string
	keys   [][]byte
}

// Expired finds entries that ended at a time or before, microseconds; at most limit, the earliest.
func (s *Store) Expired(now int64, limit int) (*Expired, error) {
	x := &Expired{Values: map[uint64][]string{}}
	hi := binary.BigEndian.AppendUint64(kindKey(kindExpiry), uint64(now)^1<<63+1)
	err := s.kv.Scan(kindKey(kindExpiry), hi, func(key, _ []byte) (bool, error) {
		const entry = 10
		if len(key) < entry+18 {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		list := binary.BigEndian.Uint64(key[entry:])
		x.Values[list] = append(x.Values[list], string(key[entry+18:]))
		x.keys = append(x.keys, append([]byte(nil), key...))
		return len(x.keys) < limit, nil
	})
	return x, err
}

// Len is how many were found.
func (x *Expired) Len() int { return len(x.keys) }

// Swept notes that what was found is no entry any more.
func (s *Store) Swept(x *Expired) error {
	w := &remover{s: s, b: s.kv.NewBatch()}
	defer func() { w.b.Discard() }()
	for _, key := range x.keys {
		if err := w.remove(key); err != nil {
			return err
		}
	}
	return w.b.Commit(false)
}
