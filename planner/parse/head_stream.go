package parse

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// createStream parses the rest of CREATE STREAM, SOURCE or TABLE.
func (c *cursor) createStream() Statement {
	s := &CreateStream{Table: c.next().val == "table"}
	s.IfNotExists = c.ifNotExists()
	s.Name = c.qualified()
	if s.Table && c.isTableAs() {
		return c.createTableAs(s)
	}
	if c.accept("(") {
		for first := true; c.err == nil && (first && !c.peek().isOp(")") || !first && c.accept(",")); first = false {
			c.streamElement(s)
		}
		c.expect(")")
	}
	for c.err == nil && !c.atEnd() {
		switch {
		case s.Options == nil && c.acceptKw("with"):
			s.Options = c.options()
		case s.Table && s.OnCommit == "" && c.isKw("on", "commit"):
			c.onCommit(s)
		case s.Format == "" && c.acceptKw("format"):
			s.Format, s.FormatOptions = c.format()
		default:
			c.fail()
		}
	}
	return s
}

// format parses what follows FORMAT: its name, and its options if there are any.
func (c *cursor) format() (name string, options []Option) {
	name = strings.ToUpper(c.label())
	if c.peek().isOp("(") {
		options = c.options()
	}
	return name, options
}

// streamElement parses a column, WATERMARK FOR or a table constraint.
func (c *cursor) streamElement(s *CreateStream) {
	t := c.peek()
	switch {
	case c.isKw("watermark", "for"):
		if s.Watermark != nil {
			c.failWith(sqlerr.New(sqlerr.InvalidTableDefinition, "a stream has only one watermark").At(t.pos))
			return
		}
		s.Watermark = c.watermark()
	case c.isConstraint():
		c.tableConstraint(s)
	case t.isKw("like") && c.at(1).isName() && s.Table:
		c.like(s)
	default:
		s.Columns = append(s.Columns, c.column(s))
	}
}

// column parses name type and its clauses in any order; constraints of the column become s's.
func (c *cursor) column(s *CreateStream) ColumnDef {
	d := ColumnDef{Pos: c.peek().pos, Name: c.name()}
	d.Type = c.typeName()
	for c.err == nil {
		t := c.peek()
		switch {
		case c.acceptKw("not", "null"):
			d.NotNull = true
		case c.acceptKw("null"):
		case c.isKw("generated"):
			c.generated(&d)
		case c.acceptKw("default"):
			d.Default = c.subExpr(opLevel)
		case c.isKw("from") && c.at(1).kind == tokString:
			c.next()
			d.From = c.str()
		case t.isAnyKw("primary", "unique", "check", "references", "constraint"):
			c.columnConstraint(s, &d)
		case t.isKw("collate"):
			c.lack(t.pos, "COLLATE in a column definition", "text compares bytewise")
		default:
			return d
		}
	}
	return d
}

// watermark parses WATERMARK FOR col AS expr [IDLE AFTER ..] [MAX AHEAD ..].
func (c *cursor) watermark() *Watermark {
	w := &Watermark{Pos: c.peek().pos}
	c.i += 2
	w.Column = c.name()
	c.expectKw("as")
	w.As = c.subExpr(0)
	for c.err == nil {
		switch {
		case w.IdleAfter == nil && c.acceptKw("idle"):
			c.expectKw("after")
			w.IdleAfter = c.interval()
		case w.MaxAhead == nil && c.acceptKw("max"):
			c.expectKw("ahead")
			w.MaxAhead = c.interval()
		default:
			return w
		}
	}
	return w
}

// options parses (key = value, flag, ...).
func (c *cursor) options() []Option {
	c.expect("(")
	list := []Option{}
	for first := true; c.err == nil && (first && !c.peek().isOp(")") || !first && c.accept(",")); first = false {
		list = append(list, c.option())
	}
	c.expect(")")
	return list
}

// option parses key, key = value or key value; a key may be dotted or a string.
func (c *cursor) option() Option {
	t := c.peek()
	o := Option{Pos: t.pos}
	if t.kind == tokString {
		o.Key = strings.ToLower(c.next().val)
	} else {
		o.Key = strings.ToLower(c.label())
		for c.accept(".") {
			o.Key += "." + strings.ToLower(c.label())
		}
	}
	eq := c.accept("=")
	if n := c.peek(); !eq && (n.isOp(",") || n.isOp(")") || c.atEnd()) {
		o.Bare = true
		return o
	}
	o.Value = c.optionValue()
	return o
}

