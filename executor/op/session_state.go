package op

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/window"
)

// Snapshot implements Stateful: the keys whose sessions changed since the last one.
func (a *SessionAgg) Snapshot(out StateWriter) error {
	if err := a.saved.snapshot(&a.windowCalls, &a.table, a, out); err != nil {
		return fmt.Errorf("snapshot of sessions: %w", err)
	}
	return nil
}

// Changed implements AheadCopier.
func (a *SessionAgg) Changed() int { return a.saved.changed(&a.table) }

// CopyAhead implements AheadCopier.
func (a *SessionAgg) CopyAhead(out StateWriter, most int) (int, error) {
	n, err := a.saved.copyAhead(&a.windowCalls, &a.table, a, out, most)
	if err != nil {
		return n, fmt.Errorf("copy of sessions: %w", err)
	}
	return n, nil
}

func (a *SessionAgg) writeAll(out StateWriter) error {
	return a.saved.writeAll(&a.windowCalls, &a.table, a, out)
}

// judgeShown finds out which sessions are among the results, where all were of a union: it has no HAVING, and errors for results there too.
func (a *SessionAgg) judgeShown() error {
	told := a.GroupError
	a.GroupError = func(window.Window, error) {}
	defer func() { a.GroupError = told }()
	var rows []outRow
	for key := range uint32(a.table.Cap()) {
		if !a.table.Has(key) {
			continue
		}
		for at := *a.head(key); at != 0; at = a.sessions[at-1].next {
			se := &a.sessions[at-1]
			if se.flags&sessionShown != 0 {
				se.flags &^= sessionShown
				rows = append(rows, outRow{gid: at - 1, key: key, start: se.start, end: a.end(se)})
			}
		}
	}
	for ; len(rows) > 0; rows = rows[min(len(rows), batch.RowsMax):] {
		a.out.Reset(nil)
		good, err := a.fill(a.out, &a.slab, &a.table, rows[:min(len(rows), batch.RowsMax)])
		if err == nil {
			a.passed, err = a.passing(a.out, a.passed[:0])
		}
		if err != nil {
			return err
		}
		for _, i := range a.passed {
			a.sessions[good[i].gid].flags |= sessionShown
		}
	}
	return nil
}

// savedFlags are those that outlive a batch.
const savedFlags = sessionShown | sessionClosed

// appendEntry implements saver: the sessions of a key, newest first.
func (a *SessionAgg) appendEntry(dst []byte, key uint32) ([]byte, int64) {
	due := int64(math.MinInt64)
	for at := *a.head(key); at != 0; at = a.sessions[at-1].next {
		se := &a.sessions[at-1]
		due = max(due, satAdd(a.end(se), a.keep))
		dst = binary.AppendVarint(dst, se.start)
		dst = binary.AppendUvarint(dst, uint64(se.last)-uint64(se.start))
		dst = append(dst, se.flags&savedFlags)
		dst = a.appendStates(dst, &a.slab, at-1)
	}
	return dst, due
}

// Restore implements Stateful.
func (a *SessionAgg) Restore(in StateReader, own func(hash uint64) bool) error {
	err := a.saved.restore(&a.windowCalls, &a.table, in, restoring{own, a.loadEntry})
	if err != nil {
		return err
	}
	for key := range a.table.Cap() {
		a.dropIdle(uint32(key)) // everything of it had ended
	}
	a.table.MarkAll()
	return nil
}

// loadEntry makes the sessions of a key that had not ended.
func (a *SessionAgg) loadEntry(key uint32, entry []byte, dead int64) error {
	link, before := uint32(0), int64(math.MaxInt64)
	for len(entry) > 0 {
		start, rest, err := cutVarint(entry)
		if err != nil {
			return err
		}
		length, rest, err := cutUvarint(rest)
		if err != nil {
			return err
		}
		last := int64(uint64(start) + length)
		if len(rest) == 0 || rest[0]&^savedFlags != 0 || last < start || link != 0 && start >= before || !a.fits(start, last) {
			return fmt.Errorf("bad session from %d", start)
		}
		flags := rest[0]
		if flags&sessionClosed != 0 && (a.mode != spec.EmitFinal || a.keep == 0) {
			return fmt.Errorf("session from %d has closed", start)
		}
		id := a.insert(key, start, link) - 1
		if entry, err = a.loadStates(rest[1:], &a.slab, id); err != nil {
			return err
		}
		se := &a.sessions[id]
		se.last, se.flags = last, flags
		if satAdd(a.end(se), a.keep) <= dead {
			a.discard(id)
			continue
		}
		link, before = id+1, start
		a.schedule(id)
	}
	return nil
}

// discard takes back the session that was inserted last.
func (a *SessionAgg) discard(id uint32) {
	at := a.head(a.sessions[id].key)
	for *at != id+1 {
		at = &a.sessions[*at-1].next
	}
	*at = a.sessions[id].next
	a.slab.Release(id)
	a.giveBack(id)
	a.open--
}

// appendStates writes the states of a group.
func (c *windowCalls) appendStates(dst []byte, slab *agg.Slab, gid uint32) []byte {
	if c.union == nil {
		for i := range c.aggs {
			dst = c.aggs[i].kernel.Append(dst, slab, c.offs[i], gid)
		}
		return dst
	}
	for i := range c.aggs {
		c.union.state = c.aggs[i].kernel.Append(c.union.state[:0], slab, c.offs[i], gid)
		dst = appendCounted(dst, c.union.state)
	}
	return dst
}

// loadStates reads the states of a group, which is empty, and returns what follows.
func (c *windowCalls) loadStates(src []byte, slab *agg.Slab, gid uint32) ([]byte, error) {
	if c.loading != nil {
		return c.loadUnion(src, slab, gid)
	}
	var err error
	for i := range c.aggs {
		if src, err = c.aggs[i].kernel.Load(src, slab, c.offs[i], gid); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// loadUnion is loadStates of what a union has written. The aggregates that are not part of the output are the last ones there, too.
func (c *windowCalls) loadUnion(src []byte, slab *agg.Slab, gid uint32) ([]byte, error) {
	u, hidden := c.loading, len(c.aggs)-c.shown
	for n := range u.n {
		one, rest, err := cutBytes(src)
		if err != nil {
			return nil, err
		}
		src = rest
		i := -1
		switch {
		case n >= u.n-hidden:
			i = c.shown + n - (u.n - hidden)
		case n < len(u.at):
			i = u.at[n]
		}
		if i < 0 || len(one) == 0 {
			continue
		}
		if rest, err = c.aggs[i].kernel.Load(one, slab, c.offs[i], gid); err != nil {
			return nil, err
		}
		if len(rest) > 0 {
			return nil, fmt.Errorf("a state has %d bytes too many", len(rest))
		}
	}
	return src, nil
}

// checkKey refuses keys that are not of the query's types.
func (c *windowCalls) checkKey(key []byte) error {
	rest, err := agg.SkipKey(key, c.keyType)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("key has %d bytes too many", len(rest))
	}
	return err
}
