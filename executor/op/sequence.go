package op

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// A Match with a Sequence in its plan holds per key one list of rows at each stage but the last, and the lists that wait for an
// absence. Lists lie in heldRows.lists as references to rows; a row counts in its slot how many lists it is in.

// sequenceMasks are the variables of a sequence as bits of a row's truth.
type sequenceMasks struct {
	missing              []uint64 // by stage
	before, after, until uint64
	any                  uint64
}

func (m *Match) compileSequence() {
	s, q := m.spec.Sequence, &m.seq
	mask := func(vars []int) (out uint64) {
		for _, v := range vars {
			out |= 1 << v
		}
		q.any |= out
		return out
	}
	for _, st := range s.Stages {
		mask([]int{st.Var})
		q.missing = append(q.missing, mask(st.Missing))
	}
	q.before, q.after = mask(s.Before), mask(s.After)
	if s.Until >= 0 {
		q.until = mask([]int{s.Until})
	}
}

// push appends a word to a list of n words; lists are given by their place + 1, 0 for none.
func (p *wordPool) push(list uint64, n int, x uint64) uint64 {
	switch {
	case n == 0:
		return p.add([]uint64{x}) + 1
	case n == 1<<bits.Len(uint(n-1)): // its place is full
		grown := append(append(make([]uint64, 0, n+1), p.get(list-1, n)...), x)
		p.put(list-1, n)
		return p.add(grown) + 1
	}
	p.words[list-1+uint64(n)] = x
	return list
}

// sequence gives a row to the stages of its key, the last one first, so that it moves each sequence by one stage only.
func (m *Match) sequence(gid, row uint32) error {
	k := &m.states[gid]
	w := m.rows.at(row)
	truth, t := w[wordTruth], types.EventTime(w[wordTime])
	w[wordList] = 1
	if k.rows++; k.rows > matchRowsMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "the sequences of one key hold more than %d rows", matchRowsMax).
			WithHint("Bound them with WITHIN INTERVAL '...'.")
	}
	if truth&m.seq.any != 0 {
		m.dropOld(k, t)
		for s := len(m.spec.Sequence.Stages) - 1; s >= 0; s-- {
			if truth>>m.spec.Sequence.Stages[s].Var&1 == 0 {
				continue
			}
			if err := m.moveTo(gid, k, s, row); err != nil {
				return err
			}
		}
		m.endBy(k, row, truth)
	}
	m.unref(k, row)
	m.armSequence(gid, k)
	m.restSequence(k)
	return nil
}

// moveTo takes the sequence that waits before stage s to it with a row, in place of the one that is there.
func (m *Match) moveTo(gid uint32, k *matchKey, s int, row uint32) error {
	list := uint64(0)
	if s > 0 {
		if list = m.waitsAt(k, s-1); list == 0 {
			return nil
		}
		m.setStage(k, s-1, 0)
	} else {
		if k.hasMissed && plus(k.missed, m.spec.Within) >= m.rows.time(row) {
			return nil
		}
		k.lists++
	}
	m.rows.at(row)[wordList]++
	list = m.rows.lists.push(list, s, uint64(row))
	last := len(m.spec.Sequence.Stages) - 1
	switch {
	case s < last:
		m.drop(k, m.waitsAt(k, s), s+1)
		m.setStage(k, s, list)
	case m.seq.after != 0:
		k.waits = m.rows.lists.push(k.waits, int(k.waiting), list)
		k.waiting++
	default:
		return m.complete(gid, k, list)
	}
	return nil
}

// complete sends a sequence and lets its rows go.
func (m *Match) complete(gid uint32, k *matchKey, list uint64) error {
	n := len(m.spec.Sequence.Stages)
	m.path = m.path[:0]
	for i, row := range m.rows.lists.get(list-1, n) {
		m.path = append(m.path, pathRow{uint32(row), int32(m.spec.Sequence.Stages[i].Var)})
	}
	k.number++
	err := m.emitMatch(gid, k.number)
	m.drop(k, list, n)
	return err
}