// optionValue reads a literal's text: a string, a signed number, a word, INTERVAL '..' or TIMESTAMP '..'.
func (c *cursor) optionValue() string {
	t := c.peek()
	switch {
	case t.kind == tokString:
		return c.next().val
	case t.kind == tokNumber:
		return c.next().val
	case (t.isOp("-") || t.isOp("+")) && c.at(1).kind == tokNumber:
		c.next()
		if t.val == "-" {
			return "-" + c.next().val
		}
		return c.next().val
	case t.isKw("interval") && c.at(1).kind == tokString:
		iv := c.interval()
		if iv.Unit != "" {
			return iv.Text + " " + strings.ToLower(iv.Unit)
		}
		return iv.Text
	case t.isAnyKw("timestamp", "timestamptz", "date") && c.at(1).kind == tokString:
		c.next()
		return c.str()
	case t.isWord():
		return c.next().val
	}
	c.fail()
	return ""
}

// createFunction parses the rest of CREATE FUNCTION or AGGREGATE: clauses come in any order.
func (c *cursor) createFunction(replace bool) Statement {
	f := &CreateFunction{OrReplace: replace, Aggregate: c.next().val == "aggregate"}
	f.Name = c.qualified()
	f.Params = c.funcParams()
	body := false
	for c.err == nil && !c.atEnd() {
		switch t := c.peek(); {
		case c.acceptKw("strict"), c.acceptKw("returns", "null", "on", "null", "input"):
			f.Strict = true
		case f.Returns == nil && f.ReturnTable == nil && c.acceptKw("returns"):
			c.returns(f)
		case f.Language == "" && c.acceptKw("language"):
			f.Language = strings.ToLower(c.stringOrLabel())
		case t.isAnyKw("immutable", "stable", "volatile"):
			f.Volatility = strings.ToUpper(c.next().val)
		case c.acceptKw("called", "on", "null", "input"):
			f.Strict = false
		case c.acceptKw("parallel"):
			c.label()
		case c.isKw("cost") || c.isKw("rows"):
			c.next()
			c.optionValue()
		case c.acceptKw("leakproof"), c.acceptKw("not", "leakproof"), c.acceptKw("window"):
		case !body && c.acceptKw("as"):
			f.Body, body = c.str(), true
		case f.Options == nil && c.acceptKw("with"):
			f.Options = c.options()
		case c.isKw("security") || c.isKw("set") || c.isKw("support") || c.isKw("transform") || c.isKw("begin") || c.isKw("return"):
			c.lack(t.pos, strings.ToUpper(t.val)+" in CREATE FUNCTION", "write the body in JavaScript after AS")
		default:
			c.fail()
		}
	}
	if c.err == nil && !body {
		c.failWith(sqlerr.New(sqlerr.InvalidFunctionDefinition, "no function body specified").At(f.Name.Pos))
	}
	return f
}

func (c *cursor) stringOrLabel() string {
	if c.peek().kind == tokString {
		return c.next().val
	}
	return c.label()
}

// returns parses a type or TABLE (name type, ...).
func (c *cursor) returns(f *CreateFunction) {
	if !c.isKw("table") || !c.at(1).isOp("(") {
		t := c.typeName()
		f.Returns = &t
		return
	}
	c.i += 2
	for first := true; first || c.accept(","); first = false {
		d := ColumnDef{Pos: c.peek().pos, Name: c.name()}
		d.Type = c.typeName()
		f.ReturnTable = append(f.ReturnTable, d)
	}
	c.expect(")")
}

// funcParams parses ([IN] [name] type, ...).
func (c *cursor) funcParams() []FuncParam {
	c.expect("(")
	if c.accept("*") {
		c.expect(")")
		return nil
	}
	var params []FuncParam
	for first := true; c.err == nil && (first && !c.peek().isOp(")") || !first && c.accept(",")); first = false {
		t := c.peek()
		if t.isAnyKw("out", "inout", "variadic") {
			c.lack(t.pos, "a parameter of mode "+strings.ToUpper(t.val), "return one value, or RETURNS TABLE (..)")
		}
		if t.isKw("in") {
			c.next()
		}
		params = append(params, c.funcParam())
		if n := c.peek(); n.isKw("default") || n.isOp("=") {
			c.lack(n.pos, "a default of a parameter", "make a second function with fewer parameters")
		}
	}
	c.expect(")")
	return params
}

// funcParam parses name type, or a type alone.
func (c *cursor) funcParam() FuncParam {
	var p FuncParam
	t, n := c.peek(), c.at(1)
	alone := n.isOp(",") || n.isOp(")") || n.isOp("(") || n.isOp("[") || n.isOp(".") ||
		t.isKw("double") && n.isKw("precision") || t.isAnyKw("character", "char", "national", "bit") && n.isAnyKw("varying", "character", "char") ||
		t.isAnyKw("timestamp", "time") && n.isAnyKw("with", "without")
	if !alone {
		p.Name = c.name()
	}
	p.Type = c.typeName()
	return p
}
