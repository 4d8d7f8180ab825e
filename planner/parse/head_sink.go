package parse

import "strings"

type (
	// CreateSink is CREATE SINK name FROM query WITH (..) [FORMAT f [(..)]].
	CreateSink struct {
		Name          Name
		IfNotExists   bool
		Query         Name
		Options       []Option
		Format        string // upper case, "" when not written
		FormatOptions []Option
	}
	// AlterSink is ALTER SINK name with one action: Set, Rename, or Pause and Resume, which PAUSE SINK and RESUME SINK are as well.
	AlterSink struct {
		Name          Name
		Set           []Option
		Rename        string
		Pause, Resume bool
	}
)

func (*CreateSink) statement() {}
func (*AlterSink) statement()  {}

// createSink parses the rest of CREATE SINK; FROM .. WITH .. FORMAT come in any order, as far as that can be read.
func (c *cursor) createSink() Statement {
	s := &CreateSink{IfNotExists: c.ifNotExists()}
	s.Name = c.qualified()
	if t := c.peek(); t.isAnyKw("as", "into") {
		c.lack(t.pos, "CREATE SINK .. "+strings.ToUpper(t.val), "CREATE CONTINUOUS QUERY first, then CREATE SINK name FROM its name")
		return s
	}
	c.expectKw("from")
	s.Query = c.qualified()
	for c.err == nil && !c.atEnd() {
		switch {
		case s.Options == nil && c.acceptKw("with"):
			s.Options = c.options()
		case s.Format == "" && c.acceptKw("format"):
			s.Format, s.FormatOptions = c.format()
		default:
			c.fail()
		}
	}
	return s
}

// alterSink parses the rest of ALTER SINK.
func (c *cursor) alterSink() Statement {
	a := &AlterSink{Name: c.qualified()}
	switch {
	case c.acceptKw("set"):
		a.Set = c.options()
	case c.acceptKw("rename"):
		c.expectKw("to")
		a.Rename = c.name()
	case c.acceptKw("pause"):
		a.Pause = true
	case c.acceptKw("resume"):
		a.Resume = true
	default:
		c.fail()
	}
	return a
}

// sink prints the statements about sinks; false: it is none.
func (p *printer) sink(stmt Statement) bool {
	switch s := stmt.(type) {
	case *CreateSink:
		p.s("CREATE SINK ", ifNotExists(s.IfNotExists))
		p.name(s.Name)
		p.s(" FROM ")
		p.name(s.Query)
		p.options(" WITH ", s.Options)
		if s.Format != "" {
			p.s(" FORMAT ", upperIdent(s.Format))
			p.options(" ", s.FormatOptions)
		}
	case *AlterSink:
		p.s("ALTER SINK ")
		p.name(s.Name)
		switch {
		case s.Rename != "":
			p.s(" RENAME TO ", QuoteIdent(s.Rename))
		case s.Pause:
			p.s(" PAUSE")
		case s.Resume:
			p.s(" RESUME")
		default:
			p.options(" SET ", s.Set)
		}
	default:
		return false
	}
	return true
}
