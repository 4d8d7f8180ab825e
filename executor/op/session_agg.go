package op

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// SessionAgg groups the rows of a key into sessions: a row less than the gap after the one before it belongs to the same
// session. A session is the window [first, last + gap), half-open like every window: a row at last + gap begins a new one, and
// two sessions that only touch stay two. A row that comes between two sessions and overlaps both unites them.
//
// With Max the window is [first, min(last + gap, first + Max)): a row at first + Max begins a new session. A row that comes
// out of order and would make a session longer than Max, by moving its beginning or by uniting it with another, does not
// join it: it is joined to the earlier session if its time lies within that, and begins one of its own otherwise. So the cut
// of a long session depends on the order of arrival only among rows that are out of order at its very beginning.
//
// A session closes when the watermark reaches its end, and can be joined until Lateness after that. A row is late when it can
// join no session and the one it would begin is past that too; as in Flink, a row behind the watermark may still join a
// session that is open.
//
// Sessions come out by (end, key bytes). With EMIT FIRST a session is told when HAVING first becomes true, row by row; a
// united one counts as told when a part of it was.
type SessionAgg struct {
	windowCalls
	mode     spec.EmitMode
	gap, max int64
	// keep is the allowed lateness, microseconds.
	keep int64

	// table numbers the keys; the first word of each is its newest session + 1, 0 for none.
	table    state.Live
	sessions []session
	free     []uint32 // numbers of sessions that are none any more
	mem      *arena.Part
	blocks   struct{ sessions, free arena.Block }
	slab     agg.Slab // by session
	timers   timers
	open     int   // sessions in use
	sum      int64 // where readAhead leaves what it read, so that the reads stay

	seg     segment
	changes changeSet
	idle    []uint32 // keys of late rows: they may have no session
	closing []outRow
	kept    []outRow // those that have closed and pass HAVING
	chosen  []outRow
	kids    []uint32
	passed  []uint32
	out     *batch.Batch
	marks   []batch.Behind // of the batch being processed, not yet passed

	saved keyedState
}

var (
	_ Stateful    = (*SessionAgg)(nil)
	_ LateCounter = (*SessionAgg)(nil)
	_ Deadliner   = (*SessionAgg)(nil)
)

// session is one session of a key.
type session struct {
	start, last int64  // times of the first and the last row
	at          int64  // of its timer
	next        uint32 // the key's next older session + 1, 0 for none
	key         uint32
	gen         uint32 // of its timer
	mark        uint32 // its place among the changes of the batch + 1, 0 for none
	run         uint32 // the segment it last had a row in (EMIT FIRST)
	flags       uint8
}

const (
	// sessionShown: the session is among the results; with EMIT FIRST, it has been told.
	sessionShown = 1 << iota
	// sessionClosed: its end has passed.
	sessionClosed
	// sessionGone: it was united with another one in this batch.
	sessionGone
	// sessionTimed: it has a timer.
	sessionTimed
)

// NewSessionAgg compiles keys and aggregates; schema is the output schema: window_start, window_end, keys, aggregates.
func NewSessionAgg(s *spec.WindowAgg, schema *types.Schema) (*SessionAgg, error) {
	w := &s.Window
	switch {
	case w.Kind != window.Session || w.Size <= 0:
		return nil, fmt.Errorf("session aggregate: window of kind %d, gap %d", w.Kind, w.Size)
	case w.Max < 0:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the longest length of a session must be positive")
	}
	if err := checkEmit(s, "SESSION", spec.EmitFinal, spec.EmitUpdate, spec.EmitFirst); err != nil {
		return nil, err
	}
	if err := checkMerges(s.Aggs, "SESSION"); err != nil {
		return nil, err
	}
	a := &SessionAgg{mode: s.Emit.Mode, gap: w.Size, max: w.Max, keep: s.Lateness}
	if err := a.init(s, schema); err != nil {
		return nil, err
	}
	a.slab.Stride = a.stride
	a.out = batch.New(schema, nil)
	a.changes.init(schema)
	a.timers = newTimers(satAdd(a.gap, a.keep), func(tm timer) (int64, bool) {
		se := &a.sessions[tm.id]
		due, ok := a.dueOf(se), se.gen == tm.gen
		if ok {
			se.at = due // the timer moves there: schedule has to know
		}
		return due, ok
	})
	a.saved.init(formSession, max(a.gap/4, savedSliceMin))
	return a, nil
}

