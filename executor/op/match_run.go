package op

import (
	"errors"
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// take adds a row to its key's rows and tries it.
func (m *Match) take(gid, row uint32) error {
	k := &m.states[gid]
	m.letGo(gid, row)
	m.touch(gid)
	if m.spec.Sequence != nil {
		return m.sequence(gid, row)
	}
	w := m.rows.at(row)
	if k.start == 0 && m.back == 0 && w[wordTruth]&m.startFor == 0 {
		m.rows.release(row)
		m.rest(k)
		return nil
	}
	if k.rows++; k.rows > matchRowsMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a match holds more than %d rows of one key", matchRowsMax).
			WithHint("Bound it with WITHIN INTERVAL '...'.")
	}
	k.order++
	k.unsaved++
	m.save.fresh++
	w[wordOrder] = k.order
	m.rows.link(k.tail, row)
	if k.tail = row; k.head == 0 {
		k.head, k.mixed = row, false
	}
	k.mixed = k.mixed || bits.OnesCount64(w[wordTruth]) > 1
	if m.local {
		if err := m.tryLocal(row); err != nil {
			return err
		}
	}
	if k.start == 0 {
		m.begin(k, row)
	}
	return m.search(gid, false)
}

// expire ends the attempts of a key that no further row can complete.
func (m *Match) expire(gid uint32) error {
	if m.spec.Sequence != nil {
		return m.expireSequence(gid)
	}
	if m.states[gid].start == 0 {
		return nil
	}
	m.touch(gid)
	return m.search(gid, true)
}

// begin starts an attempt at the first row from row on with which a match can begin.
func (m *Match) begin(k *matchKey, row uint32) {
	for row != 0 && m.rows.at(row)[wordTruth]&m.startFor == 0 {
		row = m.rows.after(row)
	}
	k.start, k.done, k.best, k.lax = row, 0, 0, false
}

// history is what an attempt that is over has found: the runs after each of its rows up to last, and its best completed run.
type history struct{ last, best uint32 }

// search goes on with the attempt of a key, and with those that follow it, until one waits for rows. expired: the watermark
// may have ended it.
func (m *Match) search(gid uint32, expired bool) error {
	k := &m.states[gid]
	var known history
	for k.start != 0 {
		over, err := m.attempt(k, &known, expired)
		if err != nil {
			return err
		}
		if !over {
			break
		}
		known = history{k.done, k.best}
		next := m.rows.after(k.start)
		if k.best != 0 {
			if next, err = m.matched(gid, k); err != nil {
				return err
			}
		}
		m.begin(k, next)
	}
	m.trim(k)
	m.arm(gid, k)
	m.rest(k)
	return nil
}

// limit is the latest time that a row of the attempt can have.
func (m *Match) limit(k *matchKey) types.EventTime {
	if m.spec.Within == 0 {
		return types.MaxTime
	}
	return plus(m.rows.time(k.start), m.spec.Within)
}

// attempt takes the rows that are there. It is over when no run is left, or no further row can be in time.
func (m *Match) attempt(k *matchKey, known *history, expired bool) (over bool, err error) {
	limit := m.limit(k)
	for {
		if k.lax && k.mixed {
			m.again(k, known)
		}
		row := k.start
		runs := m.startAt
		if k.done != 0 {
			w := m.rows.at(k.done)
			if runs = m.rows.runs(w); len(runs) == 0 {
				return true, nil
			}
			row = uint32(w[wordLinks])
		}
		now := m.watermark
		if row != 0 {
			now = m.rows.time(row)
		}
		if now > limit && (row != 0 || expired) {
			if !m.overtake(k, now, row) {
				return true, nil
			}
			limit = m.limit(k)
		}
		if row == 0 {
			return expired && m.watermark == types.MaxTime, nil
		}
		completed, err := m.step(k, row, runs)
		if err != nil {
			return false, err
		}
		if k.lax && (completed != 0 || len(m.run) == 0) {
			m.again(k, known)
			continue
		}
		m.keep(k, row, completed, known)
	}
}