// endBy ends the sequences that a row ends: one of a variable that must not come, or of UNTIL.
func (m *Match) endBy(k *matchKey, row uint32, truth uint64) {
	stages := m.spec.Sequence.Stages
	for s := range len(stages) - 1 {
		list := m.waitsAt(k, s)
		if list == 0 {
			continue
		}
		own := uint32(m.rows.lists.get(list-1, s+1)[s]) == row
		if truth&m.seq.until != 0 || truth&m.seq.missing[s+1] != 0 && !own {
			m.drop(k, list, s+1)
			m.setStage(k, s, 0)
		}
	}
	if truth&m.seq.after != 0 {
		t := m.rows.time(row)
		m.eachWait(k, func(list uint64) bool {
			rows := m.rows.lists.get(list-1, len(stages))
			if uint32(rows[len(rows)-1]) == row || m.lastTime(list) < t {
				return true
			}
			m.drop(k, list, len(stages))
			return false
		})
	}
	if truth&m.seq.before != 0 {
		k.missed, k.hasMissed = m.rows.time(row), true
	}
}

// eachWait calls keep for the lists that wait for an absence, in order, and forgets those for which it is false.
func (m *Match) eachWait(k *matchKey, keep func(list uint64) bool) {
	if k.waiting == 0 {
		return
	}
	all := append([]uint64(nil), m.rows.lists.get(k.waits-1, int(k.waiting))...)
	m.rows.lists.put(k.waits-1, int(k.waiting))
	k.waits, k.waiting = 0, 0
	for _, list := range all {
		if keep(list) {
			k.waits = m.rows.lists.push(k.waits, int(k.waiting), list)
			k.waiting++
		}
	}
}

// lastTime is the latest time that a row of a list can have.
func (m *Match) lastTime(list uint64) types.EventTime {
	if m.spec.Within == 0 {
		return types.MaxTime
	}
	return plus(m.rows.time(uint32(m.rows.lists.get(list-1, 1)[0])), m.spec.Within)
}

// dropOld lets the lists go that a row at t comes too late for.
func (m *Match) dropOld(k *matchKey, t types.EventTime) {
	if m.spec.Within == 0 {
		return
	}
	for s := range len(m.spec.Sequence.Stages) {
		if list := m.waitsAt(k, s); list != 0 && m.lastTime(list) < t {
			m.drop(k, list, s+1)
			m.setStage(k, s, 0)
		}
	}
	if k.hasMissed && plus(k.missed, m.spec.Within) < t {
		k.hasMissed = false
	}
}

// waitsAt returns the list at a stage, 0 for none.
func (m *Match) waitsAt(k *matchKey, s int) uint64 {
	if k.stages == 0 {
		return 0
	}
	return m.rows.lists.get(k.stages-1, len(m.spec.Sequence.Stages))[s]
}

func (m *Match) setStage(k *matchKey, s int, list uint64) {
	n := len(m.spec.Sequence.Stages)
	if k.stages == 0 {
		k.stages = m.rows.lists.add(make([]uint64, n)) + 1
	}
	m.rows.lists.get(k.stages-1, n)[s] = list
}

// drop lets a list of n rows go; 0 is no list.
func (m *Match) drop(k *matchKey, list uint64, n int) {
	if list == 0 {
		return
	}
	for _, row := range m.rows.lists.get(list-1, n) {
		m.unref(k, uint32(row))
	}
	m.rows.lists.put(list-1, n)
	k.lists--
}

// unref counts a use of a row less, and lets it go after the last one.
func (m *Match) unref(k *matchKey, row uint32) {
	w := m.rows.at(row)
	if w[wordList]--; w[wordList] == 0 {
		m.rows.release(row)
		k.rows--
	}
}

