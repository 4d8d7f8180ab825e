package parse

// AlterFunction is ALTER FUNCTION name with one action: Set, Activate or Deactivate.
type AlterFunction struct {
	Name                 Name
	Set                  []Option
	Activate, Deactivate bool
}

func (*AlterFunction) statement() {}

// alterFunction parses the rest of ALTER FUNCTION.
func (c *cursor) alterFunction() Statement {
	a := &AlterFunction{Name: c.qualified()}
	if c.peek().isOp("(") {
		c.funcParams()
	}
	switch {
	case c.acceptKw("activate"):
		a.Activate = true
	case c.acceptKw("deactivate"):
		a.Deactivate = true
	case c.isKw("set") && c.at(1).isOp("("):
		c.next()
		a.Set = c.options()
	case c.isKw("rename") || c.isKw("owner") || c.isKw("set") || c.isKw("reset") || c.isKw("depends"):
		c.lack(c.peek().pos, "this form of ALTER FUNCTION", "ALTER FUNCTION f ACTIVATE, DEACTIVATE or SET (timeout = '..'); CREATE OR REPLACE FUNCTION changes the rest")
	default:
		c.fail()
	}
	return a
}

func (p *printer) alterFunction(s *AlterFunction) {
	p.s("ALTER FUNCTION ")
	p.name(s.Name)
	switch {
	case s.Activate:
		p.s(" ACTIVATE")
	case s.Deactivate:
		p.s(" DEACTIVATE")
	default:
		p.options(" SET ", s.Set)
	}
}
