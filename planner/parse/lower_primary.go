package parse

import "strings"

// primary lowers a literal, name, call, subquery, parenthesis, CASE, ARRAY or ROW.
func (l *lowerer) primary() int {
	t := l.peek()
	if l.atEnd() {
		l.fail()
		return 0
	}
	switch t.kind {
	case tokNumber:
		l.next()
		l.leaf(&Number{At{t.pos}, t.val})
	case tokString:
		l.next()
		l.leaf(&String{At{t.pos}, t.val})
	case tokParam:
		if p := l.param(); p != nil {
			l.leaf(p)
		}
	case tokOp:
		if !t.isOp("(") {
			l.fail()
			return 0
		}
		return l.paren()
	case tokIdent:
		if l.inMatch > 0 && t.isAnyKw("final", "running") && l.at(1).isWord() && l.at(2).isOp("(") {
			return l.semantics()
		}
		if class := keywordClasses[t.val]; class != 0 || t.val == "match_recognize" {
			return l.keyword(t, class)
		}
		if t.val == "double" && l.at(1).isKw("precision") && l.typedLiteral() {
			return 0
		}
		return l.nameOrCall()
	default:
		return l.nameOrCall()
	}
	return 0
}

// paren lowers (query), (expr) and (a, b).
func (l *lowerer) paren() int {
	if l.queryParen(l.i, 0) {
		l.parenQuery()
		return 0
	}
	t := l.next()
	mark := l.tail
	h := l.expr(0)
	if !l.peek().isOp(",") {
		l.expect(")")
		l.insert(mark, piece{text: "(", pos: t.pos, hole: -1})
		l.emit(")", t.pos)
		return h
	}
	k := l.wrap(mark, t.pos)
	for l.accept(",") {
		k.arg()
		h = max(h, l.expr(0))
	}
	l.expect(")")
	k.end(func(a []Expr) Expr { return &Row{At{t.pos}, a} })
	return h + 1
}

// keyword lowers what starts with a word that is more than a plain name.
func (l *lowerer) keyword(t *token, class keywordClass) int {
	paren := l.at(1).isOp("(")
	switch t.val {
	case "null":
		l.next()
		l.leaf(&Null{At{t.pos}})
		return 0
	case "true", "false":
		l.next()
		l.leaf(&Bool{At{t.pos}, t.val == "true"})
		return 0
	case "case":
		return l.caseExpr()
	case "cast":
		return l.cast()
	case "array":
		return l.array()
	}
	switch {
	case bareCalls[t.val] && !(t.val == "current_schema" && paren):
		return l.bareCall(t)
	case paren && t.val == "exists":
		l.next()
		l.emit("EXISTS ", t.pos)
		l.parenQuery()
		return 0
	case paren && t.val == "row":
		l.next()
		return l.rowCall(t)
	case t.val == "interval" && (l.at(1).kind == tokString || paren && l.at(2).kind == tokNumber && l.at(3).isOp(")") && l.at(4).kind == tokString):
		if iv := l.interval(); l.err == nil {
			l.leaf(iv)
		}
		return 0
	case keywordTypes[t.val] && l.typedLiteral():
		return 0
	case class == kwReserved:
		l.fail()
		return 0
	case class == kwTypeFunc && !paren:
		// The word could have been a function: what follows is wrong.
		l.failAt(l.at(1))
		return 0
	}
	if paren {
		if h, ok := l.specialCall(t.val); ok {
			return h
		}
	}
	return l.nameOrCall()
}

// typedLiteral lowers timestamp with time zone '..' and the like; it stays where it is if no literal follows the type.
func (l *lowerer) typedLiteral() bool {
	save := l.i
	typ := l.typeName()
	if l.err == nil && l.peek().kind == tokString && !typ.Array {
		s := l.next()
		l.leaf(&Cast{At{typ.Pos}, &String{At{s.pos}, s.val}, typ})
		return true
	}
	l.i, l.err = save, nil
	return false
}

// bareCall lowers CURRENT_TIMESTAMP and its relatives, with an optional precision.
func (l *lowerer) bareCall(t *token) int {
	l.next()
	f := &FuncCall{At: At{t.pos}, Name: Name{Name: t.val, Pos: t.pos}}
	if l.peek().isOp("(") && l.at(1).kind == tokNumber && l.at(2).isOp(")") && strings.Contains(t.val, "time") {
		f.Args = []Expr{&Number{At{l.at(1).pos}, l.at(1).val}}
		l.i += 3
	}
	l.leaf(f)
	return 0
}

