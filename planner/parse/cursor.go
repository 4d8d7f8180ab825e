package parse

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Limits on what one statement may hold; beyond them the answer is SQLSTATE 54000.
const (
	// nestMax bounds parentheses, subqueries and prefix operators inside each other.
	nestMax = 500
	// heightMax bounds the height of an expression, which chains like a OR b OR c also add to: later passes recurse over it.
	heightMax = 10000
	// paramMax is Postgres' highest parameter number in the wire protocol.
	paramMax = 65535
)

// cursor walks over the tokens of one statement. After an error it stands at the end, so that every loop stops.
type cursor struct {
	src  string
	toks []token
	// i is the current token; end is the index of the statement's last token, which is ";" or the end of the text.
	i, end int
	err    *sqlerr.Error
	nest   int
	// params is the highest $N seen.
	params int
}

func (c *cursor) peek() *token { return &c.toks[c.i] }

func (c *cursor) at(n int) *token { return &c.toks[min(c.i+n, c.end)] }

// next returns the current token and moves on; the last token is never passed.
func (c *cursor) next() *token {
	t := &c.toks[c.i]
	if c.i < c.end {
		c.i++
	}
	return t
}

func (c *cursor) atEnd() bool { return c.i >= c.end }

// failWith keeps the first error and moves to the end.
func (c *cursor) failWith(err *sqlerr.Error) {
	if c.err == nil {
		c.err = err
	}
	c.i = c.end
}

// fail reports a syntax error at the current token in Postgres' words.
func (c *cursor) fail() { c.failAt(c.peek()) }

func (c *cursor) failAt(t *token) {
	if c.err != nil {
		return
	}
	c.failWith(syntaxError(c.src, t))
}

func syntaxError(src string, t *token) *sqlerr.Error {
	if t.kind == tokEOF {
		return sqlerr.New(sqlerr.SyntaxError, "syntax error at end of input").At(t.pos)
	}
	return sqlerr.New(sqlerr.SyntaxError, "syntax error at or near \"%s\"", clip(src[t.off:t.end])).At(t.pos)
}

// lack reports a construct that is known and missing.
func (c *cursor) lack(pos Pos, what, hint string) {
	if c.err == nil {
		c.failWith(sqlerr.NotSupported(what, hint).At(pos))
	}
}

// enter counts a level of nesting; the caller defers or calls leave.
func (c *cursor) enter() bool {
	c.nest++
	if c.nest > nestMax {
		c.tooComplex(c.peek().pos)
		return false
	}
	return true
}

func (c *cursor) leave() { c.nest-- }

func (c *cursor) tooComplex(pos Pos) {
	if c.err == nil {
		c.failWith(sqlerr.New(sqlerr.StatementTooComplex, "statement is nested too deeply").At(pos).
			WithHint("At most %d levels of nesting and %d operators in one chain; use IN lists or split the query.", nestMax, heightMax))
	}
}

func (t *token) isKw(w string) bool { return t.kind == tokIdent && t.val == w }

func (t *token) isOp(op string) bool { return t.kind == tokOp && t.val == op }

// isName reports whether t may name a column or table where it stands bare.
func (t *token) isName() bool {
	if t.kind == tokQuoted {
		return true
	}
	return t.kind == tokIdent && keywordClasses[t.val] <= kwColName
}

// isWord reports any identifier, reserved or not.
func (t *token) isWord() bool { return t.kind == tokIdent || t.kind == tokQuoted }

func (t *token) isAnyKw(words ...string) bool {
	if t.kind != tokIdent {
		return false
	}
	for _, w := range words {
		if t.val == w {
			return true
		}
	}
	return false
}

// isKw reports whether the next tokens are these keywords.
func (c *cursor) isKw(words ...string) bool {
	for n, w := range words {
		if c.i+n > c.end || !c.toks[c.i+n].isKw(w) {
			return false
		}
	}
	return true
}

// acceptKw moves over the keywords if all of them follow.
func (c *cursor) acceptKw(words ...string) bool {
	if !c.isKw(words...) {
		return false
	}
	c.i += len(words)
	return true
}