// Open implements Operator.
func (a *SessionAgg) Open(ctx *expr.Ctx) error {
	mem := ctx.State.Part()
	a.table.Mem, a.slab.Mem, a.mem, a.timers.mem, a.saved.of.mem = mem, mem, mem, mem, mem
	return a.windowCalls.Open(ctx)
}

// Spillable implements Spiller.
func (a *SessionAgg) Spillable() int64 { return a.slab.Mem.Bytes() + a.shared.part(spillableOf) }

// head is the newest session of a key + 1, 0 for none.
func (a *SessionAgg) head(key uint32) *uint32 { return &a.table.Words(key)[0] }

// end is where the session's window ends.
func (a *SessionAgg) end(se *session) int64 { return a.endOf(se.start, se.last) }

func (a *SessionAgg) endOf(start, last int64) int64 {
	end := satAdd(last, a.gap)
	if a.max > 0 {
		end = min(end, satAdd(start, a.max))
	}
	return end
}

// dueOf is when Advance has to look at a session.
func (a *SessionAgg) dueOf(se *session) int64 {
	if a.mode == spec.EmitFinal && se.flags&sessionClosed == 0 {
		return a.end(se)
	}
	return satAdd(a.end(se), a.keep)
}

// tracks reports whether rows of the output change before or after their session closes.
func (a *SessionAgg) tracks() bool {
	return a.mode == spec.EmitUpdate || a.mode == spec.EmitFinal && a.keep > 0
}

// Process implements Operator.
func (a *SessionAgg) Process(_ int, in Input, out Emitter) error {
	if len(in.Sel) == 0 {
		return nil
	}
	rows, keys, places, err := a.prepare(in)
	if err != nil || len(rows) == 0 {
		return err
	}
	if a.kids, err = a.table.FindOrAdd(keys, places, a.kids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys with open sessions", state.KeysMax)
	}
	a.readAhead()
	a.seg.begin(in.B, len(rows))
	a.marks = in.B.Behind
	times := in.B.Cols[a.spec.Window.TimeCol].I64
	final := a.mode == spec.EmitFinal && !a.tracks()
	for i, row := range rows {
		var closed int64
		closed, a.marks = a.behindAt(&in, a.marks, row)
		if final && a.continues(a.kids[i], times[row], closed) {
			a.seg.add(row, *a.head(a.kids[i])-1)
			continue
		}
		if err := a.add(a.kids[i], row, times[row], closed, out); err != nil {
			return err
		}
	}
	if err := a.flush(out); err != nil {
		return err
	}
	return a.finish(out)
}

// continues joins a row at t to the newest session of its key, if it belongs there and nothing but the session's last row
// changes: what is due does not come earlier.
func (a *SessionAgg) continues(key uint32, t, closed int64) bool {
	at := *a.head(key)
	if at == 0 {
		return false
	}
	se := &a.sessions[at-1]
	if end := a.end(se); t < se.start || t >= end || satAdd(end, a.keep) <= closed {
		return false
	}
	se.last = max(se.last, t)
	return true
}

// readAhead reads the newest sessions of the keys of the batch, all at once, so that what follows does not wait for memory at
// each.
func (a *SessionAgg) readAhead() {
	sum := int64(0)
	for _, key := range a.kids {
		if at := *a.head(key); at != 0 {
			sum += a.sessions[at-1].last
		}
	}
	a.sum = sum
}

