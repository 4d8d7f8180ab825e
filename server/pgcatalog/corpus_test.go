package pgcatalog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// recorded is one statement as a real client sent it, with what a real Postgres 15 answered.
type recorded struct {
	SQL     string
	Results []struct {
		Columns []struct {
			Name string
			OID  uint32
		}
	}
}

// corpus reads the distinct statements that real clients sent.
func corpus(t *testing.T) []recorded {
	t.Helper()
	files, err := filepath.Glob("../../../shared/pgclients/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Skip("../shared/pgclients is absent: the statements of real clients are not checked")
	}
	var out []recorded
	seen := map[string]bool{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			var r recorded
			if json.Unmarshal(sc.Bytes(), &r) == nil && r.SQL != "" && !seen[r.SQL] {
				seen[r.SQL] = true
				out = append(out, r)
			}
		}
		if err := sc.Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// catalogueOnly tells whether a statement reads nothing but the system relations and has no parameters.
func catalogueOnly(sql string) bool {
	if stmts, err := parse.Parse(sql); err != nil || len(stmts) != 1 || stmts[0].ParamCount > 0 {
		return false
	}
	return strings.Contains(sql, "pg_") || strings.Contains(sql, "information_schema.")
}

// internalOIDs are types that vigil shows as something simpler; see standIns.
var internalOIDs = map[uint32]string{22: "int2vector", 30: "oidvector", 194: "pg_node_tree", 1034: "aclitem[]", 28: "xid", 27: "tid",
	2277: "anyarray", 3220: "pg_lsn", 2249: "record", 2211: "regtype[]"}

// notOurs are the errors of statements that the catalogue does not answer: objects of the recorded database, and functions
// of a connection that this test does not have.
var notOurs = []string{`function "risk" does not exist`, `relation "denied" does not exist`, "function pg_notify(unknown, unknown) does not exist",
	"function pg_sleep(integer) does not exist", `operator is not unique: unknown || "char"`}

// Every statement of the recorded clients about the catalogue runs, unless it needs a feature that the planner refuses
// by name, and has the columns that Postgres gave it.
func TestCatalogueStatementsOfRealClients(t *testing.T) {
	d := newDatabase(t)
	ran, compared := 0, 0
	for _, r := range corpus(t) {
		if !catalogueOnly(r.SQL) {
			continue
		}
		cols, _, err := d.query(r.SQL)
		e := sqlerr.As(err)
		switch {
		case err != nil && (e.Code == sqlerr.FeatureNotSupported || e.Message == notSelect || slices.Contains(notOurs, e.Message)):
		case err != nil:
			t.Errorf("%s %s\n%s", e.Code, e.Message, r.SQL)
		default:
			ran++
			n, diff := columnsDiffer(cols, r)
			compared += n
			if diff != "" {
				t.Errorf("%s\n%s", diff, r.SQL)
			}
		}
	}
	if ran < 270 || compared < 1000 {
		t.Errorf("%d statements ran, %d columns were compared", ran, compared)
	}
}

// columnsDiffer compares columns ("name type") with the recorded ones; n is how many it compared.
func columnsDiffer(cols []string, r recorded) (n int, diff string) {
	if len(r.Results) != 1 || len(r.Results[0].Columns) == 0 {
		return 0, ""
	}
	want := r.Results[0].Columns
	if len(cols) != len(want) {
		return 0, fmt.Sprintf("%d columns, want %d", len(cols), len(want))
	}
	for i, c := range cols {
		if internalOIDs[want[i].OID] != "" {
			continue
		}
		n++
		typ, ok := types.FromOID(want[i].OID)
		if !ok || c != want[i].Name+" "+typ.String() {
			return n, fmt.Sprintf("column %d is %s, want %s %v (%d)", i, c, want[i].Name, typ, want[i].OID)
		}
	}
	return n, ""
}
