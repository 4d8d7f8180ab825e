// Package slt runs SQL scripts end to end: the real server, the Postgres protocol, one data directory per script. The
// format is described in README.md.
package slt

import (
	"bytes"
	"context"
	"errors"
	"flag"
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

// rewrite puts what the server answers into the scripts; read the diff before you commit it.
var rewrite = flag.Bool("rewrite", false, "rewrite the expectations of the scripts")

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.slt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".slt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			steps := parse(string(text))
			if len(steps) == 0 {
				t.Fatal("an empty script shows nothing")
			}
			s := &script{t: t, dir: t.TempDir()}
			s.start()
			for i := range steps {
				if err := s.step(&steps[i]); err != nil {
					t.Fatalf("%s:%d: %s\n%v", f, steps[i].line, strings.Join(steps[i].words, " "), err)
				}
			}
			if *rewrite {
				if err := os.WriteFile(f, []byte(format(string(text), steps)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if code := s.p.Stop(t); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.p.Log())
			}
			if strings.Contains(s.p.Log(), "panic") {
				t.Errorf("the server's log:\n%s", s.p.Log())
			}
		})
	}
}

// script is a running script.
type script struct {
	t       *testing.T
	dir     string
	p       *harness.Process
	c       *pgx.Conn
	others  map[string]*pgx.Conn // by the name of "connection"
	notices []string
}

func (s *script) start() {
	s.p = harness.Start(s.t, s.dir)
	s.others = map[string]*pgx.Conn{}
	s.connect("main")
}

// connect makes the named connection the one that runs what follows; "user=u" after the name says as whom it comes.
func (s *script) connect(name string, options ...string) {
	user := "test"
	for _, o := range options {
		if u, ok := strings.CutPrefix(o, "user="); ok {
			user = u
		}
	}
	if s.c = s.others[name]; s.c != nil {
		return
	}
	config, err := pgx.ParseConfig("postgres://" + user + "@" + s.p.PG + "/vigil?sslmode=disable")
	if err != nil {
		s.t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.notices = append(s.notices, n.Severity+": "+n.Message) }
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	if s.c, err = pgx.ConnectConfig(ctx, config); err != nil {
		s.t.Fatal(err)
	}
	c := s.c
	s.others[name] = c
	s.t.Cleanup(func() { _ = c.Close(context.Background()) }) // the server may be gone by then
}

// step executes one block and compares what comes with what is expected.
func (s *script) step(st *step) error {
	sql := strings.TrimSpace(st.body)
	s.notices = nil
	var got []string
	var err error
	switch st.words[0] {
	case "statement":
		if st.words[1] == "error" {
			got, err = s.failing(sql, st)
		} else {
			_, err = harness.TryRows(s.c, sql)
			got = s.notices
		}
		if !st.expects && !*rewrite { // the words of errors and notices are compared where they are given
			return err
		}
	case "query":
		got, err = harness.TryRows(s.c, sql)
	case "wait":
		return s.wait(sql, st)
	case "post":
		got, err = s.post(st)
	case "copy":
		var tag pgconn.CommandTag
		tag, err = s.c.PgConn().CopyFrom(context.Background(), strings.NewReader(st.body), strings.Join(st.words[1:], " "))
		got = append([]string{tag.String()}, s.notices...)
	case "copyout":
		var out bytes.Buffer
		_, err = s.c.PgConn().CopyTo(context.Background(), &out, sql)
		got = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	case "listen":
		got, err = s.listen(st)
	case "connection":
		s.connect(st.words[1], st.words[2:]...)
		return nil
	case "restart":
		if code := s.p.Stop(s.t); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		s.start()
	case "kill":
		s.p.Kill()
		s.start()
	default:
		return fmt.Errorf("unknown directive %q", st.words[0])
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && *rewrite {
		st.becomeError(pg)
		return st.compare([]string{pg.Message})
	}
	if err != nil {
		return err
	}
	return st.compare(got)
}

// failing compares SQLSTATE and, where given, the position; the connection must go on.
func (s *script) failing(sql string, st *step) ([]string, error) {
	_, err := harness.TryRows(s.c, sql)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok && *rewrite && err == nil {
		st.words = []string{"statement", "ok"}
		return s.notices, nil
	}
	if !ok {
		return nil, fmt.Errorf("got %v, want an error", err)
	}
	if *rewrite {
		st.becomeError(pg)
	}
	want := st.words[2:]
	if pg.Code != want[0] || len(want) > 1 && fmt.Sprint(pg.Position) != want[1] {
		return nil, fmt.Errorf("got %s at %d: %s", pg.Code, pg.Position, pg.Message)
	}
	if rows, err := harness.TryRows(s.c, "SHOW application_name"); err != nil && pg.Code != "25P02" && s.c.PgConn().TxStatus() != 'E' || err == nil && len(rows) != 1 {
		return nil, fmt.Errorf("the connection does not go on: %v", err)
	}
	got := []string{pg.Message}
	for _, part := range []struct{ name, text string }{{"DETAIL", pg.Detail}, {"HINT", pg.Hint}, {"CONTEXT", pg.Where}} {
		if part.text != "" {
			got = append(got, part.name+": "+part.text)
		}
	}
	return got, nil
}

// wait asks until the rows are as expected.
func (s *script) wait(sql string, st *step) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(harness.PatienceMax)
	for {
		got, err := harness.TryRows(s.c, sql)
		if err != nil {
			return err
		}
		err = compare(got, st.expect, true)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-ticker.C
	}
}

func (s *script) post(st *step) ([]string, error) {
	res, err := http.Post("http://"+s.p.HTTP+"/v1/streams/"+st.words[1]+"/events", "", strings.NewReader(st.body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return []string{strings.TrimSpace(string(answer))}, err
}

// listen waits for notifications on a channel while a statement runs on another connection.
func (s *script) listen(st *step) ([]string, error) {
	if _, err := harness.TryRows(s.c, "LISTEN "+st.words[1]); err != nil {
		return nil, err
	}
	if _, err := harness.TryRows(s.p.Connect(s.t), st.body); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	n, err := s.c.WaitForNotification(ctx)
	if err != nil {
		return nil, err
	}
	return []string{n.Channel + " " + n.Payload}, nil
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
