// Package docs runs the SQL of the user documentation and compares what comes with what the pages print, so that they
// cannot drift from the server. A block ```sql runs as it stands; a block ```text that follows it at once is its output, as
// psql prints it. Each section (a heading of the second level) has a server of its own.
package docs

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// rewrite puts what the server answers into the pages; read the diff before you commit it.
var rewrite = flag.Bool("rewrite", false, "rewrite the output blocks of the pages")

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// read reads a page.
func read(t *testing.T, file string) *page {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse(filepath.Base(file), string(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs the sections of a page, each on a server of its own, which begin prepares. It returns what is not as the page
// says, and what came instead by line.
func run(t *testing.T, p *page, begin func(t *testing.T, s *harness.Process, c *pgx.Conn)) ([]error, map[int]string) {
	var failed []error
	outputs := map[int]string{}
	for _, s := range p.sections {
		server := harness.Start(t, t.TempDir())
		c := server.Connect(t)
		begin(t, server, c)
		harness.Exec(t, c, p.always...)
		for i := range s.examples {
			err := p.check(c, &s.examples[i])
			if d, ok := errors.AsType[*drift](err); ok {
				outputs[s.examples[i].line] = d.got
			}
			if err != nil {
				failed = append(failed, err)
			}
		}
		if code := server.Stop(t); code != 0 || strings.Contains(server.Log(), "panic") {
			t.Errorf("%s, section %q: exit code %d\n%s", p.name, s.title, code, server.Log())
		}
	}
	return failed, outputs
}

// compare runs a page, and rewrites it where that is asked for.
func compare(t *testing.T, p *page, file string, begin func(t *testing.T, s *harness.Process, c *pgx.Conn)) int {
	failed, outputs := run(t, p, begin)
	if *rewrite {
		if err := os.WriteFile(file, []byte(p.replaced(outputs)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range failed {
		t.Error(err)
	}
	n := 0
	for _, s := range p.sections {
		n += len(s.examples)
	}
	return n
}

// TestPages runs the pages of the manual.
func TestPages(t *testing.T) {
	for name, least := range map[string]int{"time.md": 20, "explain.md": 5, "testing-rules.md": 4, "limits.md": 4, "ioc.md": 1, "javascript.md": 6} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(need.Root(), "docs", name)
			n := compare(t, read(t, file), file, func(*testing.T, *harness.Process, *pgx.Conn) {})
			if n < least {
				t.Errorf("%s has %d examples: were they not found?", name, n)
			}
		})
	}
}

// TestExamples runs what the pages of docs/examples show, after their rules and events are loaded.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(need.Root(), "docs", "examples", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "testdata/example/README.md") {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) {
			p := read(t, f)
			for i := range p.sections {
				for j := range p.sections[i].examples {
					p.sections[i].examples[j].wait = true // posting events answers before queries have them
				}
			}
			n := compare(t, p, f, func(t *testing.T, s *harness.Process, c *pgx.Conn) { load(t, filepath.Dir(f), s, c) })
			if n == 0 && strings.HasPrefix(f, "testdata") {
				t.Error("its example was not found")
			}
		})
	}
}

// load runs rules.sql and posts events/STREAM.ndjson, or .pcap, of a directory.
func load(t *testing.T, dir string, s *harness.Process, c *pgx.Conn) {
	rules, err := os.ReadFile(filepath.Join(dir, "rules.sql"))
	if err != nil {
		t.Fatal(err)
	}
	harness.Exec(t, c, string(rules))
	files, err := filepath.Glob(filepath.Join(dir, "events", "*.*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no events", err)
	}
	for _, f := range files {
		events, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stream := strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))
		res, err := http.Post("http://"+s.HTTP+"/v1/streams/"+stream+"/events", "", bytes.NewReader(events))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // the status says all
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", f, res.Status)
		}
	}
}

// TestDriftIsSeen shows that a page that says something else than the server does not pass, and that rewriting mends it.
func TestDriftIsSeen(t *testing.T) {
	p := read(t, "testdata/drift.md")
	failed, outputs := run(t, p, func(*testing.T, *harness.Process, *pgx.Conn) {})
	var places []string
	for _, err := range failed {
		places = append(places, strings.SplitN(err.Error(), ": ", 2)[0])
	}
	want := "drift.md:21 drift.md:34 drift.md:44"
	if got := strings.Join(places, " "); got != want {
		t.Errorf("what has drifted: %s, want %s\n%v", got, want, failed)
	}
	mended, err := parse("mended", p.replaced(outputs))
	if err != nil {
		t.Fatal(err)
	}
	if failed, _ = run(t, mended, func(*testing.T, *harness.Process, *pgx.Conn) {}); len(failed) != 1 {
		t.Errorf("after rewriting, %v fails; only the statement that shows no output should", failed)
	}
	if again := maps.Clone(outputs); mended.replaced(again) == strings.Join(p.lines, "\n") {
		t.Error("rewriting changed nothing")
	}
}
