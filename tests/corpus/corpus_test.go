package corpus

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

var (
	rewrite = flag.Bool("rewrite", false, "write docs/compatibility.md anew")
	only    = flag.String("client", "", "replay this client only")
	verbose = flag.Bool("differences", false, "print every difference with its statement")
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// score counts the statements of one client.
type score struct{ statements, answered, columns, columnsSame, rows, rowsSame int }

func (s *score) add(o score) {
	s.statements += o.statements
	s.answered += o.answered
	s.columns += o.columns
	s.columnsSame += o.columnsSame
	s.rows += o.rows
	s.rowsSame += o.rowsSame
}

// difference is one statement that was not answered as PostgreSQL did.
type difference struct{ client, sql, what string }

// Every statement that the recorded clients sent is answered, with Postgres' columns, and with its rows where the schema
// decides them.
func TestRecordedClients(t *testing.T) {
	dir := need.Shared(t, "pgclients")
	clients, entries, err := readCorpus(dir)
	if err != nil || len(clients) == 0 {
		t.Fatalf("%d clients: %v", len(clients), err)
	}
	p := harness.Start(t, t.TempDir())
	setUp(t, p.PG)
	scores := map[string]score{}
	var diffs []difference
	for _, c := range clients {
		if *only != "" && c != *only {
			continue
		}
		r := &replay{client: c, addr: p.PG}
		if err := r.run(entries[c]); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		scores[c] = r.score
		diffs = append(diffs, r.diffs...)
	}
	report(t, scores, diffs)
}

// setUp makes the recorded database.
func setUp(t *testing.T, addr string) {
	c, err := dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.nc.Close()
	data, err := os.ReadFile(filepath.Join("testdata", "world.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range strings.Split(string(data), ";\n") {
		list, err := c.query(sql)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.code != "" {
				t.Errorf("%s\n%s %s", sql, r.code, r.message)
			}
		}
	}
}

// replay is one client's run.
type replay struct {
	client, addr string
	params       map[string]string
	action       string // of the statement before
	c            *conn
	score        score
	diffs        []difference
}

func (r *replay) run(list []entry) error {
	defer func() { r.c.nc.Close() }()
	for i := range list {
		e := &list[i]
		switch e.Kind {
		case "connection":
			for _, s := range e.Startup {
				if s["replication"] == "" && s["options"] == "" && len(s) > len(r.params) {
					r.params = s
				}
			}
			if err := r.connect(); err != nil {
				return err
			}
		case "query", "describe_only", "error":
			if err := r.statement(e); err != nil {
				return fmt.Errorf("%s: %w", e.SQL, err)
			}
		}
	}
	return nil
}

func (r *replay) connect() (err error) {
	if r.c != nil {
		r.c.nc.Close()
	}
	r.c, err = dial(r.addr, r.params)
	return err
}

// statement replays one statement and compares.
func (r *replay) statement(e *entry) error {
	// psql is run anew for each thing that a person does.
	if r.client == "psql" && e.Action != r.action && r.c.tx == 'I' {
		if err := r.connect(); err != nil {
			return err
		}
	}
	r.action = e.Action
	if e.SQL == "IDENTIFY_SYSTEM" { // of a connection for replication
		return r.replication(e)
	}
	if err := r.prepare(e); err != nil {
		return err
	}
	r.score.statements++
	got, err := r.sendCancelled(e)
	if err != nil {
		return err
	}
	if diff := answeredDiffers(e, got); diff != "" {
		r.differ(e, diff)
		return nil
	}
	r.score.answered++
	for i := range got {
		if i >= len(e.Results) {
			break
		}
		r.compare(e, &e.Results[i], &got[i])
	}
	return nil
}

// replication runs a statement on a connection of its own that was made for replication.
func (r *replay) replication(e *entry) error {
	own := &replay{client: r.client, addr: r.addr, params: map[string]string{"replication": "database"}}
	r.score.statements++
	if err := own.connect(); err != nil {
		r.differ(e, err.Error())
		return nil
	}
	defer own.c.nc.Close()
	got, err := own.c.query(e.SQL)
	if err != nil {
		return err
	}
	if diff := answeredDiffers(e, got); diff != "" {
		r.differ(e, diff)
		return nil
	}
	r.score.answered++
	r.compare(e, &e.Results[0], &got[0])
	return nil
}

// prepare makes the state of the transaction that a statement needs: the recording holds each statement once, so a BEGIN or
// ROLLBACK before it may be missing.
func (r *replay) prepare(e *entry) error {
	word := strings.ToUpper(strings.Fields(e.SQL + " ;")[0])
	begins := word == "DECLARE" || word == "SAVEPOINT"
	if r.c.tx == 'E' && word != "ROLLBACK" {
		if _, err := r.c.query("ROLLBACK"); err != nil {
			return err
		}
	}
	if begins && r.c.tx == 'I' {
		if _, err := r.c.query("BEGIN"); err != nil {
			return err
		}
	}
	return nil
}

// sendCancelled sends a statement, and cancels it where the client did.
func (r *replay) sendCancelled(e *entry) ([]result, error) {
	last := len(e.Results) - 1
	if last < 0 || !strings.Contains(e.Results[last].Error, "57014") {
		return r.send(e)
	}
	e.Results = e.Results[last:] // the columns, which came before the error, were taken down by themselves
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		r.c.cancel(r.addr, stop)
	}()
	got, err := r.send(e)
	close(stop)
	<-done
	return got, err
}

