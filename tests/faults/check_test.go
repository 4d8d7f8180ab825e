package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// answer is what a query and its sink gave.
type answer struct {
	rows []string // sorted
	// changes are those of a query with a sink, in order; lines are the lines of the sink's file.
	changes, lines []string
}

// check compares everything with the model.
func (s *sim) check() {
	s.t.Helper()
	s.seen["check"]++
	s.settle()
	got := map[string]*answer{}
	s.w.steady(func() error {
		if err := s.arrived(); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(s.queries)) {
			var err error
			if got[name], err = s.ask(s.queries[name]); err != nil {
				return err
			}
		}
		rows, err := s.w.db.Rows("SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM ev UNION ALL SELECT id FROM fl) x")
		if want := fmt.Sprintf("[[%d %[1]d]]", len(s.events)); err == nil && fmt.Sprint(rows) != want {
			s.t.Fatalf("the streams have %v events, not %s", rows, want)
		}
		if err == nil {
			err = s.checkParts()
		}
		return err
	})
	for name, q := range s.queries {
		a, want := got[name], q.rows(s.events)
		s.seen["rows"] += len(want)
		s.seen["rows of "+q.shape.what] += len(want)
		if !slices.Equal(a.rows, want) {
			s.t.Errorf("after %d events, %d restarts: %s (%s, %v, %v): %d rows, the model has %d\n got %.600q\nwant %.600q\n%.3000q", len(s.events), s.w.restart, name, q.shape.body(0), q.spans, q.plus, len(a.rows), len(want),
				without(a.rows, want), without(want, a.rows), s.w.logs)
		}
		if q.sink == "" {
			continue
		}
		s.seen["carried"] += len(a.lines)
		if len(a.lines) != len(a.changes) {
			s.t.Errorf("the sink of %s has carried %d rows of %d", name, len(a.lines), len(a.changes))
			continue
		}
		for i, line := range a.lines {
			if err := sameRow(line, a.changes[i], i); err != nil {
				s.t.Errorf("line %d of the sink of %s: %v", i, name, err)
				break
			}
		}
	}
}

// arrived waits until all that is on its way is there: histories are read, sinks have carried everything out, the connector's records are in.
func (s *sim) arrived() error {
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		rows, err := s.w.db.Rows(fmt.Sprintf("SELECT (SELECT count(*) FROM vigil.queries WHERE state = 'backfilling'), (SELECT coalesce(sum(lag_rows), 0) FROM vigil.sinks), (SELECT count(*) FROM pa_rows) - %d", s.parts.count()))
		if err != nil {
			return err
		}
		if s.w.crashed() || s.w.dead() {
			return errors.New("the server is gone")
		}
		if slices.Equal(rows[0], []string{"0", "0", "0"}) {
			return s.w.db.Settle()
		}
		if time.Now().After(deadline) {
			what, err := s.w.db.Rows("SELECT name, state, progress::text FROM vigil.queries WHERE state = 'backfilling' UNION ALL SELECT name, state || ' ' || lag_rows, last_error FROM vigil.sinks WHERE lag_rows > 0")
			s.t.Fatalf("after %d events, %d restarts: histories, rows of sinks and records are missing: %q: %q, %v\n%.3000q", len(s.events), s.w.restart, rows, what, err, s.w.logs)
		}
	}
}

// patience is how long what must come may take on a slow machine.
const patience = 30 * time.Second

func (s *sim) ask(q *live) (*answer, error) {
	rows, err := s.w.db.Rows("SELECT * FROM " + q.name)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	for _, r := range rows {
		a.rows = append(a.rows, strings.Join(r, "|"))
	}
	slices.Sort(a.rows)
	if q.sink == "" {
		return a, nil
	}
	log, err := s.w.db.Changelog(q.name)
	if err != nil {
		return nil, err
	}
	for _, c := range log {
		a.changes = append(a.changes, c.Text)
	}
	data, err := os.ReadFile(q.sink)
	if errors.Is(err, fs.ErrNotExist) && len(log) == 0 {
		err = nil
	}
	for line := range strings.Lines(string(data)) {
		a.lines = append(a.lines, line)
	}
	return a, err
}

// sameRow tells whether a line of a sink's file is row n of a changelog.
func sameRow(line, row string, n int) error {
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	d.UseNumber()
	var words []string
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		switch x := token.(type) {
		case json.Delim:
		case nil:
			words = append(words, "NULL")
		default:
			words = append(words, fmt.Sprint(x))
		}
	}
	want := strings.Split(row, "|")
	if len(words) != 2+2*len(want) || words[0] != "_vigil_id" || !strings.HasSuffix(words[1], fmt.Sprint(":", n)) {
		return fmt.Errorf("%q, want row %d, %s", line, n, row)
	}
	for i, value := range want {
		got := words[3+2*i]
		if at, err := time.Parse(time.RFC3339Nano, got); err == nil {
			got = at.UTC().Format(stamp)
		}
		if got != value {
			return fmt.Errorf("%q, want %s", line, row)
		}
	}
	return nil
}
