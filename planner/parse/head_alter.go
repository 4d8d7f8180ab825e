package parse

import "strings"

// alterTable parses the rest of ALTER TABLE.
func (c *cursor) alterTable() Statement {
	s := &AlterTable{IfExists: c.ifExists()}
	c.acceptKw("only")
	s.Table = c.qualified()
	c.accept("*")
	if c.acceptKw("rename") {
		s.Actions = append(s.Actions, c.rename())
		return s
	}
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		s.Actions = append(s.Actions, c.alterAction())
	}
	return s
}

// rename parses what follows RENAME.
func (c *cursor) rename() AlterAction {
	a := AlterAction{Pos: c.peek().pos}
	switch {
	case c.acceptKw("to"):
		a.Kind, a.To = "RENAME", c.name()
		return a
	case c.acceptKw("constraint"):
		a.Kind = "RENAME CONSTRAINT"
	default:
		c.acceptKw("column")
		a.Kind = "RENAME COLUMN"
	}
	a.Name = c.name()
	c.expectKw("to")
	a.To = c.name()
	return a
}

// alterAction parses one of the actions that may be listed.
func (c *cursor) alterAction() AlterAction {
	t := c.peek()
	a := AlterAction{Pos: t.pos}
	switch {
	case c.acceptKw("add"):
		c.addAction(&a)
	case c.acceptKw("drop", "constraint"):
		a.Kind, a.Exists = "DROP CONSTRAINT", c.ifExists()
		a.Name = c.name()
		a.Cascade = c.cascade()
	case c.acceptKw("drop"):
		c.acceptKw("column")
		a.Kind, a.Exists = "DROP COLUMN", c.ifExists()
		a.Name = c.name()
		a.Cascade = c.cascade()
	case c.acceptKw("alter"):
		c.acceptKw("column")
		a.Name = c.name()
		c.alterColumn(&a)
	case t.isAnyKw("owner", "set", "reset", "enable", "disable", "force", "no", "inherit", "attach", "detach", "cluster", "validate", "replica", "of", "not"):
		c.lack(t.pos, "ALTER TABLE .. "+strings.ToUpper(t.val), "vigil has ADD, DROP, RENAME and ALTER COLUMN, ADD and DROP CONSTRAINT")
	default:
		c.fail()
	}
	return a
}

func (c *cursor) cascade() bool {
	if c.acceptKw("cascade") {
		return true
	}
	c.acceptKw("restrict")
	return false
}

// addAction parses what follows ADD: a column or a constraint.
func (c *cursor) addAction(a *AlterAction) {
	def := &CreateStream{Table: true}
	if !c.isKw("column") && c.isConstraint() {
		a.Kind = "ADD CONSTRAINT"
		c.addConstraint(a, def)
		return
	}
	c.acceptKw("column")
	a.Kind, a.Exists = "ADD COLUMN", c.ifNotExists()
	a.Columns = []ColumnDef{c.column(def)}
	a.Name = a.Columns[0].Name
	a.Constraints, a.KeyName = def.Constraints, def.KeyName
}

// addConstraint parses a constraint; the columns of a primary key are not known here.
func (c *cursor) addConstraint(a *AlterAction, def *CreateStream) {
	first := c.i
	name := c.constraintName()
	if c.acceptKw("primary", "key") {
		a.KeyName, a.Key = name, c.nameList()
		c.constraintTail()
		return
	}
	c.i = first
	c.tableConstraint(def)
	a.Constraints = def.Constraints
}

// alterColumn parses what follows ALTER COLUMN name.
func (c *cursor) alterColumn(a *AlterAction) {
	t := c.peek()
	switch {
	case c.acceptKw("set", "default"):
		a.Kind, a.Default = "SET DEFAULT", c.subExpr(opLevel)
	case c.acceptKw("drop", "default"):
		a.Kind = "DROP DEFAULT"
	case c.acceptKw("set", "not", "null"):
		a.Kind = "SET NOT NULL"
	case c.acceptKw("drop", "not", "null"):
		a.Kind = "DROP NOT NULL"
	case t.isKw("type"), c.isKw("set", "data"):
		c.lack(t.pos, "ALTER COLUMN .. TYPE", "add a column of the new type, UPDATE it from the old one, and drop that")
	case t.isAnyKw("set", "drop", "add", "reset", "restart"):
		c.lack(t.pos, "this action of ALTER COLUMN", "vigil has SET and DROP DEFAULT, SET and DROP NOT NULL")
	default:
		c.fail()
	}
}

func (p *printer) alterTable(s *AlterTable) {
	p.s("ALTER TABLE ", map[bool]string{true: "IF EXISTS "}[s.IfExists])
	p.name(s.Table)
	for i := range s.Actions {
		p.s(map[bool]string{true: " ", false: ", "}[i == 0])
		p.alterAction(&s.Actions[i])
	}
}

func (p *printer) alterAction(a *AlterAction) {
	exists := map[bool]string{true: "IF EXISTS "}[a.Exists]
	cascade := map[bool]string{true: " CASCADE"}[a.Cascade]
	switch a.Kind {
	case "ADD COLUMN":
		p.s("ADD COLUMN ", ifNotExists(a.Exists))
		p.column(&a.Columns[0], a.KeyName != "")
		if a.KeyName != "" {
			p.s(" CONSTRAINT ", QuoteIdent(a.KeyName), " PRIMARY KEY")
		}
		for i := range a.Constraints {
			k := a.Constraints[i]
			if k.Kind == "UNIQUE" { // of this column: it is written without its name
				k.Columns = nil
			}
			p.s(" ")
			p.constraint(&k)
		}
	case "ADD CONSTRAINT":
		p.s("ADD ")
		if len(a.Key) == 0 {
			p.constraint(&a.Constraints[0])
			return
		}
		if a.KeyName != "" {
			p.s("CONSTRAINT ", QuoteIdent(a.KeyName), " ")
		}
		p.s("PRIMARY KEY ")
		p.columns(a.Key)
	case "DROP COLUMN", "DROP CONSTRAINT":
		p.s(a.Kind, " ", exists, QuoteIdent(a.Name), cascade)
	case "RENAME":
		p.s("RENAME TO ", QuoteIdent(a.To))
	case "RENAME COLUMN", "RENAME CONSTRAINT":
		p.s(a.Kind, " ", QuoteIdent(a.Name), " TO ", QuoteIdent(a.To))
	default:
		p.s("ALTER COLUMN ", QuoteIdent(a.Name), " ", a.Kind)
		if a.Default != nil {
			p.s(" ")
			p.expr(a.Default, opLevel)
		}
	}
}
