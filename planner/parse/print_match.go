package parse

// match prints source MATCH_RECOGNIZE (...).
func (p *printer) match(t *TableMatch) {
	if j, ok := t.Source.(*Join); ok && j.Alias == "" && len(j.Using) > 0 { // its alias stands inside
		p.s("(")
		p.table(j)
		p.s(")")
	} else {
		p.table(t.Source)
	}
	p.s(" MATCH_RECOGNIZE (")
	if len(t.PartitionBy) > 0 {
		p.s("PARTITION BY ")
		p.exprs(t.PartitionBy)
		p.s(" ")
	}
	if len(t.OrderBy) > 0 {
		p.s("ORDER BY ")
		p.orderItems(t.OrderBy)
		p.s(" ")
	}
	if len(t.Measures) > 0 {
		p.s("MEASURES ")
		p.items(t.Measures)
		p.s(" ")
	}
	p.s([2]string{"ONE ROW", "ALL ROWS"}[asIndex(t.AllRows)], " PER MATCH AFTER MATCH SKIP ", t.Skip)
	if t.SkipTo != "" {
		p.s(" ")
		p.ident(t.SkipTo)
	}
	p.s(" PATTERN (")
	p.pattern(t.Pattern, false)
	p.s(")")
	if t.Within != nil {
		p.s(" WITHIN ")
		p.interval(t.Within)
	}
	for i, d := range t.Define {
		p.s([2]string{" DEFINE ", ", "}[min(i, 1)])
		p.ident(d.Name)
		p.s(" AS ")
		p.expr(d.Cond, 0)
	}
	p.s(")")
	p.alias(t.Alias, t.Columns)
}

func asIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pattern prints a row pattern; atom: what is more than a variable needs parentheses.
func (p *printer) pattern(t *Pattern, atom bool) {
	if atom && t.Kind != "VAR" {
		p.s("(")
		defer p.s(")")
	}
	switch t.Kind {
	case "VAR":
		if t.Name == "permute" {
			p.s(`"permute"`)
		} else {
			p.ident(t.Name)
		}
	case "REPEAT":
		p.pattern(t.Items[0], true)
		p.quantifier(t.Min, t.Max)
		if t.Reluctant {
			p.s("?")
		}
	default:
		for i, item := range t.Items {
			if i > 0 {
				p.s(map[string]string{"SEQ": " ", "ALT": " | "}[t.Kind])
			}
			p.pattern(item, item.Kind == "ALT" || item.Kind == t.Kind)
		}
	}
}

// quantifier prints *, +, ?, {n}, {n,} or {n,m}.
func (p *printer) quantifier(lo, hi int) {
	switch {
	case lo == 0 && hi < 0:
		p.s("*")
	case lo == 1 && hi < 0:
		p.s("+")
	case lo == 0 && hi == 1:
		p.s("?")
	default:
		p.counts(lo, hi)
	}
}

// counts prints {n}, {n,} or {n,m}.
func (p *printer) counts(lo, hi int) {
	p.s("{", itoa(lo))
	switch {
	case hi < 0:
		p.s(",")
	case hi != lo:
		p.s(",", itoa(hi))
	}
	p.s("}")
}

// sequenceOf returns the SEQUENCE that a query consists of, nil if it is another one.
func sequenceOf(c *SelectCore) *TableSequence {
	if len(c.From) != 1 {
		return nil
	}
	seq, _ := c.From[0].(*TableSequence)
	return seq
}

// sequence prints SEQUENCE ...
func (p *printer) sequence(t *TableSequence) {
	p.s("SEQUENCE")
	if len(t.By) > 0 {
		p.s(" BY ")
		p.exprs(t.By)
	}
	if t.Within != nil {
		p.s(" WITHIN ")
		p.interval(t.Within)
	}
	for i := range t.Steps {
		p.sequenceStep(&t.Steps[i])
	}
	if t.Until != nil {
		p.s(" UNTIL")
		p.sequenceStep(t.Until)
	}
	if len(t.Measures) > 0 {
		p.s(" MEASURES ")
		p.items(t.Measures)
	}
}

func (p *printer) sequenceStep(st *SequenceStep) {
	p.s(" ")
	if st.Missing {
		p.s("!")
	}
	p.s("[")
	p.name(st.Source)
	if st.Cond != nil {
		p.s(" WHERE ")
		p.expr(st.Cond, 0)
	}
	p.s("]")
	if len(st.By) > 0 {
		p.s(" BY ")
		p.exprs(st.By)
	}
	if st.Min != 1 || st.Max != 1 {
		p.s(" ")
		p.counts(st.Min, st.Max)
	}
	if st.Alias != "" {
		p.s(" AS ")
		p.ident(st.Alias)
	}
}
