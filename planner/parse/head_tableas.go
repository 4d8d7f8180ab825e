package parse

// createTemp parses the rest of CREATE [GLOBAL | LOCAL] TEMP TABLE.
func (c *cursor) createTemp() Statement {
	if !c.acceptKw("global") {
		c.acceptKw("local")
	}
	if !c.acceptKw("temp") {
		c.expectKw("temporary")
	}
	if t := c.peek(); !t.isKw("table") {
		c.lack(t.pos, "a temporary object other than a table", "use a WITH clause, or a table")
		return nil
	}
	switch s := c.createStream().(type) {
	case *CreateStream:
		s.Temp = true
		return s
	case *CreateTableAs:
		s.Temp = true
		return s
	}
	return nil
}

// onCommit parses ON COMMIT DROP | DELETE ROWS | PRESERVE ROWS.
func (c *cursor) onCommit(s *CreateStream) {
	c.i += 2
	switch {
	case c.acceptKw("drop"):
		s.OnCommit = "DROP"
	case c.acceptKw("delete", "rows"):
		s.OnCommit = "DELETE ROWS"
	default:
		c.expectKw("preserve", "rows")
		s.OnCommit = "PRESERVE ROWS"
	}
}

// like parses LIKE relation [INCLUDING | EXCLUDING what ..].
func (c *cursor) like(s *CreateStream) {
	c.next()
	l := LikeClause{Name: c.qualified(), At: len(s.Columns)}
	for c.err == nil && c.peek().isAnyKw("including", "excluding") {
		on := c.next().val == "including"
		switch t := c.peek(); {
		case t.isAnyKw("comments", "compression", "constraints", "generated", "identity", "statistics", "storage"):
			c.next()
		case c.acceptKw("defaults"):
			l.Defaults = on
		case c.acceptKw("indexes"):
			l.Keys = on
		case c.acceptKw("all"):
			l.Defaults, l.Keys = on, on
		default:
			c.fail()
		}
	}
	s.Like = append(s.Like, l)
}

// isTableAs tells CREATE TABLE name [(columns)] [ON COMMIT ..] AS from a column list.
func (c *cursor) isTableAs() bool {
	if c.peek().isOp("(") {
		i := 1
		for c.at(i).isName() && c.at(i+1).isOp(",") {
			i += 2
		}
		return c.at(i).isName() && c.at(i+1).isOp(")") && (c.at(i+2).isKw("as") || c.at(i+2).isKw("on") && c.at(i+3).isKw("commit"))
	}
	if c.isKw("on", "commit") {
		return true
	}
	return c.peek().isKw("as")
}

// createTableAs parses [(columns)] [ON COMMIT ..] AS query [WITH [NO] DATA].
func (c *cursor) createTableAs(s *CreateStream) Statement {
	x := &CreateTableAs{Name: s.Name, IfNotExists: s.IfNotExists}
	if c.peek().isOp("(") {
		x.Columns = c.nameList()
	}
	if c.isKw("on", "commit") {
		c.onCommit(s)
		x.OnCommit = s.OnCommit
	}
	c.expectKw("as")
	end := c.end
	if n := c.end - c.i; n > 3 && c.at(n-1).isKw("data") && c.at(n-2).isKw("no") && c.at(n-3).isKw("with") {
		x.WithNoData, c.end = true, c.end-3
	} else if n > 2 && c.at(n-1).isKw("data") && c.at(n-2).isKw("with") {
		c.end -= 2
	}
	rest := c.end
	x.Query = c.subQuery()
	if c.err == nil && c.i == rest {
		c.end, c.i = end, end
	}
	return x
}

// ParseType reads the name of a type, as format_type prints it.
func ParseType(text string) (TypeName, error) {
	toks, lexErr := lex(text)
	if lexErr != nil {
		return TypeName{}, lexErr
	}
	c := &cursor{src: text, toks: toks, end: len(toks) - 1}
	t := c.typeName()
	if c.err == nil && !c.atEnd() {
		c.leftOver()
	}
	t.Pos = 0
	if c.err != nil {
		return TypeName{}, c.err
	}
	return t, nil
}

func (p *printer) createTableAs(s *CreateTableAs) {
	p.s("CREATE ", map[bool]string{true: "TEMP "}[s.Temp], "TABLE ", ifNotExists(s.IfNotExists))
	p.name(s.Name)
	if len(s.Columns) > 0 {
		p.s(" ")
		p.columns(s.Columns)
	}
	if s.OnCommit != "" {
		p.s(" ON COMMIT ", s.OnCommit)
	}
	p.s(" AS ")
	p.query(s.Query)
	if s.WithNoData {
		p.s(" WITH NO DATA")
	}
}

func (p *printer) like(l *LikeClause) {
	p.s("  LIKE ")
	p.name(l.Name)
	if l.Defaults {
		p.s(" INCLUDING DEFAULTS")
	}
	if l.Keys {
		p.s(" INCLUDING INDEXES")
	}
}