// expectKw moves over the keywords or fails at the first that is missing.
func (c *cursor) expectKw(words ...string) {
	for _, w := range words {
		if !c.acceptKw(w) {
			c.fail()
			return
		}
	}
}

func (c *cursor) accept(op string) bool {
	if !c.peek().isOp(op) {
		return false
	}
	c.next()
	return true
}

func (c *cursor) expect(op string) {
	if !c.accept(op) {
		c.fail()
	}
}

// name reads a column or table name (ColId).
func (c *cursor) name() string {
	if !c.peek().isName() {
		c.fail()
		return ""
	}
	return c.next().val
}

// label reads any identifier, keywords included (ColLabel).
func (c *cursor) label() string {
	if !c.peek().isWord() {
		c.fail()
		return ""
	}
	return c.next().val
}

// qualified reads name, schema.name or catalog.schema.name.
func (c *cursor) qualified() Name {
	n := Name{Pos: c.peek().pos, Name: c.name()}
	for i := 0; i < 2 && c.peek().isOp(".") && c.at(1).isWord(); i++ {
		c.next()
		n.Catalog, n.Schema, n.Name = n.Schema, n.Name, c.label()
	}
	if c.peek().isOp(".") {
		if !c.at(1).isWord() {
			c.next()
		}
		c.fail()
	}
	return n
}

// nameList reads (a, b, c).
func (c *cursor) nameList() []string {
	c.expect("(")
	names := []string{c.name()}
	for c.accept(",") {
		names = append(names, c.name())
	}
	c.expect(")")
	return names
}

// str reads a string literal.
func (c *cursor) str() string {
	if c.peek().kind != tokString {
		c.fail()
		return ""
	}
	return c.next().val
}

// integer reads an integer literal with an optional sign.
func (c *cursor) integer() int64 {
	neg := c.accept("-")
	if !neg {
		c.accept("+")
	}
	t := c.peek()
	v, err := strconv.ParseInt(t.val, 10, 64)
	if t.kind != tokNumber || err != nil {
		c.fail()
		return 0
	}
	c.next()
	if neg {
		return -v
	}
	return v
}

// param reads $N.
func (c *cursor) param() *Param {
	t := c.next()
	n, err := strconv.Atoi(t.val)
	if err != nil || n < 1 || n > paramMax {
		c.failWith(sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $%s", clip(t.val)).At(t.pos))
		return nil
	}
	c.params = max(c.params, n)
	return &Param{At{t.pos}, n}
}

// text returns the source from token index first up to the current token, without the white space between them.
func (c *cursor) text(first int) string {
	if c.i <= first {
		return ""
	}
	return c.src[c.toks[first].off:c.toks[c.i-1].end]
}

// interval reads INTERVAL 'text' [unit]; the caller knows that the keyword is next.
func (c *cursor) interval() *Interval {
	iv := &Interval{At: At{c.peek().pos}}
	c.expectKw("interval")
	precision := ""
	if c.peek().isOp("(") && c.at(1).kind == tokNumber && c.at(2).isOp(")") {
		precision = "(" + c.at(1).val + ")"
		c.i += 3
	}
	iv.Text = c.str()
	iv.Unit = c.intervalUnit()
	if precision != "" && iv.Unit == "" {
		iv.Unit = "SECOND" + precision
		c.lack(iv.Pos, "INTERVAL with a precision", "write INTERVAL '..' without it")
	}
	return iv
}

// intervalUnit reads MINUTE, DAY TO SECOND, SECOND(3), or nothing.
func (c *cursor) intervalUnit() string {
	field := func() string {
		t := c.peek()
		if !t.isAnyKw("year", "month", "day", "hour", "minute", "second") {
			return ""
		}
		c.next()
		unit := strings.ToUpper(t.val)
		if t.val == "second" && c.peek().isOp("(") && c.at(1).kind == tokNumber && c.at(2).isOp(")") {
			unit += "(" + c.at(1).val + ")"
			c.i += 3
		}
		return unit
	}
	unit := field()
	if unit != "" && c.isKw("to") && c.at(1).isAnyKw("month", "hour", "minute", "second") {
		c.next()
		unit += " TO " + field()
	}
	return unit
}
