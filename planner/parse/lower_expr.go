package parse

import (
	"strings"
)

// Precedence levels of Postgres' grammar, lowest first.
const (
	orLevel      = 1
	andLevel     = 2
	notLevel     = 3
	isLevel      = 4
	compareLevel = 5 // nonassociative
	likeLevel    = 6 // BETWEEN IN LIKE ILIKE SIMILAR, nonassociative
	opLevel      = 7 // every other operator
	addLevel     = 8
	mulLevel     = 9
	powLevel     = 10
	atLevel      = 11
	collateLevel = 12
	unaryLevel   = 13
	postfixLevel = 14
)

// binaryLevel returns the precedence of an operator token's text.
func binaryLevel(op string) int {
	switch op {
	case "=", "<", ">", "<=", ">=", "<>":
		return compareLevel
	case "+", "-":
		return addLevel
	case "*", "/", "%":
		return mulLevel
	case "^":
		return powLevel
	}
	return opLevel
}

// isOperator tells operators from punctuation.
func (t *token) isOperator() bool {
	return t.kind == tokOp && strings.IndexByte(opChars, t.val[0]) >= 0 && t.val != "=>"
}

// infixLevel returns the precedence of the infix or suffix construct at the current token, 0 if there is none.
func (l *lowerer) infixLevel() int {
	t := l.peek()
	if l.atEnd() {
		return 0
	}
	if t.kind == tokOp {
		if t.isOperator() {
			return binaryLevel(t.val)
		}
		return 0
	}
	if t.kind != tokIdent || l.plain && !l.plainInfix(t) {
		return 0
	}
	switch t.val {
	case "or":
		return orLevel
	case "and":
		return andLevel
	case "is", "isnull", "notnull":
		return isLevel
	case "between", "in", "like", "ilike", "overlaps":
		return likeLevel
	case "similar": // alone it stands between the arguments of substring
		if l.at(1).isKw("to") {
			return likeLevel
		}
	case "not":
		if l.at(1).isAnyKw("between", "in", "like", "ilike", "similar") {
			return likeLevel
		}
	case "operator":
		if l.at(1).isOp("(") {
			return opLevel
		}
	case "at":
		if l.at(1).isKw("time") {
			return atLevel
		}
	case "collate":
		return collateLevel
	}
	return 0
}

// plainInfix tells whether a word is an infix of an operand that ends before AND or IN: IS DISTINCT FROM and OPERATOR() are.
func (l *lowerer) plainInfix(t *token) bool {
	return t.val == "operator" || t.val == "is" && l.at(1).isAnyKw("distinct", "not", "document")
}

// plainExpr lowers an operand that ends before AND of BETWEEN and IN of position: of the constructs with words it takes
// IS DISTINCT FROM alone.
func (l *lowerer) plainExpr() int {
	save := l.plain
	l.plain = true
	h := l.expr(isLevel)
	l.plain = save
	return h
}

// expr lowers an expression whose operators bind at least as tightly as level and returns the height of its tree.
func (l *lowerer) expr(level int) int {
	if !l.enter() {
		return 0
	}
	defer l.leave()
	if level == 0 { // within parentheses or brackets
		defer func(save bool) { l.plain = save }(l.plain)
		l.plain = false
	}
	mark := l.tail
	height := l.prefix()
	// barred is a nonassociative level whose operator has just ended with an operand: a < b < c is an error.
	// closed: what stands before ends with a word or parenthesis of its own, such as IS NULL.
	for barred, closed := 0, false; ; {
		t := l.peek()
		if closed && t.isOp("::") {
			l.next()
			l.castTo(mark, t.pos)
			if height++; height > heightMax {
				l.tooComplex(t.pos)
				return height
			}
			continue
		}
		lv := l.infixLevel()
		if lv == 0 || lv < level {
			return height
		}
		if lv == barred {
			l.fail()
			return height
		}
		right, open := l.infix(mark, lv)
		barred, closed = 0, !open
		if open && (lv == compareLevel || lv == likeLevel || lv == isLevel) {
			barred = lv
		}
		height = max(height, right) + 1
		if height > heightMax {
			l.tooComplex(t.pos)
			return height
		}
	}
}

