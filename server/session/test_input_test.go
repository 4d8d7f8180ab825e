package session

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// TestTestFiles: only ordinary files below the directory are read, whatever the name says and whatever lies there.
func TestTestFiles(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "rules")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	must(os.MkdirAll(filepath.Join(base, "rules2"), 0o700))
	for name, text := range map[string]string{"rules/a.ndjson": "a", "rules/sub/b.ndjson": "bb", "secret": "s", "rules2/c": "c"} {
		must(os.WriteFile(filepath.Join(base, name), []byte(text), 0o600))
	}
	must(os.Symlink("../secret", filepath.Join(dir, "link")))
	must(os.Symlink("a.ndjson", filepath.Join(dir, "inside")))
	must(os.Symlink("..", filepath.Join(dir, "up")))
	must(os.Symlink("sub", filepath.Join(dir, "same")))
	must(os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for name, want := range map[string]string{
		"a.ndjson": "a", "sub/b.ndjson": "bb",
		"../secret": "42501", "sub/../../secret": "42501", "sub/../a.ndjson": "42501", "./a.ndjson": "42501", "/etc/passwd": "42501", "": "42501", ".": "42501",
		"..": "42501", "sub//b.ndjson": "42501", "a.ndjson/": "42501", "a\x00b": "42501", filepath.Join(dir, "a.ndjson"): "42501", "../rules2/c": "42501",
		"link": "42501", "inside": "42501", "up/secret": "42501", "same/b.ndjson": "42501", "dangling": "42501",
		"sub": "42809", "pipe": "42809", "none": "58P01", "sub/none": "58P01", `..\secret`: "58P01",
	} {
		data, err := readTestFile(dir, name, 10)
		got := string(data)
		if err != nil {
			got = string(sqlerr.CodeOf(err))
		}
		if got != want {
			t.Errorf("%q: got %s (%v), want %s", name, got, err, want)
		}
	}
	if data, err := readTestFile(dir, "sub/b.ndjson", 2); err != nil || len(data) != 2 {
		t.Error("at the limit", data, err)
	}
	if _, err := readTestFile(dir, "sub/b.ndjson", 1); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Error("over the limit", err)
	}
}

// TestTestBytes: the bound is on all texts together.
func TestTestBytes(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "half"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(testBytesMax/2 + 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	srv, left := &Server{testDir: dir}, int64(testBytesMax)
	if _, err := srv.testText(&parse.Fixture{File: "half"}, &left); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.testText(&parse.Fixture{File: "half"}, &left); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Error(err)
	}
	left = 1
	if _, err := srv.testText(&parse.Fixture{File: "{}"}, &left); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Error("lines in the statement", err)
	}
	if _, err := (&Server{}).testText(&parse.Fixture{File: "half"}, &left); sqlerr.CodeOf(err) != sqlerr.FeatureNotSupported {
		t.Error("no directory", err)
	}
}

func TestComparable(t *testing.T) {
	kinds := map[string]types.Type{"float": types.T(types.Float8), "numeric": types.T(types.Numeric), "text": types.T(types.Text),
		"ts": types.T(types.TimestampTZ), "inet": types.T(types.Inet), "jsonb": types.T(types.JSONB), "int": types.T(types.Int8)}
	for _, c := range []struct {
		kind, a, b string
		equal      bool
	}{
		{"int", "1", "1.0", true}, {"int", "10", "1e1", true}, {"int", "1", "10", false}, {"int", "0", "-0.00e7", true}, {"int", `"7"`, "7", true},
		{"int", "9007199254740993", "9007199254740992", false}, {"numeric", "0.10", "1e-1", true}, {"numeric", "-1", "1", false},
		{"numeric", "1e999999999999", "1", false}, {"float", `"NaN"`, `"nan"`, true}, {"text", `"1"`, "1", false}, {"text", `"a"`, `"\u0061"`, true},
		{"ts", `"2026-03-01 13:00:00+01"`, `"2026-03-01T12:00:00.000000Z"`, true}, {"inet", `"10.0.0.1/32"`, `"10.0.0.1"`, true},
		{"jsonb", `{"a":1,"b":[1,{"c":2.0}]}`, ` {"b":[1.0,{"c":2}],"a":1}`, true}, {"jsonb", `{"a":1}`, `{"a":null}`, false}, {"jsonb", `"1"`, "1", false},
		{"text", "null", `"null"`, false},
	} {
		a, err := comparableText([]byte(c.a), kinds[c.kind])
		if err != nil {
			t.Fatal(c, err)
		}
		b, err := comparableText([]byte(strings.TrimSpace(c.b)), kinds[c.kind])
		if err != nil {
			t.Fatal(c, err)
		}
		if (a == b) != c.equal {
			t.Errorf("%s %s and %s: %s %s", c.kind, c.a, c.b, a, b)
		}
	}
}

