package catalog

import "hash/maphash"

// tableBuckets bounds what one change copies: with 10,000 names, the bucket array and about 40 entries.
const tableBuckets = 256

// seed places keys in buckets; nothing persistent depends on it.
var seed = maphash.MakeSeed()

// table is a persistent map: with and without return changed copies that share all buckets but one. The zero table is
// empty.
type table[K comparable, V any] struct {
	buckets *[tableBuckets]map[K]V
}

func bucket[K comparable](k K) int { return int(maphash.Comparable(seed, k) % tableBuckets) }

// get returns the zero V when k is absent.
func (t table[K, V]) get(k K) (v V) {
	if t.buckets == nil {
		return v
	}
	return t.buckets[bucket(k)][k]
}

func (t table[K, V]) with(k K, v V) table[K, V] {
	next, m := t.copy(k)
	m[k] = v
	return next
}

func (t table[K, V]) without(k K) table[K, V] {
	next, m := t.copy(k)
	delete(m, k)
	return next
}

// copy returns a table whose bucket of k is a fresh map.
func (t table[K, V]) copy(k K) (table[K, V], map[K]V) {
	var buckets [tableBuckets]map[K]V
	if t.buckets != nil {
		buckets = *t.buckets
	}
	i := bucket(k)
	m := make(map[K]V, len(buckets[i])+1)
	for key, v := range buckets[i] {
		m[key] = v
	}
	buckets[i] = m
	return table[K, V]{&buckets}, m
}

// values lists what the table holds, in no order.
func (t table[K, V]) values() []V {
	var out []V
	if t.buckets == nil {
		return nil
	}
	for _, m := range t.buckets {
		for _, v := range m {
			out = append(out, v)
		}
	}
	return out
}
