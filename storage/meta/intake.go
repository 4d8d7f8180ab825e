package meta

import (
	"fmt"

	"github.com/vigil-sql/vigil/storage/kv"
)

const intakeVersion = 1

// PutIntake stores, durably, what the intake of a stream remembers: the templates of its exporters.
func (s *Store) PutIntake(stream uint64, data []byte) error {
	b := s.kv.NewBatch()
	b.Set(numberKey(kindIntake, stream), append([]byte{intakeVersion}, data...))
	return b.Commit(true)
}

// Intake reads what PutIntake stored; nil when there is nothing.
func (s *Store) Intake(stream uint64) ([]byte, error) {
	v, ok, err := s.kv.Get(numberKey(kindIntake, stream))
	if err != nil || !ok {
		return nil, err
	}
	if err := kv.CheckVersion("what the intake of a stream remembers", v, intakeVersion); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return v[1:], nil
}

// DropIntake adds to b that this is forgotten.
func (s *Store) DropIntake(b kv.Batch, stream uint64) { b.Delete(numberKey(kindIntake, stream)) }
