package parse

import "github.com/vigil-sql/vigil/executor/sqlerr"

// update parses UPDATE table [alias] SET .. [FROM ..] [WHERE ..] [RETURNING ..].
func (c *cursor) update() Statement {
	c.next()
	c.acceptKw("only")
	s := &Update{Table: c.qualified()}
	c.accept("*")
	s.Alias = c.changeAlias("set")
	c.expectKw("set")
	s.Set = c.assignments()
	s.From, s.Where = c.changeFrom("from")
	s.Returning = c.returning()
	return s
}

// changeAlias parses [AS] alias of the table that a statement changes; stop is the word that may follow instead.
func (c *cursor) changeAlias(stop ...string) string {
	if c.acceptKw("as") {
		return c.name()
	}
	if t := c.peek(); !c.atEnd() && t.isName() && !(t.kind == tokIdent && t.isAnyKw(stop...)) {
		return c.name()
	}
	return ""
}

// changeFrom parses the relations that a change reads besides its own, after the given word, and WHERE.
func (c *cursor) changeFrom(word string) ([]TableExpr, Expr) {
	if !c.acceptKw(word) {
		return nil, c.changeWhere()
	}
	if c.err != nil {
		return nil, nil
	}
	l := newLowerer(c)
	pos := c.peek().pos
	l.emit("SELECT ", pos)
	l.leaf(&coreMark{At: At{pos}})
	l.emit(" FROM ", pos)
	for first := true; first || l.accept(","); first = false {
		if !first {
			l.emit(", ", 0)
		}
		l.joinTree()
	}
	if l.isKw("where") {
		if c.isKw("where", "current", "of") {
			l.lack(l.peek().pos, "WHERE CURRENT OF", "name the rows by their key")
		}
		l.emit(" WHERE ", l.next().pos)
		l.expr(0)
	}
	conv := l.runTiDB()
	if conv == nil {
		return nil, nil
	}
	q := conv.result(conv.root)
	if c.err != nil || q.Core == nil {
		return nil, nil
	}
	return q.Core.From, q.Core.Where
}

// returning parses RETURNING, if it is there.
func (c *cursor) returning() []SelectItem {
	if !c.acceptKw("returning") {
		return nil
	}
	return c.subItems(func(l *lowerer) {
		if l.atEnd() {
			l.fail()
		}
		l.items()
	})
}

// assignments parses column = value | DEFAULT, .. and (column, ..) = [ROW] (value, ..).
func (c *cursor) assignments() []Assignment {
	var list []Assignment
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		if c.peek().isOp("(") {
			list = append(list, c.rowAssignment()...)
			continue
		}
		a := Assignment{Pos: c.peek().pos, Column: c.name()}
		c.expect("=")
		a.Value = c.assigned()
		list = append(list, a)
	}
	return list
}

func (c *cursor) assigned() Expr {
	if d := c.peek(); c.acceptKw("default") {
		return &Default{At{d.pos}}
	}
	return c.subExpr(0)
}

func (c *cursor) rowAssignment() []Assignment {
	t := c.peek()
	var list []Assignment
	for _, name := range c.nameList() {
		list = append(list, Assignment{Pos: t.pos, Column: name})
	}
	c.expect("=")
	row := c.peek()
	c.acceptKw("row")
	if !c.peek().isOp("(") || c.queryParen(c.i, 0) {
		c.lack(row.pos, "SET of several columns from a subquery", "assign them one by one")
		return nil
	}
	c.next()
	n := 0
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		v := c.assigned()
		if n < len(list) {
			list[n].Value = v
		}
		n++
	}
	c.expect(")")
	if c.err == nil && n != len(list) {
		c.failWith(sqlerr.New(sqlerr.SyntaxError, "number of columns does not match number of values").At(t.pos))
	}
	return list
}