// TestRowMatch compares the pairs with the best that trying everything finds.
func TestRowMatch(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	improved := 0
	for range 3000 {
		got := make([][]types.Value, rnd.Intn(6))
		for i := range got {
			got[i] = []types.Value{big(int64(rnd.Intn(2))), big(int64(rnd.Intn(2)))}
		}
		expect := make([]expectedRow, rnd.Intn(6))
		for i := range expect {
			for c := range 2 {
				if rnd.Intn(2) == 0 {
					expect[i].cols = append(expect[i].cols, c)
					expect[i].vals = append(expect[i].vals, number([]string{"0", "1"}[rnd.Intn(2)]))
				}
			}
		}
		m := newRowMatch(expect, got)
		if err := m.match(); err != nil {
			t.Fatal(err)
		}
		pairs := 0
		for i, r := range m.rowOf {
			if r < 0 {
				continue
			}
			if pairs++; m.expectOf[r] != i || !fitsRow(&expect[i], got[r]) {
				t.Fatalf("%d and %d are no pair", i, r)
			}
		}
		if want := bestMatch(expect, got, make([]bool, len(got))); pairs != want {
			t.Fatalf("%d pairs, %d can be had: %v %v", pairs, want, expect, got)
		}
		if m.steps > 0 && pairs == len(expect) {
			improved++
		}
	}
	if improved < 50 {
		t.Errorf("only %d cases needed a second thought", improved)
	}
}

func fitsRow(e *expectedRow, row []types.Value) bool {
	for n, c := range e.cols {
		if e.vals[n] != canonical(codec.AppendJSONValue(nil, row[c])) {
			return false
		}
	}
	return true
}

func bestMatch(expect []expectedRow, got [][]types.Value, taken []bool) int {
	if len(expect) == 0 {
		return 0
	}
	best := bestMatch(expect[1:], got, taken)
	for r := range got {
		if !taken[r] && fitsRow(&expect[0], got[r]) {
			taken[r] = true
			best = max(best, 1+bestMatch(expect[1:], got, taken))
			taken[r] = false
		}
	}
	return best
}

func TestExpectedRows(t *testing.T) {
	cols := []types.Column{{Name: "a", Type: types.T(types.Int8)}}
	rows, err := expectedRows([]byte(" \n{\"a\": 1}\r\n\n{}"), cols)
	if err != nil || len(rows) != 2 || string(rows[0].text) != `{"a":1}` || len(rows[1].cols) != 0 {
		t.Error(rows, err)
	}
	for text, code := range map[string]sqlerr.Code{"[]": "22P02", "null": "22P02", "{} {}": "22P02", `{"b":1}`: "42703", `{"a":"x"}`: "22P02",
		strings.Repeat("{}\n", testExpectMax+1): "54000"} {
		if _, err := expectedRows([]byte(text), cols); sqlerr.CodeOf(err) != code {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestTestWaits: who waits for a turn stops waiting when the statement ends.
func TestTestWaits(t *testing.T) {
	srv := &Server{tests: make(chan struct{}, 1)}
	srv.tests <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := &queryTest{s: &Session{srv: srv}, st: &parse.TestQuery{}, q: &catalog.Query{}}
	if err := q.run(ctx, nil, nil, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
