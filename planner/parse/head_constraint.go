package parse

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// isConstraint tells a constraint of a table from a column.
func (c *cursor) isConstraint() bool {
	t := c.peek()
	return c.isKw("primary", "key") || t.isAnyKw("unique", "check", "foreign", "constraint") || c.isKw("exclude", "using")
}

// tableConstraint parses a constraint of CREATE TABLE or ALTER TABLE ADD.
func (c *cursor) tableConstraint(s *CreateStream) {
	name, t := c.constraintName(), c.peek()
	switch {
	case c.acceptKw("primary", "key"):
		c.primaryKey(s, name)
	case !s.Table:
		c.lack(t.pos, "a "+strings.ToUpper(t.val)+" constraint of a stream", "filter with WHERE in the queries")
	case c.acceptKw("unique"):
		c.lackNulls()
		k := Constraint{Name: name, Kind: "UNIQUE", Pos: t.pos}
		k.Columns = c.nameList()
		s.Constraints = append(s.Constraints, k)
	case c.acceptKw("check"):
		s.Constraints = append(s.Constraints, c.check(name, t.pos))
	case t.isKw("foreign"):
		c.lackForeign(t.pos)
	case t.isKw("exclude"):
		c.lack(t.pos, "an EXCLUDE constraint", "use UNIQUE or CHECK")
	default:
		c.fail()
	}
	c.constraintTail()
}

// constraintName parses CONSTRAINT name, if it is there.
func (c *cursor) constraintName() string {
	if !c.acceptKw("constraint") {
		return ""
	}
	return c.name()
}

// columnConstraint parses a constraint behind a column.
func (c *cursor) columnConstraint(s *CreateStream, d *ColumnDef) {
	name, t := c.constraintName(), c.peek()
	switch {
	case c.acceptKw("not", "null"):
		d.NotNull = true
		return
	case name != "" && c.acceptKw("null"):
		return
	case c.acceptKw("primary", "key"):
		c.onePrimary(s, t.pos)
		d.Primary, s.KeyName = true, name
	case !s.Table && t.isAnyKw("unique", "check", "references"):
		c.lack(t.pos, strings.ToUpper(t.val)+" in a column definition of a stream", "filter with WHERE in the queries")
	case c.acceptKw("unique"):
		c.lackNulls()
		s.Constraints = append(s.Constraints, Constraint{Name: name, Kind: "UNIQUE", Columns: []string{d.Name}, Pos: t.pos})
	case c.acceptKw("check"):
		s.Constraints = append(s.Constraints, c.check(name, t.pos))
	case t.isKw("references"):
		c.lackForeign(t.pos)
	default:
		c.fail()
	}
	c.constraintTail()
}

// check parses what follows CHECK.
func (c *cursor) check(name string, pos Pos) Constraint {
	k := Constraint{Name: name, Kind: "CHECK", Pos: pos}
	c.expect("(")
	k.Check = c.subExpr(0)
	c.expect(")")
	if c.isKw("no", "inherit") {
		c.i += 2
	}
	return k
}

func (c *cursor) lackForeign(pos Pos) {
	c.lack(pos, "a FOREIGN KEY constraint", "leave it out: vigil does not watch over references between tables")
}

func (c *cursor) lackNulls() {
	if t := c.peek(); c.isKw("nulls", "not") {
		c.lack(t.pos, "UNIQUE NULLS NOT DISTINCT", "make the columns NOT NULL")
	} else if c.isKw("nulls", "distinct") {
		c.i += 2
	}
}

// constraintTail parses what may follow a constraint. All are checked at once.
func (c *cursor) constraintTail() {
	for c.err == nil {
		switch t := c.peek(); {
		case c.acceptKw("not", "deferrable"), c.acceptKw("initially", "immediate"):
		case t.isKw("deferrable"), t.isKw("initially"):
			c.lack(t.pos, "a deferred constraint", "constraints are checked at the end of each statement")
		case t.isKw("include"):
			c.lack(t.pos, "INCLUDE of a constraint", "leave it out: a table's rows are in memory")
		case c.isKw("not", "valid"):
			c.lack(t.pos, "NOT VALID", "leave it out: the rows that are there are checked")
		case t.isKw("using"):
			c.lack(t.pos, "USING of a constraint", "leave it out")
		default:
			return
		}
	}
}

// onePrimary refuses a second primary key.
func (c *cursor) onePrimary(s *CreateStream, pos Pos) {
	if len(primary(s.Columns)) > 0 {
		c.failWith(sqlerr.New(sqlerr.InvalidTableDefinition, "multiple primary keys for table %q are not allowed", s.Name.Name).At(pos))
	}
}

// primary lists the columns of the primary key.
func primary(cols []ColumnDef) []string {
	var out []string
	for _, d := range cols {
		if d.Primary {
			out = append(out, d.Name)
		}
	}
	return out
}

// primaryKey marks the columns of PRIMARY KEY (a, b).
func (c *cursor) primaryKey(s *CreateStream, name string) {
	t := c.peek()
	c.onePrimary(s, t.pos)
	s.KeyName = name
	for _, name := range c.nameList() {
		found := false
		for i := range s.Columns {
			if s.Columns[i].Name == name {
				s.Columns[i].Primary, found = true, true
			}
		}
		if !found {
			c.failWith(sqlerr.New(sqlerr.UndefinedColumn, "column \"%s\" named in key does not exist", name).At(t.pos))
		}
	}
}

// generated parses GENERATED ALWAYS AS (expr) [STORED] and GENERATED .. AS IDENTITY [(options)].
func (c *cursor) generated(d *ColumnDef) {
	c.next()
	always := c.acceptKw("always")
	if !always {
		c.expectKw("by", "default")
	}
	c.expectKw("as")
	if c.acceptKw("identity") {
		d.Identity = &Identity{Always: always}
		d.NotNull = true
		if c.accept("(") {
			c.sequenceOptions(&d.Identity.Options, ")")
			c.expect(")")
		}
		return
	}
	if !always {
		c.fail()
		return
	}
	c.expect("(")
	d.Generated = c.subExpr(0)
	c.expect(")")
	c.acceptKw("stored")
}

func (p *printer) constraint(k *Constraint) {
	if k.Name != "" {
		p.s("CONSTRAINT ", QuoteIdent(k.Name), " ")
	}
	p.s(k.Kind)
	if k.Kind == "CHECK" {
		p.s(" (")
		p.expr(k.Check, 0)
		p.s(")")
		return
	}
	if len(k.Columns) > 0 {
		p.s(" ")
		p.columns(k.Columns)
	}
}

func (p *printer) identity(x *Identity) {
	if x == nil {
		return
	}
	p.s(" GENERATED ", map[bool]string{true: "ALWAYS", false: "BY DEFAULT"}[x.Always], " AS IDENTITY")
	q := &printer{full: p.full}
	q.sequenceOptions(&x.Options)
	if q.Len() > 0 {
		p.s(" (", strings.TrimSpace(q.String()), ")")
	}
}
