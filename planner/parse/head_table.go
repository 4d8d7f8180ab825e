package parse

// update parses UPDATE table SET column = value, .. [WHERE ..].
func (c *cursor) update() Statement {
	c.next()
	c.acceptKw("only")
	s := &Update{Table: c.qualified()}
	c.accept("*")
	if t := c.peek(); !t.isKw("set") && (t.isKw("as") || t.isName()) && !c.atEnd() {
		c.lack(t.pos, "an alias in UPDATE", "use the table's own name")
	}
	c.expectKw("set")
	s.Set = c.assignments()
	if t := c.peek(); t.isKw("from") {
		c.lack(t.pos, "UPDATE .. FROM", "use a subquery as the value")
	}
	s.Where = c.changeWhere()
	if t := c.peek(); t.isKw("returning") {
		c.lack(t.pos, "UPDATE .. RETURNING", "SELECT the rows afterwards")
	}
	return s
}

// assignments parses column = value | DEFAULT, ..
func (c *cursor) assignments() []Assignment {
	var list []Assignment
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		t := c.peek()
		if t.isOp("(") {
			c.lack(t.pos, "SET of several columns at once", "assign them one by one")
			return nil
		}
		a := Assignment{Pos: t.pos, Column: c.name()}
		c.expect("=")
		if d := c.peek(); c.acceptKw("default") {
			a.Value = &Default{At{d.pos}}
		} else {
			a.Value = c.subExpr(0)
		}
		list = append(list, a)
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
		c.lack(t.pos, "ON CONFLICT ON CONSTRAINT", "name the columns of the primary key")
	}
	if t := c.peek(); t.isKw("where") {
		c.lack(t.pos, "ON CONFLICT with a predicate", "name the columns of the primary key")
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
	if !c.acceptKw("restart", "identity") {
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
	p.s(" SET ")
	p.assignments(s.Set)
	p.changeWhere(s.Where)
}

func (p *printer) truncate(s *Truncate) {
	p.s("TRUNCATE ")
	for i, n := range s.Tables {
		if i > 0 {
			p.s(", ")
		}
		p.name(n)
	}
}
