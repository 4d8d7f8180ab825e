package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/inproc"
)

// null stands for NULL.
const null = "\x00"

// meanings are conditions of the rules' dialect, a value of x, and what SQLite 3.40 answers with x TEXT COLLATE NOCASE and REGEXP
// made of Python 3.11's re.search.
var meanings = []struct{ condition, value, want string }{
	{"X='Cmd.EXE'", "cMD.exe", "t"},
	{"X='Cmd.EXE'", "cmd.exe ", "f"},
	{"X='Cmd.EXE'", null, "NULL"},
	{"X=''", "", "t"},
	{"X=''", null, "NULL"},
	{"X='-'", "-", "t"},
	{"X='ARRÊTÉ'", "arrÊtÉ", "t"},
	{"X='ARRÊTÉ'", "arrêté", "f"},
	{"X='A''b'", "a'B", "t"},
	{"X=4688", "4688", "t"},
	{"X=4688", "4688.0", "f"},
	{"X=4688", "04688", "f"},
	{"X=true", "true", "f"},
	{"X=true", "1", "t"},
	{`X LIKE '%\\CMD.exe' ESCAPE '\'`, `C:\windows\cmd.EXE`, "t"},
	{`X LIKE '%\\CMD.exe' ESCAPE '\'`, `C:\windows\cmd.EXE `, "f"},
	{`X LIKE '%a\_b%' ESCAPE '\'`, "xA_Bx", "t"},
	{`X LIKE '%a\_b%' ESCAPE '\'`, "xAxBx", "f"},
	{`X LIKE '%a\%b%' ESCAPE '\'`, "xA%Bx", "t"},
	{`X LIKE 'a_c' ESCAPE '\'`, "AéC", "t"},
	{`X LIKE '%А%' ESCAPE '\'`, "А", "t"},
	{`X LIKE '%А%' ESCAPE '\'`, "а", "f"},
	{`X LIKE 'Ä%S' ESCAPE '\'`, "Äos", "t"},
	{`X LIKE 'Ä%S' ESCAPE '\'`, "äos", "f"},
	{`X LIKE '% –E %' ESCAPE '\'`, "x –e y", "t"},
	{"X LIKE '%\nb%' ESCAPE '\\'", "A\nB", "t"},
	{"X IS NULL", null, "t"},
	{"X IS NULL", "", "f"},
	{"NOT X='a'", null, "NULL"},
	{"X='a' OR X IS NULL", null, "t"},
	{`NOT (X='a' OR X LIKE '%b%' ESCAPE '\')`, "Ab", "f"},
	{`NOT (X='a' OR X LIKE '%b%' ESCAPE '\')`, "c", "t"},
	{`X REGEXP 'net\s+user'`, "net \t user", "t"},
	{`X REGEXP 'net\s+user'`, "NET user", "f"},
	{`X REGEXP '(?i)net\s+user'`, "NET user", "t"},
	{"X REGEXP 'a'", null, "NULL"},
	{"X REGEXP 'a.c'", "a\nc", "f"},
	{"X REGEXP 'a.c'", "abc", "t"},
	{"X REGEXP 'a[^x]c'", "a\nc", "t"},
	{"X REGEXP 'a[.]c'", "abc", "f"},
	{`X REGEXP 'a\.c'`, "abc", "f"},
	{"X REGEXP '^b'", "a\nb", "f"},
	{"X REGEXP 'a$'", "a\n", "t"},
	{"X REGEXP 'a$'", "a\nb", "f"},
	{"X REGEXP 'a$'", "a\n\n", "f"},
	{`X REGEXP 'a\$'`, "a", "f"},
	{"X REGEXP '[$]a'", "$a", "t"},
	{`X REGEXP 'a\Z'`, "a\n", "f"},
	{`X REGEXP 'a\Z'`, "ba", "t"},
	{"X REGEXP '(^[a-z]{2}$)|(^[a-z]{4}$)'", "abcd\n", "t"},
	{`X REGEXP '1(?:\.|\b)2?'`, "1.2", "t"},
	{`X REGEXP '1\b'`, "12", "f"},
	{`X REGEXP '1\b'`, "1 2", "t"},
	{`X REGEXP '[^ \\]:'`, `\:`, "f"},
	{`X REGEXP '[^ \\]:'`, "a:", "t"},
	{"X REGEXP '[]a]b'", "]b", "t"},
	{"X REGEXP '[^]a]b'", "]b", "f"},
	{`X REGEXP '\String\]'`, "xtring]", "t"},
	{`X REGEXP '-(W|R)\s?(\s|"|x)'`, `-R"`, "t"},
	{`X REGEXP '\{\d\}'`, "{7}", "t"},
	{`X REGEXP '\d{2,10}?x'`, "12x", "t"},
	{"X REGEXP '\\w+`(?:\\w+|-|.)`[\\w+|\\s]'", "a`-`b", "t"},
	{`X REGEXP '(?:\s|)"set'`, `"set`, "t"},
}