// overtake moves the first row of a lax attempt up to the first one that a row at now may follow, and keeps the runs. It
// returns false when the attempt is over instead.
func (m *Match) overtake(k *matchKey, now types.EventTime, row uint32) bool {
	if !m.lax || k.mixed || k.best != 0 || k.done == 0 {
		return false
	}
	for at := k.start; at != 0 && at != row; at = m.rows.after(at) {
		w := m.rows.at(at)
		if w[wordTruth]&m.startFor != 0 && plus(types.EventTime(w[wordTime]), m.spec.Within) >= now {
			k.start, k.lax = at, true
			return true
		}
	}
	return false
}

// again begins a lax attempt anew from its first row, with the runs that there are as what is known.
func (m *Match) again(k *matchKey, known *history) {
	*known = history{last: k.done}
	k.done, k.lax = 0, false
}

// keep stores the runs after a row. When they are those of the attempt before, so is all that follows.
func (m *Match) keep(k *matchKey, row uint32, completed uint32, known *history) {
	w := m.rows.at(row)
	same := false
	if known.last != 0 {
		switch order := m.rows.at(known.last)[wordOrder]; {
		case !m.plain || w[wordOrder] > order:
			known.last = 0
		case w[wordOrder] < order:
			same = sameStates(m.run, m.rows.runs(w))
		}
	}
	m.rows.setRuns(w, m.run)
	w[wordMeta] = w[wordMeta]>>32<<32 | uint64(completed)
	if k.done = row; completed != 0 {
		k.best = row
	}
	if !same {
		return
	}
	if known.best != 0 && m.rows.at(known.best)[wordOrder] > w[wordOrder] {
		k.best = known.best
	}
	k.done = known.last
	known.last = 0
}

func sameStates(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i]>>32 != b[i]>>32 {
			return false
		}
	}
	return true
}

// step collects in m.run the runs after a row from those before it, in order of preference. completed is 1 + the run that
// the row completes, 0 for none: runs less preferred than it are given up.
func (m *Match) step(k *matchKey, row uint32, runs []uint64) (completed uint32, err error) {
	truth := m.rows.at(row)[wordTruth]
	if !m.plain {
		if err := m.tryRuns(k, row, runs); err != nil {
			return 0, err
		}
	}
	if m.gen++; m.gen == math.MaxUint32 {
		clear(m.mark)
		m.gen = 1
	}
	m.run = m.run[:0]
	for i, run := range runs {
		st := &m.spec.States[run>>32]
		if truth>>st.Var&1 == 0 || !m.plain && !m.fits[i] {
			continue
		}
		for _, next := range st.Next {
			if next == spec.MatchAccept {
				return uint32(i) + 1, nil
			}
			if m.plain {
				if m.mark[next] == m.gen {
					continue
				}
				m.mark[next] = m.gen
			}
			m.run = append(m.run, uint64(next)<<32|uint64(i))
		}
		if len(m.run) > matchRunsMax {
			return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "a pattern has more than %d ways to map the rows of one key", matchRunsMax).
				WithHint("Make the conditions in DEFINE exclude each other, or bound the match with WITHIN.")
		}
	}
	return 0, nil
}

// trim lets go the rows before the attempt that nobody reads.
func (m *Match) trim(k *matchKey) {
	if k.head == k.start && k.start != 0 {
		return
	}
	first, back := k.start, m.back
	if first == 0 && back > 0 && k.tail != 0 {
		first, back = k.tail, back-1
	}
	for ; first != 0 && back > 0; back-- {
		before := m.rows.before(first)
		if before == 0 {
			break
		}
		first = before
	}
	for k.head != first {
		next := m.rows.after(k.head)
		m.rows.release(k.head)
		k.rows--
		k.head = next
	}
	if m.rows.link(0, first); first == 0 {
		k.tail = 0
	}
}

