package parse

import "strings"

// levelOf returns the precedence of an expression as it is printed.
func levelOf(e Expr) int {
	switch e := e.(type) {
	case *Binary:
		switch e.Op {
		case "OR":
			return orLevel
		case "AND":
			return andLevel
		}
		return binaryLevel(e.Op)
	case *Unary:
		switch e.Op {
		case "NOT":
			return notLevel
		case "-", "+":
			return unaryLevel
		}
		return opLevel
	case *Is, *IsDistinct:
		return isLevel
	case *Like, *Between, *InList, *InQuery, *InIOC:
		return likeLevel
	case *Quantified:
		if strings.HasSuffix(e.Op, "LIKE") {
			return likeLevel
		}
		return binaryLevel(e.Op)
	case *AtTimeZone:
		return atLevel
	case *Collate:
		return collateLevel
	}
	return postfixLevel
}

// expr prints e, in parentheses where it binds less tightly than level.
func (p *printer) expr(e Expr, level int) {
	if l := levelOf(e); l < level || p.full && l < postfixLevel || p.plain && notPlain(e) {
		defer func(save bool) { p.plain = save }(p.plain)
		p.plain = false
		p.s("(")
		p.bare(e)
		p.s(")")
		return
	}
	p.bare(e)
}

// plainExpr prints an operand that ends before AND of BETWEEN and IN of position.
func (p *printer) plainExpr(e Expr) {
	save := p.plain
	p.plain = true
	p.expr(e, opLevel)
	p.plain = save
}

// notPlain tells what such an operand has in parentheses only.
func notPlain(e Expr) bool {
	switch e.(type) {
	case *AtTimeZone, *Collate, *Quantified:
		return true
	}
	return false
}

func (p *printer) bare(e Expr) {
	switch e := e.(type) {
	case *Null:
		p.s("NULL")
	case *Bool:
		if e.V {
			p.s("TRUE")
		} else {
			p.s("FALSE")
		}
	case *Number:
		p.s(e.Text)
	case *String:
		p.s(quoteString(e.V))
	case *Interval:
		p.interval(e)
	case *Param:
		p.s("$", itoa(e.N))
	case *Ident:
		p.dotted(e.Parts)
	case *WholeRow:
		p.s(QuoteIdent(e.Table), ".*")
	case *Default:
		p.s("DEFAULT")
	case *Unary, *Binary, *Like, *Between, *InList, *InQuery, *InIOC, *Quantified, *Is, *IsDistinct, *AtTimeZone, *Collate:
		p.operator(e)
	default:
		save := p.plain
		p.plain = false
		p.construct(e)
		p.plain = save
	}
}

// dotted prints a column reference; a name that opens a construct of its own there is quoted.
func (p *printer) dotted(parts []string) {
	for i, s := range parts {
		if i > 0 {
			p.s(".")
		}
		p.ident(s)
	}
}

func (p *printer) interval(e *Interval) {
	p.s("INTERVAL ", quoteString(e.Text))
	if e.Unit != "" {
		p.s(" ", e.Unit)
	}
}

func not(n bool) string {
	if n {
		return "NOT "
	}
	return ""
}

// operator prints infix and prefix operators.
func (p *printer) operator(e Expr) {
	level := levelOf(e)
	switch e := e.(type) {
	case *Unary:
		p.unary(e, level)
	case *Binary:
		left := level
		if level == compareLevel {
			left++ // nonassociative
		}
		p.expr(e.L, left)
		p.s(" ", e.Op, " ")
		p.expr(e.R, level+1)
	case *Like:
		p.expr(e.X, level+1)
		op := e.Op
		if op == "SIMILAR" {
			op = "SIMILAR TO"
		}
		p.s(" ", not(e.Not), op, " ")
		p.expr(e.Pattern, level+1)
		if e.Escape != nil {
			p.s(" ESCAPE ")
			p.expr(e.Escape, level+1)
		}
	case *Between:
		p.expr(e.X, level+1)
		p.s(" ", not(e.Not), "BETWEEN ")
		if e.Symmetric {
			p.s("SYMMETRIC ")
		}
		p.plainExpr(e.Lo)
		p.s(" AND ")
		p.expr(e.Hi, level+1)
	case *InList, *InQuery, *InIOC:
		p.in(e)
	case *Quantified:
		p.quantified(e, level)
	case *Is:
		p.expr(e.X, level+1)
		p.s(" IS ", not(e.Not), e.What)
	case *IsDistinct:
		p.expr(e.L, level+1)
		p.s(" IS ", not(e.Not), "DISTINCT FROM ")
		p.expr(e.R, level+1)
	case *AtTimeZone:
		p.expr(e.X, level)
		p.s(" AT TIME ZONE ")
		p.expr(e.Zone, level+1)
	case *Collate:
		p.expr(e.X, level)
		p.s(" COLLATE ")
		p.name(e.Name)
	}
}