// add puts a row into a session of its key.
func (a *SessionAgg) add(key, row uint32, t, closed int64, out Emitter) error {
	older, newer, link := a.neighbours(key, t, closed)
	if err := a.settle(older, out); err != nil {
		return err
	}
	if err := a.settle(newer, out); err != nil {
		return err
	}
	switch {
	case older != 0 && newer != 0 && a.unites(older, newer, t):
		if err := a.unite(older, newer, t, out); err != nil {
			return err
		}
	case older != 0:
		se := &a.sessions[older-1]
		a.touch(older)
		se.last = max(se.last, t)
	case newer != 0 && a.extends(newer, t, closed):
		a.touch(newer)
		older = newer
		se := &a.sessions[newer-1]
		end := a.end(se)
		se.start = t
		a.noteEnd(se, end)
	default:
		if satAdd(a.endOf(t, t), a.keep) <= closed {
			a.idle = append(a.idle, key)
			a.lateRow(row, closed)
			return nil
		}
		older = a.insert(key, t, link)
		a.touch(older)
	}
	a.schedule(older - 1)
	a.sessions[older-1].run = a.seg.number
	a.seg.add(row, older-1)
	return nil
}

// settle folds the rows so far when a session has one among them and waits for HAVING to become true.
func (a *SessionAgg) settle(at uint32, out Emitter) error {
	if a.mode != spec.EmitFirst || at == 0 {
		return nil
	}
	if se := &a.sessions[at-1]; se.flags&sessionShown != 0 || se.run != a.seg.number {
		return nil
	}
	return a.flush(out)
}

// neighbours finds the sessions of a key that a row at t overlaps and may join: the one that holds t, and the one that begins
// less than the gap after it. link is where a session that begins at t belongs: nil for the head, else what it follows.
func (a *SessionAgg) neighbours(key uint32, t, closed int64) (older, newer, link uint32) {
	until := satAdd(t, a.gap)
	for at := *a.head(key); at != 0; at = a.sessions[at-1].next {
		se := &a.sessions[at-1]
		end := a.end(se)
		usable := satAdd(end, a.keep) > closed
		if se.start <= t {
			if usable && t < end {
				older = at
			}
			return older, newer, link
		}
		link = at
		if usable && se.start < until {
			newer = at
		}
	}
	return older, newer, link
}

// unites reports whether two sessions are one when a row at t is there.
func (a *SessionAgg) unites(older, newer uint32, t int64) bool {
	o, n := &a.sessions[older-1], &a.sessions[newer-1]
	return a.fits(o.start, n.last)
}

// fits reports whether rows at both times can be in one session.
func (a *SessionAgg) fits(start, last int64) bool { return a.max == 0 || last < satAdd(start, a.max) }

// extends reports whether a row at t can become the first one of a session, which then has not ended before the row came.
func (a *SessionAgg) extends(newer uint32, t, closed int64) bool {
	se := &a.sessions[newer-1]
	return a.fits(t, se.last) && satAdd(a.endOf(t, se.last), a.keep) > closed
}

// unite folds the newer of two sessions into the older one.
func (a *SessionAgg) unite(older, newer uint32, t int64, out Emitter) error {
	a.touch(older)
	a.touch(newer)
	if err := a.flush(out); err != nil {
		return err
	}
	o, n := &a.sessions[older-1], &a.sessions[newer-1]
	if err := a.mergeWithin(&a.slab, older-1, newer-1); err != nil {
		return err
	}
	o.last = max(o.last, n.last, t)
	a.noteEnd(o, a.end(n))
	if a.mode == spec.EmitFirst {
		o.flags |= n.flags & sessionShown
	}
	at := a.head(o.key)
	for *at != newer {
		at = &a.sessions[*at-1].next
	}
	*at = n.next
	n.flags |= sessionGone
	n.gen++
	a.slab.Release(newer - 1)
	a.open--
	if !a.tracks() {
		a.giveBack(newer - 1)
	}
	return nil
}

// noteEnd is told where a session, or a part of it, would have ended.
func (a *SessionAgg) noteEnd(se *session, end int64) {
	if a.end(se) < end {
		a.saved.endsSooner(se.key)
	}
}

// insert makes a session that begins at t and follows link in the list of its key.
func (a *SessionAgg) insert(key uint32, t int64, link uint32) uint32 {
	var id uint32
	if n := len(a.free); n > 0 {
		id, a.free = a.free[n-1], a.free[:n-1]
	} else {
		id = uint32(len(a.sessions))
		a.sessions = arena.Append(a.mem, &a.blocks.sessions, a.sessions, session{})
		a.slab.Grow(len(a.sessions))
	}
	at := a.head(key)
	if link != 0 {
		at = &a.sessions[link-1].next
	}
	gen := a.sessions[id].gen
	a.sessions[id] = session{start: t, last: t, next: *at, key: key, gen: gen}
	*at = id + 1
	a.open++
	return id + 1
}

