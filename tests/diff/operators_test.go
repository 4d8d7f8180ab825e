package diff

import (
	"strings"
	"testing"
)

// The operators of each place. A and D inside of them are operands.
var (
	infixes = []string{"=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "^", "||", "->", "->>", "#>", "#>>", "#-", "@>", "<@", "?", "?|", "?&", "@?", "@@", "&&", "<<", ">>", "<<=", ">>=",
		"&", "|", "#", "~", "~*", "!~", "!~*", "~~", "!~~", "~~*", "!~~*", "^@", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "SIMILAR TO", "NOT SIMILAR TO", "BETWEEN $D AND", "NOT BETWEEN $D AND",
		"BETWEEN SYMMETRIC $D AND", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "AND", "OR", "AT TIME ZONE", "OPERATOR(pg_catalog.+)", "OPERATOR(pg_catalog.=)", "OPERATOR(pg_catalog.*)", "OPERATOR(pg_catalog.~~)", "OPERATOR(+)"}
	suffixes = []string{"IS NULL", "IS NOT NULL", "ISNULL", "NOTNULL", "IS TRUE", "IS NOT FALSE", "IS UNKNOWN", `COLLATE "C"`, "::text", "::boolean", "::int", "IN ($D)", "NOT IN ($D, $D)", "= ANY (ARRAY[$D])", "+ ALL (ARRAY[$D])",
		"LIKE ANY (ARRAY[$D])", "< SOME (SELECT $D)", "[1]"}
	prefixes = []string{"NOT", "-", "+", "@", "~", "|/", "OPERATOR(pg_catalog.-)"}
)

// operandTable has a column of each type that operands are of; the types share few operators, so that most trees but
// one fail, and fail at another character.
var operandTable = []string{
	"CREATE TABLE o (uu uuid, bo boolean, it int, tx text, jb jsonb, ar int[], ip inet, ts timestamp, iv interval, ct text[])",
	`INSERT INTO o VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, 3, 'UTC', '{"UTC": [7, {"a": "UTC"}]}', '{5,3}', '10.1.2.3', '2024-02-29 12:00', '36 hours', '{UTC,a}')`,
	"INSERT INTO o (bo, it) VALUES (NULL, 7)",
	`INSERT INTO o VALUES (NULL, false, -2, 'Asia/Tokyo', '[1, "1"]', NULL, '10.0.0.0/8', '2023-01-01', '-1 day', '{1}')`,
}

// typings are the types of operands A, B, C, and of D.
func typings() [][]string {
	var out [][]string
	all := []string{"uu", "bo", "it", "tx", "jb", "ip", "ts", "iv", "ar", "ct"}
	for _, t := range all {
		out = append(out, []string{t, t, t, t})
	}
	for _, a := range all {
		for _, b := range all {
			for _, c := range all {
				if a != b || b != c {
					out = append(out, []string{a, b, c, b})
				}
			}
		}
	}
	return out
}

// tree is an expression without parentheses, and with them in both ways; spaces stand where parentheses are missing, so that
// errors of all three are at the same characters.
type tree struct{ bare, left, right string }

func trees() []tree {
	var out []tree
	for _, a := range infixes {
		for _, b := range infixes {
			out = append(out, tree{" $A " + a + "  $B  " + b + "  $C ", "($A " + a + "  $B) " + b + "  $C ", " $A " + a + " ($B  " + b + "  $C)"})
		}
		for _, s := range suffixes {
			out = append(out, tree{" $A " + a + "  $B  " + s + " ", "($A " + a + "  $B) " + s + " ", " $A " + a + " ($B  " + s + ")"})
		}
	}
	for _, pre := range prefixes {
		for _, b := range infixes {
			out = append(out, tree{" " + pre + "  $A  " + b + " $B ", "(" + pre + "  $A) " + b + " $B ", " " + pre + " ($A  " + b + " $B)"})
		}
		for _, s := range suffixes {
			out = append(out, tree{" " + pre + "  $A  " + s + " ", "(" + pre + "  $A) " + s + " ", " " + pre + " ($A  " + s + ")"})
		}
	}
	return out
}

func typed(form string, types []string) string {
	return "SELECT " + strings.NewReplacer("$A", types[0], "$B", types[1], "$C", types[2], "$D", types[3]).Replace(form) + " AS c FROM o ORDER BY it"
}

// syntax tells what the grammar refuses, and not a path or pattern when it is read.
func syntax(o outcome) bool { return o.failed("42601") && o.err.Position > 0 }

// alike compares outcomes, errors by their place too.
func alike(a, b outcome) bool {
	return same(a, b, true) && (a.err == nil || a.err.Position == b.err.Position)
}

// lacks tells that vigil refuses what it does not have: an operator, or text search, which text @@ text is.
func lacks(o outcome) bool {
	return o.failed("0A000") || o.failed("42883") && strings.HasPrefix(o.err.Message, "operator does not exist: text @@")
}