func (p *printer) unary(e *Unary, level int) {
	switch e.Op {
	case "NOT":
		p.s("NOT ")
		p.expr(e.X, isLevel)
	case "-", "+":
		// Two signs in a row would be a comment or another operator.
		p.s(e.Op)
		p.expr(e.X, postfixLevel)
	default:
		if binaryLevel(e.Op) != opLevel {
			// An infix operator in front, which only OPERATOR() can write; no such operator exists, the binder says so.
			p.s("OPERATOR(pg_catalog.", e.Op, ") ")
		} else {
			p.s(e.Op, " ")
		}
		p.expr(e.X, level+1)
	}
}

func (p *printer) in(e Expr) {
	switch e := e.(type) {
	case *InList:
		p.expr(e.X, likeLevel+1)
		p.s(" ", not(e.Not), "IN (")
		p.exprs(e.List)
		p.s(")")
	case *InQuery:
		p.expr(e.X, likeLevel+1)
		p.s(" ", not(e.Not), "IN (")
		p.query(e.Query)
		p.s(")")
	case *InIOC:
		p.expr(e.X, likeLevel+1)
		p.s(" ", not(e.Not), "IN IOC ")
		if len(e.Lists) == 1 {
			p.name(e.Lists[0])
			return
		}
		for i, n := range e.Lists {
			p.s([2]string{"(", ", "}[min(i, 1)])
			p.name(n)
		}
		p.s(")")
	}
}

func (p *printer) quantified(e *Quantified, level int) {
	p.expr(e.X, level+1)
	word := " ANY ("
	if e.All {
		word = " ALL ("
	}
	p.s(" ", e.Op, word)
	if e.Query != nil {
		p.query(e.Query)
	} else {
		p.expr(e.Array, 0)
	}
	p.s(")")
}

// construct prints what has delimiters of its own.
func (p *printer) construct(e Expr) {
	switch e := e.(type) {
	case *Exists:
		p.subquery("EXISTS ", e.Query)
	case *Scalar:
		p.subquery("", e.Query)
	case *ArrayQuery:
		p.subquery("ARRAY", e.Query)
	case *Case:
		p.caseExpr(e)
	case *Cast:
		if p.full {
			p.s("(")
		}
		p.expr(e.X, postfixLevel)
		p.s("::", e.Type.String())
		if p.full {
			p.s(")")
		}
	case *FuncCall:
		p.funcCall(e)
	case *WindowCall:
		p.s(e.Kind, "(")
		p.windowArgs(e, false)
		p.s(")")
	case *GroupingSets:
		p.groupingSets(e)
	case *Array:
		p.s("ARRAY[")
		p.exprs(e.Elems)
		p.s("]")
	case *Subscript:
		p.subscript(e)
	case *Field:
		p.s("(")
		p.expr(e.X, 0)
		p.s(").")
		if e.Name == "*" {
			p.s("*")
		} else {
			p.ident(e.Name)
		}
	case *Row:
		p.s("ROW(")
		p.exprs(e.Elems)
		p.s(")")
	}
}

func (p *printer) subquery(word string, q *Select) {
	p.s(word, "(")
	p.query(q)
	p.s(")")
}

func (p *printer) caseExpr(e *Case) {
	p.s("CASE")
	if e.Operand != nil {
		p.s(" ")
		p.expr(e.Operand, 0)
	}
	for _, w := range e.Whens {
		p.s(" WHEN ")
		p.expr(w.Cond, 0)
		p.s(" THEN ")
		p.expr(w.Then, 0)
	}
	if e.Else != nil {
		p.s(" ELSE ")
		p.expr(e.Else, 0)
	}
	p.s(" END")
}

