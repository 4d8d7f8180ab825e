package predindex

import (
	"cmp"
	"math/bits"
	"runtime/debug"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// check tests the candidates. What they need lies wherever their rules do: to ask for much of that at once, before it is needed, is
// several times as fast as to wait for one after the other.
func (m *Matcher) check() {
	x := m.x
	m.firsts = slices.Grow(m.firsts[:0], len(m.cands))[:len(m.cands)]
	for i, c := range m.cands {
		m.firsts[i] = x.rules[c>>32].tests
	}
	for _, first := range m.firsts { // most rules have a test or two
		m.fetched += uint8(x.tests[x.asks[first]].op) + uint8(x.tests[x.asks[first+1]].op)
	}
	for _, c := range m.cands {
		row := uint32(c) &^ exactCand
		r := &x.rules[c>>32]
		asks := x.asks[r.tests:][:r.full]
		if uint32(c)&exactCand != 0 {
			asks = asks[:r.rest]
		}
		if m.passes(asks, row) {
			m.pairs = append(m.pairs, c&^uint64(exactCand))
		}
	}
}

// collect sorts the pairs by rule.
func (m *Matcher) collect() {
	m.items, m.rows = m.items[:0], m.rows[:0]
	if len(m.pairs) == 0 {
		return
	}
	for _, p := range m.pairs {
		rule := uint32(p >> 32)
		m.counts[rule]++
		m.touched[rule>>6] |= 1 << (rule & 63)
	}
	m.rows = slices.Grow(m.rows, len(m.pairs))[:len(m.pairs)]
	at := uint32(0)
	for w, word := range m.touched {
		for ; word != 0; word &= word - 1 {
			rule := uint32(w<<6 + bits.TrailingZeros64(word))
			n := m.counts[rule]
			m.items = append(m.items, Item{Rule: rule, Rows: m.rows[at : at+n : at+n]})
			m.counts[rule], at = at, at+n
		}
		m.touched[w] = 0
	}
	for _, p := range m.pairs {
		rule := uint32(p >> 32)
		m.rows[m.counts[rule]] = uint32(p)
		m.counts[rule]++
	}
	for i := range m.items {
		it := &m.items[i]
		m.counts[it.Rule] = 0
		if m.x.rules[it.Rule].several {
			slices.Sort(it.Rows)
			it.Rows = slices.Compact(it.Rows)
		}
	}
}

// scan asks the rules about every row for which nothing could be looked up.
func (m *Matcher) scan() {
	n := len(m.items)
	for i, rule := range m.x.scans {
		if len(m.skip) > 0 && m.skip[rule>>6]&(1<<(rule&63)) != 0 {
			continue
		}
		rows := m.sel
		if m.x.rules[rule].byRow {
			rows = m.test(rule, rows)
		} else if whole := m.x.wholes[rule]; whole != nil {
			if m.scans[i] == nil {
				ev, err := expr.Compile(whole)
				if err != nil {
					m.out.Failed(int(rule), err)
					continue
				}
				m.scans[i] = ev
			}
			rows = m.filter(m.scans[i], rule, rows)
		}
		if len(rows) > 0 {
			m.items = append(m.items, Item{Rule: rule, Rows: rows})
		}
	}
	if n > 0 && len(m.items) > n {
		slices.SortFunc(m.items, func(a, b Item) int { return cmp.Compare(a.Rule, b.Rule) })
	}
}

// test tests rows one by one.
func (m *Matcher) test(rule uint32, rows []uint32) []uint32 {
	from, r := len(m.rows), &m.x.rules[rule]
	asks := m.x.asks[r.tests:][:r.full]
	for _, row := range rows {
		if m.passes(asks, row) {
			m.rows = append(m.rows, row)
		}
	}
	return m.rows[from:len(m.rows):len(m.rows)]
}

// filter evaluates a condition of one rule on rows.
func (m *Matcher) filter(f Filterer, rule uint32, rows []uint32) []uint32 {
	m.out.Alone(int(rule))
	defer m.out.Done(int(rule))
	m.ctx.RowError = func(row uint32, err error) { m.out.RowError(int(rule), row, err) }
	from := len(m.rows)
	out, err := m.guarded(f, rows, slices.Grow(m.rows, len(rows)))
	m.ctx.RowError = nil
	if err != nil {
		m.out.Failed(int(rule), err)
		return nil
	}
	m.rows = out
	return out[from:len(out):len(out)]
}

// guarded evaluates a condition. A panic in it is a bug that must cost the rules that have it, not the others.
func (m *Matcher) guarded(f Filterer, sel, dst []uint32) (out []uint32, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, sqlerr.New(sqlerr.InternalError, "internal error: %v", r).WithDetail("%s", debug.Stack())
		}
	}()
	return f.Filter(m.ctx, m.b, sel, dst)
}

