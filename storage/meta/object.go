package meta

import "fmt"

// Object returns the object with an id, alive or dropped.
func (s *Store) Object(id uint64) (Object, error) {
	value, ok, err := s.kv.Get(numberKey(kindObject, id))
	if err != nil {
		return Object{}, fmt.Errorf("read object %d: %w", id, err)
	}
	if !ok {
		return Object{}, fmt.Errorf("object %d is not in the catalogue", id)
	}
	return decodeObject(value)
}