// infix lowers one operator whose left operand was written after mark. It returns the height of what it added, and
// whether the construct ended with an operand.
func (l *lowerer) infix(mark, lv int) (height int, open bool) {
	t := l.peek()
	switch lv {
	case orLevel, andLevel:
		l.next()
		l.emit([3]string{1: " OR ", 2: " AND "}[lv], t.pos)
		return l.expr(lv + 1), true
	case isLevel:
		return l.isTest(mark)
	case likeLevel:
		return l.likeTest(mark)
	case atLevel:
		l.next()
		l.expectKw("time", "zone")
		return l.binaryCall(mark, t.pos, atLevel, func(a []Expr) Expr { return &AtTimeZone{At{t.pos}, a[0], a[1]} }), true
	case collateLevel:
		l.next()
		name := l.anyName()
		k := l.wrap(mark, t.pos)
		k.end(func(a []Expr) Expr { return &Collate{At{t.pos}, a[0], name} })
		return 0, false
	}
	return l.operatorTail(mark)
}

// anyName reads name or schema.name.
func (c *cursor) anyName() Name {
	n := Name{Pos: c.peek().pos, Name: c.name()}
	if c.peek().isOp(".") {
		c.next()
		n.Schema, n.Name = n.Name, c.label()
	}
	return n
}

// binaryCall wraps the left operand and lowers the right one.
func (l *lowerer) binaryCall(mark int, pos Pos, lv int, build func(a []Expr) Expr) int {
	k := l.wrap(mark, pos)
	k.arg()
	h := l.expr(lv + 1)
	k.end(build)
	return h
}

// readOperator reads an operator, or OPERATOR(schema.op), and returns its precedence too.
func (c *cursor) readOperator() (op string, lv int) {
	t := c.next()
	if !t.isKw("operator") {
		return t.val, binaryLevel(t.val)
	}
	c.expect("(")
	for c.peek().isWord() {
		if schema := c.next(); schema.val != "pg_catalog" {
			c.lack(schema.pos, "an operator of schema "+schema.val, "use the operators of pg_catalog")
		}
		c.expect(".")
	}
	if !c.peek().isOperator() {
		c.fail()
		return "", opLevel
	}
	op = c.next().val
	c.expect(")")
	return op, opLevel
}

// likeOps are the operator names of LIKE and ILIKE.
func likeOp(op string) (name string, not, ok bool) {
	switch op {
	case "~~":
		return "LIKE", false, true
	case "!~~":
		return "LIKE", true, true
	case "~~*":
		return "ILIKE", false, true
	case "!~~*":
		return "ILIKE", true, true
	}
	return "", false, false
}

// operatorTail lowers L op R, or L op ANY (..).
func (l *lowerer) operatorTail(mark int) (height int, open bool) {
	pos := l.peek().pos
	op, lv := l.readOperator()
	like, not, isLike := likeOp(op)
	if l.quantifierNext() {
		if isLike {
			op = like
			if not {
				op = "NOT " + like
			}
		}
		return l.quantified(mark, op, pos), false
	}
	if isLike {
		return l.binaryCall(mark, pos, lv, func(a []Expr) Expr {
			return &Like{At: At{pos}, Op: like, Not: not, X: a[0], Pattern: a[1]}
		}), true
	}
	switch op {
	case "=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%":
		l.insert(mark, piece{text: "(", pos: l.startOf(mark, pos), hole: -1})
		l.emit(" "+op+" ", pos)
		height = l.expr(lv + 1)
		l.emit(")", pos)
		return height, true
	}
	return l.binaryCall(mark, pos, lv, func(a []Expr) Expr { return &Binary{At{pos}, op, a[0], a[1]} }), true
}

// quantifierNext reports ANY, ALL or SOME after an operator; a parenthesis must follow.
func (l *lowerer) quantifierNext() bool {
	if !l.peek().isAnyKw("any", "all", "some") {
		return false
	}
	if l.plain {
		l.fail()
	}
	if !l.at(1).isOp("(") {
		l.failAt(l.at(1))
	}
	return true
}

// quantified lowers X op ANY (array) or ANY (query).
func (l *lowerer) quantified(mark int, op string, pos Pos) int {
	all := l.next().val == "all"
	k := l.wrap(mark, pos)
	k.arg()
	var height int
	if l.queryParen(l.i, 0) {
		l.parenQuery()
		k.end(func(a []Expr) Expr {
			return &Quantified{At: At{pos}, Op: op, X: a[0], All: all, Query: queryOf(a[1])}
		})
		return 0
	}
	l.expect("(")
	height = l.expr(0)
	l.expect(")")
	k.end(func(a []Expr) Expr { return &Quantified{At: At{pos}, Op: op, X: a[0], All: all, Array: a[1]} })
	return height
}

