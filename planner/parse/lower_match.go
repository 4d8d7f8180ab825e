package parse

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Limits on a row pattern; beyond them the answer is SQLSTATE 54000.
const (
	// quantifierMax bounds n and m of {n,m}.
	quantifierMax = 1000
	// patternVarsMax bounds the variables written in one pattern, repetitions not unfolded.
	patternVarsMax = 1000
)

// matchMark is the one field of a lowered MATCH_RECOGNIZE or SEQUENCE; converting it has filled the table expression.
type matchMark struct{ At }

// matches lowers the MATCH_RECOGNIZE clauses that follow a relation written after mark, as (SELECT ~(?, args) FROM relation). A join
// in parentheses must have an alias then.
func (l *lowerer) matches(mark int, join *joinMark) *joinMark {
	for n := 0; l.isKw("match_recognize") && l.at(1).isOp("("); n++ {
		t := l.next()
		switch {
		case n > joinMax:
			l.tooComplex(t.pos)
		case join != nil && join.join.Alias == "":
			l.lack(t.pos, "MATCH_RECOGNIZE over a join", "join in a continuous query of its own, and match over that")
		}
		source := l.tail
		l.tail = l.insert(mark, piece{text: "(SELECT ", pos: t.pos, hole: -1})
		e := l.matchClause(t.pos)
		l.emit(" FROM ", t.pos)
		l.tail = source
		l.emit(") AS ", t.pos)
		e.Alias, e.Columns, _ = l.alias(false)
		l.emit(l.tableName(e), t.pos)
		join = nil
	}
	return join
}

// matchSlots are the arguments of a lowered MATCH_RECOGNIZE, in the order in which they were written.
type matchSlots struct {
	partition, measures, define []int
	order                       []orderSlot
}

// matchClause lowers what stands in the parentheses of MATCH_RECOGNIZE; its clauses may come in any order.
func (l *lowerer) matchClause(pos Pos) *TableMatch {
	e := &TableMatch{Pos: pos}
	l.inMatch++
	defer func() { l.inMatch-- }()
	k := l.begin(pos)
	l.expect("(")
	var slots matchSlots
	seen := map[string]bool{}
	for l.err == nil && !l.peek().isOp(")") {
		t := l.peek()
		if t.kind != tokIdent || seen[t.val] {
			l.fail()
			break
		}
		seen[t.val] = true
		if t.isAnyKw("partition", "order", "measures", "define") {
			l.matchExprs(e, &k, &slots)
		} else {
			l.matchOption(e)
		}
	}
	if l.err == nil && e.Pattern == nil {
		l.fail()
	}
	l.expect(")")
	if e.Skip == "" {
		e.Skip = "PAST LAST ROW"
	}
	k.end(func(args []Expr) Expr {
		for _, i := range slots.partition {
			e.PartitionBy = append(e.PartitionBy, args[i])
		}
		e.OrderBy = fillOrder(slots.order, args)
		for n, i := range slots.measures {
			e.Measures[n].Expr = args[i]
		}
		for n, i := range slots.define {
			e.Define[n].Cond = args[i]
		}
		return &matchMark{At{pos}}
	})
	return e
}

// matchExprs lowers one of the clauses that hold expressions.
func (l *lowerer) matchExprs(e *TableMatch, k *call, slots *matchSlots) {
	switch l.peek().val {
	case "partition":
		l.next()
		l.expectKw("by")
		for first := true; first || l.accept(","); first = false {
			slots.partition = append(slots.partition, k.arg())
			l.expr(0)
		}
	case "order":
		slots.order = l.orderSlots(k)
	case "measures":
		l.next()
		e.Measures, slots.measures = l.measures(k)
	case "define":
		l.next()
		for first := true; first || l.accept(","); first = false {
			e.Define = append(e.Define, PatternDef{Pos: l.peek().pos, Name: l.name()})
			l.expectKw("as")
			slots.define = append(slots.define, k.arg())
			l.expr(0)
		}
	}
}