// schedule sets the timer of a session, unless the one it has comes early enough.
func (a *SessionAgg) schedule(id uint32) {
	se := &a.sessions[id]
	due := a.dueOf(se)
	if se.flags&sessionTimed != 0 && due >= se.at {
		return
	}
	se.gen++
	se.at = due
	se.flags |= sessionTimed
	a.timers.add(timer{at: due, id: id, gen: se.gen})
}

// Advance implements Operator: it closes the sessions that end at or before the watermark.
func (a *SessionAgg) Advance(watermark types.EventTime, out Emitter) error {
	a.watermark = max(a.watermark, watermark)
	a.kept = a.kept[:0]
	for list, ok := a.timers.take(int64(a.watermark)); ok; list, ok = a.timers.take(int64(a.watermark)) {
		for len(list) > 0 {
			n := min(len(list), batch.RowsMax)
			if err := a.ring(list[:n]); err != nil {
				return err
			}
			list = list[n:]
		}
	}
	return a.emitClosed(out)
}

// ring looks at sessions whose timers are due. Those that close and that HAVING lets through are kept for emitClosed: most
// sessions of most rules end here.
func (a *SessionAgg) ring(list []timer) error {
	w := int64(a.watermark)
	a.closing, a.kids = a.closing[:0], a.kids[:0]
	for _, tm := range list {
		se := &a.sessions[tm.id]
		if se.gen != tm.gen {
			continue
		}
		switch due := a.dueOf(se); {
		case due > w:
			se.at = due
			a.timers.add(timer{at: due, id: tm.id, gen: tm.gen})
		case a.mode == spec.EmitFinal && se.flags&sessionClosed == 0:
			se.flags |= sessionClosed
			se.flags &^= sessionTimed // letGo sets the next one
			a.closing = append(a.closing, outRow{gid: tm.id, key: se.key, start: se.start, end: a.end(se)})
			a.kids = append(a.kids, se.key)
		default:
			a.drop(tm.id)
		}
	}
	a.table.TouchPlaces(a.kids)
	passed, err := a.passingOf(a.closing)
	if err != nil {
		return err
	}
	for i := range a.closing {
		if len(passed) > 0 && passed[0].gid == a.closing[i].gid {
			a.kept, passed = append(a.kept, passed[0]), passed[1:]
			continue
		}
		a.letGo(&a.closing[i])
	}
	return nil
}

// passingOf returns those of rows, at most batch.RowsMax of them, that HAVING lets through; valid until the next call.
func (a *SessionAgg) passingOf(rows []outRow) ([]outRow, error) {
	if a.having == nil || len(rows) == 0 {
		return rows, nil
	}
	a.chosen = a.chosen[:0]
	if r := &a.inRange; r.kernel != nil {
		a.cells = a.cells[:0]
		for i := range rows {
			a.cells = append(a.cells, rows[i].gid)
		}
		var ok bool
		if a.passed, ok = r.kernel.InRange(a.passed[:0], &a.slab, a.offs[r.call], a.cells, r.in); ok {
			passed := a.passed
			for i := range rows {
				if len(passed) > 0 && passed[0] == rows[i].gid {
					a.chosen, passed = append(a.chosen, rows[i]), passed[1:]
				}
			}
			return a.chosen, nil
		}
	}
	a.out.Reset(nil)
	good, err := a.fillFor(a.out, &a.slab, &a.table, rows)
	if err != nil {
		return nil, err
	}
	if a.passed, err = a.passing(a.out, a.passed[:0]); err != nil {
		return nil, err
	}
	for _, i := range a.passed {
		a.chosen = append(a.chosen, good[i])
	}
	return a.chosen, nil
}

