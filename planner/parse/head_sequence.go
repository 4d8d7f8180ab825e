package parse

import (
	"strconv"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// createSequence parses the rest of CREATE SEQUENCE.
func (c *cursor) createSequence() Statement {
	s := &CreateSequence{IfNotExists: c.ifNotExists()}
	s.Name = c.qualified()
	c.sequenceOptions(&s.Options, "")
	return s
}

// alterSequence parses the rest of ALTER SEQUENCE.
func (c *cursor) alterSequence() Statement {
	s := &AlterSequence{IfExists: c.ifExists()}
	s.Name = c.qualified()
	if t := c.peek(); t.isAnyKw("rename", "owner") || c.isKw("set", "schema") {
		c.lack(t.pos, "ALTER SEQUENCE .. "+map[bool]string{true: "RENAME", false: "OWNER or SCHEMA"}[t.isKw("rename")], "drop the sequence and create it again")
		return s
	}
	if c.atEnd() {
		c.fail()
	}
	c.sequenceOptions(&s.Options, "")
	return s
}

// sequenceOptions parses the options of a sequence up to closing, or to the end of the statement.
func (c *cursor) sequenceOptions(o *SequenceOptions, closing string) {
	once := func(set bool) {
		if set {
			c.failWith(sqlerr.New(sqlerr.SyntaxError, "conflicting or redundant options").At(c.peek().pos))
		}
	}
	number := func(to **int64) {
		once(*to != nil)
		n := c.integer()
		*to = &n
	}
	cycle := func(v bool) {
		once(o.Cycle != nil)
		o.Cycle = &v
	}
	for c.err == nil && !c.atEnd() && (closing == "" || !c.peek().isOp(closing)) {
		switch {
		case c.acceptKw("as"):
			once(o.As != nil)
			t := c.typeName()
			o.As = &t
		case c.acceptKw("increment"):
			c.acceptKw("by")
			number(&o.Increment)
		case c.acceptKw("minvalue"):
			number(&o.Min)
		case c.acceptKw("maxvalue"):
			number(&o.Max)
		case c.acceptKw("no", "minvalue"):
			o.NoMin = true
		case c.acceptKw("no", "maxvalue"):
			o.NoMax = true
		case c.acceptKw("no", "cycle"):
			cycle(false)
		case c.acceptKw("cycle"):
			cycle(true)
		case c.acceptKw("cache"):
			number(&o.Cache)
		case c.acceptKw("start"):
			c.acceptKw("with")
			number(&o.Start)
		case c.acceptKw("restart"):
			o.Restarts = true
			if c.acceptKw("with") || c.peek().kind == tokNumber || c.peek().isOp("-") {
				number(&o.Restart)
			}
		case closing != "" && c.acceptKw("sequence", "name"):
			n := c.qualified()
			o.SequenceName = &n
		case c.acceptKw("owned", "by"):
			o.OwnedBy = c.columnName()
		default:
			c.fail()
		}
	}
}

// columnName reads table.column, schema.table.column or NONE.
func (c *cursor) columnName() *ColumnName {
	if c.acceptKw("none") {
		return &ColumnName{}
	}
	t := c.peek()
	n := c.qualified()
	if n.Schema == "" && c.err == nil {
		c.failWith(sqlerr.New(sqlerr.SyntaxError, "invalid OWNED BY option").At(t.pos).WithHint("Specify OWNED BY table.column or OWNED BY NONE."))
	}
	return &ColumnName{Table: Name{Schema: n.Catalog, Name: n.Schema, Pos: n.Pos}, Column: n.Name}
}

// createIndex parses the rest of CREATE [UNIQUE] INDEX.
func (c *cursor) createIndex() Statement {
	s := &CreateIndex{Pos: c.peek().pos, Unique: c.acceptKw("unique")}
	c.expectKw("index")
	c.acceptKw("concurrently")
	if s.IfNotExists = c.ifNotExists(); s.IfNotExists || !c.isKw("on") {
		s.Name = c.name()
	}
	c.expectKw("on")
	c.acceptKw("only")
	s.Table = c.qualified()
	if c.acceptKw("using") {
		if t := c.peek(); !t.isAnyKw("btree", "hash") {
			c.lack(t.pos, "an index of method "+t.val, "use btree")
		}
		c.label()
	}
	c.expect("(")
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		s.Columns = append(s.Columns, c.indexColumn())
	}
	c.expect(")")
	c.lackNulls()
	switch t := c.peek(); {
	case t.isKw("include"):
		c.lack(t.pos, "INCLUDE of an index", "leave it out: a table's rows are in memory")
	case t.isKw("where"):
		c.lack(t.pos, "a partial index", "leave WHERE out")
	case t.isAnyKw("with", "tablespace"):
		c.lack(t.pos, "a storage option of an index", "leave it out")
	}
	return s
}