// TestOperatorPairs: of any two operators, the one that binds more tightly in PostgreSQL does so in vigil; what PostgreSQL
// refuses is refused. Operands are tried until PostgreSQL's own answers tell both trees apart.
func TestOperatorPairs(t *testing.T) {
	p := newPair(t)
	p.exec(operandTable...)
	all := typings()
	told, refused, agree, other := 0, 0, 0, 0
	var unclear []string
	for _, tr := range trees() {
		clear := false
		for _, types := range all {
			sql := typed(tr.bare, types)
			pg := p.ask(p.pg, sql)
			if pg.failed("42601") {
				if v := p.ask(p.vigil, sql); !v.failed("42601") && !lacks(v) {
					t.Errorf("%s\n  PostgreSQL: %s\n  vigil: %s", sql, pg, v)
				}
				refused++
				clear = true
				break
			}
			left, right := p.ask(p.pg, typed(tr.left, types)), p.ask(p.pg, typed(tr.right, types))
			if alike(left, right) {
				continue
			}
			vigil := p.ask(p.vigil, sql)
			if lacks(vigil) {
				continue
			}
			told++
			if alike(pg, vigil) {
				agree++
			} else if other++; other < 300 {
				t.Errorf("%s\n  PostgreSQL: %s\n  vigil: %s", sql, pg, vigil)
			}
			clear = true
			break
		}
		if !clear {
			unclear = append(unclear, tr.bare)
		}
	}
	t.Logf("%d pairs: %d told apart, %d refused, %d alike, %d other; unclear %d: %s", len(trees()), told, refused, agree, other, len(unclear), strings.Join(unclear, ";"))
	if told < 5000 || refused < 100 {
		t.Error("too few pairs were told apart or refused to show anything")
	}
}

// levels has operators of each precedence.
var levels = []string{"=", "<>", "+", "-", "*", "%", "^", "||", "->", "LIKE", "NOT ILIKE", "SIMILAR TO", "BETWEEN $D AND", "IS DISTINCT FROM", "AND", "OR", "AT TIME ZONE", "OPERATOR(pg_catalog.+)", "OPERATOR(pg_catalog.=)"}

// surroundings are places of operators that pairs do not reach.
func surroundings() []string {
	var out []string
	for _, op := range infixes {
		out = append(out, "$A BETWEEN $B "+op+" $C AND $D", "$A NOT BETWEEN SYMMETRIC $B AND $C "+op+" $D", "position($A "+op+" $B IN $C)", "position($A IN $B "+op+" $C)", "$A LIKE $B ESCAPE $C "+op+" $D",
			"$A "+op+" $B LIKE $C ESCAPE $D", "CAST($A "+op+" $B AS text)", "overlay($A "+op+" $B placing $C from 1)", "substring($A "+op+" $B from $C)", "trim($A "+op+" $B from $C)", "ARRAY[$A "+op+" $B, $C]", "($A, $B) "+op+" ($C, $D)",
			"$A "+op+"-$B", "$A"+op+"+$B", "$A"+op+"@$B", "$A "+op+"~ $B", "$A "+op+" (SELECT $B)", "$A "+op+" CASE WHEN $B THEN $C END", "extract(day from $A "+op+" $B)", "$A "+op+" ANY (ARRAY[$B]) "+op+" $C", "ROW($A "+op+" $B) IS NULL",
			"($A)::text "+op+" $B", "date '2024-01-01' "+op+" $A", "interval '1 day' "+op+" $A", "-1 "+op+" 2 "+op+" -$A", "$A "+op+" NULL", "NULL "+op+" NULL")
		for _, s := range suffixes {
			out = append(out, "$A "+s+" "+op+" $B")
		}
	}
	for _, s := range suffixes {
		out = append(out, "$A BETWEEN $B "+s+" AND $C", "$A NOT BETWEEN $B AND $C "+s, "position($A "+s+" IN $B)", "$A LIKE $B ESCAPE $C "+s)
		for _, s2 := range suffixes {
			out = append(out, "$A "+s+" "+s2)
		}
	}
	for _, pre := range prefixes {
		out = append(out, "$A BETWEEN "+pre+" $B AND $C", "$A BETWEEN $B AND "+pre+" $C", "position("+pre+" $A IN $B)", "$A LIKE "+pre+" $B ESCAPE $C")
		for _, pre2 := range prefixes {
			out = append(out, pre+" "+pre2+" $A", pre+" $A = "+pre2+" $B")
		}
		for _, op := range levels {
			for _, op2 := range levels {
				out = append(out, "$A "+op+" "+pre+" $B "+op2+" $C")
			}
			for _, s := range suffixes {
				out = append(out, "$A "+op+" "+pre+" $B "+s)
			}
		}
	}
	return out
}

// TestOperatorPlaces compares expressions of three operators, and of one where the grammar takes fewer.
func TestOperatorPlaces(t *testing.T) {
	p := newPair(t)
	p.exec(operandTable...)
	few := [][]string{{"it", "it", "it", "it"}, {"bo", "bo", "bo", "bo"}, {"tx", "tx", "tx", "tx"}, {"uu", "uu", "uu", "uu"}, {"bo", "it", "it", "it"}, {"it", "it", "bo", "it"}, {"jb", "tx", "tx", "tx"}, {"ts", "iv", "ts", "ts"}, {"ts", "tx", "tx", "ts"}}
	list := surroundings()
	rows, refused, errors, moved, other := 0, 0, 0, 0, 0
	for _, form := range list {
		for _, types := range few {
			sql := typed(form, types)
			pg, vigil := p.ask(p.pg, sql), p.ask(p.vigil, sql)
			switch {
			case pg.failed("42601"):
				refused++
			case pg.err != nil:
				errors++
			default:
				rows++
			}
			if pg.err != nil && vigil.err != nil && !alike(pg, vigil) && syntax(pg) == syntax(vigil) { // another of several errors
				moved++
				continue
			}
			if !alike(pg, vigil) && !lacks(vigil) && listed(sql, pg, vigil) == "" {
				if other++; other < 400 {
					t.Errorf("%s\n  PostgreSQL: %s\n  vigil: %s", sql, pg, vigil)
				}
				break
			}
			if pg.failed("42601") {
				break
			}
		}
	}
	t.Logf("%d places: %d statements with rows, %d refused by the grammar, %d by types or values (%d otherwise), %d other", len(list), rows, refused, errors, moved, other)
	if rows < len(list)/5 || refused < len(list)/20 {
		t.Error("too few expressions have a value, or are refused, to show anything")
	}
}