// emitClosed sends the sessions that have closed and pass HAVING.
func (a *SessionAgg) emitClosed(out Emitter) error {
	slices.SortFunc(a.kept, func(x, y outRow) int {
		if c := cmp.Compare(x.end, y.end); c != 0 {
			return c
		}
		if x.key == y.key {
			return cmp.Compare(x.start, y.start)
		}
		return bytes.Compare(a.table.Key(x.key), a.table.Key(y.key))
	})
	for rows := a.kept; len(rows) > 0; {
		n := min(len(rows), batch.RowsMax)
		if err := a.emitRows(rows[:n], out); err != nil {
			return err
		}
		rows = rows[n:]
	}
	for i := range a.kept {
		a.letGo(&a.kept[i])
	}
	return nil
}

// letGo drops a session that has closed, or keeps it for late rows.
func (a *SessionAgg) letGo(r *outRow) {
	if satAdd(r.end, a.keep) <= int64(a.watermark) {
		a.drop(r.gid)
		return
	}
	a.schedule(r.gid)
	a.table.Mark(r.key)
}

// emitRows sends sessions, at most batch.RowsMax, as inserts: those that HAVING lets through, where that has not been seen to.
func (a *SessionAgg) emitRows(rows []outRow, out Emitter) error {
	a.out.Reset(nil)
	rows, err := a.fill(a.out, &a.slab, &a.table, rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	if a.mode == spec.EmitFinal {
		a.passed = append(a.passed[:0], batch.All(len(rows))...)
	} else if a.passed, err = a.passing(a.out, a.passed[:0]); err != nil || len(a.passed) == 0 {
		return err
	}
	for _, i := range a.passed {
		a.sessions[rows[i].gid].flags |= sessionShown
	}
	return out.Emit(Input{B: a.out, Sel: a.passed})
}

// drop forgets a session, and its key with the last one.
func (a *SessionAgg) drop(id uint32) {
	se := &a.sessions[id]
	at := a.head(se.key)
	for *at != id+1 {
		at = &a.sessions[*at-1].next
	}
	*at = se.next
	se.gen++
	a.slab.Release(id)
	a.giveBack(id)
	a.open--
	a.dropIdle(se.key)
}

// dropIdle forgets a key without sessions.
func (a *SessionAgg) dropIdle(key uint32) {
	if *a.head(key) == 0 && a.table.Has(key) {
		a.saved.forget(&a.table, key)
		a.table.Remove(key)
	}
}

// Deadline implements Deadliner.
func (a *SessionAgg) Deadline() types.EventTime { return a.timers.next() }

// Sessions returns the number of sessions that are kept.
func (a *SessionAgg) Sessions() int { return a.open }

// Groups returns the number of sessions held, as other groupings tell theirs.
func (a *SessionAgg) Groups() int { return a.open + a.shared.groupsOf() }

// Bytes returns the memory of all state, in use or kept for reuse.
func (a *SessionAgg) Bytes() int64 {
	return a.table.Bytes() + a.slab.Bytes() + capBytes(a.sessions) + capBytes(a.free) + a.timers.bytes() + a.saved.bytes() +
		capBytes(a.closing) + capBytes(a.kept) + capBytes(a.chosen) + capBytes(a.idle) + a.changes.bytes() + a.shared.part(wholeAgg.Bytes)
}

// Close implements Operator.
func (a *SessionAgg) Close() error {
	a.table.Free()
	a.slab.Free()
	a.dropSessions()
	a.open = 0
	a.timers.clear()
	a.saved.of.clear()
	return nil
}

// giveBack gives the number of a session back.
func (a *SessionAgg) giveBack(id uint32) { a.free = arena.Append(a.mem, &a.blocks.free, a.free, id) }

// dropSessions forgets all sessions and gives the memory back.
func (a *SessionAgg) dropSessions() {
	a.blocks.sessions.Free()
	a.blocks.free.Free()
	a.sessions, a.free = nil, nil
}

// String implements Operator.
func (a *SessionAgg) String() string {
	win := fmt.Sprintf("session(%s)", micros(a.gap))
	if a.max > 0 {
		win = fmt.Sprintf("session(%s, %s)", micros(a.gap), micros(a.max))
	}
	return a.text("SessionAgg", win)
}
