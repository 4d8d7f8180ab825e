package predindex

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Matcher evaluates an index over batches. It keeps scratch space and what it learned of values: one goroutine per Matcher.
type Matcher struct {
	x *Index
	// What Match works on.
	ctx *expr.Ctx
	b   *batch.Batch
	sel []uint32
	out Consumer
	// skip has a bit for each rule that is not asked.
	skip []uint64

	computed []computed
	dicts    []*dict    // by column, nil: never needed
	codes    [][]uint32 // by column and row: 2 + entry of the dict, 1: out of use, 0: not looked up yet
	coded    []int      // columns whose codes are in use
	answers  answers
	low      []byte // scratch of lower
	lowRow   int64  // column<<32 | row that low is of, -1: none
	hits     []hit

	// cands are rule<<32 | row of the rows that came by a posting, with exactCand if the rest of the rule's tests are enough; pairs are
	// those of them that passed what is tested row by row.
	cands, pairs []uint64
	// found are list<<32 | row; firsts are the first tests of the candidates.
	found   []uint64
	firsts  []uint32
	fetched uint8    // what was asked for before it was needed adds up here, so that it is not left out
	counts  []uint32 // by rule
	touched []uint64 // the rules of pairs, a bit each
	rows    []uint32
	items   []Item
	scans   []Filterer // by Index.scans
	fixed   fixedTerms
	slow    slowState
}

// computed is a value that is no column, for all rows of the batch, made when it is first needed.
type computed struct {
	ev   *expr.Evaluator
	vec  *batch.Vec
	done bool
	// failed: the vector is NULLs, and the rules that read it have failed.
	failed error
}

// NewMatcher makes a Matcher.
func (x *Index) NewMatcher() *Matcher {
	m := &Matcher{x: x, counts: make([]uint32, len(x.rules)), touched: make([]uint64, (len(x.rules)+63)/64), computed: make([]computed, len(x.computed)), scans: make([]Filterer, len(x.scans)),
		fixed: fixedTerms{answers: make([]uint32, len(x.rules))}}
	m.slow.init(m)
	return m
}

// Index is the index that the Matcher evaluates.
func (m *Matcher) Index() *Index { return m.x }

// Match finds the rows of sel (ascending) for every rule and hands them to out, in the order of the rules. Rules with their bit set
// in skip are left out. ctx.RowError is taken over during the call: row errors go to out.
func (m *Matcher) Match(ctx *expr.Ctx, b *batch.Batch, sel []uint32, skip []uint64, out Consumer) {
	m.ctx, m.b, m.sel, m.skip, m.out = ctx, b, sel, skip, out
	m.begin()
	for _, p := range m.x.probes {
		if !p.absent(b) {
			m.probe(p)
		}
	}
	m.check()
	m.collect()
	m.scan()
	m.finish()
	m.reportComputed()
	m.ctx, m.b, m.sel, m.skip, m.out = nil, nil, nil, nil, nil
}

func (m *Matcher) begin() {
	for _, c := range m.coded {
		m.codes[c] = m.codes[c][:0]
	}
	m.coded = m.coded[:0]
	for i := range m.computed {
		m.computed[i].done, m.computed[i].failed = false, nil
	}
	m.cands, m.pairs, m.lowRow = m.cands[:0], m.pairs[:0], -1
	m.slow.begin()
}

// vec is the vector that a subject's values are in.
func (m *Matcher) vec(col int, calc uint32) *batch.Vec {
	if col >= 0 {
		return &m.b.Cols[col]
	}
	c := &m.computed[calc]
	if c.done {
		return c.vec
	}
	if c.ev == nil {
		ev, err := expr.Compile(m.x.computed[calc])
		if err != nil {
			panic("predindex: a value that cannot be computed: " + err.Error()) // safe let it pass
		}
		c.ev = ev
	}
	v, err := c.ev.Eval(m.ctx, m.b, batch.All(m.b.N))
	if err != nil { // as when a rule that is gone reads a table that is, too
		v, c.failed = nulls(c.ev.Type(), m.b.N), err
	}
	c.vec, c.done = v, true
	return v
}

