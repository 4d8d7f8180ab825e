package parse

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// show parses SHOW.
func (c *cursor) show() Statement {
	c.next()
	lists := []struct {
		words []string
		what  string
	}{
		{[]string{"streams"}, "STREAMS"}, {[]string{"sources"}, "STREAMS"},
		{[]string{"continuous", "queries"}, "CONTINUOUS QUERIES"}, {[]string{"materialized", "views"}, "CONTINUOUS QUERIES"},
		{[]string{"ioc", "lists"}, "IOC LISTS"}, {[]string{"sinks"}, "SINKS"}, {[]string{"functions"}, "FUNCTIONS"}, {[]string{"tables"}, "TABLES"},
	}
	for _, l := range lists {
		if c.acceptKw(l.words...) {
			return &Show{What: l.what}
		}
	}
	switch {
	case c.acceptKw("all"):
		return &Show{Name: "all"}
	case c.acceptKw("time", "zone"):
		return &Show{Name: "timezone"}
	case c.acceptKw("transaction"):
		c.expectKw("isolation", "level")
		return &Show{Name: "transaction_isolation"}
	case c.acceptKw("session", "authorization"):
		return &Show{Name: "session_authorization"}
	case c.acceptKw("create"):
		return c.showCreate()
	}
	return &Show{Name: c.settingName()}
}

func (c *cursor) showCreate() Statement {
	s := &Show{}
	switch {
	case c.acceptKw("stream"), c.acceptKw("source"), c.acceptKw("table"):
		s.Create = "STREAM"
	case c.acceptKw("view"):
		s.Create = "VIEW"
	case c.acceptKw("continuous", "query"), c.acceptKw("materialized", "view"):
		s.Create = "CONTINUOUS QUERY"
	case c.acceptKw("ioc", "list"):
		s.Create = "IOC LIST"
	case c.acceptKw("function"), c.acceptKw("aggregate"):
		s.Create = "FUNCTION"
	case c.acceptKw("sink"):
		s.Create = "SINK"
	default:
		c.fail()
		return nil
	}
	s.Object = c.qualified()
	return s
}

// settingName reads name or prefix.name, in lower case.
func (c *cursor) settingName() string {
	name := strings.ToLower(c.name())
	for c.accept(".") {
		name += "." + strings.ToLower(c.label())
	}
	return name
}

// set parses SET and RESET in all their forms.
func (c *cursor) set() Statement {
	s := &Set{Reset: c.next().val == "reset"}
	if s.Reset {
		return c.reset(s)
	}
	switch {
	case c.acceptKw("session", "characteristics", "as", "transaction"):
		s.Name, s.Values = "session characteristics", c.transactionModes()
		return s
	case c.isKw("transaction") && !c.at(1).isOp("=") && !c.at(1).isKw("to"):
		c.next()
		if c.isKw("snapshot") {
			c.lack(c.peek().pos, "SET TRANSACTION SNAPSHOT", "")
		}
		s.Name, s.Values, s.Local = "transaction", c.transactionModes(), true
		return s
	case c.acceptKw("local"):
		s.Local = true
	case c.isKw("session") && !c.at(1).isOp("=") && !c.at(1).isKw("to"):
		c.next()
	}
	switch {
	case c.acceptKw("time", "zone"):
		s.Name = "timezone"
		c.timeZone(s)
		return s
	case c.acceptKw("session", "authorization"), c.acceptKw("authorization"):
		s.Name = "session_authorization"
	case c.isKw("role") && !c.at(1).isOp("=") && !c.at(1).isKw("to"):
		s.Name = c.next().val
	case c.acceptKw("names"):
		if s.Name = "client_encoding"; c.atEnd() {
			s.Reset, s.Default = true, true
			return s
		}
	case c.acceptKw("schema"):
		s.Name = "search_path"
	case c.isKw("constraints"):
		u := &Unsupported{What: "SET CONSTRAINTS", Hint: "vigil has no deferrable constraints.", Pos: c.peek().pos}
		c.i = c.end
		return u
	default:
		s.Name = c.settingName()
		if !c.accept("=") {
			c.expectKw("to")
		}
	}
	c.setValues(s)
	return s
}

func (c *cursor) reset(s *Set) Statement {
	switch {
	case c.acceptKw("all"):
		s.All = true
	case c.acceptKw("time", "zone"):
		s.Name = "timezone"
	case c.acceptKw("transaction", "isolation", "level"):
		s.Name = "transaction_isolation"
	case c.acceptKw("session", "authorization"):
		s.Name = "session_authorization"
	default:
		s.Name = c.settingName()
	}
	return s
}

