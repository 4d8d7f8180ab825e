// Package examples runs docs/examples as their readers would: vigil apply, vigil load, SELECT.
package examples

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// rewrite writes the events and the expected rows of all examples; read the diff before you commit it.
var rewrite = flag.Bool("rewrite", false, "rewrite the events and expected rows of docs/examples")

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// example is a scenario: events per stream, and the rows that must come out, made without vigil.
type example struct {
	dir    string
	events map[string][]string // stream -> lines
	query  string
	rows   []string
	// captures are files of packets, by stream.
	captures map[string][]byte
}

func TestExamples(t *testing.T) {
	all := []example{bruteForce(), unknownAccounts(), rdpHijack(), netflowAnomaly(), packetAnomaly()}
	dirs, err := filepath.Glob(filepath.Join(need.Root(), "docs", "examples", "*", "rules.sql"))
	if err != nil || len(dirs) != len(all) {
		t.Fatalf("%d examples, %d of them tested (%v)", len(dirs), len(all), err)
	}
	for _, e := range all {
		t.Run(e.dir, func(t *testing.T) {
			if len(e.rows) == 0 {
				t.Fatal("an example without alerts shows nothing")
			}
			e.run(t)
		})
	}
}

func (e *example) path(parts ...string) string {
	return filepath.Join(append([]string{need.Root(), "docs", "examples", e.dir}, parts...)...)
}

// file compares a file of the example with what it must hold.
func (e *example) file(t *testing.T, lines []string, parts ...string) {
	t.Helper()
	want := strings.Join(lines, "\n") + "\n"
	name := e.path(parts...)
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Fatalf("%s is not what the test makes (%v); run go test ./tests/examples -rewrite", name, err)
	}
}

func (e *example) run(t *testing.T) {
	want := slices.Sorted(slices.Values(e.rows))
	for stream, lines := range e.events {
		e.file(t, lines, "events", stream+".ndjson")
	}
	e.file(t, want, "expected", e.query+".txt")
	captures := e.captureFiles(t)
	p := harness.Start(t, t.TempDir())
	if out, err := vigil(t, "apply", "--pg", p.PG, e.path()); err != nil {
		t.Fatalf("vigil apply: %v\n%s", err, out)
	}
	for _, stream := range slices.Sorted(func(yield func(string) bool) {
		for s := range e.events {
			if !yield(s) {
				return
			}
		}
	}) {
		if out, err := vigil(t, "load", "--http", p.HTTP, stream, e.path("events", stream+".ndjson")); err != nil || !strings.Contains(out, " 0 rejected") {
			t.Fatalf("vigil load: %v\n%s", err, out)
		}
	}
	for stream, name := range captures {
		if out, err := vigil(t, "load", "--http", p.HTTP, stream, name); err != nil || !strings.Contains(out, " 0 rejected") {
			t.Fatalf("vigil load: %v\n%s", err, out)
		}
	}
	c := p.Connect(t)
	got := harness.WaitRows(t, c, "SELECT * FROM "+e.query, func(rows []string) bool { return len(rows) >= len(want) })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if late := harness.Rows(t, c, "SELECT sum(late), sum(rejected) FROM vigil.streams"); late[0] != "0|0" {
		t.Errorf("late|rejected is %s", late[0])
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.Log())
	}
}

// vigil runs a command of the real binary.
func vigil(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(harness.Binary(t), args...).CombinedOutput()
	return string(out), err
}