// expireSequence sends the sequences of a key whose absence is certain, and lets go those that are too old.
func (m *Match) expireSequence(gid uint32) error {
	k := &m.states[gid]
	m.touch(gid)
	var err error
	m.eachWait(k, func(list uint64) bool {
		if err != nil || m.lastTime(list) >= m.watermark {
			return true
		}
		err = m.complete(gid, k, list)
		return false
	})
	if err != nil {
		return err
	}
	m.dropOld(k, m.watermark)
	m.armSequence(gid, k)
	m.restSequence(k)
	return nil
}

// armSequence sets the timer of a key: when the first absence is certain, else when all is too old.
func (m *Match) armSequence(gid uint32, k *matchKey) {
	if m.spec.Within == 0 || k.due != types.MaxTime && k.waiting == 0 {
		return
	}
	due := types.MaxTime
	if k.waiting > 0 {
		for _, list := range m.rows.lists.get(k.waits-1, int(k.waiting)) {
			due = min(due, plus(m.lastTime(list), 1))
		}
	} else {
		last := types.MinTime
		for s := range len(m.spec.Sequence.Stages) {
			if list := m.waitsAt(k, s); list != 0 {
				last = max(last, m.lastTime(list))
			}
		}
		if k.hasMissed {
			last = max(last, plus(k.missed, m.spec.Within))
		}
		if last == types.MinTime {
			return
		}
		due = plus(last, 1)
	}
	if due < k.due {
		k.due = due
		m.timers.push(keyTimer{due, gid})
	}
}

// restSequence counts a key as idle when nothing is left of it.
func (m *Match) restSequence(k *matchKey) {
	if k.lists == 0 && k.stages != 0 {
		m.rows.lists.put(k.stages-1, len(m.spec.Sequence.Stages))
		k.stages = 0
	}
	m.rest(k)
}

// appendSequence writes the lists of a key.
func (m *Match) appendSequence(dst []byte, k *matchKey) []byte {
	missed := byte(0)
	if k.hasMissed {
		missed = 1
	}
	dst = append(dst, missed)
	dst = binary.AppendVarint(dst, int64(k.missed))
	dst = binary.AppendUvarint(dst, uint64(k.lists))
	n := len(m.spec.Sequence.Stages)
	list := func(s int, list uint64) {
		dst = binary.AppendUvarint(dst, uint64(s))
		for _, row := range m.rows.lists.get(list-1, s+1) {
			dst = m.rows.appendRow(dst, uint32(row))
		}
	}
	for s := range n {
		if at := m.waitsAt(k, s); at != 0 {
			list(s, at)
		}
	}
	if k.waiting > 0 {
		for _, at := range m.rows.lists.get(k.waits-1, int(k.waiting)) {
			list(n-1, at)
		}
	}
	return dst
}

// loadSequence reads what appendSequence wrote.
func (m *Match) loadSequence(k *matchKey, src []byte) ([]byte, error) {
	if len(src) == 0 || src[0] > 1 {
		return nil, errEntryEnds
	}
	k.hasMissed = src[0] == 1
	missed, width := binary.Varint(src[1:])
	if width <= 0 {
		return nil, errEntryEnds
	}
	k.missed, src = types.EventTime(missed), src[1+width:]
	lists, src, err := cutUvarint(src)
	if err != nil {
		return nil, err
	}
	last := len(m.spec.Sequence.Stages) - 1
	for range lists {
		var s uint64
		if s, src, err = cutUvarint(src); err != nil {
			return nil, err
		}
		if s > uint64(last) || s == uint64(last) && m.seq.after == 0 || s < uint64(last) && m.waitsAt(k, int(s)) != 0 {
			return nil, fmt.Errorf("malformed entry")
		}
		list := uint64(0)
		for i := range int(s) + 1 {
			var row uint32
			if row, src, err = m.rows.loadRow(src); err != nil {
				return nil, err
			}
			m.rows.at(row)[wordList] = 1
			k.rows++
			list = m.rows.lists.push(list, i, uint64(row))
		}
		k.lists++
		if int(s) == last {
			k.waits = m.rows.lists.push(k.waits, int(k.waiting), list)
			k.waiting++
			continue
		}
		m.setStage(k, int(s), list)
	}
	return src, nil
}