// measures lowers expr AS name, ... as arguments of k.
func (l *lowerer) measures(k *call) (items []SelectItem, slots []int) {
	for first := true; first || l.accept(","); first = false {
		item := SelectItem{Pos: l.peek().pos}
		slots = append(slots, k.arg())
		l.expr(0)
		l.expectKw("as")
		item.Alias = l.label()
		items = append(items, item)
	}
	return items, slots
}

// matchOption reads one of the clauses without expressions.
func (l *lowerer) matchOption(e *TableMatch) {
	t := l.peek()
	switch {
	case l.acceptKw("one", "row", "per", "match"):
		l.noShow()
	case l.acceptKw("all", "rows", "per", "match"):
		e.AllRows = true
		l.noShow()
	case l.acceptKw("after", "match", "skip"):
		l.skipMode(e)
	case l.acceptKw("within"):
		e.Within = l.interval()
	case l.acceptKw("pattern"):
		p := patternReader{lowerer: l}
		l.expect("(")
		e.Pattern = p.alternatives()
		l.expect(")")
	case t.isKw("subset"):
		l.lack(t.pos, "SUBSET", "name the variables one by one in MEASURES")
	case t.isAnyKw("initial", "seek"):
		l.lack(t.pos, strings.ToUpper(t.val)+" in MATCH_RECOGNIZE", "leave it out: every row may begin a match")
	default:
		l.fail()
	}
}

// noShow reads OMIT EMPTY MATCHES, which is what happens, and refuses what would show more.
func (l *lowerer) noShow() {
	t := l.peek()
	switch {
	case l.acceptKw("omit", "empty", "matches"):
	case l.isKw("show", "empty", "matches"), l.isKw("with", "unmatched", "rows"):
		l.lack(t.pos, strings.ToUpper(l.src[t.off:l.at(2).end]), "only rows of matches come out; leave the words out")
	}
}

// skipMode reads what follows AFTER MATCH SKIP.
func (l *lowerer) skipMode(e *TableMatch) {
	switch {
	case l.acceptKw("past", "last", "row"):
		e.Skip = "PAST LAST ROW"
	case l.acceptKw("to", "next", "row"):
		e.Skip = "TO NEXT ROW"
	case l.isKw("to", "first") && l.at(2).isName():
		l.i += 2
		e.Skip, e.SkipTo = "TO FIRST", l.name()
	case l.isKw("to", "last") && l.at(2).isName():
		l.i += 2
		e.Skip, e.SkipTo = "TO LAST", l.name()
	default:
		l.expectKw("to")
		e.Skip, e.SkipTo = "TO LAST", l.name()
	}
}

// semantics lowers FINAL f(..) and RUNNING f(..) to final(f(..)) and running(f(..)).
func (l *lowerer) semantics() int {
	t := l.next()
	k := l.begin(t.pos)
	k.arg()
	h := l.primary()
	k.end(plainCall(t.val, t.pos))
	return h + 1
}

// patternReader reads a row pattern. Operators that the lexer took together, as in (a+|b*?), are read character by character.
type patternReader struct {
	*lowerer
	// used is how many characters of the current operator token have been read.
	used int
	vars int
}

// char returns the next character of the pattern if it belongs to an operator, 0 otherwise.
func (p *patternReader) char() byte {
	t := p.peek()
	if t.kind != tokOp || p.used >= len(t.val) {
		return 0
	}
	return t.val[p.used]
}

// acceptChar moves over a character of an operator.
func (p *patternReader) acceptChar(c byte) bool {
	if p.char() != c {
		return false
	}
	if p.used++; p.used >= len(p.peek().val) {
		p.next()
		p.used = 0
	}
	return true
}

