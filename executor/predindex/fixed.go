package predindex

import "github.com/vigil-sql/vigil/executor/expr"

// Where a rule asks for one value of a column, column = 'x', a term that reads nothing but that column, column IN IOC list, has one
// answer for all rows that it may be asked about, as long as the lists stay as they are. It is found by the first of them.

// fixedTerms are the answers.
type fixedTerms struct {
	// answers are by rule: gen<<1 when they were found, and 1 for yes.
	answers []uint32
	// gen numbers the lists of the epochs, which are ioc.
	gen uint32
	ioc expr.Matcher
}

// begin notes which lists a batch is evaluated with.
func (f *fixedTerms) begin(ioc expr.Matcher) {
	if f.gen > 0 && f.ioc == ioc {
		return
	}
	f.ioc = ioc
	if f.gen++; f.gen == 1<<31 {
		clear(f.answers)
		f.gen = 1
	}
}

// askFixed leaves the rows of rules whose fixed terms hold.
func (m *Matcher) askFixed() {
	m.fixed.begin(m.ctx.IOC)
	for i := range m.items {
		it := &m.items[i]
		list := m.x.slows[m.x.rules[it.Rule].fixed]
		if len(list) == 0 || len(it.Rows) == 0 {
			continue
		}
		if a := m.fixed.answers[it.Rule]; a>>1 != m.fixed.gen {
			m.findFixed(it, list)
		} else if a&1 == 0 {
			it.Rows = nil
		}
	}
}

// findFixed asks about the first row, and keeps what it learns, unless that is an error.
func (m *Matcher) findFixed(it *Item, list []uint32) {
	answer := m.fixed.gen<<1 | 1
	for _, id := range list {
		if !m.slow.ready(id) {
			m.out.Failed(int(it.Rule), m.slow.terms[id].broken)
			it.Rows = nil
			return
		}
		failed := false
		m.ctx.RowError = func(row uint32, err error) { m.out.RowError(int(it.Rule), row, err); failed = true }
		hits, err := m.guarded(m.slow.terms[id].f, it.Rows[:1], m.slow.hits[:0])
		m.ctx.RowError = nil
		m.slow.hits = hits
		switch {
		case err != nil:
			m.out.Failed(int(it.Rule), err)
			it.Rows = nil
			return
		case failed:
			it.Rows = it.Rows[1:]
			if len(it.Rows) > 0 {
				m.findFixed(it, list)
			}
			return
		case len(hits) == 0:
			answer &^= 1
		}
	}
	if m.fixed.answers[it.Rule] = answer; answer&1 == 0 {
		it.Rows = nil
	}
}