func nulls(typ types.Type, n int) *batch.Vec {
	v := &batch.Vec{}
	v.Reset(typ)
	for range n {
		v.AppendNull()
	}
	return v
}

// reportComputed fails the rules that read a value which could not be computed.
func (m *Matcher) reportComputed() {
	for i := range m.computed {
		if m.computed[i].failed == nil {
			continue
		}
		for id := range m.x.rules {
			r := &m.x.rules[id]
			if (r.asks == uint32(i)+1 || m.x.reads(m.x.asks[r.tests:][:r.full], uint32(i))) && (len(m.skip) == 0 || m.skip[id>>6]&(1<<(id&63)) == 0) {
				m.out.Failed(id, m.computed[i].failed)
			}
		}
	}
}

// reads tells whether tests read a computed value.
func (x *Index) reads(asks []uint32, calc uint32) bool {
	return slices.ContainsFunc(asks, func(id uint32) bool { return reads(x.tests[id:id+1], calc) })
}

func reads(list []test, calc uint32) bool {
	return slices.ContainsFunc(list, func(t test) bool {
		if t.kind != nodeAtom {
			return reads(*t.kids, calc)
		}
		return t.x.col < 0 && t.ref == calc
	})
}

// probe looks the values of all rows up.
func (m *Matcher) probe(p *probe) {
	v := m.vec(p.col, p.calc)
	switch {
	case p.typ.Phys() != types.PhysBytes:
		m.probeInts(p, v)
	case len(p.few) > 0:
		m.probeFew(p, v)
	case p.col >= 0 && p.typ.Kind.IsText():
		m.probeTexts(p, v)
	default:
		for _, row := range m.sel {
			if !v.IsNull(int(row)) {
				m.hits = p.find(v.Bytes(int(row)), nil, m.hits[:0])
				m.lead(row)
			}
		}
	}
}

func (m *Matcher) probeInts(p *probe, v *batch.Vec) {
	nulls := len(v.Nulls) > 0
	if p.ints != nil {
		m.found = m.found[:0]
		for _, row := range m.sel {
			if nulls && v.IsNull(int(row)) {
				continue
			}
			if list := p.ints.get(intAt(v, int(row))); list != 0 {
				m.found = append(m.found, uint64(list-1)<<32|uint64(row))
			}
		}
		for _, f := range m.found {
			m.post(uint32(f), hit{list: uint32(f >> 32), exact: true})
		}
	}
	if p.ranges == nil {
		return
	}
	for _, row := range m.sel {
		if !nulls || !v.IsNull(int(row)) {
			m.hits = p.ranges.stab(intAt(v, int(row)), m.hits[:0])
			m.lead(row)
		}
	}
}

func (m *Matcher) probeFew(p *probe, v *batch.Vec) {
	off, buf := v.Off, v.Buf
	for _, row := range m.sel {
		from, to := off[row], off[row+1]
		if p.lengths&(1<<((to-from)&63)) == 0 {
			continue
		}
		value := buf[from:to]
		for i := range p.few {
			if string(value) == p.few[i].text {
				if !v.IsNull(int(row)) {
					m.post(row, hit{list: p.few[i].list, exact: true})
				}
				break
			}
		}
	}
}

func (m *Matcher) probeTexts(p *probe, v *batch.Vec) {
	nulls := len(v.Nulls) > 0
	d := m.dict(p.col)
	for _, row := range m.sel {
		if nulls && v.IsNull(int(row)) {
			continue
		}
		value := v.Bytes(int(row))
		e := m.entry(d, p.col, row, value)
		switch {
		case e == nil:
			m.hits = p.find(value, nil, m.hits[:0])
		case e.hits == e.upTo:
			continue
		default:
			m.hits = append(m.hits[:0], d.hits[e.hits:e.upTo]...)
		}
		m.lead(row)
	}
}