// timeZone reads the value of SET TIME ZONE.
func (c *cursor) timeZone(s *Set) {
	switch {
	case c.acceptKw("local"), c.acceptKw("default"):
		s.Reset, s.Default = true, true
	case c.isKw("interval"):
		if iv := c.interval(); iv != nil {
			text := iv.Text
			if iv.Unit != "" && !strings.Contains(iv.Unit, " ") {
				text += " " + strings.ToLower(iv.Unit)
			}
			s.Values = []string{"INTERVAL '" + text + "'"}
		}
	default:
		s.Values = []string{c.optionValue()}
	}
}

// setValues reads DEFAULT or a list of values.
func (c *cursor) setValues(s *Set) {
	if c.acceptKw("default") {
		s.Reset, s.Default = true, true
		return
	}
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		if t := c.peek(); t.kind == tokIdent && keywordClasses[t.val] == kwReserved && !t.isAnyKw("true", "false", "on") {
			c.fail()
			return
		}
		s.Values = append(s.Values, c.optionValue())
	}
}

// transactionModes reads ISOLATION LEVEL .., READ ONLY, DEFERRABLE in any order, with or without commas.
func (c *cursor) transactionModes() []string {
	var modes []string
	for c.err == nil {
		switch {
		case c.acceptKw("isolation"):
			c.expectKw("level")
			modes = append(modes, "ISOLATION LEVEL "+c.isolationLevel())
		case c.acceptKw("read"):
			if c.acceptKw("only") {
				modes = append(modes, "READ ONLY")
				break
			}
			c.expectKw("write")
			modes = append(modes, "READ WRITE")
		case c.acceptKw("deferrable"):
			modes = append(modes, "DEFERRABLE")
		case c.acceptKw("not"):
			c.expectKw("deferrable")
			modes = append(modes, "NOT DEFERRABLE")
		default:
			c.fail()
		}
		if !c.accept(",") && c.atEnd() {
			break
		}
	}
	return modes
}

func (c *cursor) isolationLevel() string {
	switch {
	case c.acceptKw("serializable"):
		return "SERIALIZABLE"
	case c.acceptKw("repeatable"):
		c.expectKw("read")
		return "REPEATABLE READ"
	}
	c.expectKw("read")
	if c.acceptKw("committed") {
		return "READ COMMITTED"
	}
	c.expectKw("uncommitted")
	return "READ UNCOMMITTED"
}

// transaction parses BEGIN to ROLLBACK TO.
func (c *cursor) transaction() Statement {
	t := c.next()
	switch t.val {
	case "savepoint":
		return &Transaction{Op: "SAVEPOINT", Name: c.name()}
	case "release":
		c.acceptKw("savepoint")
		return &Transaction{Op: "RELEASE", Name: c.name()}
	case "begin", "start":
		if t.val == "start" {
			c.expectKw("transaction")
		} else if !c.acceptKw("work") {
			c.acceptKw("transaction")
		}
		x := &Transaction{Op: "BEGIN"}
		if t.val == "start" {
			x.Op = "START TRANSACTION"
		}
		if !c.atEnd() {
			x.Modes = c.transactionModes()
		}
		return x
	}
	op := "COMMIT"
	if t.isAnyKw("rollback", "abort") {
		op = "ROLLBACK"
	}
	if p := c.peek(); p.isKw("prepared") {
		c.lack(p.pos, op+" PREPARED", "vigil has no two-phase commit")
	}
	if !c.acceptKw("work") {
		c.acceptKw("transaction")
	}
	if t.val == "rollback" && c.acceptKw("to") {
		c.acceptKw("savepoint")
		return &Transaction{Op: "ROLLBACK TO", Name: c.name()}
	}
	if c.acceptKw("and") {
		p := c.peek()
		if !c.acceptKw("no", "chain") {
			c.lack(p.pos, "AND CHAIN", "begin the next transaction yourself")
		}
	}
	return &Transaction{Op: op}
}

