package parse

import (
	"strings"
)

// create parses CREATE ..., told apart by the words after it.
func (c *cursor) create() Statement {
	n := 1
	if c.at(1).isKw("or") && c.at(2).isKw("replace") {
		n = 3
	}
	replace := n == 3
	t := c.at(n)
	switch {
	case t.isAnyKw("stream", "source", "table") && !replace:
		c.i += n
		return c.createStream()
	case t.isAnyKw("temp", "temporary") && !replace, t.isAnyKw("global", "local") && c.at(n+1).isAnyKw("temp", "temporary") && !replace:
		c.i += n
		return c.createTemp()
	case t.isKw("continuous") && c.at(n+1).isKw("query"), t.isKw("materialized") && c.at(n+1).isKw("view"):
		c.i += n + 2
		return c.createQuery(replace)
	case t.isKw("ioc") && c.at(n+1).isKw("list") && !replace:
		c.i += n + 2
		return c.createIOC()
	case t.isAnyKw("function", "aggregate"):
		c.i += n
		return c.createFunction(replace)
	case t.isKw("view"):
		c.i += n + 1
		return c.createView(replace)
	case t.isKw("sink") && !replace:
		c.i += n + 1
		return c.createSink()
	case t.isKw("schema") && !replace:
		c.i += n + 1
		return c.createSchema()
	case t.isKw("sequence") && !replace:
		c.i += n + 1
		return c.createSequence()
	case (t.isKw("index") || t.isKw("unique") && c.at(n+1).isKw("index")) && !replace:
		c.i += n
		return c.createIndex()
	case roleWord(t) && !replace:
		c.i += n
		return c.createRole()
	}
	if !t.isWord() || replace {
		c.i += n
		c.fail()
		return nil
	}
	u := c.unsupported()
	if u == nil && c.err != nil {
		c.err = syntaxError(c.src, t)
	}
	return u
}

func (c *cursor) ifNotExists() bool {
	if !c.acceptKw("if") {
		return false
	}
	c.expectKw("not", "exists")
	return true
}

func (c *cursor) ifExists() bool {
	if !c.isKw("if", "exists") {
		return false
	}
	c.i += 2
	return true
}

// createQuery parses the rest of CREATE CONTINUOUS QUERY.
func (c *cursor) createQuery(replace bool) Statement {
	q := &CreateQuery{OrReplace: replace, IfNotExists: c.ifNotExists()}
	q.Name = c.qualified()
	if c.isKw("with") {
		c.next()
		q.Options = c.options()
	}
	c.expectKw("as")
	first := c.i
	q.Query = c.subQuery()
	q.Emit, q.Suppress = c.emitSuppress()
	if c.isKw("with") && (c.at(1).isKw("no") || c.at(1).isKw("data")) {
		c.lack(c.peek().pos, "WITH NO DATA", "a continuous query starts with WITH (start = 'now' | 'earliest')")
	}
	q.Body = c.text(first)
	return q
}

// emitSuppress reads EMIT .. and SUPPRESS .. in either order, each at most once.
func (c *cursor) emitSuppress() (emit *Emit, suppress *Suppress) {
	for c.err == nil && c.streamClause() {
		if c.isKw("emit") && emit == nil {
			emit = c.emitClause()
			continue
		}
		if !c.isKw("suppress") || suppress != nil {
			c.fail()
			break
		}
		suppress = &Suppress{Pos: c.next().pos}
		c.expectKw("for")
		suppress.For = c.interval()
		if c.acceptKw("by") {
			paren := c.accept("(")
			suppress.By = append(suppress.By, c.subExpr(0))
			for c.accept(",") {
				suppress.By = append(suppress.By, c.subExpr(0))
			}
			if paren {
				c.expect(")")
			}
		}
	}
	return emit, suppress
}

// emitClause reads EMIT in all the spellings that people know.
func (c *cursor) emitClause() *Emit {
	e := &Emit{Pos: c.next().pos}
	switch {
	case c.acceptKw("on", "window", "close"), c.acceptKw("after", "window", "close"), c.acceptKw("final"):
		e.Mode = "CLOSE"
	case c.acceptKw("on", "update"), c.acceptKw("changes"):
		e.Mode = "UPDATE"
	case c.acceptKw("every"), c.acceptKw("periodic"):
		e.Mode = "EVERY"
		e.Every = c.interval()
	case c.acceptKw("first"):
		e.Mode = "FIRST"
	default:
		c.next()
		c.fail()
	}
	return e
}

// alter parses ALTER ..., told apart by the words after it.
func (c *cursor) alter() Statement {
	switch {
	case c.isKw("alter", "continuous", "query"), c.isKw("alter", "materialized", "view"):
		c.i += 3
		return c.alterQuery()
	case c.isKw("alter", "table"):
		c.i += 2
		return c.alterTable()
	case c.isKw("alter", "sequence"):
		c.i += 2
		return c.alterSequence()
	case c.isKw("alter", "function"), c.isKw("alter", "aggregate"):
		c.i += 2
		return c.alterFunction()
	case c.isKw("alter", "sink"):
		c.i += 2
		return c.alterSink()
	case c.isKw("alter", "ioc", "list"):
		c.i += 3
		return c.alterIOC()
	case roleWord(c.at(1)):
		c.next()
		return c.alterRole()
	case c.at(1).kind == tokIdent:
		return c.unsupported()
	}
	c.next()
	c.fail()
	return nil
}

