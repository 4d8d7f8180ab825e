package parse

import (
	"strconv"
	"strings"
)

// Print writes a statement in its canonical form: one spelling for all synonyms. Parsing the text again gives the same
// tree, positions and the Body and Text fields apart. An *Unsupported prints as its name alone.
func Print(stmt Statement) string {
	p := &printer{}
	p.statement(stmt)
	return p.String()
}

// PrintExpr writes an expression in canonical form.
func PrintExpr(e Expr) string {
	p := &printer{}
	p.expr(e, 0)
	return p.String()
}

// printer collects the text.
type printer struct {
	strings.Builder
	// full puts every operator in parentheses; tests read precedence from it.
	full bool
	// plain: see plainExpr.
	plain bool
}

func (p *printer) s(parts ...string) {
	for _, s := range parts {
		p.WriteString(s)
	}
}

func (p *printer) ident(name string) { p.WriteString(QuoteIdent(name)) }

func (p *printer) name(n Name) {
	if n.Catalog != "" {
		p.s(QuoteIdent(n.Catalog), ".")
	}
	if n.Schema != "" {
		p.s(QuoteIdent(n.Schema), ".")
	}
	p.ident(n.Name)
}

func (p *printer) idents(names []string) {
	for i, n := range names {
		if i > 0 {
			p.s(", ")
		}
		p.ident(n)
	}
}

func (p *printer) exprs(list []Expr) {
	for i, e := range list {
		if i > 0 {
			p.s(", ")
		}
		p.expr(e, 0)
	}
}

// query prints a query expression.
func (p *printer) query(q *Select) {
	p.with(q)
	switch {
	case q.Core != nil:
		p.core(q.Core)
	case q.SetOp != nil:
		p.setOp(q.SetOp)
	default:
		p.s("VALUES ")
		for i, row := range q.Values {
			if i > 0 {
				p.s(", ")
			}
			p.s("(")
			p.exprs(row)
			p.s(")")
		}
	}
	if len(q.OrderBy) > 0 {
		p.s(" ORDER BY ")
		p.orderItems(q.OrderBy)
	}
	if q.Limit != nil {
		p.s(" LIMIT ")
		p.expr(q.Limit, 0)
	}
	if q.Offset != nil {
		p.s(" OFFSET ")
		p.expr(q.Offset, 0)
	}
}

func (p *printer) with(q *Select) {
	if len(q.With) == 0 {
		return
	}
	p.s("WITH ")
	if q.Recursive {
		p.s("RECURSIVE ")
	}
	for i, cte := range q.With {
		if i > 0 {
			p.s(", ")
		}
		p.ident(cte.Name)
		p.columns(cte.Columns)
		p.s(" AS ")
		if cte.Materialized != "" {
			p.s(cte.Materialized + " ")
		}
		p.s("(")
		p.query(cte.Query)
		p.s(")")
	}
	p.s(" ")
}

func (p *printer) columns(names []string) {
	if len(names) > 0 {
		p.s("(")
		p.idents(names)
		p.s(")")
	}
}

// setOp prints a set operation; operands that would group otherwise get parentheses.
func (p *printer) setOp(o *SetOp) {
	level := setLevel(o.Op)
	p.operand(o.Left, level)
	p.s(" ", o.Op)
	if o.All {
		p.s(" ALL")
	}
	p.s(" ")
	p.operand(o.Right, level+1)
}

func setLevel(op string) int {
	if op == "INTERSECT" {
		return 2
	}
	return 1
}

func (p *printer) operand(q *Select, level int) {
	paren := len(q.With) > 0 || len(q.OrderBy) > 0 || q.Limit != nil || q.Offset != nil || q.SetOp != nil && setLevel(q.SetOp.Op) < level
	if paren {
		p.s("(")
	}
	p.query(q)
	if paren {
		p.s(")")
	}
}

func (p *printer) core(c *SelectCore) {
	if seq := sequenceOf(c); seq != nil {
		p.sequence(seq)
		return
	}
	p.s("SELECT")
	if c.Distinct {
		p.s(" DISTINCT")
	}
	if len(c.DistinctOn) > 0 {
		p.s(" DISTINCT ON (")
		p.exprs(c.DistinctOn)
		p.s(")")
	}
	if len(c.Items) > 0 {
		p.s(" ")
		p.items(c.Items)
	}
	for i, t := range c.From {
		p.s([2]string{" FROM ", ", "}[min(i, 1)])
		p.table(t)
	}
	if c.Where != nil {
		p.s(" WHERE ")
		p.expr(c.Where, 0)
	}
	for i, e := range c.GroupBy {
		p.s([2]string{" GROUP BY ", ", "}[min(i, 1)])
		if i == 0 && c.GroupDistinct {
			p.s("DISTINCT ")
		}
		p.expr(e, 0)
	}
	if c.Having != nil {
		p.s(" HAVING ")
		p.expr(c.Having, 0)
	}
	for i, w := range c.Windows {
		p.s([2]string{" WINDOW ", ", "}[min(i, 1)])
		p.ident(w.Name)
		p.s(" AS ")
		p.windowSpec(&w)
	}
}

func (p *printer) items(items []SelectItem) {
	for i, it := range items {
		if i > 0 {
			p.s(", ")
		}
		switch {
		case it.Star && it.Table != nil:
			p.name(*it.Table)
			p.s(".*")
		case it.Star:
			p.s("*")
		default:
			p.expr(it.Expr, 0)
			if it.Alias != "" {
				p.s(" AS ")
				p.ident(it.Alias)
			}
		}
	}
}