// declare parses DECLARE name [options] CURSOR [WITH HOLD] FOR query | SUBSCRIBE.
func (c *cursor) declare() Statement {
	c.next()
	d := &DeclareCursor{Name: c.name()}
	for c.err == nil && !c.acceptKw("cursor") {
		t := c.peek()
		switch {
		case c.acceptKw("binary"):
			c.lack(t.pos, "a BINARY cursor", "ask for binary results in the extended protocol")
		case c.acceptKw("scroll"):
			d.Scroll = true
		case c.acceptKw("no", "scroll"):
			d.NoScroll = true
		case c.acceptKw("asensitive"), c.acceptKw("insensitive"):
		default:
			c.fail()
		}
	}
	if d.Scroll && d.NoScroll {
		c.failWith(sqlerr.New(sqlerr.InvalidCursorDefinition, "cannot specify both %s and %s", "SCROLL", "NO SCROLL"))
	}
	if c.acceptKw("with", "hold") {
		d.Hold = true
	} else {
		c.acceptKw("without", "hold")
	}
	c.expectKw("for")
	if c.isKw("subscribe") {
		d.Subscribe = c.subscribe()
	} else {
		d.Query = c.subQuery()
	}
	return d
}

// fetch parses FETCH and MOVE [direction] [FROM|IN] cursor [WITH (..)].
func (c *cursor) fetch() Statement {
	f := &Fetch{Move: c.next().val == "move", Direction: "NEXT", Count: 1}
	t := c.peek()
	alone := c.at(1).isKw("with") || c.i+1 >= c.end
	switch {
	case alone && t.isName():
	case t.kind == tokNumber, (t.isOp("-") || t.isOp("+")) && c.at(1).kind == tokNumber:
		f.Direction, f.Count = "FORWARD", c.integer()
	case t.isAnyKw("next", "prior", "first", "last"):
		f.Direction = strings.ToUpper(c.next().val)
	case t.isAnyKw("absolute", "relative"):
		f.Direction = strings.ToUpper(c.next().val)
		f.Count = c.integer()
	case c.acceptKw("all"):
		f.Direction, f.Count = "ALL", -1
	case t.isAnyKw("forward", "backward"):
		f.Direction = strings.ToUpper(c.next().val)
		if c.acceptKw("all") {
			f.Count = -1
		} else if n := c.peek(); n.kind == tokNumber || n.isOp("-") || n.isOp("+") {
			f.Count = c.integer()
		}
	}
	if f.Count < 0 && (f.Direction == "FORWARD" || f.Direction == "BACKWARD") && !c.toks[c.i-1].isKw("all") {
		// A negative count turns the direction, so that -1 is left to mean all.
		f.Direction, f.Count = map[string]string{"FORWARD": "BACKWARD", "BACKWARD": "FORWARD"}[f.Direction], -f.Count
	}
	if !c.acceptKw("from") {
		c.acceptKw("in")
	}
	f.Cursor = c.name()
	if c.acceptKw("with") {
		f.Options = c.options()
	}
	return f
}

// prepare parses PREPARE name [(types)] AS statement.
func (c *cursor) prepare() Statement {
	c.next()
	if t := c.peek(); t.isKw("transaction") && c.at(1).kind == tokString {
		c.lack(t.pos, "PREPARE TRANSACTION", "vigil has no two-phase commit")
	}
	p := &Prepare{Name: c.name()}
	if c.accept("(") {
		p.Types = append(p.Types, c.typeName())
		for c.accept(",") {
			p.Types = append(p.Types, c.typeName())
		}
		c.expect(")")
	}
	c.expectKw("as")
	first := c.i
	if t := c.peek(); !t.isOp("(") && !t.isAnyKw("select", "with", "values", "table", "insert", "delete", "update", "subscribe") {
		c.fail()
		return nil
	}
	p.Stmt = c.statement()
	if u, ok := p.Stmt.(*Unsupported); ok {
		return u
	}
	p.Text = c.text(first)
	return p
}

func (c *cursor) execute() Statement {
	c.next()
	e := &Execute{Name: c.name()}
	if c.peek().isOp("(") {
		e.Args = c.exprTuple()
	}
	return e
}

func (c *cursor) discard() Statement {
	c.next()
	t := c.peek()
	if !t.isAnyKw("all", "plans", "temp", "temporary", "sequences") {
		c.fail()
		return nil
	}
	c.next()
	if t.val == "temporary" {
		return &Discard{What: "TEMP"}
	}
	return &Discard{What: strings.ToUpper(t.val)}
}

func (c *cursor) notify() Statement {
	c.next()
	n := &Notify{Channel: c.name()}
	if c.accept(",") {
		n.Payload = c.str()
	}
	return n
}
