package ioc

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/storage/kv"
)

// Entry is what is known of an entry. It is read-only.
type Entry struct {
	Info []byte
	// Expires is a time in microseconds, 0: never.
	Expires int64
}

// Probe is room for look-ups. Not for concurrent use.
type Probe struct {
	key    [8]byte
	lo     []byte
	cursor *pooled
}

// Find returns the entry of a value in a version, nil when there is none.
func (p *Probe) Find(l *List, seq uint64, value []byte) (*Entry, error) {
	h := l.s.hash(value)
	if !l.may(h, p.key[:]) {
		return nil, nil
	}
	return p.verify(l, seq, value, h)
}

// may says that a value may have a row.
func (l *List) may(h hashes, key []byte) bool {
	sh := l.shards[h.a>>56].Load()
	return sh == nil || sh.may(h, key)
}

// verify looks for the row of a value.
func (p *Probe) verify(l *List, seq uint64, value []byte, h hashes) (*Entry, error) {
	if x := l.s.hits.get(l.id, h, seq, value); x != nil {
		return x.entry, nil
	}
	if len(value) > ValueMax {
		return nil, nil
	}
	if p.cursor == nil || p.cursor.upTo < seq {
		p.Release(l.s)
		c, err := l.s.cursors.take(seq)
		if err != nil {
			return nil, err
		}
		p.cursor = c
	}
	p.lo = appendRowKey(p.lo[:0], l.id, h.a, value, seq)
	key, stored, ok, err := p.cursor.rows.Seek(p.lo, len(p.lo)-8)
	if err != nil {
		p.cursor.broken = true
		return nil, err
	}
	x := &hit{list: l.id, h: h, value: bytes.Clone(value), from: seq, upTo: seq}
	if ok {
		r, err := decodeRow(key, stored)
		if err != nil {
			return nil, err
		}
		if x.from = r.seq; !r.gone {
			x.entry = &Entry{bytes.Clone(r.info), r.expires}
		}
	}
	l.s.hits.put(x)
	return x.entry, nil
}

// Release gives back what look-ups have held, after the last one.
func (p *Probe) Release(s *Store) {
	if p.cursor != nil {
		s.cursors.give(p.cursor)
		p.cursor = nil
	}
}

// pooled is a cursor that sees the versions up to one.
type pooled struct {
	rows   kv.Cursor
	upTo   uint64
	broken bool
}

// cursorPool keeps cursors for the next look-up.
type cursorPool struct {
	s    *Store
	mu   sync.Mutex
	free []*pooled
}

// cursorsMax is how many cursors wait.
const cursorsMax = 16

func (p *cursorPool) take(seq uint64) (*pooled, error) {
	p.mu.Lock()
	var old []*pooled
	for len(p.free) > 0 {
		c := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		if c.upTo >= seq {
			p.mu.Unlock()
			return c, closeAll(old)
		}
		old = append(old, c)
	}
	p.mu.Unlock()
	if err := closeAll(old); err != nil {
		return nil, err
	}
	upTo := p.s.staged.Load() // before it is made: what is there by now, it sees
	lo := kindKey(kindRow)
	rows, err := kv.NewCursor(p.s.kv, lo, kv.PrefixEnd(lo))
	if err != nil {
		return nil, err
	}
	return &pooled{rows: rows, upTo: upTo}, nil
}

func (p *cursorPool) give(c *pooled) {
	p.mu.Lock()
	if !c.broken && len(p.free) < cursorsMax && c.upTo == p.s.staged.Load() {
		p.free = append(p.free, c)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	_ = c.rows.Close() // it only read
}

// drain closes the cursors that wait, so that the store need not keep what they see.
func (p *cursorPool) drain() {
	p.mu.Lock()
	old := p.free
	p.free = nil
	p.mu.Unlock()
	_ = closeAll(old) // they only read
}

func closeAll(list []*pooled) (err error) {
	for _, c := range list {
		err = c.rows.Close()
	}
	return err
}

// hitCache remembers what was looked up in the rows, by hash: values that are hit again and again, and the few absent ones that the
// filters let pass.
type hitCache struct {
	slots [hitSlots]atomic.Pointer[hit]
	// stamps are the newest changes of values, by hash.
	stamps [stampSlots]atomic.Uint64
	// opened is the version at which the store was opened: of changes up to it there are no stamps.
	opened uint64
}

const (
	hitSlots   = 1 << 13
	stampSlots = 1 << 14
	// hitValueMax is the longest value with its info that is remembered.
	hitValueMax = 1 << 10
)

// hit says that from version from to upTo a value has an entry, or, if that is nil, none.
type hit struct {
	list       uint64
	h          hashes
	value      []byte
	entry      *Entry
	from, upTo uint64
}

func (c *hitCache) get(list uint64, h hashes, seq uint64, value []byte) *hit {
	x := c.slots[h.b%hitSlots].Load()
	if x == nil || x.h != h || x.list != list || seq < x.from || !bytes.Equal(x.value, value) {
		return nil
	}
	if seq > x.upTo && max(c.opened, c.stamps[h.a%stampSlots].Load()) > x.upTo {
		return nil
	}
	return x
}

func (c *hitCache) put(x *hit) {
	if n := len(x.value); n <= hitValueMax && (x.entry == nil || n+len(x.entry.Info) <= hitValueMax) {
		c.slots[x.h.b%hitSlots].Store(x)
	}
}

// changed notes that a change touches a value, before anybody sees that.
func (c *hitCache) changed(h hashes, seq uint64) { c.stamps[h.a%stampSlots].Store(seq) }
