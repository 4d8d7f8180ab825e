package table

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// probe is the place where a lookup goes on: in which core, at which version of which chain.
type probe struct {
	core *core
	x    *index
	at   uint32 // the next version, counted from 1; 0: the chain is at its end
	what chain
	// begun: the current row's first chain was found; hit: the row has found something.
	begun, hit bool
	// heads are the first versions of the rows' chains by index.
	heads []uint32
	sum   uint64 // where touch leaves what it read, so that the reads stay
}

type chain uint8

const (
	chainKey   chain = iota // by index
	chainNulls              // the index' versions with NULL
	chainAll                // all versions, newest first
)

// Lookup implements expr.Tables.
func (v *View) Lookup(p *expr.TableProbe) error {
	t, err := v.table(p.Table)
	if err != nil {
		return err
	}
	s, ok := p.State.(*probe)
	if !ok {
		s = &probe{}
		p.State = s
	}
	if !p.More {
		if err := t.Index(p.Cols); err != nil {
			return err
		}
		p.Row, *s = 0, probe{core: t.core.Load(), heads: s.heads[:0]}
	}
	s.core.mu.RLock()
	defer s.core.mu.RUnlock()
	if s.x = s.core.indexOf(p.Cols); s.x != nil && !p.More {
		s.touch(p)
	}
	p.Rows, p.Marks = p.Rows[:0], p.Marks[:0]
	for ; p.Row < p.N; p.Row++ {
		if !s.row(v, p) {
			p.More = true
			return nil
		}
	}
	p.More, s.core, s.x = false, nil, nil // what it pinned may go
	return nil
}

// TableVersion implements expr.TableVersions: the latest epoch that changed the table, unless it has changed since the view's.
func (v *View) TableVersion(id uint64) (uint64, bool) {
	t := v.set.Table(id)
	if t == nil {
		return 0, false
	}
	at := t.changed.Load()
	return at, at <= v.epoch
}

// touch finds the heads of all rows' chains, and reads their versions ahead: the memory accesses of different rows overlap. A
// version that is added while the lookup goes on, in pieces, belongs to a later epoch.
func (s *probe) touch(p *expr.TableProbe) {
	if p.Nulls {
		return
	}
	for i := range p.N {
		h := uint32(0)
		if len(p.Null) == 0 || !p.Null[i] {
			h = s.x.head(p.Keys.Key(i), p.Keys.Hash[i])
		}
		s.heads = append(s.heads, h)
	}
	sum := uint64(0)
	for _, h := range s.heads {
		if h != 0 {
			sum += s.core.vers[h-1].added
		}
	}
	s.sum = sum
}

// row looks up one probing row; false: there is no room for more results.
func (s *probe) row(v *View, p *expr.TableProbe) bool {
	if !s.begun {
		s.begin(p)
	}
	asOf, now, ok := s.time(v, p)
	for ok && !(s.hit && (p.First || s.x != nil && s.x.unique && s.what == chainKey)) {
		if s.at == 0 && !s.more(p) {
			break
		}
		i := s.at - 1
		s.at = s.older(i)
		if !v.sees(&s.core.vers[i], asOf, now) {
			continue
		}
		s.hit = true
		s.emit(p, int(i))
		if len(p.Rows) >= batch.RowsMax {
			return false
		}
	}
	if p.Mark == expr.MarkAll || p.Mark == expr.MarkMissed && !s.hit {
		p.Rows, p.Marks = append(p.Rows, uint32(p.Row)), append(p.Marks, true)
		for c := range p.Into {
			if !p.Into[c].Absent {
				p.Into[c].AppendNull()
			}
		}
	}
	s.begun = false
	return true
}

// begin finds the current row's first chain.
func (s *probe) begin(p *expr.TableProbe) {
	s.begun, s.hit, s.at = true, false, 0
	null := len(p.Null) > 0 && p.Null[p.Row]
	switch {
	case p.Nulls:
		s.what, s.at = chainNulls, s.x.nulls
	case s.x == nil || null && p.NullAware:
		s.what, s.at = chainAll, uint32(len(s.core.vers))
	case null:
		s.what = chainNulls // which is not followed: see more
	default:
		s.what, s.at = chainKey, s.heads[p.Row]
	}
}