// nameOrCall lowers a column, a call, or a type name before a string.
func (l *lowerer) nameOrCall() int {
	t := l.peek()
	var first [3]string
	parts := append(first[:0], l.label())
	for l.peek().isOp(".") && l.at(1).isWord() {
		l.next()
		parts = append(parts, l.label())
	}
	switch {
	case l.peek().isOp("("):
		return l.call(parts, t.pos)
	case l.peek().kind == tokString && len(parts) <= 2 && (t.kind == tokQuoted || keywordClasses[t.val] == 0 || len(parts) > 1):
		typ := TypeName{Pos: t.pos, Name: parts[len(parts)-1]}
		if len(parts) == 2 {
			typ.Schema = parts[0]
		}
		if grammarTypes[typ.Name] && (t.kind == tokQuoted || typ.Name == "char") {
			typ.Name = `"` + typ.Name + `"`
		}
		s := l.next()
		l.leaf(&Cast{At{t.pos}, &String{At{s.pos}, s.val}, typ})
		return 0
	case l.peek().isOp(".") && l.at(1).isOp("*") && len(parts) == 1:
		l.i += 2
		l.leaf(&WholeRow{At{t.pos}, parts[0]})
		return 0
	case l.peek().isOp("."):
		l.failAt(l.at(1))
		return 0
	case len(parts) > 3:
		l.leaf(&Ident{At{t.pos}, append([]string(nil), parts...)})
		return 0
	}
	text := quoteTiDB(parts[0])
	for _, p := range parts[1:] {
		text += "." + quoteTiDB(p)
	}
	l.emit(text, t.pos)
	return 0
}

// rowCall lowers the fields of ROW(..).
func (l *lowerer) rowCall(t *token) int {
	l.expect("(")
	k := l.begin(t.pos)
	h := 0
	for n := 0; !l.peek().isOp(")") && (n == 0 || l.accept(",")) && l.err == nil; n++ {
		k.arg()
		h = max(h, l.expr(0))
	}
	l.expect(")")
	k.end(func(a []Expr) Expr { return &Row{At{t.pos}, a} })
	return h + 1
}

// caseExpr lowers CASE, which TiDB has.
func (l *lowerer) caseExpr() int {
	t := l.next()
	l.emit("CASE ", t.pos)
	h := 0
	if !l.isKw("when") {
		h = l.expr(0)
	}
	if !l.isKw("when") {
		l.fail()
	}
	for l.isKw("when") {
		l.emit(" WHEN ", l.next().pos)
		h = max(h, l.expr(0))
		l.expectKw("then")
		l.emit(" THEN ", 0)
		h = max(h, l.expr(0))
	}
	if l.isKw("else") {
		l.emit(" ELSE ", l.next().pos)
		h = max(h, l.expr(0))
	}
	l.expectKw("end")
	l.emit(" END", 0)
	return h + 1
}

func (l *lowerer) cast() int {
	t := l.next()
	l.expect("(")
	k := l.begin(t.pos)
	k.arg()
	h := l.expr(0)
	l.expectKw("as")
	typ := l.typeName()
	l.expect(")")
	k.end(func(a []Expr) Expr { return &Cast{At{t.pos}, a[0], typ} })
	return h + 1
}

// array lowers ARRAY[..] and ARRAY(query).
func (l *lowerer) array() int {
	t := l.next()
	if l.queryParen(l.i, 0) {
		k := l.begin(t.pos)
		k.arg()
		l.parenQuery()
		k.end(func(a []Expr) Expr { return &ArrayQuery{At{t.pos}, queryOf(a[0])} })
		return 1
	}
	if !l.peek().isOp("[") {
		l.fail()
		return 0
	}
	return l.arrayElems(t.pos)
}

// arrayElems lowers [a, b] or [[a], [b]].
func (l *lowerer) arrayElems(pos Pos) int {
	if !l.enter() {
		return 0
	}
	defer l.leave()
	l.expect("[")
	k := l.begin(pos)
	h := 0
	for n := 0; !l.peek().isOp("]") && (n == 0 || l.accept(",")) && l.err == nil; n++ {
		k.arg()
		if t := l.peek(); t.isOp("[") {
			h = max(h, l.arrayElems(t.pos))
		} else {
			h = max(h, l.expr(0))
		}
	}
	l.expect("]")
	k.end(func(a []Expr) Expr { return &Array{At{pos}, a} })
	return h + 1
}