// queryOf takes the query out of a lowered (SELECT ..).
func queryOf(e Expr) *Select {
	if s, ok := e.(*Scalar); ok {
		return s.Query
	}
	return nil
}

// isTest lowers X IS [NOT] NULL and its relatives.
func (l *lowerer) isTest(mark int) (height int, open bool) {
	t := l.next()
	what, not := "NULL", false
	switch t.val {
	case "notnull":
		not = true
	case "is":
		not = l.acceptKw("not")
		if l.acceptKw("distinct") {
			l.expectKw("from")
			return l.binaryCall(mark, t.pos, isLevel, func(a []Expr) Expr {
				return &IsDistinct{At{t.pos}, a[0], a[1], not}
			}), true
		}
		w := l.peek()
		if l.plain && !w.isKw("document") {
			l.fail()
			return 0, false
		}
		if w.isAnyKw("json", "document", "normalized", "nfc", "nfd", "of") {
			l.lack(t.pos, "IS "+strings.ToUpper(w.val), "test the value with a function")
		}
		if !w.isAnyKw("null", "true", "false", "unknown") {
			l.fail()
			return 0, false
		}
		what = strings.ToUpper(l.next().val)
	}
	k := l.wrap(mark, t.pos)
	k.end(func(a []Expr) Expr { return &Is{At{t.pos}, a[0], what, not} })
	return 0, false
}

// likeTest lowers [NOT] LIKE, ILIKE, SIMILAR TO, BETWEEN and IN.
func (l *lowerer) likeTest(mark int) (height int, open bool) {
	pos := l.peek().pos
	not := l.acceptKw("not")
	word := "" // of the lowered operator
	if not {
		word = "NOT "
	}
	t := l.next()
	switch t.val {
	case "between":
		return l.between(mark, word, pos), true
	case "in":
		return l.in(mark, not, pos), false
	case "overlaps":
		return l.binaryCall(mark, pos, likeLevel, func(a []Expr) Expr {
			return &FuncCall{At: At{pos}, Name: Name{Name: "overlaps", Pos: pos}, Args: a}
		}), true
	case "similar":
		l.expectKw("to")
		return l.pattern(mark, "SIMILAR", not, pos), true
	}
	op := strings.ToUpper(t.val)
	if l.quantifierNext() {
		return l.quantified(mark, word+op, pos), false
	}
	return l.pattern(mark, op, not, pos), true
}

// pattern lowers the pattern of LIKE with its ESCAPE.
func (l *lowerer) pattern(mark int, op string, not bool, pos Pos) int {
	k := l.wrap(mark, pos)
	k.arg()
	h := l.expr(likeLevel + 1)
	escape := l.acceptKw("escape")
	if escape {
		k.arg()
		h = max(h, l.expr(likeLevel+1))
	}
	k.end(func(a []Expr) Expr {
		e := &Like{At: At{pos}, Op: op, Not: not, X: a[0], Pattern: a[1]}
		if escape {
			e.Escape = a[2]
		}
		return e
	})
	return h
}

// between lowers X [NOT] BETWEEN [SYMMETRIC] lo AND hi, which TiDB has.
func (l *lowerer) between(mark int, word string, pos Pos) int {
	if l.acceptKw("symmetric") {
		return l.symmetric(mark, word != "", pos)
	}
	l.acceptKw("asymmetric")
	l.insert(mark, piece{text: "(", pos: l.startOf(mark, pos), hole: -1})
	l.emit(" "+word+"BETWEEN ", pos)
	h := l.plainExpr()
	l.expectKw("and")
	l.emit(" AND ", pos)
	h = max(h, l.expr(likeLevel+1))
	l.emit(")", pos)
	return h
}

// symmetric lowers lo AND hi of BETWEEN SYMMETRIC, which TiDB lacks.
func (l *lowerer) symmetric(mark int, not bool, pos Pos) int {
	k := l.wrap(mark, pos)
	k.arg()
	h := l.plainExpr()
	l.expectKw("and")
	k.arg()
	h = max(h, l.expr(likeLevel+1))
	k.end(func(a []Expr) Expr {
		return &Between{At: At{pos}, X: a[0], Lo: a[1], Hi: a[2], Not: not, Symmetric: true}
	})
	return h
}

