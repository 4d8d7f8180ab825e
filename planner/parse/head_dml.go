package parse

import (
	"strings"
)

// insert parses INSERT INTO table [(cols)] query | DEFAULT VALUES [RETURNING ..].
//
// with are the tokens of a WITH clause before it, which belongs to the query.
func (c *cursor) insert(with []token) Statement {
	c.next()
	c.expectKw("into")
	s := &Insert{Table: c.qualified()}
	if c.acceptKw("as") {
		s.Alias = c.name()
	}
	if c.peek().isOp("(") && !c.queryParen(c.i, 0) {
		s.Columns = c.nameList()
	}
	if c.acceptKw("overriding") {
		s.Overriding = "USER"
		if c.acceptKw("system") {
			s.Overriding = "SYSTEM"
		} else {
			c.expectKw("user")
		}
		c.expectKw("value")
	}
	if t := c.peek(); c.acceptKw("default", "values") {
		s.Query = &Select{Values: [][]Expr{{}}, Pos: t.pos}
	} else {
		if len(with) > 0 {
			c.putFirst(with)
		}
		s.Query = c.subQuery()
	}
	s.Conflict = c.onConflict()
	s.Returning = c.returning()
	return s
}

// deleteFrom parses DELETE FROM table [alias] [USING ..] [WHERE ..] [RETURNING ..].
func (c *cursor) deleteFrom() Statement {
	c.next()
	c.expectKw("from")
	c.acceptKw("only")
	s := &Delete{Table: c.qualified()}
	c.accept("*")
	s.Alias = c.changeAlias("using", "where", "returning")
	s.From, s.Where = c.changeFrom("using")
	s.Returning = c.returning()
	return s
}

// copy parses COPY in its new and its two old forms.
func (c *cursor) copy() Statement {
	s := &Copy{Pos: c.next().pos}
	if c.acceptKw("binary") {
		s.Options = append(s.Options, Option{Key: "format", Value: "binary", Pos: s.Pos})
	}
	switch {
	case c.peek().isOp("(") && c.at(1).isKw("subscribe"):
		c.next()
		s.Subscribe = c.subscribe()
		c.expect(")")
	case c.peek().isOp("("):
		c.copyQuery(s)
	default:
		s.Table = c.qualified()
		if c.peek().isOp("(") {
			s.Columns = c.nameList()
		}
	}
	c.copyTarget(s)
	if c.isKw("using", "delimiters") {
		c.next()
	}
	c.acceptKw("with")
	if c.peek().isOp("(") {
		c.copyOptions(s)
	} else {
		c.copyOldOptions(s)
	}
	if t := c.peek(); t.isKw("where") {
		c.lack(t.pos, "COPY .. WHERE", "load all rows and filter in the query")
	}
	return s
}

// copyQuery parses COPY (query); what is not a query is known and missing.
func (c *cursor) copyQuery(s *Copy) {
	if t := c.at(1); t.isAnyKw("insert", "update", "delete") {
		c.lack(t.pos, "COPY of a data-modifying statement", "run it as a statement of its own")
		return
	}
	if !c.queryParen(c.i, 0) {
		c.next()
		c.fail()
		return
	}
	c.next()
	s.Query = c.subQuery()
	c.expect(")")
}

// copyTarget reads FROM STDIN or TO STDOUT; files and programs of the server's machine are out of reach by design.
func (c *cursor) copyTarget(s *Copy) {
	switch {
	case c.acceptKw("to"):
		s.To = true
	case s.Query == nil && s.Subscribe == nil && c.acceptKw("from"):
	default:
		c.fail()
		return
	}
	switch t := c.peek(); {
	case t.isAnyKw("stdin", "stdout"):
		c.next()
	case t.kind == tokString, t.isKw("program"):
		c.lack(t.pos, "COPY with a file or program of the server", "use COPY .. FROM STDIN or TO STDOUT; in psql, \\copy")
	default:
		c.fail()
	}
}

// copyOptions parses (FORMAT csv, HEADER, FORCE_QUOTE (a, b)).
func (c *cursor) copyOptions(s *Copy) {
	c.expect("(")
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		t := c.peek()
		o := Option{Key: strings.ToLower(c.label()), Pos: t.pos}
		switch n := c.peek(); {
		case n.isOp(",") || n.isOp(")"):
			o.Bare = true
		case n.isOp("*"):
			c.next()
			o.Value = "*"
		case n.isOp("("):
			o.Value = joinIdents(c.nameList())
		default:
			o.Value = c.optionValue()
		}
		s.Options = append(s.Options, o)
	}
	c.expect(")")
}

func joinIdents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = QuoteIdent(n)
	}
	return strings.Join(quoted, ", ")
}

// copyOldOptions parses the options without parentheses of Postgres before 9.0, which psql and drivers still send.
func (c *cursor) copyOldOptions(s *Copy) {
	add := func(t *token, key, value string, bare bool) {
		s.Options = append(s.Options, Option{Key: key, Value: value, Bare: bare, Pos: t.pos})
	}
	for c.err == nil && !c.atEnd() {
		t := c.peek()
		switch {
		case c.acceptKw("binary"), c.acceptKw("csv"):
			add(t, "format", t.val, false)
		case c.acceptKw("freeze"), c.acceptKw("header"):
			add(t, t.val, "", true)
		case t.isAnyKw("delimiter", "delimiters", "null", "quote", "escape", "encoding"):
			c.next()
			c.acceptKw("as")
			add(t, strings.TrimSuffix(t.val, "s"), c.str(), false)
		case t.isKw("force"):
			c.next()
			c.copyForce(s, t)
		default:
			return
		}
	}
}

// copyForce parses FORCE QUOTE, FORCE NOT NULL and FORCE NULL with their columns.
func (c *cursor) copyForce(s *Copy, t *token) {
	key := "force_null"
	switch {
	case c.acceptKw("quote"):
		key = "force_quote"
	case c.acceptKw("not", "null"):
		key = "force_not_null"
	default:
		c.expectKw("null")
	}
	value := "*"
	if !c.accept("*") {
		names := []string{c.name()}
		for c.accept(",") {
			names = append(names, c.name())
		}
		value = joinIdents(names)
	}
	s.Options = append(s.Options, Option{Key: key, Value: value, Pos: t.pos})
}

// subscribe parses SUBSCRIBE [TO] name | (query) [WITH (..)] [SINCE ..] [AS OF CURSOR n].
func (c *cursor) subscribe() *Subscribe {
	s := &Subscribe{Pos: c.peek().pos}
	c.expectKw("subscribe")
	c.acceptKw("to")
	if c.peek().isOp("(") {
		c.next()
		s.Query = c.subQuery()
		c.expect(")")
	} else {
		s.Name = c.qualified()
	}
	for c.err == nil {
		switch {
		case s.Options == nil && c.acceptKw("with"):
			s.Options = c.options()
		case s.Since == nil && s.Cursor == nil && c.acceptKw("since"):
			s.Since = c.interval()
		case s.Since == nil && s.Cursor == nil && c.acceptKw("as", "of", "cursor"):
			v := c.integer()
			s.Cursor = &v
		default:
			return s
		}
	}
	return s
}
