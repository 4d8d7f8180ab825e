package parse

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// recorded is one line of the recordings of real clients.
type recorded struct {
	Client  string
	SQL     string
	Results []struct{ Error json.RawMessage }
}

// corpus returns the statements that real clients sent to a real Postgres.
func corpus(tb testing.TB) []recorded {
	tb.Helper()
	files, err := filepath.Glob("../../../shared/pgclients/*.jsonl")
	if err != nil || len(files) == 0 {
		tb.Skip("the recordings of clients are not at ../shared/pgclients")
	}
	var out []recorded
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 16<<20)
		for sc.Scan() {
			var r recorded
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			if strings.TrimSpace(r.SQL) != "" {
				out = append(out, r)
			}
		}
		f.Close()
	}
	return out
}

// TestRecordedStatementsParse is the floor for what psql, drivers and BI tools send: everything parses, and reads back from
// its canonical form.
func TestRecordedStatementsParse(t *testing.T) {
	selects, parsed, all, good := 0, 0, 0, 0
	for _, r := range corpus(t) {
		word := strings.ToUpper(strings.Fields(r.SQL)[0])
		isSelect := strings.HasPrefix(word, "SELECT") || word == "WITH" || word == "VALUES"
		stmts, err := Parse(r.SQL)
		all++
		if isSelect {
			selects++
		}
		if err != nil {
			if e := new(sqlerr.Error); !errors.As(err, &e) || e.Position == 0 {
				t.Errorf("%s: error without position: %v", r.Client, err)
			}
			t.Logf("%s: %v (at %d)\n%.300s", r.Client, err, sqlerr.As(err).Position, r.SQL)
			continue
		}
		good++
		if isSelect {
			parsed++
		}
		for _, p := range stmts {
			checkRoundTrip(t, p.Stmt)
		}
	}
	if parsed < selects || good < all || selects < 500 {
		t.Errorf("%d of %d selects and %d of %d statements parse, and all did once", parsed, selects, good, all)
	}
	t.Logf("selects: %d of %d parse; all statements: %d of %d", parsed, selects, good, all)
}
