package parse

// createView parses the rest of CREATE [OR REPLACE] VIEW.
func (c *cursor) createView(replace bool) Statement {
	v := &CreateView{OrReplace: replace, Name: c.qualified()}
	if c.peek().isOp("(") {
		v.Columns = c.nameList()
	}
	if t := c.peek(); c.acceptKw("with") {
		for _, o := range c.options() {
			if o.Key != "security_barrier" && o.Key != "security_invoker" {
				c.lack(t.pos, "the view option "+o.Key, "leave it out")
			}
		}
	}
	c.expectKw("as")
	v.Query = c.subQuery()
	if t := c.peek(); t.isKw("with") {
		c.lack(t.pos, "WITH CHECK OPTION", "views are read only")
	}
	return v
}

// createSchema parses the rest of CREATE SCHEMA.
func (c *cursor) createSchema() Statement {
	s := &CreateSchema{IfNotExists: c.ifNotExists()}
	t := c.peek()
	if !t.isKw("authorization") {
		s.Name = Name{Name: c.name(), Pos: t.pos}
	}
	if c.acceptKw("authorization") {
		owner := c.peek()
		if name := c.name(); s.Name.Name == "" {
			s.Name = Name{Name: name, Pos: owner.pos}
		}
	}
	if !c.atEnd() && c.err == nil {
		c.lack(c.peek().pos, "CREATE SCHEMA with elements", "create the objects by statements of their own")
	}
	return s
}

// comment parses COMMENT ON kind name IS text.
func (c *cursor) comment() Statement {
	start := c.next()
	c.expectKw("on")
	x := &Comment{}
	switch t := c.peek(); {
	case c.acceptKw("column"):
		x.Kind = "COLUMN"
		c.commentColumn(x)
	default:
		if x.Kind = c.objectKind(); x.Kind == "" || x.Kind == "ROLE" {
			what := "COMMENT ON " + upperWord(t)
			c.i = c.end
			return &Unsupported{What: what, Hint: "Comments are for relations, columns, sinks, functions and schemas.", Pos: start.pos}
		}
		x.Name = c.qualified()
		if x.Kind == "FUNCTION" && c.peek().isOp("(") {
			c.funcParams()
		}
	}
	c.expectKw("is")
	if !c.acceptKw("null") {
		text := c.str()
		x.Text = &text
	}
	return x
}

func upperWord(t *token) string {
	b := []byte(t.val)
	for i, ch := range b {
		if 'a' <= ch && ch <= 'z' {
			b[i] = ch - 32
		}
	}
	return string(b)
}

// commentColumn reads relation.column, schema.relation.column.
func (c *cursor) commentColumn(x *Comment) {
	t := c.peek()
	parts := []string{c.name()}
	for c.accept(".") {
		parts = append(parts, c.label())
	}
	if n := len(parts); n < 2 || n > 4 {
		c.fail()
		return
	}
	n := len(parts)
	x.Column = parts[n-1]
	x.Name = Name{Name: parts[n-2], Pos: t.pos}
	if n > 2 {
		x.Name.Schema = parts[n-3]
	}
	if n > 3 {
		x.Name.Catalog = parts[0]
	}
}

// objectKind reads the kind of an object as DROP and COMMENT name it; "" when none is next.
func (c *cursor) objectKind() string {
	switch {
	case c.acceptKw("stream"), c.acceptKw("source"):
		return "STREAM"
	case c.acceptKw("continuous", "query"), c.acceptKw("materialized", "view"):
		return "CONTINUOUS QUERY"
	case c.acceptKw("ioc", "list"):
		return "IOC LIST"
	case c.acceptKw("function"), c.acceptKw("aggregate"):
		return "FUNCTION"
	case c.acceptKw("table"):
		return "TABLE"
	case c.acceptKw("view"):
		return "VIEW"
	case c.acceptKw("schema"):
		return "SCHEMA"
	case c.acceptKw("sequence"):
		return "SEQUENCE"
	case c.acceptKw("index"):
		c.acceptKw("concurrently")
		return "INDEX"
	case c.acceptKw("sink"):
		return "SINK"
	case c.acceptKw("role"), c.acceptKw("user"):
		return "ROLE"
	}
	return ""
}

func (p *printer) createView(s *CreateView) {
	p.s("CREATE ", map[bool]string{true: "OR REPLACE "}[s.OrReplace], "VIEW ")
	p.name(s.Name)
	if len(s.Columns) > 0 {
		p.s(" ")
		p.columns(s.Columns)
	}
	p.s("\nAS ")
	p.query(s.Query)
}

func (p *printer) comment(s *Comment) {
	p.s("COMMENT ON ", s.Kind, " ")
	p.name(s.Name)
	if s.Column != "" {
		p.s(".", QuoteIdent(s.Column))
	}
	if s.Text == nil {
		p.s(" IS NULL")
		return
	}
	p.s(" IS ", quoteString(*s.Text))
}
