package diff

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// record is a statement of a script.
type record struct {
	sql     string
	ordered bool
}

// readRecords reads the statements of an sqllogictest script; what another database answered is left out.
func readRecords(t *testing.T, path string) []record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	var cur *record
	for sc := bufio.NewScanner(z); sc.Scan(); {
		line := sc.Text()
		switch {
		case cur != nil && (line == "" || line == "----"):
			out, cur = append(out, *cur), nil
		case cur != nil:
			cur.sql += line + "\n"
		case strings.HasPrefix(line, "statement "):
			cur = &record{}
		case strings.HasPrefix(line, "query "):
			cur = &record{ordered: strings.Contains(line, " nosort")}
		}
	}
	return out
}

// TestSQLLogic runs sqllogictest's scripts, which are written for several databases, on both sides.
func TestSQLLogic(t *testing.T) {
	dir := need.Shared(t, "data/sql/sqllogictest")
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".test.gz"), func(t *testing.T) {
			p := newPair(t)
			var n, rows, refused, other int
			for _, r := range readRecords(t, f) {
				pg, vigil := p.both(r.sql)
				n++
				rows += len(pg.rows)
				if !same(pg, vigil, r.ordered && strings.Contains(r.sql, "ORDER BY")) {
					if other++; other <= 20 {
						t.Errorf("%s  PostgreSQL: %s\n  vigil: %s", r.sql, pg, vigil)
					}
				}
				if pg.failed("42601") && vigil.failed("42601") {
					refused++
				}
			}
			t.Logf("%d statements, %d rows, %d refused by both for their syntax, %d different; positions of errors: %d same, %d other",
				n, rows, refused, other, p.positionsSame, p.positionsOther)
			if n < 400 || rows < 400 {
				t.Errorf("%d statements with %d rows show too little", n, rows)
			}
		})
	}
}