// more turns to the row's next chain; false: there is none with anything in it.
func (s *probe) more(p *expr.TableProbe) bool {
	if s.what != chainKey || !p.NullAware {
		return false
	}
	s.what, s.at = chainNulls, s.x.nulls
	return s.at != 0
}

// older is the version after version i of the chain.
func (s *probe) older(i uint32) uint32 {
	if s.what == chainAll {
		return i
	}
	return s.x.next[i]
}

// time is the time that the current row asks for; ok is false for NULL, when nothing is found.
func (s *probe) time(v *View, p *expr.TableProbe) (asOf int64, now, ok bool) {
	if p.AsOf == nil {
		return 0, true, true
	}
	if p.AsOf.IsNull(p.Row) {
		return 0, false, false
	}
	return max(p.AsOf.I64[p.Row], v.oldest), false, true
}

// emit adds version i to the results.
func (s *probe) emit(p *expr.TableProbe, i int) {
	p.Rows, p.Marks = append(p.Rows, uint32(p.Row)), append(p.Marks, false)
	if len(p.Into) == 0 {
		return
	}
	b, r := s.core.row(i)
	for c := range p.Into {
		if !p.Into[c].Absent {
			p.Into[c].AppendFrom(&b.Cols[c], r)
		}
	}
}

// sees tells whether a version belongs to the view's epoch and to a time.
func (v *View) sees(x *version, asOf int64, now bool) bool {
	if x.added > v.epoch {
		return false
	}
	ended := x.dropped != 0 && x.dropped <= v.epoch
	if now {
		return !ended
	}
	return x.from <= asOf && (!ended || asOf < x.to)
}

// Scan gives the rows of a table as they are now, oldest first, in batches with the numbers of their versions. What it gives is
// valid during the call of fn. The table may change meanwhile; the rows are those of the view's epoch.
func (v *View) Scan(id uint64, fn func(b *batch.Batch, numbers []uint64) error) error {
	t, err := v.table(id)
	if err != nil {
		return err
	}
	co := t.core.Load()
	var numbers []uint64
	for i, n := 0, 1; i < n; {
		b := batch.New(t.schema, nil)
		numbers = numbers[:0]
		co.mu.RLock()
		n = len(co.vers)
		for ; i < n && b.N < batch.RowsMax; i++ {
			if !v.sees(&co.vers[i], 0, true) {
				continue
			}
			from, r := co.row(i)
			for c := range b.Cols {
				b.Cols[c].AppendFrom(&from.Cols[c], r)
			}
			b.N++
			numbers = append(numbers, co.vers[i].number)
		}
		co.mu.RUnlock()
		if b.N == 0 {
			continue
		}
		if err := fn(b, numbers); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the newest living row that has a key (as AppendKey encodes it) in some columns, with the number of its version.
func (v *View) Find(id uint64, cols []int, key []byte) (row []types.Value, number uint64, ok bool) {
	t := v.set.Table(id)
	if t == nil || len(cols) == 0 {
		return nil, 0, false
	}
	if err := t.Index(cols); err != nil {
		return nil, 0, false // it cannot hold more keys, and then it cannot hold more rows
	}
	co := t.core.Load()
	co.mu.RLock()
	defer co.mu.RUnlock()
	x := co.indexOf(cols)
	for at := x.head(key, batch.HashKey(key)); at != 0; at = x.next[at-1] {
		if ver := &co.vers[at-1]; v.sees(ver, 0, true) {
			b, r := co.row(int(at - 1))
			return b.Row(nil, r), ver.number, true
		}
	}
	return nil, 0, false
}

// Alive tells whether a version of a row belongs to the table as it is now.
func (v *View) Alive(id, number uint64) bool {
	t := v.set.Table(id)
	if t == nil {
		return false
	}
	co := t.core.Load()
	co.mu.RLock()
	defer co.mu.RUnlock()
	i := co.find(number)
	return i >= 0 && v.sees(&co.vers[i], 0, true)
}

// Len counts the rows of a table.
func (v *View) Len(id uint64) int {
	t := v.set.Table(id)
	if t == nil {
		return 0
	}
	co := t.core.Load()
	co.mu.RLock()
	defer co.mu.RUnlock()
	n := 0
	for i := range co.vers {
		if v.sees(&co.vers[i], 0, true) {
			n++
		}
	}
	return n
}