func (p *printer) subscript(e *Subscript) {
	switch e.X.(type) {
	case *Ident, *Param, *Subscript:
		p.expr(e.X, 0)
	default:
		p.s("(")
		p.expr(e.X, 0)
		p.s(")")
	}
	p.s("[")
	if e.Index != nil {
		p.expr(e.Index, 0)
	}
	if e.Slice {
		p.s(":")
		if e.Hi != nil {
			p.expr(e.Hi, 0)
		}
	}
	p.s("]")
}

func (p *printer) groupingSets(e *GroupingSets) {
	p.s(e.Kind, " (")
	for i, set := range e.Sets {
		if i > 0 {
			p.s(", ")
		}
		if len(set) == 1 {
			if nested, ok := set[0].(*GroupingSets); ok {
				p.groupingSets(nested)
				continue
			}
		}
		p.s("(")
		p.exprs(set)
		p.s(")")
	}
	p.s(")")
}

// funcCall prints a call; functions that SQL spells with keywords get that spelling where they need it.
func (p *printer) funcCall(f *FuncCall) {
	simple := !f.Star && !f.Distinct && !f.Variadic && len(f.OrderBy) == 0 && len(f.WithinGroup) == 0 && f.Filter == nil && f.Over == nil
	if f.Name.Schema == "" && simple {
		if bareCalls[f.Name.Name] && (len(f.Args) == 0 || isPrecision(f)) {
			p.s(strings.ToUpper(f.Name.Name))
			if len(f.Args) == 1 {
				p.s("(", f.Args[0].(*Number).Text, ")")
			}
			return
		}
		if f.Name.Name == "extract" && len(f.Args) == 2 {
			if field, ok := f.Args[0].(*String); ok && isPlainIdent(field.V) {
				p.s("EXTRACT(", QuoteIdent(field.V), " FROM ")
				p.expr(f.Args[1], 0)
				p.s(")")
				return
			}
		}
		if f.Name.Name == "position" && len(f.Args) == 2 {
			p.s("position(")
			p.plainExpr(f.Args[1])
			p.s(" IN ")
			p.plainExpr(f.Args[0])
			p.s(")")
			return
		}
		if f.Name.Name == "overlaps" && len(f.Args) == 2 {
			p.s("(")
			p.expr(f.Args[0], opLevel)
			p.s(" OVERLAPS ")
			p.expr(f.Args[1], opLevel)
			p.s(")")
			return
		}
	}
	p.callName(f.Name)
	p.s("(")
	p.callArgs(f)
	p.s(")")
	p.callTail(f)
}

// isPrecision reports CURRENT_TIMESTAMP(3) and its relatives.
func isPrecision(f *FuncCall) bool {
	if len(f.Args) != 1 || !strings.Contains(f.Name.Name, "time") {
		return false
	}
	_, ok := f.Args[0].(*Number)
	return ok
}

// callName prints a function's name so that it reads back as a plain call.
func (p *printer) callName(n Name) {
	if n.Schema != "" {
		p.s(QuoteIdent(n.Schema), ".")
	} else if plainCalls[n.Name] {
		p.s(n.Name)
		return
	}
	if windowKinds[n.Name] || wordIs(n.Name, "descriptor", "rollup", "cube") {
		// Bare, the name opens a construct of GROUP BY or FROM.
		p.s(`"`, n.Name, `"`)
		return
	}
	p.ident(n.Name)
}

func (p *printer) callArgs(f *FuncCall) {
	switch {
	case f.Star:
		p.s("*")
	case f.Distinct:
		p.s("DISTINCT ")
	}
	for i, a := range f.Args {
		if i > 0 {
			p.s(", ")
		}
		if f.Variadic && i == len(f.Args)-1 {
			p.s("VARIADIC ")
		}
		p.expr(a, 0)
	}
	if len(f.OrderBy) > 0 {
		p.s(" ORDER BY ")
		p.orderItems(f.OrderBy)
	}
}

func (p *printer) callTail(f *FuncCall) {
	if len(f.WithinGroup) > 0 {
		p.s(" WITHIN GROUP (ORDER BY ")
		p.orderItems(f.WithinGroup)
		p.s(")")
	}
	if f.Filter != nil {
		p.s(" FILTER (WHERE ")
		p.expr(f.Filter, 0)
		p.s(")")
	}
	if w := f.Over; w != nil {
		p.s(" OVER ")
		if w.Name != "" {
			p.ident(w.Name)
		} else {
			p.windowSpec(w)
		}
	}
}