// in lowers X [NOT] IN (list), IN (query) and IN IOC list.
func (l *lowerer) in(mark int, not bool, pos Pos) int {
	if l.isKw("ioc") && (l.at(1).isWord() || l.at(1).isOp("(")) {
		l.next()
		lists := l.iocLists()
		k := l.wrap(mark, pos)
		k.end(func(a []Expr) Expr { return &InIOC{At{pos}, a[0], lists, not} })
		return 0
	}
	word := " IN "
	if not {
		word = " NOT IN "
	}
	l.insert(mark, piece{text: "(", pos: l.startOf(mark, pos), hole: -1})
	l.emit(word, pos)
	height := 0
	if l.queryParen(l.i, 0) {
		l.parenQuery()
	} else {
		l.expect("(")
		l.emit("(", pos)
		height = l.exprList()
		l.expect(")")
		l.emit(")", pos)
	}
	l.emit(")", pos)
	return height
}

// iocLists reads one list name or (name, ...).
func (l *lowerer) iocLists() []Name {
	if !l.accept("(") {
		return []Name{l.qualified()}
	}
	lists := []Name{l.qualified()}
	for l.accept(",") {
		lists = append(lists, l.qualified())
	}
	l.expect(")")
	return lists
}

// exprList lowers a, b, c and returns the height of the highest.
func (l *lowerer) exprList() int {
	h := l.expr(0)
	for l.accept(",") {
		l.emit(", ", 0)
		h = max(h, l.expr(0))
	}
	return h
}

// prefix lowers prefix operators and then a primary with its suffixes.
func (l *lowerer) prefix() int {
	t := l.peek()
	switch {
	case t.isKw("not") && !l.plain:
		l.next()
		l.emit("(NOT ", t.pos)
		h := l.expr(isLevel)
		l.emit(")", t.pos)
		return h + 1
	case t.isOp("-"):
		l.next()
		l.emit("(", t.pos)
		l.emit("- ", t.pos)
		h := l.expr(unaryLevel)
		l.emit(")", t.pos)
		return h + 1
	case t.isOp("+"):
		return l.unary(unaryLevel)
	case t.isOperator() && binaryLevel(t.val) == opLevel, t.isKw("operator") && l.at(1).isOp("("):
		return l.unary(addLevel)
	}
	return l.postfix()
}

// unary lowers a prefix operator that TiDB lacks.
func (l *lowerer) unary(level int) int {
	pos := l.peek().pos
	op, _ := l.readOperator()
	k := l.begin(pos)
	k.arg()
	h := l.expr(level)
	k.end(func(a []Expr) Expr { return &Unary{At{pos}, op, a[0]} })
	return h + 1
}

// postfix lowers a primary and its casts, subscripts and fields.
func (l *lowerer) postfix() int {
	mark := l.tail
	// Only parameters and parentheses have fields, columns with dots are read whole; these three have subscripts.
	first := l.peek()
	fields := first.kind == tokParam || first.isOp("(")
	height := l.primary()
	subscripts := fields || first.isName() && l.toks[l.i-1].isWord()
	for l.err == nil {
		t := l.peek()
		switch {
		case t.isOp("::"):
			l.next()
			fields, subscripts = false, false
			l.castTo(mark, t.pos)
		case t.isOp("[") && subscripts && !l.bareKey:
			height = max(height, l.subscript(mark))
			fields = true
		case t.isOp(".") && fields:
			l.next()
			k := l.wrap(mark, t.pos)
			name := "*"
			if !l.accept("*") {
				name = l.label()
			}
			k.end(func(a []Expr) Expr { return &Field{At{t.pos}, a[0], name} })
		default:
			return height
		}
		if height++; height > heightMax {
			l.tooComplex(t.pos)
		}
	}
	return height
}

// castTo lowers the type after ::, whose operand was written after mark.
func (l *lowerer) castTo(mark int, pos Pos) {
	typ := l.typeName()
	k := l.wrap(mark, pos)
	k.end(func(a []Expr) Expr { return &Cast{At{pos}, a[0], typ} })
}

// subscript lowers [i] or [lo:hi] after a primary.
func (l *lowerer) subscript(mark int) int {
	t := l.next()
	k := l.wrap(mark, t.pos)
	lo, hi, slice, h := -1, -1, false, 0
	if !l.peek().isOp(":") {
		lo = k.arg()
		h = l.expr(0)
	}
	if slice = l.accept(":"); slice && !l.peek().isOp("]") {
		hi = k.arg()
		h = max(h, l.expr(0))
	}
	l.expect("]")
	k.end(func(a []Expr) Expr {
		s := &Subscript{At: At{t.pos}, X: a[0], Slice: slice}
		if lo >= 0 {
			s.Index = a[lo]
		}
		if hi >= 0 {
			s.Hi = a[hi]
		}
		return s
	})
	return h
}