func (c *cursor) indexColumn() IndexColumn {
	t := c.peek()
	if t.isOp("(") || t.isWord() && c.at(1).isOp("(") {
		c.lack(t.pos, "an index over an expression", "index a column")
		return IndexColumn{}
	}
	x := IndexColumn{Pos: t.pos, Name: c.name()}
	if t := c.peek(); t.isKw("collate") || t.isName() && !t.isAnyKw("asc", "desc", "nulls") {
		c.lack(t.pos, "a collation or operator class of an index", "leave it out")
	}
	if !c.acceptKw("asc") {
		x.Desc = c.acceptKw("desc")
	}
	if c.acceptKw("nulls", "first") {
		x.Nulls = "FIRST"
	} else if c.acceptKw("nulls", "last") {
		x.Nulls = "LAST"
	}
	return x
}

// backup parses BACKUP TO 'directory'.
func (c *cursor) backup() Statement {
	c.expectKw("backup", "to")
	return &Backup{Pos: c.peek().pos, Dir: c.str()}
}

// testQuery parses TEST CONTINUOUS QUERY name USING 'file' | stream = 'file', .. [EXPECT 'file'].
func (c *cursor) testQuery() Statement {
	s := &TestQuery{Pos: c.next().pos}
	if c.acceptKw("materialized") {
		c.expectKw("view")
	} else {
		c.expectKw("continuous", "query")
	}
	s.Name = c.qualified()
	c.expectKw("using")
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		f := Fixture{Pos: c.peek().pos}
		if c.peek().isWord() {
			f.Stream = c.qualified()
			c.expect("=")
		}
		f.File = c.str()
		s.Using = append(s.Using, f)
	}
	if c.acceptKw("expect") {
		s.Expect = &Fixture{Pos: c.peek().pos, File: c.str()}
	}
	return s
}

// tableStatement prints the statements about tables, sequences and indexes.
func (p *printer) tableStatement(stmt Statement) {
	switch s := stmt.(type) {
	case *CreateSequence:
		p.s("CREATE SEQUENCE ", ifNotExists(s.IfNotExists))
		p.name(s.Name)
		p.sequenceOptions(&s.Options)
	case *AlterSequence:
		p.s("ALTER SEQUENCE ", map[bool]string{true: "IF EXISTS "}[s.IfExists])
		p.name(s.Name)
		p.sequenceOptions(&s.Options)
	case *CreateIndex:
		p.createIndex(s)
	case *AlterTable:
		p.alterTable(s)
	case *TestQuery:
		p.s("TEST CONTINUOUS QUERY ")
		p.name(s.Name)
		for i, f := range s.Using {
			p.s(map[bool]string{true: " USING ", false: ", "}[i == 0])
			if f.Stream.Name != "" {
				p.name(f.Stream)
				p.s(" = ")
			}
			p.s(quoteString(f.File))
		}
		if s.Expect != nil {
			p.s(" EXPECT ", quoteString(s.Expect.File))
		}
	}
}

func (p *printer) createIndex(s *CreateIndex) {
	p.s("CREATE ", map[bool]string{true: "UNIQUE "}[s.Unique], "INDEX ", ifNotExists(s.IfNotExists))
	if s.Name != "" {
		p.s(QuoteIdent(s.Name), " ")
	}
	p.s("ON ")
	p.name(s.Table)
	p.s(" (")
	for i, x := range s.Columns {
		if i > 0 {
			p.s(", ")
		}
		p.ident(x.Name)
		p.s(map[bool]string{true: " DESC"}[x.Desc])
		if x.Nulls != "" {
			p.s(" NULLS ", x.Nulls)
		}
	}
	p.s(")")
}

func (p *printer) sequenceOptions(o *SequenceOptions) {
	number := func(word string, n *int64) {
		if n != nil {
			p.s(" ", word, " ", strconv.FormatInt(*n, 10))
		}
	}
	if o.SequenceName != nil {
		p.s(" SEQUENCE NAME ")
		p.name(*o.SequenceName)
	}
	if o.As != nil {
		p.s(" AS ", o.As.String())
	}
	number("START WITH", o.Start)
	number("INCREMENT BY", o.Increment)
	number("MINVALUE", o.Min)
	number("MAXVALUE", o.Max)
	if o.NoMin {
		p.s(" NO MINVALUE")
	}
	if o.NoMax {
		p.s(" NO MAXVALUE")
	}
	number("CACHE", o.Cache)
	if o.Cycle != nil {
		p.s(map[bool]string{true: " CYCLE", false: " NO CYCLE"}[*o.Cycle])
	}
	if o.Restarts {
		p.s(" RESTART")
		number("WITH", o.Restart)
	}
	if x := o.OwnedBy; x != nil {
		p.s(" OWNED BY ")
		if x.Table.Name == "" {
			p.s("NONE")
			return
		}
		p.name(x.Table)
		p.s(".", QuoteIdent(x.Column))
	}
}
