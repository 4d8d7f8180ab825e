package predindex

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Index is an immutable index of rules, which are numbered from 0. Any number of Matchers on any goroutines use it.
//
// What a matching row touches lies close together: with ten thousand rules the cost of an event is that of the memory it has to
// fetch.
type Index struct {
	rules []rule
	// tests are those of all rules, each of them once: rules have most of theirs in common. asks are, as places in tests, those of each
	// rule, one behind the other; asksSpare more follow.
	tests []test
	asks  []uint32
	// slows are lists of terms, each list once; the first one is empty.
	slows [][]uint32
	// wholes are the conditions of the rules that are evaluated as they are.
	wholes map[uint32]expr.Expr
	// posts are the rules by list, list i from starts[i] to starts[i+1]; a probe of a value gives lists.
	posts  []posting
	starts []uint32
	// probes have one entry per value that is looked up.
	probes []*probe
	// computed are the values that are not columns.
	computed []expr.Expr
	// scans are the rules that every row is asked about.
	scans []uint32
	terms []*slowTerm
	atoms int // number of different costly atoms
}

// rule is a predicate as the index tests it.
type rule struct {
	// The full tests that asks names from tests on are made row by row, but for what its postings have tested; the first rest of them
	// are enough when the access says that one holds.
	tests      uint32
	full, rest uint32
	// slow is the rule's list of terms.
	slow uint32
	// fixed is its list of terms that read nothing but columns which its tests leave one value.
	fixed uint32
	// asks is 1 + the computed value of the table that is the rule's access, 0: it is another.
	asks uint32
	// several: a row may be found more than once.
	several bool
	// byRow: the whole condition asks tables, whose answers are shared: every row is tested like those that are looked up.
	byRow bool
}

// posting is a rule in a list. Where the rule also asks for one value of a column, what that begins with is kept here: of the rules in a
// list most are refused by it, without a look at the rule.
type posting struct {
	// word is the first 8 bytes of the text, or as many as there are; or the integer.
	word uint64
	rule uint32
	col  uint16
	// length is that of the text, longText: that or more.
	length uint8
	kind   postingKind
}

const longText = math.MaxUint8

// postingKind says which value a posting asks for; with exactPost an exact hit makes the rest of the rule's tests enough.
type postingKind uint8

const (
	noGuard postingKind = iota
	guardText
	guardInt
	guardMask             = 3
	exactPost postingKind = 4
	// uniformPost, of the first posting of a list: all of them ask for a text of one column.
	uniformPost postingKind = 8
)

// probe is what is looked up for one value.
type probe struct {
	col  int // -1: computed value calc
	calc uint32
	// reads are the columns that the value is made of.
	reads []int
	typ   types.Type
	// ints and ranges of values of fixed size.
	ints   *intTable
	ranges *intervals
	// equal and lower hold values as they are and in lower case.
	equal, lower map[string]uint32
	auto         *automaton
	members      map[string]uint32 // elements of arrays
	nets         networks
	// few are the values to be compared one by one, where there is nothing but a few of them.
	few []fewText
	// lengths has a bit for the length, modulo 64, of each of few.
	lengths uint64
}

type fewText struct {
	text string
	list uint32
}

// fewTexts is up to how many texts are compared one by one.
const fewTexts = 6

// builder collects what goes into an index.
type builder struct {
	*Index
	est     *Estimates
	schema  *types.Schema
	lists   map[string]uint32 // by what is looked up
	probeOf map[string]*probeBuilder
	ordered []*probeBuilder
	calcOf  map[string]uint32
	termOf  map[string]uint32
	atomOf  map[string]uint32
	slowOf  map[string]uint32
	testOf  map[string]uint32
	posts   [][]posting // by list
}

// probeBuilder is a probe under construction.
type probeBuilder struct {
	*probe
	texts     []acText
	intervals []interval
	points    map[int64]uint32
}

