package parse

import (
	"strconv"
	"strings"
)

// keywordTypes are type names with a grammar of their own; quoted they are other types ("char" is not char).
var keywordTypes = wordSet(`bit boolean char character dec decimal double float int integer bigint smallint interval national
	nchar numeric real setof time timestamp varchar`)

// grammarTypes exist only as grammar: quoted, the name is another type ("char") or none. Such a name keeps its quotes.
var grammarTypes = wordSet(`bigint boolean char character dec decimal double float int integer national nchar real setof smallint`)

// typeName reads a type with its modifiers and array brackets.
func (c *cursor) typeName() TypeName {
	t := TypeName{Pos: c.peek().pos}
	c.acceptKw("setof")
	first := c.peek()
	switch {
	case first.kind == tokIdent && keywordTypes[first.val] && !c.at(1).isOp("."):
		c.keywordType(&t)
	case first.kind == tokQuoted || first.kind == tokIdent && keywordClasses[first.val] != kwReserved && keywordClasses[first.val] != kwColName:
		c.namedType(&t)
	default:
		c.fail()
		return t
	}
	c.arrayBounds(&t)
	return t
}

// namedType reads name or schema.name, quoted or not, with modifiers.
func (c *cursor) namedType(t *TypeName) {
	tok := c.next()
	if c.peek().isOp(".") && c.at(1).isWord() {
		c.next()
		t.Schema, tok = tok.val, c.next()
	}
	if c.peek().isOp(".") {
		c.lack(t.Pos, "a type of another database", "write schema.type")
	}
	t.Name = tok.val
	if grammarTypes[tok.val] && (tok.kind == tokQuoted || tok.val == "char") {
		t.Name = `"` + tok.val + `"`
	}
	t.Mods = c.typeMods()
}

// keywordType reads the multi-word and modifier-first types of the standard.
func (c *cursor) keywordType(t *TypeName) {
	t.Name = c.next().val
	switch t.Name {
	case "int":
		t.Name = "integer"
	case "dec":
		t.Name = "decimal"
	case "double":
		c.expectKw("precision")
		t.Name = "double precision"
	case "national":
		if !c.acceptKw("character") {
			c.expectKw("char")
		}
		t.Name = "character"
	case "char", "nchar":
		t.Name = "character"
	}
	if (t.Name == "character" || t.Name == "bit") && c.acceptKw("varying") {
		t.Name += " varying"
	}
	t.Mods = c.typeMods()
	if t.Name == "timestamp" || t.Name == "time" {
		switch {
		case c.acceptKw("with", "time", "zone"):
			t.Name += " with time zone"
		case c.acceptKw("without", "time", "zone"):
			t.Name += " without time zone"
		}
	}
	if t.Name == "interval" {
		t.Fields = c.intervalUnit()
	}
}

// typeMods reads (p), (p, s) or nothing.
func (c *cursor) typeMods() []int {
	if !c.peek().isOp("(") {
		return nil
	}
	c.next()
	var mods []int
	for {
		t := c.peek()
		v := c.integer()
		if v > 1<<30 || v < -1<<30 {
			c.failAt(t)
		}
		mods = append(mods, int(v))
		if !c.accept(",") {
			break
		}
	}
	c.expect(")")
	return mods
}

// arrayBounds reads [], [3], ARRAY and ARRAY[3]; the bounds mean nothing, as in Postgres.
func (c *cursor) arrayBounds(t *TypeName) {
	if c.acceptKw("array") {
		t.Array = true
	}
	for c.peek().isOp("[") && (c.at(1).isOp("]") || c.at(1).kind == tokNumber && c.at(2).isOp("]")) {
		t.Array = true
		c.next()
		if c.peek().kind == tokNumber {
			c.next()
		}
		c.next()
	}
}

// String writes the type as SQL.
func (t TypeName) String() string {
	var sb strings.Builder
	if t.Schema != "" {
		sb.WriteString(QuoteIdent(t.Schema))
		sb.WriteByte('.')
	}
	name, tail := t.Name, ""
	if i := strings.Index(name, " with"); i >= 0 && t.Schema == "" && strings.HasPrefix(name, "time") && strings.HasSuffix(name, " time zone") {
		name, tail = name[:i], name[i:]
	}
	switch {
	case strings.HasPrefix(name, `"`) && grammarTypes[strings.Trim(name, `"`)]:
		sb.WriteString(name)
	case t.Schema == "" && isKeywordType(name):
		sb.WriteString(name)
	case t.Schema != "" && keywordTypes[name]:
		sb.WriteString(name)
	default:
		sb.WriteString(QuoteIdent(name))
	}
	if len(t.Mods) > 0 {
		sb.WriteByte('(')
		for i, m := range t.Mods {
			if i > 0 {
				sb.WriteString(", ")
			}
			sb.WriteString(strconv.Itoa(m))
		}
		sb.WriteByte(')')
	}
	sb.WriteString(tail)
	if t.Fields != "" {
		sb.WriteString(" " + t.Fields)
	}
	if t.Array {
		sb.WriteString("[]")
	}
	return sb.String()
}

func isKeywordType(name string) bool {
	first, rest, _ := strings.Cut(name, " ")
	return keywordTypes[first] && (rest == "" || rest == "precision" || rest == "varying")
}