func (r *replay) send(e *entry) ([]result, error) {
	if e.Protocol == "simple" {
		return r.c.query(e.SQL)
	}
	var params []param
	if len(e.ParamSets) > 0 {
		params = e.ParamSets[0]
	}
	format := int16(0)
	if len(e.Formats) > 0 && e.Formats[0] == "1" && e.Kind == "query" {
		// The client wanted binary: it must be there; rows are compared in text.
		list, err := r.c.extended(e, params, 1, false)
		if err != nil || len(list) > 0 && list[0].code != "" {
			return list, err
		}
	}
	return r.c.extended(e, params, format, e.Kind == "describe_only")
}

// answeredDiffers tells how the outcome differs: an error where there was none, another SQLSTATE, other statements.
func answeredDiffers(e *entry, got []result) string {
	for i, g := range got {
		want := ""
		if i < len(e.Results) {
			want = e.Results[i].Error
		}
		code := ""
		if f := strings.Fields(want); len(f) > 1 {
			code = f[1]
		}
		if g.code != code {
			return fmt.Sprintf("%s %s, PostgreSQL: %s", g.code, g.message, orNone(want))
		}
	}
	if len(got) < len(e.Results) {
		return fmt.Sprintf("%d results, PostgreSQL: %d", len(got), len(e.Results))
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "no error"
	}
	return s
}

// compare compares columns and, where they are comparable, rows.
func (r *replay) compare(e *entry, want *answer, got *result) {
	if want.Error != "" {
		return
	}
	if len(want.Columns) > 0 || len(got.columns) > 0 {
		r.score.columns++
		if diff := columnsDiffer(want.Columns, got.columns); diff != "" {
			r.differ(e, diff)
			return
		}
		r.score.columnsSame++
	}
	if !e.Reproduced || want.UserOID || want.Volatile || want.Rows == nil && want.NRows > 0 || e.Kind != "query" || len(want.Columns) == 0 {
		return
	}
	r.score.rows++
	ordered := strings.Contains(strings.ToLower(e.SQL), "order by")
	if !ordered && anyRow.MatchString(e.SQL) && len(got.rows) == len(want.Rows) {
		r.score.rowsSame++ // which row comes is not said
		return
	}
	if diff := rowsDiffer(want.Rows, got.rows, ordered); diff != "" {
		r.differ(e, diff)
		return
	}
	r.score.rowsSame++
}

// anyRow is a query for one row, whichever.
var anyRow = regexp.MustCompile(`(?i)\blimit\s+'?1'?\s*;?\s*$`)

func (r *replay) differ(e *entry, what string) {
	r.diffs = append(r.diffs, difference{r.client, e.SQL, what})
}

func columnsDiffer(want, got []column) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d columns, PostgreSQL: %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] {
			return fmt.Sprintf("column %d is %v, PostgreSQL: %v", i+1, got[i], want[i])
		}
	}
	return ""
}

// rowsDiffer compares rows; the recorded superuser is vigil's owner.
func rowsDiffer(want, got [][]*string, ordered bool) string {
	w, g := lines(want, true), lines(got, false)
	if !ordered {
		sort.Strings(w)
		sort.Strings(g)
	}
	if len(w) != len(g) {
		return fmt.Sprintf("%d rows, PostgreSQL: %d\n  - %s\n  + %s", len(g), len(w), strings.Join(head(w, g), "\n  - "), strings.Join(head(g, w), "\n  + "))
	}
	for i := range w {
		if w[i] != g[i] {
			return fmt.Sprintf("row %d is\n  + %s\n  - %s", i+1, g[i], w[i])
		}
	}
	return ""
}

// head gives the first few of a that are not in b.
func head(a, b []string) []string {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	var out []string
	for _, s := range a {
		if !in[s] && len(out) < 5 {
			out = append(out, s)
		}
	}
	return out
}

func lines(rows [][]*string, recorded bool) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		parts := make([]string, len(r))
		for k, v := range r {
			parts[k] = "NULL"
			if v != nil {
				parts[k] = *v
				if recorded && *v == "postgres" {
					parts[k] = "vigil"
				}
			}
		}
		out[i] = strings.Join(parts, "|")
	}
	return out
}

// report prints the scores, and fails for what is neither as PostgreSQL answered nor in testdata/reasons.txt; -rewrite writes
// docs/compatibility.md.
func report(t *testing.T, scores map[string]score, diffs []difference) {
	reasons, err := readReasons(filepath.Join("testdata", "reasons.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var total score
	for _, s := range scores {
		total.add(s)
	}
	table := scoreTable(scores, total)
	t.Log("\n" + table)
	for _, d := range diffs {
		r := explain(reasons, d)
		if *verbose {
			t.Logf("%s: %s\n%s\n", d.client, d.what, d.sql)
		}
		if r == nil {
			t.Errorf("%s: %s\n%s", d.client, d.what, d.sql)
		}
	}
	if *only != "" {
		return
	}
	for _, r := range reasons {
		if r.used == 0 {
			t.Errorf("testdata/reasons.txt: nothing differs any more because of: %s", r.text)
		}
	}
	page := compatibilityPage(table, reasons)
	path := filepath.Join(need.Root(), "docs", "compatibility.md")
	if *rewrite {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(path); err != nil || string(was) != page {
		t.Errorf("docs/compatibility.md does not say what is (%v); run this test with -rewrite, and read the diff", err)
	}
}
