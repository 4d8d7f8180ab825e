package kv

import "bytes"

// removeKeysMax is up to how many keys Remove deletes one by one.
const removeKeysMax = 64

// Remove adds to b that all that r has in [lo, hi) is deleted; hi must be given. It is for ranges that hold little, of which there are many: each range
// that is deleted, also an empty one, is one more that every reader looks at until the store has written it out, and those that overlap multiply.
func Remove(r Reader, b Batch, lo, hi []byte) error {
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	var ends [removeKeysMax]int
	var keys []byte
	n, many := 0, false
	err := r.Scan(lo, hi, func(key, _ []byte) (bool, error) {
		if many = n == removeKeysMax; many {
			return false, nil
		}
		keys = append(keys, key...)
		ends[n] = len(keys)
		n++
		return true, nil
	})
	if err != nil {
		return err
	}
	if many {
		b.DeleteRange(lo, hi)
		return nil
	}
	from := 0
	for _, to := range ends[:n] {
		b.Delete(keys[from:to])
		from = to
	}
	return nil
}