// arm sets the timer of a key's attempt if it has none that is earlier; one that is too early sets itself anew. A lax attempt
// without a completed run waits until all its rows are overtaken.
func (m *Match) arm(gid uint32, k *matchKey) {
	if k.start == 0 || m.spec.Within == 0 {
		return
	}
	first := k.start
	if m.lax && !k.mixed && k.best == 0 {
		first = k.tail
	}
	if due := plus(plus(m.rows.time(first), m.spec.Within), 1); due < k.due {
		k.due = due
		m.timers.push(keyTimer{due, gid})
	}
}

// rest counts a key as idle when nothing is left of it.
func (m *Match) rest(k *matchKey) {
	if k.idle(m.numbered) {
		m.busy--
	}
}

// pathRow is a row of a match with the variable that it is mapped to.
type pathRow struct {
	row uint32
	v   int32
}

// goBack fills m.path with the rows of an attempt up to row, by the run that row came from.
func (m *Match) goBack(k *matchKey, row uint32, run uint32) {
	m.path = m.path[:0]
	for row != 0 {
		runs, before := m.startAt, uint32(0)
		if row != k.start {
			before = m.rows.before(row)
			runs = m.rows.runs(m.rows.at(before))
		}
		at := runs[run]
		m.path = append(m.path, pathRow{row, m.spec.States[at>>32].Var})
		row, run = before, uint32(at)
	}
	for i, j := 0, len(m.path)-1; i < j; i, j = i+1, j-1 {
		m.path[i], m.path[j] = m.path[j], m.path[i]
	}
}

// laxStatesMax bounds the patterns that laxPattern looks at.
const laxStatesMax = 256

// laxPattern proves what Match.lax says, by the pairs of states that an earlier and a later attempt can be in: no row that
// completes the later one lets the earlier one go on without completing it.
func laxPattern(s *spec.Match) bool {
	n := len(s.States)
	if n > laxStatesMax {
		return false
	}
	seen := make([]bool, n*n)
	var todo []int
	add := func(a, b int32) {
		if at := int(a)*n + int(b); !seen[at] {
			seen[at] = true
			todo = append(todo, at)
		}
	}
	for a := range s.States {
		for _, b := range s.Start {
			if b != spec.MatchAccept {
				add(int32(a), b)
			}
		}
	}
	for len(todo) > 0 {
		a, b := &s.States[todo[len(todo)-1]/n], &s.States[todo[len(todo)-1]%n]
		todo = todo[:len(todo)-1]
		if a.Var != b.Var {
			continue
		}
		if completes(b) && !completes(a) {
			return false
		}
		for _, x := range a.Next {
			for _, y := range b.Next {
				if x != spec.MatchAccept && y != spec.MatchAccept {
					add(x, y)
				}
			}
		}
	}
	return true
}

// completes: MatchAccept can only be the last of the states.
func completes(s *spec.MatchState) bool { return s.Next[len(s.Next)-1] == spec.MatchAccept }

// matched sends the best completed run of an attempt, and returns the row at which the search goes on.
func (m *Match) matched(gid uint32, k *matchKey) (next uint32, err error) {
	if m.restoring {
		return 0, errors.New("the rows of an attempt hold a match")
	}
	m.goBack(k, k.best, uint32(m.rows.at(k.best)[wordMeta])-1)
	k.number++
	if err := m.emitMatch(gid, k.number); err != nil {
		return 0, err
	}
	after := m.rows.after(k.best)
	switch m.spec.Skip {
	case spec.SkipToNext:
		return m.rows.after(k.start), nil
	case spec.SkipToFirst, spec.SkipToLast:
		found := uint32(0)
		for _, p := range m.path {
			if p.v == int32(m.spec.SkipVar) {
				if found = p.row; m.spec.Skip == spec.SkipToFirst {
					break
				}
			}
		}
		switch found {
		case 0:
		case k.start:
			return m.rows.after(k.start), nil
		default:
			return found, nil
		}
	}
	return after, nil
}
