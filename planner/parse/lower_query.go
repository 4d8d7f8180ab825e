package parse

import (
	"strconv"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// shape says how much a lowered query holds: an operand of a set operation must be plain, else it is wrapped.
type shape int

const (
	// plain is one SELECT core or VALUES list.
	plain shape = iota
	// compound is a set operation.
	compound
	// full has WITH, ORDER BY or LIMIT of its own.
	full
)

// Marks stand in the first field of every lowered SELECT and say what it is.
type (
	// coreMark holds what TiDB has no place for.
	coreMark struct {
		At
		distinctOn []Expr
		windows    []WindowDef
		// groupDistinct is GROUP BY DISTINCT.
		groupDistinct bool
	}
	// nestedMark marks SELECT ? FROM (query): the query itself.
	nestedMark struct{ At }
	// valuesMark marks a VALUES list; widths holds the length of each row.
	valuesMark struct {
		At
		widths []int
	}
	// starMark is * or t.* of a select list.
	starMark struct {
		At
		table *Name
	}
	// orderMark is an ORDER BY term with NULLS FIRST or LAST.
	orderMark struct {
		At
		x     Expr
		nulls int
	}
	// joinMark is what stands after ON.
	joinMark struct {
		At
		join Join
	}
)

// selectStmt lowers a query expression with its WITH, ORDER BY and LIMIT.
func (l *lowerer) selectStmt() shape {
	if !l.enter() {
		return plain
	}
	defer l.leave()
	with := l.isKw("with")
	if with {
		l.withClause()
	}
	body := l.tail
	s := l.setExpr(1)
	tail := l.isKw("order") || l.limitNext()
	if s == full && (with || tail) {
		l.nestFrom(body)
		s = plain
	}
	if l.isKw("order") {
		l.orderBy()
	}
	if l.limitNext() {
		l.limit()
	}
	if l.isKw("fetch") {
		l.failAt(l.at(1))
	}
	if t := l.peek(); t.isKw("for") && l.at(1).isAnyKw("update", "share", "no", "key") {
		l.lack(t.pos, "SELECT .. FOR "+l.src[l.at(1).off:l.at(1).end], "vigil reads snapshots and takes no row locks; leave the clause out")
	}
	if with || tail {
		return full
	}
	return s
}

// nestFrom turns the query written after mark into SELECT ? FROM (query).
func (l *lowerer) nestFrom(mark int) {
	pos := l.pieces[l.pieces[mark].next].pos
	at := l.insert(mark, piece{text: "SELECT ", pos: pos, hole: -1})
	at = l.insert(at, piece{text: "?", pos: pos, hole: l.newHole(hole{leaf: &nestedMark{At{pos}}})})
	l.insert(at, piece{text: " FROM (", pos: pos, hole: -1})
	l.emit(") AS `#`", pos)
}

// withClause lowers WITH [RECURSIVE] name [(cols)] AS (query), ...
func (l *lowerer) withClause() {
	l.emit("WITH ", l.next().pos)
	if l.isKw("recursive") {
		l.emit("RECURSIVE ", l.next().pos)
	}
	for first := true; first || l.accept(","); first = false {
		if !first {
			l.emit(", ", 0)
		}
		cte := &CTE{Pos: l.peek().pos, Name: l.name()}
		if l.peek().isOp("(") {
			cte.Columns = l.nameList()
		}
		l.expectKw("as")
		switch {
		case l.acceptKw("not"):
			l.expectKw("materialized")
			cte.Materialized = "NOT MATERIALIZED"
		case l.acceptKw("materialized"):
			cte.Materialized = "MATERIALIZED"
		}
		l.emit(l.tableName(cte), cte.Pos)
		l.emit(" AS ", 0)
		if t := l.at(1); t.isAnyKw("insert", "update", "delete") {
			l.lack(t.pos, "a data-modifying statement in WITH", "run it as a statement of its own")
		}
		l.parenQuery()
		if l.isKw("search") || l.isKw("cycle") {
			l.lack(l.peek().pos, "SEARCH or CYCLE in WITH", "bound the recursion in its WHERE clause")
		}
	}
	l.emit(" ", 0)
}

// tableName enters an entry into the side table of relations and returns the name that TiDB sees.
func (l *lowerer) tableName(entry any) string {
	l.tables = append(l.tables, entry)
	return "`#" + strconv.Itoa(len(l.tables)-1) + "`"
}

// parenQuery lowers a query in parentheses, which are written too.
func (l *lowerer) parenQuery() {
	pos := l.peek().pos
	l.expect("(")
	l.emit("(", pos)
	if !l.startsQuery() {
		l.fail()
		return
	}
	l.selectStmt()
	l.expect(")")
	l.emit(")", 0)
}

// startsQuery reports whether a query begins at the current token.
func (l *lowerer) startsQuery() bool {
	return l.peek().isAnyKw("select", "with", "values", "table") || l.queryParen(l.i, 0)
}

// queryParen reports whether the "(" at index i opens a query and not an expression or a join.
func (c *cursor) queryParen(i, depth int) bool {
	if depth > nestMax || i+1 > c.end || !c.toks[i].isOp("(") {
		return false
	}
	inner := &c.toks[i+1]
	after := &c.toks[min(i+2, c.end)]
	if inner.isAnyKw("select", "with") || inner.isKw("values") && after.isOp("(") || inner.isKw("table") && after.isWord() {
		return true
	}
	if !inner.isOp("(") || inner.match == 0 || inner.match >= c.end || !c.queryParen(i+1, depth+1) {
		return false
	}
	after = &c.toks[inner.match+1]
	return after.isOp(")") || after.isAnyKw("union", "intersect", "except", "order", "limit", "offset", "fetch")
}

// setOpMax bounds the operands of one chain of set operations; each is a level of the tree.
const setOpMax = 5000

// setExpr lowers a chain of UNION and EXCEPT (level 1) and INTERSECT (level 2). TiDB's list is folded from the left by
// the converter, so only right operands that are compound must be nested.
func (l *lowerer) setExpr(level int) shape {
	left := l.tail
	s := l.queryPrimary()
	for n := 0; ; n++ {
		t := l.peek()
		lv := 1
		if t.isKw("intersect") {
			lv = 2
		} else if !t.isAnyKw("union", "except") {
			return s
		}
		if lv < level {
			return s
		}
		if n > setOpMax {
			l.tooComplex(t.pos)
		}
		if s == full {
			l.nestFrom(left)
		}
		op := map[string]string{"union": " UNION ", "except": " EXCEPT ", "intersect": " INTERSECT "}[t.val]
		l.next()
		l.emit(op, t.pos)
		if l.acceptKw("all") {
			l.emit("ALL ", 0)
		} else {
			l.acceptKw("distinct")
		}
		right := l.tail
		if l.setExpr(lv+1) != plain {
			l.nestFrom(right)
		}
		s = compound
	}
}

// queryPrimary lowers a SELECT core, VALUES, TABLE name or a query in parentheses.
func (l *lowerer) queryPrimary() shape {
	t := l.peek()
	switch {
	case t.isKw("select"):
		l.core()
	case t.isKw("values"):
		l.values()
	case t.isKw("table"):
		l.next()
		ref := &TableRef{Name: l.qualified()}
		l.emit("SELECT ", t.pos)
		l.leaf(&coreMark{At: At{t.pos}})
		l.emit(", ", t.pos)
		l.leaf(&starMark{At: At{t.pos}})
		l.emit(" FROM ", t.pos)
		l.emit(l.tableName(ref), ref.Name.Pos)
	case t.isOp("("):
		l.next()
		s := l.selectStmt()
		l.expect(")")
		return s
	case l.sequenceNext():
		l.sequence()
	default:
		l.fail()
	}
	return plain
}

// values lowers VALUES (a, b), (c, d) to one select list.
func (l *lowerer) values() {
	m := &valuesMark{At: At{l.next().pos}}
	l.emit("SELECT ", m.Pos)
	l.leaf(m)
	for first := true; first || l.accept(","); first = false {
		l.expect("(")
		width := 0
		for width == 0 || l.accept(",") {
			l.item(l.valueOrDefault)
			width++
		}
		l.expect(")")
		m.widths = append(m.widths, width)
	}
}

func (l *lowerer) valueOrDefault() {
	if t := l.peek(); t.isKw("default") {
		l.next()
		l.leaf(&Default{At{t.pos}})
		return
	}
	l.expr(0)
}

// core lowers SELECT .. FROM .. WHERE .. GROUP BY .. HAVING .. WINDOW ..
func (l *lowerer) core() {
	start := l.next()
	l.emit("SELECT ", start.pos)
	m := &coreMark{At: At{start.pos}}
	distinct := l.acceptKw("distinct")
	on := distinct && l.isKw("on")
	if !distinct {
		l.acceptKw("all")
	} else if !on {
		l.emit("DISTINCT ", start.pos)
	}
	k := l.begin(start.pos)
	if on {
		l.next()
		l.expect("(")
		for first := true; first || l.accept(","); first = false {
			k.arg()
			l.expr(0)
		}
		l.expect(")")
	}
	onCount, markEnd := k.n, l.tail
	k.end(func(args []Expr) Expr {
		if onCount > 0 {
			m.distinctOn = args
		}
		return m
	})
	l.items()
	if t := l.peek(); t.isKw("into") {
		l.lack(t.pos, "SELECT INTO", "use INSERT INTO .. SELECT")
	}
	m.groupDistinct = l.fromWhereGroup(start.pos)
	if l.isKw("window") {
		l.windowClause(&k, markEnd, m)
	}
}

// items lowers a select list, which may be empty.
func (l *lowerer) items() {
	if t := l.peek(); l.atEnd() || t.isOp(")") || t.isAnyKw("from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch", "for") {
		return
	}
	l.item(l.selectItem)
	for l.accept(",") {
		l.item(l.selectItem)
	}
}

func (l *lowerer) selectItem() {
	if l.star() {
		return
	}
	l.expr(0)
	switch t := l.peek(); {
	case l.acceptKw("as"):
		t = l.peek()
		l.emit(" AS ", t.pos)
		l.ident(l.label(), t.pos)
	case t.kind == tokQuoted, t.kind == tokIdent && !notBareLabel[t.val] && !l.streamClause():
		l.emit(" AS ", t.pos)
		l.ident(l.next().val, t.pos)
	}
}

// star lowers *, t.* and s.t.* if one is next.
func (l *lowerer) star() bool {
	first, n := l.peek(), 0
	if !first.isOp("*") {
		for n = 1; l.at(n-1).isWord() && l.at(n).isOp(".") && n < 9; n += 2 {
			if l.at(n + 1).isOp("*") {
				break
			}
		}
		if !(l.at(n-1).isWord() && l.at(n).isOp(".") && l.at(n+1).isOp("*")) || !first.isName() {
			return false
		}
	}
	if n > 0 && l.operandEnds(n+2) { // t.* IS NULL
		return false
	}
	m := &starMark{At: At{first.pos}}
	if n > 0 {
		name := l.qualified2()
		m.table = &name
		l.expect(".")
	}
	l.expect("*")
	l.leaf(m)
	return true
}

// operandEnds reports whether an operator stands n tokens ahead, so that what is before it is no select item of its own.
func (l *lowerer) operandEnds(n int) bool {
	save := l.i
	defer func() { l.i = save }()
	if l.i+n > l.end {
		return false
	}
	l.i += n
	return l.infixLevel() > 0 || !l.atEnd() && l.peek().isOp("::")
}

// qualified2 reads the name before ".*".
func (l *lowerer) qualified2() Name {
	n := Name{Pos: l.peek().pos, Name: l.name()}
	for i := 0; l.peek().isOp(".") && l.at(1).isWord(); i++ {
		if i == 2 {
			l.fail()
		}
		l.next()
		n.Catalog, n.Schema, n.Name = n.Schema, n.Name, l.label()
	}
	return n
}

// streamClause reports whether EMIT or SUPPRESS of a continuous query starts here, and not a name spelled like it.
func (c *cursor) streamClause() bool {
	if !c.isKw("emit") {
		return c.isKw("suppress", "for")
	}
	switch w := c.at(1); {
	case w.isKw("on"):
		return c.at(2).isAnyKw("window", "update")
	case w.isKw("after"):
		return c.at(2).isKw("window")
	default:
		return w.isAnyKw("every", "first", "changes", "final", "periodic")
	}
}

// fromWhereGroup lowers the clauses from FROM to HAVING and reports GROUP BY DISTINCT.
func (l *lowerer) fromWhereGroup(pos Pos) (groupDistinct bool) {
	if l.acceptKw("from") {
		l.emit(" FROM ", pos)
		for first := true; first || l.accept(","); first = false {
			if !first {
				l.emit(", ", 0)
			}
			l.joinTree()
		}
	} else if l.peek().isAnyKw("where", "group", "having") {
		// TiDB wants a relation before these clauses; the converter drops the nil entry.
		l.emit(" FROM ", pos)
		l.emit(l.tableName(nil), pos)
	}
	if l.isKw("where") {
		l.emit(" WHERE ", l.next().pos)
		l.expr(0)
	}
	if l.isKw("group") {
		groupDistinct = l.groupBy()
	}
	if l.isKw("having") {
		l.emit(" HAVING ", l.next().pos)
		l.expr(0)
	}
	return groupDistinct
}

// windowClause lowers WINDOW name AS (spec), ...: its expressions become arguments of the core's mark.
func (l *lowerer) windowClause(k *call, markEnd int, m *coreMark) {
	l.next()
	onCount := k.n
	tail := l.tail
	l.tail = markEnd
	var slots []windowSlots
	for first := true; first || l.accept(","); first = false {
		name := l.name()
		l.expectKw("as")
		s := l.windowSpec(k)
		s.def.Name = name
		slots = append(slots, s)
	}
	l.tail = tail
	l.holes[k.hole].build = func(args []Expr) Expr {
		if onCount > 0 {
			m.distinctOn = args[:onCount]
		}
		for _, s := range slots {
			m.windows = append(m.windows, s.fill(args))
		}
		return m
	}
}

func (l *lowerer) orderBy() {
	l.emit(" ", l.next().pos)
	l.expectKw("by")
	for first := true; first || l.accept(","); first = false {
		if first {
			l.emit("ORDER BY ", 0)
		} else {
			l.emit(", ", 0)
		}
		mark, pos := l.tail, l.peek().pos
		l.expr(0)
		desc, nulls := l.orderTail()
		if nulls != 0 {
			k := l.wrap(mark, pos)
			k.end(func(args []Expr) Expr { return &orderMark{At{pos}, args[0], nulls} })
		}
		if desc {
			l.emit(" DESC", 0)
		}
	}
}

// orderTail reads ASC, DESC, USING < or >, and NULLS FIRST or LAST.
func (c *cursor) orderTail() (desc bool, nulls int) {
	switch {
	case c.acceptKw("asc"):
	case c.acceptKw("desc"):
		desc = true
	case c.acceptKw("using"):
		desc = c.peek().isOp(">")
		if !c.accept("<") && !c.accept(">") {
			c.lack(c.peek().pos, "ORDER BY USING with another operator than < or >", "use ASC or DESC")
		}
	}
	if c.acceptKw("nulls") {
		if c.acceptKw("first") {
			nulls = 1
		} else {
			c.expectKw("last")
			nulls = -1
		}
	}
	return desc, nulls
}

func (l *lowerer) limitNext() bool {
	return l.peek().isAnyKw("limit", "offset") || l.isKw("fetch") && l.at(1).isAnyKw("first", "next")
}

// noExpr is the leaf for a count that was not given.
type noExpr struct{ At }

// limit lowers LIMIT, OFFSET and FETCH FIRST in any order, each at most once.
func (l *lowerer) limit() {
	var count, offset Expr
	pos := l.peek().pos
	for l.limitNext() {
		t := l.next()
		slot := &count
		if t.val == "offset" {
			slot = &offset
		}
		if *slot != nil {
			l.failAt(t)
			return
		}
		switch t.val {
		case "limit":
			if *slot = l.limitCount(); l.accept(",") {
				l.failWith(sqlerr.New(sqlerr.SyntaxError, "LIMIT #,# syntax is not supported").At(t.pos).
					WithHint("Use separate LIMIT and OFFSET clauses."))
			}
		case "offset":
			*slot = l.count()
			_ = l.acceptKw("rows") || l.acceptKw("row")
		default:
			*slot = l.fetchFirst()
		}
	}
	if l.err != nil {
		return
	}
	for i, e := range [2]Expr{count, offset} {
		l.emit([2]string{" LIMIT ", " OFFSET "}[i], pos)
		if e == nil {
			e = &noExpr{At{pos}}
		}
		l.leaf(e)
	}
}

// limitCount reads the count of LIMIT; ALL is NULL, as in Postgres.
func (l *lowerer) limitCount() Expr {
	if t := l.peek(); l.acceptKw("all") {
		return &Null{At{t.pos}}
	}
	return l.count()
}

// count reads a row count; literals and parameters, nearly all there are, need no pass through TiDB.
func (l *lowerer) count() Expr {
	t := l.peek()
	if after := l.at(1); after.kind != tokOp || after.isOp(")") {
		switch t.kind {
		case tokNumber:
			l.next()
			return &Number{At{t.pos}, t.val}
		case tokParam:
			return l.param()
		}
	}
	return l.subExpr(0)
}

// fetchFirst reads the rest of FETCH FIRST [n] ROWS ONLY.
func (l *lowerer) fetchFirst() Expr {
	t := l.next()
	var count Expr = &Number{At{t.pos}, "1"}
	if !l.peek().isAnyKw("row", "rows") {
		count = l.subExpr(postfixLevel)
	}
	if !l.acceptKw("rows") {
		l.expectKw("row")
	}
	if t := l.peek(); l.acceptKw("with", "ties") {
		l.lack(t.pos, "FETCH FIRST .. WITH TIES", "use rank() in a subquery")
	}
	l.expectKw("only")
	return count
}