// changeWhere parses the WHERE of UPDATE and ON CONFLICT, if it is there.
func (c *cursor) changeWhere() Expr {
	if !c.acceptKw("where") {
		return nil
	}
	if t := c.peek(); c.isKw("current", "of") {
		c.lack(t.pos, "WHERE CURRENT OF", "name the rows by their key")
	}
	return c.subExpr(0)
}

// onConflict parses ON CONFLICT [(columns)] DO NOTHING | DO UPDATE SET .. [WHERE ..], if it is there.
func (c *cursor) onConflict() *OnConflict {
	if !c.isKw("on", "conflict") {
		return nil
	}
	o := &OnConflict{Pos: c.peek().pos}
	c.i += 2
	switch t := c.peek(); {
	case t.isOp("("):
		o.Columns = c.nameList()
	case t.isKw("on"):
		c.expectKw("on", "constraint")
		o.Constraint = c.name()
	}
	if t := c.peek(); t.isKw("where") {
		c.lack(t.pos, "ON CONFLICT with a predicate", "name the columns of a unique constraint or index")
	}
	c.expectKw("do")
	if c.acceptKw("nothing") {
		return o
	}
	c.expectKw("update", "set")
	o.Set = c.assignments()
	o.Where = c.changeWhere()
	return o
}

// truncate parses TRUNCATE [TABLE] name, ..
func (c *cursor) truncate() Statement {
	c.next()
	c.acceptKw("table")
	s := &Truncate{}
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		c.acceptKw("only")
		s.Tables = append(s.Tables, c.qualified())
		c.accept("*")
	}
	if s.Restart = c.acceptKw("restart", "identity"); !s.Restart {
		c.acceptKw("continue", "identity")
	}
	if !c.acceptKw("cascade") {
		c.acceptKw("restrict")
	}
	return s
}

func (p *printer) assignments(list []Assignment) {
	for i, a := range list {
		if i > 0 {
			p.s(", ")
		}
		p.ident(a.Column)
		p.s(" = ")
		p.expr(a.Value, 0)
	}
}

func (p *printer) onConflict(o *OnConflict) {
	if o == nil {
		return
	}
	p.s(" ON CONFLICT ")
	if len(o.Columns) > 0 {
		p.columns(o.Columns)
		p.s(" ")
	}
	if o.Constraint != "" {
		p.s("ON CONSTRAINT ", QuoteIdent(o.Constraint), " ")
	}
	if o.Set == nil {
		p.s("DO NOTHING")
		return
	}
	p.s("DO UPDATE SET ")
	p.assignments(o.Set)
	p.changeWhere(o.Where)
}

func (p *printer) changeWhere(e Expr) {
	if e != nil {
		p.s(" WHERE ")
		p.expr(e, 0)
	}
}

func (p *printer) update(s *Update) {
	p.s("UPDATE ")
	p.name(s.Table)
	p.asName(s.Alias)
	p.s(" SET ")
	p.assignments(s.Set)
	p.changeFrom(" FROM ", s.From)
	p.changeWhere(s.Where)
	p.returning(s.Returning)
}

func (p *printer) delete(s *Delete) {
	p.s("DELETE FROM ")
	p.name(s.Table)
	p.asName(s.Alias)
	p.changeFrom(" USING ", s.From)
	p.changeWhere(s.Where)
	p.returning(s.Returning)
}

func (p *printer) asName(name string) {
	if name != "" {
		p.s(" AS ", QuoteIdent(name))
	}
}

func (p *printer) changeFrom(word string, list []TableExpr) {
	for i, t := range list {
		if i > 0 {
			word = ", "
		}
		p.s(word)
		p.table(t)
	}
}

func (p *printer) returning(list []SelectItem) {
	if len(list) > 0 {
		p.s(" RETURNING ")
		p.items(list)
	}
}

func (p *printer) truncate(s *Truncate) {
	p.s("TRUNCATE ")
	for i, n := range s.Tables {
		if i > 0 {
			p.s(", ")
		}
		p.name(n)
	}
	if s.Restart {
		p.s(" RESTART IDENTITY")
	}
}