// finish tests what is dear, and hands out the rows that passed everything.
func (m *Matcher) finish() {
	m.askFixed()
	for level := 0; m.slow.level(level); level++ {
		m.slow.shared()
		for i := range m.items {
			if it := &m.items[i]; len(it.Rows) > 0 {
				m.slow.narrow(it)
			}
		}
	}
	if len(m.items) > 0 {
		m.out.Rows(m.items)
	}
}

// slowState evaluates the terms: those of the same place in the rules' lists together, each shared one once for all rows that any
// rule wants to know of.
type slowState struct {
	m     *Matcher
	at    int // the place
	terms []termState
	// wanted are the shared terms of this place.
	wanted []uint32
	rows   []uint32
	hits   []uint32
}

// termState is one term, with its answers for the batch: bit sets by row, in use if inBatch.
type termState struct {
	f            Filterer
	broken       error
	inBatch      bool
	need         []uint64
	known, holds []uint64
	isWanted     bool
	failed       error
	bad          []rowFailure
	memo         termMemo
}

type rowFailure struct {
	row uint32
	err error
}

func (s *slowState) init(m *Matcher) {
	s.m, s.terms = m, make([]termState, len(m.x.terms))
}

func (s *slowState) begin() {
	if len(s.terms) == 0 {
		return
	}
	for i := range s.terms {
		s.terms[i].inBatch = false
	}
}

// level begins with the terms of one place; false when no rule has one there.
func (s *slowState) level(at int) bool {
	s.at, s.wanted = at, s.wanted[:0]
	found := false
	for i := range s.m.items {
		it := &s.m.items[i]
		id, ok := s.termOf(it)
		if !ok || len(it.Rows) == 0 {
			continue
		}
		found = true
		if s.m.x.terms[id].shared {
			s.want(id, it.Rows)
		}
	}
	return found
}

func (s *slowState) termOf(it *Item) (uint32, bool) {
	list := s.m.x.slows[s.m.x.rules[it.Rule].slow]
	if s.at >= len(list) {
		return 0, false
	}
	return list[s.at], true
}

// want notes rows that a term has to be evaluated for.
func (s *slowState) want(id uint32, rows []uint32) {
	t := &s.terms[id]
	if !t.inBatch {
		words := (s.m.b.N + 63) / 64
		t.inBatch, t.failed, t.bad = true, nil, t.bad[:0]
		for _, set := range []*[]uint64{&t.need, &t.known, &t.holds} {
			*set = slices.Grow((*set)[:0], words)[:words]
			clear(*set)
		}
	}
	for _, row := range rows {
		t.need[row>>6] |= 1 << (row & 63)
	}
	if !t.isWanted {
		t.isWanted = true
		s.wanted = append(s.wanted, id)
	}
}

