package slt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

// TestQueryFiles: TEST CONTINUOUS QUERY over files of a directory that the server allows, with what it has to say besides rows.
func TestQueryFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("events.ndjson", `{"ts":"2026-03-01T12:00:00Z","k":"a"}
{"ts":"2026-03-01T12:00:30Z","k":"b"}
{"ts":"2026-03-01T12:00:00Z","k":"late"}
no event
{"ts":"2026-03-01T12:00:31Z","k":"b"}
`)
	write("rows.ndjson", `{"k":"a","n":1}
{"n":2,"k":"b"}
`)
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, dir: t.TempDir()}
	s.p = harness.Start(t, s.dir, "--test-dir", dir)
	s.others = map[string]*pgx.Conn{}
	s.connect("main")
	harness.Exec(t, s.c, `CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts);
		CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(INTERVAL '10 seconds')`)
	s.notices = nil
	ask := func(sql string) string {
		results, err := s.c.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
				return fmt.Sprint(pg.Code, " ", pg.Position)
			}
			t.Fatal(err)
		}
		var lines []string
		for _, row := range results[0].Rows {
			var cells []string
			for _, c := range row {
				cells = append(cells, string(c))
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return strings.Join(append(lines, results[0].CommandTag.String()), "\n")
	}
	for _, c := range []struct{ sql, want string }{
		{`TEST CONTINUOUS QUERY q USING 'events.ndjson' EXPECT 'rows.ndjson'`,
			`rejected|{"reason":"invalid input syntax for type json: the record is not an object","stream":"s","line":"no event"}` + "\nTEST"},
		{`TEST CONTINUOUS QUERY q USING 'events.ndjson'`, "2026-03-01 12:00:00+00|2026-03-01 12:00:10+00|a|1\n2026-03-01 12:00:30+00|2026-03-01 12:00:40+00|b|2\nTEST"},
		{`TEST CONTINUOUS QUERY q USING '../events.ndjson'`, "42501 31"},
		{`TEST CONTINUOUS QUERY q USING '/etc/hostname'`, "42501 31"},
		{`TEST CONTINUOUS QUERY q USING 'link'`, "42501 31"},
		{`TEST CONTINUOUS QUERY q USING '' EXPECT 'none'`, "58P01 41"},
	} {
		if got := ask(c.sql); got != c.want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", c.sql, got, c.want)
		}
	}
	told := strings.Join(s.notices, "\n")
	for _, want := range []string{`WARNING: 1 rows came too late for continuous query "q"`, `WARNING: rejected: {"reason":`} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
	if code := s.p.Stop(t); code != 0 || strings.Contains(s.p.Log(), "panic") {
		t.Errorf("exit code %d\n%s", code, s.p.Log())
	}
}
