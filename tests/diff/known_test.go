package diff

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// known is a difference that is meant; docs/differences.md has its name as a heading and tells the reason.
type known struct {
	name string
	// example is a statement whose outcomes differ; TestKnown finds out when they no longer do.
	example string
	match   func(sql string, pg, vigil outcome) bool
}

// unsupported matches refusals whose message has a part.
func unsupported(parts ...string) func(string, outcome, outcome) bool {
	return func(_ string, _, vigil outcome) bool {
		if !vigil.failed("0A000") {
			return false
		}
		for _, p := range parts {
			if strings.Contains(vigil.err.Message, p) {
				return true
			}
		}
		return false
	}
}

// guarded are constructs that may leave a part unevaluated.
var guarded = regexp.MustCompile(`(?i)CASE|coalesce|\bIN\b|\bOR\b|\bAND\b|ANY|ALL|BETWEEN`)

// twoTexts is text @@ text, which is of text search in PostgreSQL.
var twoTexts = regexp.MustCompile(`'[^']*' @@ '`)

var timeErrors = regexp.MustCompile(`^(22007|22008|22009|22015|22023)$`)

var knownDifferences = []known{
	{"Regular expressions", `SELECT 'aa' ~ '(a)\1'`, unsupported("regular expression")},
	{"Arrays of one dimension", "SELECT ARRAY[ARRAY[1, 2], ARRAY[3, 4]]", unsupported("array of arrays", "more than one dimension", "an array of")},
	{"Templates of to_char for numbers", "SELECT to_char(485, 'RN')", unsupported("template of to_char")},
	{"Calls that are ambiguous in PostgreSQL", `SELECT '{}' @> '[]'`, func(sql string, pg, vigil outcome) bool { return pg.failed("42725") || twoTexts.MatchString(sql) }},
	{"Infinity has no age", "SELECT age('infinity'::timestamp, '2024-01-01'::timestamp)", func(_ string, pg, vigil outcome) bool {
		return vigil.failed("22008") && strings.Contains(vigil.err.Message, "infinite")
	}},
	{"Malformed dates and times", "SELECT CAST('42' AS timestamp)", func(_ string, pg, vigil outcome) bool {
		return pg.err != nil && vigil.err != nil && timeErrors.MatchString(pg.err.Code) && timeErrors.MatchString(vigil.err.Code)
	}},
	{"Time zones in POSIX notation", "SELECT timestamptz '2001-01-01 00:00:00+00' AT TIME ZONE 'ABC5'", func(_ string, pg, vigil outcome) bool {
		return vigil.failed("22023") && strings.Contains(vigil.err.Message, "time zone")
	}},
	{"Errors beside a constant NULL", "SELECT NULL::int + (i4 / 0) FROM v WHERE id = 1", func(sql string, pg, vigil outcome) bool {
		return pg.err == nil && (vigil.failed("22") || vigil.failed("54") || vigil.failed("42601") && vigil.err.Position == 0 || unsupported("unit")(sql, pg, vigil)) && strings.Contains(sql, "(")
	}},
	{"Constants that fail", "SELECT CASE WHEN i4 IS NULL THEN 1 ELSE 1 / 0 END FROM v WHERE i4 IS NULL", func(sql string, pg, vigil outcome) bool {
		return pg.failed("22") && vigil.err == nil && guarded.MatchString(sql)
	}},
	{"IN over several types", "SELECT '{a}' IN ('a'::text, '{a}'::text[])", func(sql string, pg, vigil outcome) bool {
		return pg.err == nil && vigil.err != nil && strings.Contains(sql, "IN (")
	}},
	{"Paths are text", "SELECT jsonb_path_exists('{}'::jsonb, '$'::text)", func(sql string, pg, vigil outcome) bool {
		return pg.failed("42883") && strings.Contains(pg.err.Message, "jsonb_path_exists")
	}},
	{"Origins of date_bin", "SELECT date_bin('1 month', '2024-03-31'::timestamp, 'infinity'::timestamp)", func(sql string, pg, vigil outcome) bool {
		return pg.err != nil && vigil.failed("0A000") && strings.Contains(vigil.err.Message, "binned")
	}},
	{"The type of a literal", "SELECT pg_typeof('x')", func(sql string, pg, vigil outcome) bool { return strings.Contains(sql, "pg_typeof('") }},
	{"Equality of json", "SELECT array_positions('{1}'::json[], '1'::json)", func(_ string, pg, vigil outcome) bool {
		return pg.failed("42883") && strings.Contains(pg.err.Message, "equality operator for type json") ||
			vigil.failed("42883") && strings.Contains(vigil.err.Message, "comparison function for type json")
	}},
	{"Last digits", "SELECT to_json(exp(1.7::float8) + sinh(2.1::float8) + tan(8.3::float8) + power(1.0001::float8, 12345))::text", lastDigits},
}

var floats = regexp.MustCompile(`-?[0-9]+\.[0-9]{10,}(e[-+]?[0-9]+)?`)

// lastDigits matches results that differ in the last digits of the text of floating-point numbers only.
func lastDigits(_ string, pg, vigil outcome) bool {
	if pg.err != nil || vigil.err != nil || len(pg.rows) != len(vigil.rows) {
		return false
	}
	short := func(s string) string {
		return floats.ReplaceAllStringFunc(s, func(n string) string {
			f, _ := strconv.ParseFloat(n, 64) // it is a number
			return strconv.FormatFloat(f, 'g', 11, 64)
		})
	}
	for i := range pg.rows {
		for j := range pg.rows[i] {
			if short(pg.rows[i][j]) != short(vigil.rows[i][j]) {
				return false
			}
		}
	}
	return len(pg.rows) > 0
}

// listed returns the name of the entry of docs/differences.md that explains a difference, "" when none does.
func listed(sql string, pg, vigil outcome) string {
	for _, k := range knownDifferences {
		if k.match(sql, pg, vigil) {
			return k.name
		}
	}
	return ""
}

// TestKnown: each listed difference still occurs, and is documented.
func TestKnown(t *testing.T) {
	p := newPair(t)
	p.exec(valuesTable()...)
	doc, err := os.ReadFile(filepath.Join(need.Root(), "docs", "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range knownDifferences {
		if !strings.Contains(string(doc), "## "+k.name+"\n") {
			t.Errorf("docs/differences.md says nothing of %q", k.name)
		}
		pg, vigil := p.both(k.example)
		if exact(pg, vigil) {
			t.Errorf("%s: both sides now answer alike: %s\n    %s", k.name, k.example, pg)
		} else if !k.match(k.example, pg, vigil) {
			t.Errorf("%s: the example is another difference: %s\n  PostgreSQL: %s\n  vigil: %s", k.name, k.example, pg, vigil)
		}
	}
}

// exact compares to the last digit.
func exact(a, b outcome) bool {
	if !same(a, b, true) {
		return false
	}
	for i := range a.rows {
		for j := range a.rows[i] {
			if a.rows[i][j] != b.rows[i][j] {
				return false
			}
		}
	}
	return true
}

func TestCloseFloats(t *testing.T) {
	if !closeFloats(701, "0.1", "0.10000000000000002") || closeFloats(701, "0.1", "0.1001") || closeFloats(1700, "0.1", "0.10000000000000002") ||
		closeFloats(701, "NaN", "1") || closeFloats(701, "Infinity", strconv.FormatFloat(math.MaxFloat64, 'g', -1, 64)) {
		t.Error("floats are taken for close, or not")
	}
}