// Build makes an index of predicates over batches of a schema; the position of each is its rule's number. est must not be in use.
func Build(schema *types.Schema, list []*Predicate, est *Estimates) *Index {
	b := &builder{Index: &Index{rules: make([]rule, len(list)), wholes: map[uint32]expr.Expr{}}, est: est, schema: schema, lists: map[string]uint32{},
		probeOf: map[string]*probeBuilder{}, calcOf: map[string]uint32{}, termOf: map[string]uint32{}, atomOf: map[string]uint32{}, slowOf: map[string]uint32{},
		testOf: map[string]uint32{}}
	b.slowList(nil)
	for i, p := range list {
		b.rule(uint32(i), p)
	}
	for _, p := range b.ordered {
		b.finish(p)
	}
	b.flatten()
	return b.Index
}

// flatten lays out what is built for the matchers.
func (b *builder) flatten() {
	x := b.Index
	x.asks = append(x.asks, make([]uint32, asksSpare)...)
	if len(x.tests) == 0 {
		x.tests = make([]test, 1) // for what looks ahead
	}
	x.starts = make([]uint32, 1, len(b.posts)+1)
	n := 0
	for _, l := range b.posts {
		n += len(l)
	}
	x.posts = make([]posting, 0, n)
	for _, l := range b.posts {
		if len(l) > 1 && sameColumn(l) {
			l[0].kind |= uniformPost
		}
		x.posts = append(x.posts, l...)
		x.starts = append(x.starts, uint32(len(x.posts)))
	}
}

// sameColumn reports that all postings of a list ask for a text of one column.
func sameColumn(list []posting) bool {
	for i := range list {
		if list[i].kind&guardMask != guardText || list[i].col != list[0].col {
			return false
		}
	}
	return true
}

// slowList finds or makes a list of terms.
func (b *builder) slowList(terms []uint32) uint32 {
	key := fmt.Sprint(terms)
	id, ok := b.slowOf[key]
	if !ok {
		id = uint32(len(b.slows))
		b.slowOf[key] = id
		b.slows = append(b.slows, terms)
	}
	return id
}

// Rules is the number of rules, Scans how many of them are asked about every row because nothing in them can be looked up.
func (x *Index) Rules() int { return len(x.rules) }

// Scans: see Rules.
func (x *Index) Scans() int { return len(x.scans) }

// Bytes is about the memory of the index without its predicates.
func (x *Index) Bytes() int64 {
	n := 0
	for _, p := range x.probes {
		if p.auto != nil {
			n += p.auto.bytes()
		}
		if p.ints != nil {
			n += 12 * len(p.ints.keys)
		}
		n += 48 * (len(p.equal) + len(p.lower) + len(p.members))
	}
	return int64(n + 16*len(x.posts) + 4*len(x.starts) + 4*len(x.asks) + 28*len(x.rules) + 64*len(x.tests))
}

func (b *builder) rule(id uint32, p *Predicate) {
	r := &b.rules[id]
	if p.whole != nil {
		b.wholes[id], r.byRow = p.whole, hasTable(p.whole)
	}
	a, which := choose(p, b.est)
	ask := askedTerm(p)
	if which >= 0 && a.part < asked {
		ask = -1
	}
	var terms, fixed []uint32
	for i, t := range p.slow {
		switch {
		case i == ask:
		case p.fixes(t):
			fixed = append(fixed, b.term(t))
		default:
			terms = append(terms, b.term(t))
		}
	}
	r.slow, r.fixed = b.slowList(terms), b.slowList(fixed)
	switch {
	case ask >= 0:
		q := p.slow[ask].asks
		r.asks = 1 + b.calc(&q.x)
		b.post(p, access{atoms: []*atom{q}, exact: true}, id, -1)
	case which < 0:
		if b.scans = append(b.scans, id); r.byRow {
			var list []uint32
			for _, n := range p.fast {
				list = append(list, b.testID(n))
			}
			b.setTests(r, list, nil)
		}
	default:
		b.post(p, a, id, which)
	}
}

