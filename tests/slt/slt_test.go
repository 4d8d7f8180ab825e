// Package slt runs SQL scripts end to end: the real server, the Postgres protocol, one data directory per script. The
// format is described in README.md.
package slt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// step is one block of a script.
type step struct {
	line   int
	words  []string // the directive
	body   string   // up to ---- or the blank line
	expect string   // after ----
}

// parse splits a script into blocks, which blank lines separate.
func parse(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		s := step{line: i + 1, words: strings.Fields(lines[i])}
		part := &s.body
		for i++; i < len(lines) && lines[i] != ""; i++ {
			if lines[i] == "----" {
				part = &s.expect
				continue
			}
			*part += lines[i] + "\n"
		}
		steps = append(steps, s)
	}
	return steps
}

// script is a running script.
type script struct {
	t    *testing.T
	dir  string
	p    *harness.Process
	c    *pgx.Conn
	name string
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.slt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".slt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, dir: t.TempDir(), name: f}
			s.start()
			steps := parse(t, string(text))
			if len(steps) == 0 {
				t.Fatal("an empty script shows nothing")
			}
			for _, st := range steps {
				if err := s.run(st); err != nil {
					t.Fatalf("%s:%d: %s\n%v", f, st.line, strings.Join(st.words, " "), err)
				}
			}
			if code := s.p.Stop(t); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.p.Log())
			}
		})
	}
}

func (s *script) start() {
	s.p = harness.Start(s.t, s.dir)
	s.c = s.p.Connect(s.t)
}

// run executes one block.
func (s *script) run(st step) error {
	sql := strings.TrimSpace(st.body)
	switch st.words[0] {
	case "statement":
		if st.words[1] == "ok" {
			_, err := harness.TryRows(s.c, sql)
			return err
		}
		return s.wantError(sql, st.words[2:])
	case "query":
		got, err := harness.TryRows(s.c, sql)
		if err != nil {
			return err
		}
		return compare(got, st.expect, slices.Contains(st.words, "sorted"))
	case "wait":
		return s.wait(sql, st.expect)
	case "post":
		return s.post(st)
	case "copy":
		tag, err := s.c.PgConn().CopyFrom(context.Background(), strings.NewReader(st.body), strings.Join(st.words[1:], " "))
		if err != nil {
			return err
		}
		return compare([]string{tag.String()}, st.expect, false)
	case "copyout":
		var out bytes.Buffer
		if _, err := s.c.PgConn().CopyTo(context.Background(), &out, sql); err != nil {
			return err
		}
		return compare(strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), st.expect, false)
	case "listen":
		return s.listen(st)
	case "restart", "kill":
		if st.words[0] == "kill" {
			s.p.Kill()
		} else if code := s.p.Stop(s.t); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		s.start()
		return nil
	}
	return fmt.Errorf("unknown directive %q", st.words[0])
}

// wantError compares SQLSTATE and, where given, the position; the connection must go on.
func (s *script) wantError(sql string, want []string) error {
	_, err := harness.TryRows(s.c, sql)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("got %v, want an error", err)
	}
	if pg.Code != want[0] || len(want) > 1 && fmt.Sprint(pg.Position) != want[1] {
		return fmt.Errorf("got %s at %d: %s", pg.Code, pg.Position, pg.Message)
	}
	if rows, err := harness.TryRows(s.c, "SELECT 1"); err != nil || len(rows) != 1 {
		return fmt.Errorf("the connection does not go on: %v", err)
	}
	return nil
}

// wait asks until the rows are as expected.
func (s *script) wait(sql, want string) error {
	deadline := time.Now().Add(harness.PatienceMax)
	for {
		got, err := harness.TryRows(s.c, sql)
		if err != nil {
			return err
		}
		err = compare(got, want, true)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (s *script) post(st step) error {
	res, err := http.Post("http://"+s.p.HTTP+"/v1/streams/"+st.words[1]+"/events", "", strings.NewReader(st.body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return compare([]string{strings.TrimSpace(string(answer))}, st.expect, false)
}

// listen waits for notifications on a channel while a statement runs on another connection.
func (s *script) listen(st step) error {
	if _, err := harness.TryRows(s.c, "LISTEN "+st.words[1]); err != nil {
		return err
	}
	if _, err := harness.TryRows(s.p.Connect(s.t), st.body); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	n, err := s.c.WaitForNotification(ctx)
	if err != nil {
		return err
	}
	return compare([]string{n.Channel + " " + n.Payload}, st.expect, false)
}

func compare(got []string, want string, sorted bool) error {
	list := []string{}
	if want != "" {
		list = strings.Split(strings.TrimSuffix(want, "\n"), "\n")
	}
	if len(got) > 0 {
		got = strings.Split(strings.Join(got, "\n"), "\n") // values may have lines
	}
	if sorted {
		got = slices.Clone(got)
		slices.Sort(got)
		slices.Sort(list)
	}
	if !slices.Equal(got, list) {
		return fmt.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(list, "\n"))
	}
	return nil
}