func (p *printer) orderItems(items []OrderItem) {
	for i, o := range items {
		if i > 0 {
			p.s(", ")
		}
		p.expr(o.Expr, 0)
		if o.Desc {
			p.s(" DESC")
		}
		switch o.NullsFirst {
		case 1:
			p.s(" NULLS FIRST")
		case -1:
			p.s(" NULLS LAST")
		}
	}
}

func (p *printer) alias(alias string, columns []string) {
	if alias != "" {
		p.s(" AS ")
		p.ident(alias)
		p.columns(columns)
	}
}

// table prints one item of FROM.
func (p *printer) table(t TableExpr) {
	switch t := t.(type) {
	case *TableRef:
		p.name(t.Name)
		if t.AsOf != nil {
			p.s(" FOR SYSTEM_TIME AS OF ")
			p.expr(t.AsOf, 0)
		}
		p.alias(t.Alias, t.Columns)
	case *TableSubquery:
		if t.Lateral {
			p.s("LATERAL ")
		}
		p.s("(")
		p.query(t.Query)
		p.s(")")
		p.alias(t.Alias, t.Columns)
	case *TableFunc:
		p.tableFunc(t)
	case *TableWindow:
		p.s(t.Window.Kind, "(")
		if ref, ok := t.Source.(*TableRef); ok {
			p.name(ref.Name)
		} else {
			p.table(t.Source)
		}
		p.windowArgs(t.Window, true)
		p.s(")")
		p.alias(t.Alias, t.Columns)
	case *TableMatch:
		p.match(t)
	case *Join:
		p.join(t)
	}
}

func (p *printer) tableFunc(t *TableFunc) {
	if t.Lateral {
		p.s("LATERAL ")
	}
	if t.Func != nil {
		p.expr(t.Func, 0)
	} else {
		p.s("ROWS FROM (")
		for i, f := range t.Rows {
			if i > 0 {
				p.s(", ")
			}
			if p.expr(f.Func, 0); len(f.ColumnDefs) > 0 {
				p.s(" AS ")
				p.columnDefs(f.ColumnDefs)
			}
		}
		p.s(")")
	}
	if t.Ordinality {
		p.s(" WITH ORDINALITY")
	}
	if len(t.ColumnDefs) == 0 {
		p.alias(t.Alias, t.Columns)
		return
	}
	p.s(" AS ")
	if t.Alias != "" {
		p.ident(t.Alias)
	}
	p.columnDefs(t.ColumnDefs)
}

func (p *printer) columnDefs(list []ColumnDef) {
	p.s("(")
	for i, d := range list {
		if i > 0 {
			p.s(", ")
		}
		p.s(QuoteIdent(d.Name), " ", d.Type.String())
	}
	p.s(")")
}

func (p *printer) join(j *Join) {
	named := j.Alias != ""
	if named {
		p.s("(")
	}
	p.table(j.Left)
	p.s(" ")
	if j.Natural {
		p.s("NATURAL ")
	}
	if j.Kind != "INNER" {
		p.s(j.Kind, " ")
	}
	p.s("JOIN ")
	if right, ok := j.Right.(*Join); ok && right.Alias == "" {
		p.s("(")
		p.table(right)
		p.s(")")
	} else {
		p.table(j.Right)
	}
	switch {
	case j.On != nil:
		p.s(" ON ")
		p.expr(j.On, 0)
	case len(j.Using) > 0:
		p.s(" USING (")
		p.idents(j.Using)
		p.s(")")
		p.alias(j.UsingAlias, nil)
	}
	if named {
		p.s(")")
		p.alias(j.Alias, j.Columns)
	}
}

// windowSpec prints the parenthesised part of OVER and WINDOW.
func (p *printer) windowSpec(w *WindowDef) {
	p.s("(")
	sep := ""
	if wordIs(w.Ref, "partition", "rows", "range", "groups") { // bare, they begin the clauses
		p.s(`"`, w.Ref, `"`)
		sep = " "
	} else if w.Ref != "" {
		p.ident(w.Ref)
		sep = " "
	}
	if len(w.PartitionBy) > 0 {
		p.s(sep, "PARTITION BY ")
		p.exprs(w.PartitionBy)
		sep = " "
	}
	if len(w.OrderBy) > 0 {
		p.s(sep, "ORDER BY ")
		p.orderItems(w.OrderBy)
		sep = " "
	}
	if f := w.Frame; f != nil {
		p.s(sep, f.Unit, " BETWEEN ")
		p.bound(f.Start)
		p.s(" AND ")
		p.bound(f.End)
		if f.Exclude != "" {
			p.s(" EXCLUDE ", f.Exclude)
		}
	}
	p.s(")")
}

func (p *printer) bound(b FrameBound) {
	if b.Value != nil {
		p.expr(b.Value, opLevel)
		p.s(" ")
	}
	p.s(b.Kind)
}

// windowArgs prints the arguments of a window call; more tells that something stands before them.
func (p *printer) windowArgs(w *WindowCall, more bool) {
	arg := func(word string, e Expr) {
		if more {
			p.s(", ")
		}
		more = true
		p.s(word)
		p.expr(e, 0)
	}
	if w.Time != nil {
		arg("", w.Time)
	}
	for _, a := range w.Args {
		arg("", a)
	}
	if w.Max != nil {
		arg("max ", w.Max)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// PrintPattern writes a row pattern in canonical form.
func PrintPattern(t *Pattern) string {
	p := &printer{}
	p.pattern(t, false)
	return p.String()
}

// PrintSequence writes a SEQUENCE in canonical form.
func PrintSequence(t *TableSequence) string {
	p := &printer{}
	p.sequence(t)
	return p.String()
}