// alternatives reads a | b | c.
func (p *patternReader) alternatives() *Pattern {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	pos := p.peek().pos
	list := []*Pattern{p.sequence()}
	for p.err == nil && p.acceptChar('|') {
		list = append(list, p.sequence())
	}
	return group("ALT", list, pos)
}

func group(kind string, list []*Pattern, pos Pos) *Pattern {
	if len(list) == 1 {
		return list[0]
	}
	return &Pattern{Kind: kind, Items: list, Pos: pos}
}

// sequence reads the elements up to | or ).
func (p *patternReader) sequence() *Pattern {
	pos := p.peek().pos
	list := []*Pattern{p.quantified()}
	for p.err == nil && p.char() != '|' && p.char() != ')' {
		list = append(list, p.quantified())
	}
	return group("SEQ", list, pos)
}

// quantified reads an element and the quantifier that follows it.
func (p *patternReader) quantified() *Pattern {
	item := p.element()
	q := &Pattern{Kind: "REPEAT", Items: []*Pattern{item}, Max: -1, Pos: p.peek().pos}
	switch {
	case p.acceptChar('*'):
	case p.acceptChar('+'):
		q.Min = 1
	case p.acceptChar('?'):
		q.Max = 1
	case p.char() == '{' && !p.at(1).isOp("-"):
		p.next()
		p.bounds(q)
	default:
		return item
	}
	q.Reluctant = p.acceptChar('?')
	return q
}

// bounds reads the rest of {n}, {n,}, {n,m} and {,m}.
func (l *lowerer) bounds(q *Pattern) {
	t := l.peek()
	comma := false
	if t.kind == tokNumber {
		q.Min = l.count1000()
	}
	if comma = l.accept(","); comma {
		if l.peek().kind == tokNumber {
			q.Max = l.count1000()
		} else if t.kind != tokNumber {
			l.fail()
		}
	} else {
		q.Max = q.Min
	}
	if t.kind != tokNumber && !comma {
		l.failAt(t)
	}
	if l.err == nil && q.Max >= 0 && (q.Max == 0 || q.Max < q.Min) {
		l.failWith(sqlerr.New(sqlerr.SyntaxError, "the quantifier's upper bound must be positive and not below the lower one").At(t.pos))
	}
	l.expect("}")
}

// count1000 reads a whole number of a quantifier.
func (l *lowerer) count1000() int {
	t := l.peek()
	n, err := strconv.Atoi(t.val)
	switch {
	case err != nil:
		l.fail()
	case n > quantifierMax:
		l.failWith(sqlerr.New(sqlerr.ProgramLimitExceeded, "a quantifier may be at most %d", quantifierMax).At(t.pos))
	}
	l.next()
	return n
}

// element reads a variable or a group.
func (p *patternReader) element() *Pattern {
	t := p.peek()
	switch {
	case p.used == 0 && t.isKw("permute") && p.at(1).isOp("("):
		p.lack(t.pos, "PERMUTE", "write the orders as alternatives: (a b | b a)")
	case p.char() == '{' && p.at(1).isOp("-"), p.char() == '{' && strings.HasPrefix(p.at(1).val, "-"):
		p.lack(t.pos, "the exclusion {- -}", "write ONE ROW PER MATCH, or leave out the rows by CLASSIFIER() afterwards")
	case p.char() == '^':
		p.lack(t.pos, "the anchor ^", "a stream has no first row; leave it out")
	case p.acceptChar('('):
		in := p.alternatives()
		if !p.acceptChar(')') {
			p.fail()
		}
		return in
	case p.used == 0 && t.isName():
		if p.vars++; p.vars > patternVarsMax {
			p.failWith(sqlerr.New(sqlerr.ProgramLimitExceeded, "a pattern may hold at most %d variables", patternVarsMax).At(t.pos))
		}
		return &Pattern{Kind: "VAR", Name: p.name(), Pos: t.pos}
	default:
		p.fail()
	}
	return &Pattern{Kind: "VAR"}
}
