package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

const sequenceVersion = 1

// SequenceState is how far a sequence has come: Last is the last value that may have been given out, or the next one when Called is
// false.
type SequenceState struct {
	Last   int64
	Called bool
}

// PutSequence adds a sequence's state to b.
func (s *Store) PutSequence(b kv.Batch, id uint64, st SequenceState) {
	called := byte(0)
	if st.Called {
		called = 1
	}
	b.Set(numberKey(kindSequence, id), binary.BigEndian.AppendUint64([]byte{sequenceVersion, called}, uint64(st.Last)))
}

// Sequence reads a sequence's state; false when it has none yet.
func (s *Store) Sequence(id uint64) (st SequenceState, ok bool, err error) {
	v, ok, err := s.kv.Get(numberKey(kindSequence, id))
	if err != nil || !ok {
		return st, false, err
	}
	if err := kv.CheckVersion("the state of a sequence", v, sequenceVersion); err != nil {
		return st, false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(v) != 10 || v[1] > 1 {
		return st, false, fmt.Errorf("%w: state of sequence %d", ErrCorrupt, id)
	}
	return SequenceState{Last: int64(binary.BigEndian.Uint64(v[2:])), Called: v[1] == 1}, true, nil
}

// DropSequence adds to b that a sequence's state is forgotten.
func (s *Store) DropSequence(b kv.Batch, id uint64) { b.Delete(numberKey(kindSequence, id)) }