func (c *cursor) alterQuery() Statement {
	a := &AlterQuery{Name: c.qualified()}
	switch {
	case c.acceptKw("resume"):
		return &PauseQuery{Name: a.Name, Resume: true}
	case c.acceptKw("pause"):
		return &PauseQuery{Name: a.Name}
	case c.acceptKw("as"):
		first := c.i
		a.As = c.subQuery()
		a.Emit, a.Suppress = c.emitSuppress()
		a.Body = c.text(first)
	case c.acceptKw("set"):
		a.Set = c.options()
	case c.acceptKw("rename"):
		c.expectKw("to")
		a.Rename = c.name()
	default:
		c.fail()
	}
	return a
}

// alterIOC parses SET (..), RESET (..), or ADD (..) and DROP (..), each any number of times.
func (c *cursor) alterIOC() Statement {
	a := &AlterIOC{Name: c.qualified()}
	switch {
	case c.acceptKw("set"):
		a.Set = c.options()
		return a
	case c.acceptKw("reset"):
		a.Reset = c.nameList()
		return a
	}
	for n := 0; c.err == nil && (n == 0 || !c.atEnd()); n++ {
		switch {
		case c.acceptKw("add"):
			a.Add = append(a.Add, c.exprTuple()...)
		case c.acceptKw("drop"):
			a.Drop = append(a.Drop, c.exprTuple()...)
		default:
			c.fail()
		}
	}
	return a
}

// exprTuple reads (a, b, c).
func (c *cursor) exprTuple() []Expr {
	if !c.peek().isOp("(") {
		c.fail()
		return nil
	}
	items := c.subItems(func(l *lowerer) {
		l.next()
		for first := true; first || l.accept(","); first = false {
			l.item(func() { l.expr(0) })
		}
		l.expect(")")
	})
	list := make([]Expr, len(items))
	for i := range items {
		list[i] = items[i].Expr
	}
	return list
}

func (c *cursor) createIOC() Statement {
	s := &CreateIOC{IfNotExists: c.ifNotExists()}
	s.Name = c.qualified()
	c.expectKw("type")
	s.Type = strings.ToLower(c.label())
	if c.acceptKw("with") {
		s.Options = c.options()
	}
	return s
}

// pauseOrRefresh parses PAUSE, RESUME and REFRESH.
func (c *cursor) pauseOrRefresh() Statement {
	t := c.next()
	if t.val == "refresh" {
		if c.isKw("materialized", "view") {
			u := &Unsupported{What: "REFRESH MATERIALIZED VIEW", Hint: "A continuous query is always fresh.", Pos: t.pos}
			c.i = c.end
			return u
		}
		c.expectKw("ioc", "list")
		return &RefreshIOC{Name: c.qualified(), Force: c.acceptKw("force")}
	}
	switch {
	case c.acceptKw("sink"):
		return &AlterSink{Name: c.qualified(), Pause: t.val == "pause", Resume: t.val == "resume"}
	case c.acceptKw("materialized"):
		c.expectKw("view")
	default:
		c.expectKw("continuous", "query")
	}
	return &PauseQuery{Name: c.qualified(), Resume: t.val == "resume"}
}

// replay parses REPLAY LATE stream [SINCE INTERVAL '..'], and RETRO.
func (c *cursor) replay() Statement {
	if c.next().val == "retro" {
		return c.retro()
	}
	c.expectKw("late")
	s := &ReplayLate{Stream: c.qualified()}
	if c.acceptKw("since") {
		s.Since = c.interval()
	}
	return s
}

// retro parses RETRO IOC LIST name ON stream (column) [SINCE INTERVAL '..'] [ALL].
func (c *cursor) retro() Statement {
	c.expectKw("ioc", "list")
	s := &Retro{List: c.qualified()}
	c.expectKw("on")
	s.Stream = c.qualified()
	c.expect("(")
	s.Column = Ident{At: At{c.peek().pos}, Parts: []string{c.name()}}
	c.expect(")")
	if c.acceptKw("since") {
		s.Since = c.interval()
	}
	s.All = c.acceptKw("all")
	return s
}

// drop parses DROP kind [IF EXISTS] names.
func (c *cursor) drop() Statement {
	start := c.next()
	if roleWord(c.peek()) {
		return c.dropRole()
	}
	d := &Drop{}
	switch d.Kind = c.objectKind(); {
	case d.Kind != "":
	case c.peek().isAnyKw("database", "type", "domain", "extension", "trigger", "rule",
		"procedure", "policy", "owned", "foreign", "server", "cast", "operator", "text", "publication", "subscription"):
		what := "DROP " + strings.ToUpper(c.peek().val)
		c.i = c.end
		return &Unsupported{What: what, Hint: "vigil has no such objects.", Pos: start.pos}
	default:
		c.fail()
		return nil
	}
	d.IfExists = c.ifExists()
	for first := true; first || c.accept(","); first = false {
		d.Names = append(d.Names, c.qualified())
		if d.Kind == "FUNCTION" && c.peek().isOp("(") {
			c.funcParams()
		}
	}
	if c.acceptKw("cascade") {
		d.Cascade = true
	} else {
		c.acceptKw("restrict")
	}
	return d
}
