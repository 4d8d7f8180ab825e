package parse

import "strings"

// joinTree lowers a relation and the joins that follow it; it returns the outermost join, nil where there is none.
func (l *lowerer) joinTree() (last *joinMark) {
	if !l.enter() {
		return nil
	}
	defer l.leave()
	mark := l.tail
	last = l.tablePrimary()
	last = l.matches(mark, last)
	for n := 0; l.err == nil; n++ {
		m := &joinMark{join: Join{Kind: "INNER", Pos: l.peek().pos}}
		m.Pos = m.join.Pos
		if !l.joinHead(&m.join) {
			break
		}
		if n > joinMax {
			l.tooComplex(m.Pos)
		}
		l.join(mark, m)
		last = m
	}
	return last
}

// joinMax bounds the joins of one FROM item; each is a level of the tree.
const joinMax = 1000

// joinHead reads [NATURAL] [INNER|LEFT|RIGHT|FULL|CROSS] [OUTER] JOIN if it is next.
func (l *lowerer) joinHead(j *Join) bool {
	t := l.peek()
	switch {
	case l.acceptKw("join"):
		return true
	case t.isAnyKw("asof", "semi", "anti") && (l.at(1).isKw("join") || l.at(1).isKw("left") && l.at(2).isKw("join")):
		l.lack(t.pos, strings.ToUpper(t.val)+" JOIN", "join with FOR SYSTEM_TIME AS OF, or with EXISTS")
		return false
	case !t.isAnyKw("natural", "inner", "left", "right", "full", "cross"):
		return false
	}
	j.Natural = l.acceptKw("natural")
	switch {
	case l.acceptKw("inner"):
	case !j.Natural && l.acceptKw("cross"):
		j.Kind = "CROSS"
	case l.peek().isAnyKw("left", "right", "full"):
		j.Kind = strings.ToUpper(l.next().val)
		l.acceptKw("outer")
	}
	l.expectKw("join")
	return l.err == nil
}

// join lowers the right side and the condition of a join whose left side was written after mark. Every join gets
// parentheses and an ON with a mark, so that TiDB cannot regroup it.
func (l *lowerer) join(mark int, m *joinMark) {
	l.insert(mark, piece{text: "(", pos: m.Pos, hole: -1})
	switch m.join.Kind {
	case "LEFT", "FULL":
		l.emit(" LEFT JOIN ", m.Pos)
	case "RIGHT":
		l.emit(" RIGHT JOIN ", m.Pos)
	default:
		l.emit(" JOIN ", m.Pos)
	}
	if m.join.Natural || m.join.Kind == "CROSS" {
		right := l.tail
		l.matches(right, l.tablePrimary())
		l.emit(" ON ", m.Pos)
		l.leaf(m)
		l.emit(")", m.Pos)
		return
	}
	l.joinTree()
	l.emit(" ON ", m.Pos)
	k := l.begin(m.Pos)
	on := false
	switch {
	case l.acceptKw("on"):
		on = true
		k.arg()
		l.expr(0)
	case l.acceptKw("using"):
		m.join.Using = l.nameList()
		if l.acceptKw("as") {
			m.join.UsingAlias = l.name()
		}
	default:
		l.fail()
	}
	k.end(func(args []Expr) Expr {
		if on {
			m.join.On = args[0]
		}
		return m
	})
	l.emit(")", m.Pos)
}

// tablePrimary lowers one relation of FROM with its alias. A join in parentheses without an alias is returned.
func (l *lowerer) tablePrimary() *joinMark {
	lateral := l.acceptKw("lateral")
	switch {
	case l.peek().isOp("("):
		if !l.queryParen(l.i, 0) {
			return l.parenJoin()
		}
		l.derived(lateral)
	case l.isKw("rows", "from") && l.at(2).isOp("("):
		l.rowsFrom(lateral)
	case l.isKw("table") && l.at(1).isOp("("):
		l.i += 2
		if w := l.peek(); w.kind != tokIdent || !windowKinds[w.val] || !l.at(1).isOp("(") {
			l.lack(w.pos, "TABLE(..) around anything but a window function", "write TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))")
			return nil
		}
		l.windowTable(func() { l.expect(")") })
	case l.peek().kind == tokIdent && windowKinds[l.peek().val] && l.at(1).isOp("("):
		l.windowTable(func() {})
	case l.callNext():
		l.tableFunc(lateral)
	default:
		l.relation()
	}
	return nil
}

// callNext reports whether a function call stands here: name(, schema.name( or CURRENT_DATE and its like.
func (l *lowerer) callNext() bool {
	if l.peek().kind == tokIdent && bareCalls[l.peek().val] {
		return true
	}
	n := 0
	for l.at(n).isWord() && l.at(n+1).isOp(".") && n < 8 {
		n += 2
	}
	return l.at(n).isWord() && l.at(n+1).isOp("(") && !l.at(n).isAnyKw("match_recognize")
}

// derived lowers (query) AS alias (cols).
func (l *lowerer) derived(lateral bool) {
	e := &TableSubquery{Lateral: lateral, Pos: l.peek().pos}
	l.parenQuery()
	l.emit(" AS ", 0)
	e.Alias, e.Columns, _ = l.alias(false)
	l.emit(l.tableName(e), e.Pos)
}

// parenJoin lowers (a JOIN b ON ..) with an optional alias and returns the join if it has none. A single relation in parentheses is a syntax error in Postgres too.
func (l *lowerer) parenJoin() *joinMark {
	l.next()
	last := l.joinTree()
	if !l.peek().isOp(")") || l.err != nil {
		l.fail()
		return nil
	}
	closing := l.next()
	if last == nil {
		l.failAt(closing)
		return nil
	}
	alias, cols, _ := l.alias(false)
	if alias == "" {
		return last
	}
	last.join.Alias, last.join.Columns = alias, cols
	return nil
}

