package ioc

import store "github.com/vigil-sql/vigil/storage/ioc"

// EntriesSince is Entries of those that the changes after a version of the store brought, or replaced.
func (s *Set) EntriesSince(id, seq uint64, fn func(value string, info []byte) error) error {
	for _, l := range s.lists {
		if l.rows == nil || l.rows.ID() != id {
			continue
		}
		var last []byte
		return l.rows.Rows(func(r store.Row) (bool, error) { // of a value the newest comes first
			if r.Seq > l.seq || string(last) == string(r.Value) {
				return true, nil
			}
			last = append(last[:0], r.Value...)
			if r.Gone || r.Seq <= seq || s.expired(&r.Entry) {
				return true, nil
			}
			err := fn(string(r.Value), r.Info)
			return err == nil, err
		})
	}
	return nil
}