// shared evaluates the shared terms of this place for the rows that are not known yet.
func (s *slowState) shared() {
	m := s.m
	for _, id := range s.wanted {
		t := &s.terms[id]
		t.isWanted = false
		s.rows = s.rows[:0]
		for w := range t.need {
			t.need[w] &^= t.known[w]
			s.rows = appendBits(s.rows, t.need[w], uint32(w)<<6)
			t.known[w] |= t.need[w]
			t.need[w] = 0
		}
		if len(s.rows) == 0 || !s.ready(id) {
			continue
		}
		col := m.x.terms[id].col
		if col >= 0 {
			if s.rows = m.recall(t, col, s.rows); len(s.rows) == 0 {
				continue
			}
		}
		m.ctx.RowError = func(row uint32, err error) { t.bad = append(t.bad, rowFailure{row, err}) }
		s.hits, t.failed = m.guarded(t.f, s.rows, s.hits[:0])
		m.ctx.RowError = nil
		for _, row := range s.hits {
			t.holds[row>>6] |= 1 << (row & 63)
		}
		if col >= 0 && t.failed == nil {
			m.learn(t, col, s.rows)
		}
	}
}

// ready makes the term's evaluator; what cannot be made fails the rules that ask for it.
func (s *slowState) ready(id uint32) bool {
	t := &s.terms[id]
	if t.f == nil && t.broken == nil {
		t.f, t.broken = s.m.x.terms[id].new()
	}
	if t.broken != nil {
		t.failed = t.broken
	}
	return t.broken == nil
}

// termMemo is what the values of a column answered to a term that reads nothing else but the lists of the epoch, by entry of the
// column's dict.
type termMemo struct {
	ioc     expr.Matcher
	gen     uint32
	answers []answer
}

type answer uint8

const (
	unknown answer = iota
	isFalse
	isTrue
)

// recall notes the answers that are known; the rows that are left are appended to rows[:0].
func (m *Matcher) recall(t *termState, col int, rows []uint32) []uint32 {
	d, v, memo := m.dict(col), &m.b.Cols[col], &t.memo
	left := rows[:0]
	for _, row := range rows {
		if v.IsNull(int(row)) {
			continue // it is in no list, and not in none
		}
		e := m.entry(d, col, row, v.Bytes(int(row)))
		if memo.gen != d.gen || memo.ioc != m.ctx.IOC || memo.answers == nil {
			memo.gen, memo.ioc, memo.answers = d.gen, m.ctx.IOC, make([]answer, dictEntries)
		}
		if e == nil {
			left = append(left, row)
			continue
		}
		switch memo.answers[m.codes[col][row]-2] {
		case isTrue:
			t.holds[row>>6] |= 1 << (row & 63)
		case unknown:
			left = append(left, row)
		}
	}
	return left
}

// learn notes what rows answered.
func (m *Matcher) learn(t *termState, col int, rows []uint32) {
	for _, row := range rows {
		code := m.codes[col][row]
		if code < 2 {
			continue // the dict is out of use, or has been emptied since
		}
		t.memo.answers[code-2] = isFalse
		if t.holds[row>>6]&(1<<(row&63)) != 0 {
			t.memo.answers[code-2] = isTrue
		}
	}
}

func appendBits(dst []uint32, word uint64, base uint32) []uint32 {
	for ; word != 0; word &= word - 1 {
		dst = append(dst, base+uint32(bits.TrailingZeros64(word)))
	}
	return dst
}

// narrow keeps of an item's rows those that pass its term of this place.
func (s *slowState) narrow(it *Item) {
	id, ok := s.termOf(it)
	if !ok {
		return
	}
	m, t := s.m, &s.terms[id]
	if !m.x.terms[id].shared {
		if !s.ready(id) {
			m.out.Failed(int(it.Rule), t.failed)
			it.Rows = nil
			return
		}
		it.Rows = m.filter(t.f, it.Rule, it.Rows)
		return
	}
	if t.failed != nil {
		m.out.Failed(int(it.Rule), t.failed)
		it.Rows = nil
		return
	}
	from := len(m.rows)
	for _, row := range it.Rows {
		if t.holds[row>>6]&(1<<(row&63)) != 0 {
			m.rows = append(m.rows, row)
		} else if len(t.bad) > 0 {
			s.report(it.Rule, t, row)
		}
	}
	it.Rows = m.rows[from:len(m.rows):len(m.rows)]
}

func (s *slowState) report(rule uint32, t *termState, row uint32) {
	for _, b := range t.bad {
		if b.row == row {
			s.m.out.RowError(int(rule), row, b.err)
			return
		}
	}
}