// tableFunc lowers [LATERAL] f(args) [WITH ORDINALITY] [AS alias (cols | column definitions)] as a subquery of one field.
func (l *lowerer) tableFunc(lateral bool) {
	e := &TableFunc{Lateral: lateral}
	pos := l.peek().pos
	l.emit("(SELECT ", pos)
	l.primary()
	l.emit(") AS ", pos)
	if l.acceptKw("with") {
		l.expectKw("ordinality")
		e.Ordinality = true
	}
	e.Alias, e.Columns, e.ColumnDefs = l.alias(true)
	l.emit(l.tableName(e), pos)
}

// rowsFrom lowers ROWS FROM (f(args) [AS (column definitions)], ...) as a subquery of a field a function.
func (l *lowerer) rowsFrom(lateral bool) {
	e := &TableFunc{Lateral: lateral}
	pos := l.peek().pos
	l.i += 2
	l.expect("(")
	for first := true; first || l.accept(","); first = false {
		if first {
			l.emit("(SELECT ", pos)
		} else {
			l.emit(", ", l.peek().pos)
		}
		if !l.callNext() {
			l.fail()
			return
		}
		l.primary()
		f := &TableFunc{}
		if l.acceptKw("as") {
			if !l.peek().isOp("(") {
				l.fail()
				return
			}
			f.ColumnDefs = l.columnDefs()
		}
		e.Rows = append(e.Rows, f)
	}
	l.expect(")")
	l.emit(") AS ", pos)
	if l.acceptKw("with") {
		l.expectKw("ordinality")
		e.Ordinality = true
	}
	e.Alias, e.Columns, _ = l.alias(false)
	l.emit(l.tableName(e), pos)
}

// windowTable lowers TUMBLE(source, ts, size) as (SELECT window FROM source).
func (l *lowerer) windowTable(closing func()) {
	pos := l.peek().pos
	e := &TableWindow{}
	l.emit("(SELECT ", pos)
	field := l.tail
	l.windowCall(func() {
		l.emit(" FROM ", pos)
		l.acceptKw("table")
		if l.queryParen(l.i, 0) {
			l.parenQuery()
			l.emit(" AS ", pos)
			l.emit(l.tableName(&TableSubquery{Pos: pos}), pos)
		} else {
			l.emit(l.tableName(&TableRef{Name: l.qualified()}), pos)
		}
		// The arguments go before FROM.
		field, l.tail = l.tail, field
	})
	l.tail = field
	closing()
	l.emit(") AS ", pos)
	e.Alias, e.Columns, _ = l.alias(false)
	l.emit(l.tableName(e), pos)
}

// relation lowers [ONLY] name [*] [FOR SYSTEM_TIME AS OF expr] [AS alias (cols)].
func (l *lowerer) relation() {
	paren := false
	if l.acceptKw("only") {
		paren = l.accept("(")
	}
	if t := l.peek(); t.kind == tokIdent && keywordClasses[t.val] == kwTypeFunc {
		// The word could have been a function: what follows is wrong.
		l.failAt(l.at(1))
		return
	}
	ref := &TableRef{Name: l.qualified()}
	if paren {
		l.expect(")")
	}
	l.accept("*")
	pos := ref.Name.Pos
	l.emit(quoteTiDB(ref.Name.Name)+" AS ", pos)
	l.emit(l.tableName(ref), pos)
	l.asOf()
	ref.Alias, ref.Columns, _ = l.alias(false)
	l.asOf()
	if t := l.peek(); t.isKw("tablesample") {
		l.lack(t.pos, "TABLESAMPLE", "filter with WHERE random() < 0.01")
	}
}

// asOf lowers FOR SYSTEM_TIME AS OF expr to TiDB's AS OF TIMESTAMP.
func (l *lowerer) asOf() {
	if !l.isKw("for", "system_time") {
		return
	}
	pos := l.next().pos
	l.next()
	l.expectKw("as", "of")
	l.emit(" AS OF TIMESTAMP (", pos)
	l.expr(0)
	l.emit(")", pos)
}

// alias reads [AS] name [(cols)]; defs also allows column definitions, as functions that return records have them.
func (l *lowerer) alias(defs bool) (alias string, cols []string, columnDefs []ColumnDef) {
	t := l.peek()
	switch {
	case l.acceptKw("as"):
		if !(defs && l.peek().isOp("(")) {
			alias = l.name()
		}
	case l.atEnd() || !t.isName() || l.streamClause() || t.isKw("match_recognize") && l.at(1).isOp("("):
		return "", nil, nil
	case t.isAnyKw("asof", "semi", "anti") && (l.at(1).isKw("join") || l.at(1).isKw("left")):
		return "", nil, nil
	default:
		alias = l.name()
	}
	if !l.peek().isOp("(") {
		return alias, nil, nil
	}
	if alias != "" && (!defs || l.at(2).isOp(",") || l.at(2).isOp(")")) {
		return alias, l.nameList(), nil
	}
	return alias, nil, l.columnDefs()
}

// columnDefs reads (name type, ...).
func (l *lowerer) columnDefs() (list []ColumnDef) {
	l.expect("(")
	for first := true; l.err == nil && (first || l.accept(",")); first = false {
		d := ColumnDef{Pos: l.peek().pos, Name: l.name()}
		d.Type = l.typeName()
		list = append(list, d)
	}
	l.expect(")")
	return list
}