// dict readies a column's dict and codes for the batch.
func (m *Matcher) dict(col int) *dict {
	for len(m.dicts) <= col {
		m.dicts, m.codes = append(m.dicts, nil), append(m.codes, nil)
	}
	if m.dicts[col] == nil {
		m.dicts[col] = &dict{probe: m.x.textProbe(col)}
	}
	if len(m.codes[col]) == 0 {
		m.codes[col] = slices.Grow(m.codes[col], m.b.N)[:m.b.N]
		clear(m.codes[col])
		m.coded = append(m.coded, col)
	}
	return m.dicts[col]
}

// entry finds what is known of the value of a row; nil when the column's dict is out of use.
func (m *Matcher) entry(d *dict, col int, row uint32, value []byte) *dictEntry {
	codes := m.codes[col]
	switch code := codes[row]; code {
	case 0:
	case 1:
		return nil
	default:
		return &d.ents[code-2]
	}
	gen := d.gen
	code := d.find(value)
	if d.gen != gen {
		clear(codes) // the entries that they tell are gone
		if d.gen&genMask == 0 {
			clear(m.answers.slots) // they tell entries apart by these bits of gen only
		}
	}
	codes[row] = uint32(code + 2)
	if code < 0 {
		return nil
	}
	return &d.ents[code]
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// find appends the lists that a value leads to. low is its lower-case form, nil: not made yet.
func (p *probe) find(value, low []byte, dst []hit) []hit {
	if len(p.nets.groups) > 0 {
		dst = p.nets.find(value, dst)
	}
	if p.members != nil {
		dst = p.findMembers(value, dst)
	}
	if list, ok := p.equal[string(value)]; ok {
		dst = append(dst, hit{list: list, exact: true})
	}
	if p.lower != nil {
		if low == nil {
			low = expr.AppendLower(nil, value)
		}
		if list, ok := p.lower[string(low)]; ok {
			dst = append(dst, hit{list: list, exact: true})
		}
	}
	if p.auto == nil {
		return dst
	}
	if isASCII(value) {
		return p.auto.scan(value, true, dst)
	}
	return p.auto.scan(fold(nil, value), false, dst)
}

// lead asks the rules that the hits lead to about a row.
func (m *Matcher) lead(row uint32) {
	for _, h := range m.hits {
		m.post(row, h)
	}
}

// exactCand marks a candidate; a batch has fewer rows.
const exactCand = 1 << 31

// exactShift makes an exactCand of an exactPost.
const exactShift = 29

// post makes candidates of the rules of one list for a row.
func (m *Matcher) post(row uint32, h hit) {
	list := m.x.posts[m.x.starts[h.list]:m.x.starts[h.list+1]]
	if len(m.skip) == 0 && len(list) > 0 && list[0].kind&uniformPost != 0 {
		m.postTexts(row, h, list)
		return
	}
	col, length, word := -1, uint8(0), uint64(0) // the text that was looked at last
	for i := range list {
		p := &list[i]
		if len(m.skip) > 0 && m.skip[p.rule>>6]&(1<<(p.rule&63)) != 0 {
			continue // before anything else: what only such rules read is not in the batch
		}
		switch p.kind & guardMask {
		case guardText: // a NULL holds the empty text, which is no guard's
			if int(p.col) != col {
				col = int(p.col)
				b := m.b.Cols[col].Bytes(int(row))
				length, word = shortLength(len(b)), firstWord(b)
			}
			if length != p.length || word != p.word {
				continue
			}
		case guardInt: // a NULL holds 0
			if uint64(m.b.Cols[p.col].I64[row]) != p.word {
				continue
			}
		}
		c := uint64(p.rule)<<32 | uint64(row)
		if p.kind&exactPost != 0 && h.exact {
			c |= exactCand
		}
		m.cands = append(m.cands, c)
	}
}

// postTexts is post for a list whose postings all ask for a text of one column. Which of them have it is anybody's guess, so nothing
// jumps by it.
func (m *Matcher) postTexts(row uint32, h hit, list []posting) {
	b := m.b.Cols[list[0].col].Bytes(int(row))
	length, word := shortLength(len(b)), firstWord(b)
	exact := uint64(0)
	if h.exact {
		exact = exactCand
	}
	n := len(m.cands)
	if cap(m.cands)-n < len(list) {
		m.cands = slices.Grow(m.cands, len(list))
	}
	dst := m.cands[n : n+len(list)]
	k := 0
	for i := range list {
		p := &list[i]
		dst[k] = uint64(p.rule)<<32 | uint64(row) | exact&(uint64(p.kind&exactPost)<<exactShift)
		if p.word == word && p.length == length {
			k++
		}
	}
	m.cands = m.cands[:n+k]
}

// passes makes the tests of places asks.
func (m *Matcher) passes(asks []uint32, row uint32) bool {
	for _, id := range asks {
		if !m.holds(&m.x.tests[id], row) {
			return false
		}
	}
	return true
}

func (m *Matcher) all(tests []test, row uint32) bool {
	for i := range tests {
		if !m.holds(&tests[i], row) {
			return false
		}
	}
	return true
}

// holds tests one row.
func (m *Matcher) holds(t *test, row uint32) bool {
	switch t.op {
	case opInt:
		v := &m.b.Cols[t.col]
		return !v.IsNull(int(row)) && holdsInt(t.atom, v.I64[row])
	case opEqual:
		v := &m.b.Cols[t.col]
		return t.equals(v.Buf[v.Off[row]:v.Off[row+1]]) != t.not && !v.IsNull(int(row))
	case opText:
		v := &m.b.Cols[t.col]
		return !v.IsNull(int(row)) && m.holdsText(t, v, row)
	case opTree:
		if t.kind == nodeAnd {
			return m.all(*t.kids, row)
		}
		for i := range *t.kids {
			if m.holds(&(*t.kids)[i], row) {
				return true
			}
		}
		return false
	}
	v := m.vec(int(t.col), t.ref)
	null := v.IsNull(int(row))
	switch {
	case t.op == opNull:
		return null != t.not
	case null:
		return false
	case v.Type.Phys() != types.PhysBytes:
		return holdsInt(t.atom, intAt(v, int(row)))
	}
	value := v.Bytes(int(row))
	if t.fold {
		return holdsBytes(t.atom, value, expr.AppendLower(nil, value))
	}
	return holdsBytes(t.atom, value, nil)
}

// equals compares a value with the text of an opEqual. Most texts are compared without a look at where they lie.
func (t *test) equals(value []byte) bool {
	switch n := len(value); {
	case n != int(t.size):
		return false
	case n <= 8:
		return firstWord(value) == t.first
	case n <= 16:
		return firstWord(value) == t.first && lastWord(value) == t.last
	}
	return firstWord(value) == t.first && lastWord(value) == t.last && string(value) == t.text
}

// holdsText tests a text column by way of its dict.
func (m *Matcher) holdsText(t *test, v *batch.Vec, row uint32) bool {
	col, value := int(t.col), v.Bytes(int(row))
	d := m.dict(col)
	e := m.entry(d, col, row, value)
	if e == nil {
		return holdsBytes(t.atom, value, m.lower(t, col, row, value))
	}
	if !t.costs || col > colMask || t.ref > atomMask {
		return holdsBytes(t.atom, value, d.low(e))
	}
	at, key := m.answers.slot(uint32(col), m.codes[col][row]-2, d.gen, t.ref)
	if *at&^1 == key {
		return *at&1 == 1
	}
	ok := holdsBytes(t.atom, value, d.low(e))
	if *at = key; ok {
		*at |= 1
	}
	return ok
}

// lower is a value in lower case where a test needs it. The last one is kept: rules ask for the same one after another.
func (m *Matcher) lower(t *test, col int, row uint32, value []byte) []byte {
	if !t.fold {
		return nil
	}
	if at := int64(col)<<32 | int64(row); m.lowRow != at {
		m.low, m.lowRow = expr.AppendLower(m.low[:0], value), at
	}
	return m.low
}
