package parse

import (
	"strconv"
	"strings"
)

func (p *printer) show(s *Show) {
	p.s("SHOW ")
	switch {
	case s.Create != "":
		p.s("CREATE ", s.Create, " ")
		p.name(s.Object)
	case s.What != "":
		p.s(s.What)
	case s.Name == "all":
		p.s("ALL")
	default:
		p.s(settingText(s.Name))
	}
}

// settingText writes a setting's name so that it is not taken for a phrase of SHOW or SET.
func settingText(name string) string {
	if wordIs(name, "streams", "sources", "sinks", "functions", "tables", "all", "create", "session", "local", "transaction", "time", "names", "schema",
		"role", "constraints", "continuous", "materialized", "ioc") {
		return `"` + name + `"`
	}
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = QuoteIdent(parts[i])
	}
	return strings.Join(parts, ".")
}

func (p *printer) set(s *Set) {
	switch {
	case s.All:
		p.s("RESET ALL")
		return
	case s.Reset && !s.Default && !s.Local:
		p.s("RESET ", settingText(s.Name))
		return
	case s.Name == "session characteristics":
		p.s("SET SESSION CHARACTERISTICS AS TRANSACTION ", strings.Join(s.Values, ", "))
		return
	case s.Name == "transaction" && s.Local && isModes(s.Values):
		p.s("SET TRANSACTION ", strings.Join(s.Values, ", "))
		return
	}
	p.s("SET ", map[bool]string{true: "LOCAL "}[s.Local], settingText(s.Name), " TO ")
	if s.Reset {
		p.s("DEFAULT")
		return
	}
	for i, v := range s.Values {
		if i > 0 {
			p.s(", ")
		}
		p.s(quoteString(v))
	}
}

// isModes tells SET TRANSACTION from SET LOCAL "transaction" = value.
func isModes(values []string) bool {
	for _, v := range values {
		if !wordIs(v, "READ ONLY", "READ WRITE", "DEFERRABLE", "NOT DEFERRABLE") && !strings.HasPrefix(v, "ISOLATION LEVEL ") {
			return false
		}
	}
	return true
}

func (p *printer) declare(s *DeclareCursor) {
	p.s("DECLARE ", QuoteIdent(s.Name), " ")
	if s.Scroll {
		p.s("SCROLL ")
	}
	if s.NoScroll {
		p.s("NO SCROLL ")
	}
	p.s("CURSOR ")
	if s.Hold {
		p.s("WITH HOLD ")
	}
	p.s("FOR ")
	if s.Subscribe != nil {
		p.subscribe(s.Subscribe)
	} else {
		p.query(s.Query)
	}
}

func (p *printer) fetch(s *Fetch) {
	p.s(map[bool]string{true: "MOVE ", false: "FETCH "}[s.Move])
	switch {
	case s.Direction == "ALL":
		p.s("ALL ")
	case s.Direction == "FORWARD", s.Direction == "BACKWARD":
		p.s(s.Direction, " ")
		if s.Count < 0 {
			p.s("ALL ")
			break
		}
		p.s(strconv.FormatInt(s.Count, 10), " ")
	case s.Direction == "ABSOLUTE", s.Direction == "RELATIVE":
		p.s(s.Direction, " ", strconv.FormatInt(s.Count, 10), " ")
	default:
		p.s(s.Direction, " ")
	}
	p.s("FROM ", QuoteIdent(s.Cursor))
	p.options(" WITH ", s.Options)
}

func (p *printer) prepare(s *Prepare) {
	p.s("PREPARE ", QuoteIdent(s.Name))
	for i, t := range s.Types {
		p.s([2]string{" (", ", "}[min(i, 1)], t.String())
	}
	if len(s.Types) > 0 {
		p.s(")")
	}
	p.s(" AS ")
	p.statement(s.Stmt)
}