// TestMeaning: a rule means to vigil what it means to SQLite, in a SELECT and as one of many continuous queries.
func TestMeaning(t *testing.T) {
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(today), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec("CREATE STREAM s (ts TIMESTAMPTZ, n BIGINT, x TEXT, WATERMARK FOR ts AS ts)"); err != nil {
		t.Fatal(err)
	}
	var events []string
	for i, m := range meanings {
		rule, err := rewrite([]string{"SELECT * FROM logs WHERE " + m.condition})
		if err != nil {
			t.Fatal(m.condition, err)
		}
		where := rule.Where
		value := "NULL"
		if m.value != null {
			value = "'" + strings.ReplaceAll(m.value, "'", "''") + "'"
		}
		rows, err := db.Rows("SELECT " + where + " FROM (SELECT " + value + "::text AS x) v")
		if err != nil || rows[0][0] != m.want {
			t.Errorf("%s of %q: %v, not %s: %v\n%s", m.condition, m.value, rows, m.want, err, where)
		}
		if err := db.Exec(fmt.Sprintf("CREATE CONTINUOUS QUERY q%d AS SELECT n FROM s WHERE %s", i, where)); err != nil {
			t.Fatal(where, err)
		}
		events = append(events, fmt.Sprintf("('2026-01-01 00:00:00Z', %d, %s)", i, value))
	}
	if err := db.Exec("INSERT INTO s VALUES " + strings.Join(events, ", ")); err != nil {
		t.Fatal(err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	for i, m := range meanings {
		changes, err := db.Changelog(fmt.Sprintf("q%d", i))
		if err != nil {
			t.Fatal(err)
		}
		got := "not t"
		for _, c := range changes {
			if c.Text == fmt.Sprint(i) {
				got = "t"
			}
		}
		if (got == "t") != (m.want == "t") {
			t.Errorf("%s as a continuous query, of %q: %s, not %s", m.condition, m.value, got, m.want)
		}
	}
}

// TestForeign: what is no SQL is refused, not cut off.
func TestForeign(t *testing.T) {
	for _, sql := range []string{`a REGEXP '["\']?x' AND b='c'`, `a LIKE '%x%'`, `a > 1`, `a = b`, `a = 'x`, `a = `, `a ; b`} {
		if rule, err := rewrite([]string{"SELECT * FROM logs WHERE " + sql}); err == nil {
			t.Errorf("%s is read as %s", sql, rule.Where)
		}
	}
	rule, err := rewrite([]string{"SELECT * FROM logs WHERE a=1", "SELECT * FROM logs WHERE NOT (B='X')"})
	if want := `("a" = '1') OR ( NOT (lower("b") = 'x'))`; err != nil || rule.Where != want {
		t.Errorf("two statements: %s, %v, not %s", rule.Where, err, want)
	}
}

// TestNumber: events are numbered on, and only their own keys become lower case.
func TestNumber(t *testing.T) {
	got, n := Number([]byte("{\"A\":\"B\\\"\",\"Cd\":{\"E\":[1,\"F\"],\"G\":2},\"H\":[{\"I\":null},\"J\"],\"K\":-1}\r\n\n{\"L, M\":\"N:O\",\"P\":true}\n{}"), 4)
	want := `{"ts":"2026-01-01T00:00:00Z","event_number":5,"a":"B\"","cd":{"E":[1,"F"],"G":2},"h":[{"I":null},"J"],"k":-1}
{"ts":"2026-01-01T00:00:00Z","event_number":6,"l, m":"N:O","p":true}
{"ts":"2026-01-01T00:00:00Z","event_number":7}
`
	if n != 3 || string(got) != want {
		t.Errorf("%d events:\n%s\nnot\n%s", n, got, want)
	}
}