// post makes the rows that pass an access lead to a rule; which of the rule's conditions it was made of, -1: none.
func (b *builder) post(p *Predicate, a access, id uint32, which int) {
	r := &b.rules[id]
	post, guard := posting{rule: id}.guarded(p.fast, which)
	if a.exact {
		post.kind |= exactPost
	}
	var rest, more []uint32
	for i, n := range p.fast {
		t := b.testID(n)
		switch {
		case i == guard && post.says(): // whoever comes by a posting has passed it
		case i == which && a.exact:
			more = append(more, t)
		default:
			rest = append(rest, t)
		}
	}
	b.setTests(r, rest, more)
	keys := 0
	for _, at := range a.atoms {
		keys += b.register(at, post)
	}
	r.several = keys > 1
}

// says reports that the guard is the whole test that it was made of.
func (p *posting) says() bool {
	kind := p.kind & guardMask
	return kind == guardInt || kind == guardText && p.length <= 8
}

// guarded adds to a posting the value of a column that the rule asks for besides its access, if it asks for one; test is the
// condition that does, -1: none.
func (p posting) guarded(list []*node, access int) (q posting, test int) {
	for i, n := range list {
		if i == access || n.kind != nodeAtom || n.atom.not || n.atom.x.col < 0 {
			continue
		}
		switch a := n.atom; {
		case a.x.col > math.MaxUint16:
		case a.kind == atomEqual && !a.x.lower && a.text != "":
			p.kind, p.col, p.length, p.word = guardText, uint16(a.x.col), shortLength(len(a.text)), firstWord([]byte(a.text))
			return p, i
		case a.kind == atomRange && a.lo == a.hi && a.lo != 0 && a.x.typ.Phys() == types.PhysInt:
			p.kind, p.col, p.word = guardInt, uint16(a.x.col), uint64(a.lo)
			return p, i
		}
	}
	return p, -1
}

// shortLength is the length of a text as a posting has it.
func shortLength(n int) uint8 { return uint8(min(n, longText)) }

// firstWord is the first 8 bytes of a text as an integer, zeros after its end.
func firstWord(b []byte) uint64 {
	if cap(b) >= 8 { // most texts lie among others
		return binary.LittleEndian.Uint64(b[:8]) & (1<<(8*min(len(b), 8)) - 1)
	}
	w := uint64(0)
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// compare readies an opEqual.
func (t *test) compare(text string) {
	t.size, t.first, t.last = uint32(len(text)), firstWord([]byte(text)), lastWord([]byte(text))
}

// lastWord is the last 8 bytes of a text that has as many.
func lastWord(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b[len(b)-8:])
}

func (b *builder) calc(s *subject) uint32 {
	key := s.key()
	id, ok := b.calcOf[key]
	if !ok {
		id = uint32(len(b.computed))
		b.calcOf[key] = id
		b.computed = append(b.computed, s.x)
	}
	return id
}

func (b *builder) term(t *slowTerm) uint32 {
	if !t.shared {
		b.terms = append(b.terms, t)
		return uint32(len(b.terms) - 1)
	}
	id, ok := b.termOf[t.key]
	if !ok {
		id = uint32(len(b.terms))
		b.termOf[t.key] = id
		b.terms = append(b.terms, t)
	}
	return id
}

// probe finds or makes the probe of a subject. A column and its lower-case form share one.
func (b *builder) probe(s *subject) *probeBuilder {
	key := s.key()
	if s.col >= 0 {
		key = Canonical(&expr.Column{Index: s.col, Typ: s.typ})
	}
	p := b.probeOf[key]
	if p == nil {
		p = &probeBuilder{probe: &probe{col: s.col, typ: s.typ}, points: map[int64]uint32{}}
		if s.col < 0 {
			p.calc = b.calc(s)
		}
		expr.Walk(s.x, func(e expr.Expr) bool {
			if c, ok := e.(*expr.Column); ok {
				p.reads = append(p.reads, c.Index)
			}
			return true
		})
		b.probeOf[key] = p
		b.ordered = append(b.ordered, p)
		b.probes = append(b.probes, p.probe)
	}
	return p
}

