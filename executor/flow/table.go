package flow

import (
	"hash/maphash"
	"math/bits"
)

// Limits of a record's time, microseconds.
type Limits struct {
	// Active: no record reaches over a multiple of it since 1970 UTC. So what is summed over windows of that length, or of a multiple, is exact, and
	// does not depend on where a capture was cut into blocks.
	Active int64
	// Inactive: after so long without a packet a new record begins.
	Inactive int64
}

// table gathers the records of one piece of a capture, in the order of their first packets.
type table struct {
	limits  Limits
	records []Record
	slots   []slot // open addressing; the length is a power of two
	used    int
	seed    uint64
}

// slot is a place of the index: the upper half of the key's hash, and the number of its newest record, from 1.
type slot struct{ hash, record uint32 }

const slotsMin = 1 << 10

func newTable(l Limits) *table {
	return &table{limits: l, slots: make([]slot, slotsMin), seed: maphash.String(maphash.MakeSeed(), "flow") | 1}
}

// reset forgets all; memory that one large piece needed is given back.
func (t *table) reset() {
	if len(t.slots) > 64*slotsMin && t.used < len(t.slots)/16 {
		t.slots, t.records = make([]slot, slotsMin), nil
	}
	clear(t.slots)
	t.records, t.used = t.records[:0], 0
}

// hash mixes with a seed that nobody outside knows, so that nobody can choose keys that collide.
func (t *table) hash(k *Key) uint64 {
	const m1, m2, m3 = 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb
	h1, l1 := bits.Mul64(k[1]^t.seed, k[3]^k[4]^m1)
	h2, l2 := bits.Mul64(k[0]^t.seed^m2, k[2]^m3)
	h3, l3 := bits.Mul64(h1^l1^t.seed, h2^l2^k[4]^m2)
	return h3 ^ l3
}

// add counts a packet.
func (t *table) add(p *packet, at int64) {
	h := t.hash(&p.key)
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for {
		s := t.slots[i]
		if s.record == 0 {
			break
		}
		if s.hash == uint32(h>>32) {
			if r := &t.records[s.record-1]; r.Key == p.key {
				if !t.fits(r, at) {
					t.slots[i].record = t.begin(p, at)
					return
				}
				r.First, r.Last = min(r.First, at), max(r.Last, at)
				r.Packets++
				r.Octets += p.octets
				r.TCPFlags |= p.flags
				return
			}
		}
		i = (i + 1) & mask
	}
	t.slots[i] = slot{uint32(h >> 32), t.begin(p, at)}
	if t.used++; t.used > len(t.slots)*5/8 {
		t.grow()
	}
}

// fits reports that a packet of that time belongs to the record.
func (t *table) fits(r *Record, at int64) bool {
	return uint64(at-r.slice) < uint64(t.limits.Active) && at-r.Last <= t.limits.Inactive && r.First-at <= t.limits.Inactive
}

// begin begins a record and returns its number, from 1.
func (t *table) begin(p *packet, at int64) uint32 {
	into := at % t.limits.Active
	if into < 0 {
		into += t.limits.Active
	}
	t.records = append(t.records, Record{Key: p.key, First: at, Last: at, Packets: 1, Octets: p.octets, TCPFlags: p.flags, TOS: p.tos, slice: at - into})
	return uint32(len(t.records))
}

// grow doubles the index.
func (t *table) grow() {
	old := t.slots
	t.slots = make([]slot, 2*len(old))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s.record == 0 {
			continue
		}
		i := t.hash(&t.records[s.record-1].Key) & mask
		for t.slots[i].record != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}