// register makes the rows that pass an atom lead to a rule; it returns the number of keys that was needed.
func (b *builder) register(a *atom, post posting) int {
	p := b.probe(&a.x)
	switch a.kind {
	case atomRange:
		if a.lo == a.hi {
			b.point(p, a.lo, post)
		} else {
			list := b.list(p, "range "+a.key, post)
			if len(b.posts[list]) == 1 {
				p.intervals = append(p.intervals, interval{a.lo, a.hi, list})
			}
		}
		return 1
	case atomInts:
		for x := range a.ints {
			b.point(p, x, post)
		}
		return 1
	case atomEqual:
		b.text(p, a.x.lower, a.text, post)
		return 1
	case atomOneOf:
		for s := range a.texts {
			b.text(p, a.x.lower, s, post)
		}
		return 1
	case atomNet:
		list := p.nets.add(a.net, a.strict, b.newList)
		b.posts[list] = append(b.posts[list], post)
		return 1
	case atomNever:
		return 1
	case atomMember:
		return b.members(p, a, post)
	}
	for i := range a.lits {
		b.literal(p, &a.lits[i], post)
	}
	return 2 // one literal may come twice in a value
}

func (b *builder) newList() uint32 {
	b.posts = append(b.posts, nil)
	return uint32(len(b.posts) - 1)
}

// list finds or makes the list of what is looked up in a probe, and adds a rule to it.
func (b *builder) list(p *probeBuilder, what string, post posting) uint32 {
	key := Canonical(&expr.Column{Index: p.col, Typ: p.typ}) + " " + what
	if p.col < 0 {
		key = Canonical(b.computed[p.calc]) + " " + what
	}
	id, ok := b.lists[key]
	if !ok {
		id = b.newList()
		b.lists[key] = id
	}
	b.posts[id] = append(b.posts[id], post)
	return id
}

func (b *builder) point(p *probeBuilder, x int64, post posting) {
	list, ok := p.points[x]
	if !ok {
		list = b.newList()
		p.points[x] = list
	}
	b.posts[list] = append(b.posts[list], post)
}

func (b *builder) text(p *probeBuilder, lower bool, s string, post posting) {
	into := &p.equal
	if lower {
		into = &p.lower
	}
	if *into == nil {
		*into = map[string]uint32{}
	}
	list, ok := (*into)[s]
	if !ok {
		list = b.newList()
		(*into)[s] = list
	}
	b.posts[list] = append(b.posts[list], post)
}

func (b *builder) literal(p *probeBuilder, l *literal, post posting) {
	var key strings.Builder
	key.WriteString("text ")
	for _, is := range []bool{l.atStart, l.atEnd, l.whole} {
		if is {
			key.WriteByte('1')
		} else {
			key.WriteByte('0')
		}
	}
	key.WriteString(l.text)
	list := b.list(p, key.String(), post)
	if len(b.posts[list]) == 1 {
		p.texts = append(p.texts, acText{*l, list})
	}
}

// finish makes the structures of a probe.
func (b *builder) finish(p *probeBuilder) {
	if len(p.points) > 0 {
		p.ints = newIntTable(len(p.points))
		for x, list := range p.points {
			p.ints.put(x, list)
		}
	}
	if len(p.intervals) > 0 {
		p.ranges = newIntervals(p.intervals)
	}
	if len(p.texts) > 0 {
		p.auto = newAutomaton(p.texts)
	}
	if p.auto == nil && p.lower == nil && p.members == nil && len(p.nets.groups) == 0 && len(p.equal) <= fewTexts {
		for s, list := range p.equal {
			p.few = append(p.few, fewText{s, list})
			p.lengths |= 1 << (len(s) & 63)
		}
		slices.SortFunc(p.few, func(a, b fewText) int { return strings.Compare(a.text, b.text) })
	}
}

// textProbe is the probe of a text column that has a dict; nil: it has none.
func (x *Index) textProbe(col int) *probe {
	i := slices.IndexFunc(x.probes, func(p *probe) bool { return p.col == col && p.typ.Kind.IsText() && len(p.few) == 0 })
	if i < 0 {
		return nil
	}
	return x.probes[i]
}
