package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// outcome is how a case ends.
type outcome string

const (
	passed        outcome = "passed"
	failed        outcome = "failed"
	notApplicable outcome = "not applicable"
)

// feed is a step of input: rows as lines of JSON for a stream, or statements.
type feed struct {
	stream string
	data   []byte
	sql    string
}

// ask is a query with the answer that the other engine gave.
type ask struct {
	sql  string
	want [][]string
	// ordered: the order of rows counts. last: only so many of the last columns count, 0: all.
	ordered bool
	last    int
	// drop is the index of an answer column that vigil does not have; -1: none.
	errors bool // the engine refuses the statement
}

// testCase is one case of a suite, rewritten.
type testCase struct {
	suite, name string
	// na is the reason why the case does not apply to vigil.
	na      string
	streams []stream
	views   []string // CREATE CONTINUOUS QUERY statements, in order
	feeds   []feed
	// closes: the engine ends bounded inputs by closing all windows.
	closes bool
	asks   []ask
}

// result is the outcome of a case with its reason.
type result struct {
	outcome outcome
	reason  string
}

// clockStart is the time at which cases run: after all events that are not from the far future.
var clockStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run runs a case on a vigil of its own.
func (c *testCase) run() result {
	if c.na != "" {
		return result{notApplicable, c.na}
	}
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(clockStart), Workers: 2, CheckpointEvery: -1})
	if err != nil {
		return result{failed, err.Error()}
	}
	defer db.Close()
	for i := range c.streams {
		if err := db.Exec(c.streams[i].ddl()); err != nil {
			return refused(err, c.streams[i].ddl())
		}
	}
	for _, v := range c.views {
		if err := db.Exec(v); err != nil {
			if len(c.asks) > 0 && c.asks[0].errors {
				return expectedError(err)
			}
			return refused(err, v)
		}
	}
	for _, f := range c.feeds {
		if f.sql != "" {
			if err := db.Exec(f.sql); err != nil {
				return refused(err, f.sql)
			}
			continue
		}
		if n, err := db.Append(f.stream, f.data); err != nil || n > 0 {
			return result{failed, fmt.Sprintf("%d rows of input rejected (%v)", n, err)}
		}
	}
	if c.closes {
		err = db.Pass(10 * 365 * 24 * time.Hour)
	} else {
		err = db.Settle()
	}
	if err != nil {
		return result{failed, err.Error()}
	}
	for _, a := range c.asks {
		if r := a.run(db); r.outcome != passed {
			return r
		}
	}
	return result{passed, ""}
}

func (a *ask) run(db *inproc.DB) result {
	rows, err := db.Rows(a.sql)
	if a.errors {
		if err == nil {
			return result{failed, "accepted, where the other engine refuses it"}
		}
		return expectedError(err)
	}
	if err != nil {
		return refused(err, a.sql)
	}
	got, want := []string{}, []string{}
	for _, r := range rows {
		if a.last > 0 {
			r = r[max(0, len(r)-a.last):]
		}
		got = append(got, strings.Join(strings.Fields(canonicalRow(r)), " "))
	}
	for _, r := range a.want {
		want = append(want, strings.Join(strings.Fields(canonicalRow(r)), " "))
	}
	if !a.ordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	return compare(got, want)
}

// compare tells the first difference.
func compare(got, want []string) result {
	if slices.Equal(got, want) {
		return result{passed, ""}
	}
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return result{failed, fmt.Sprintf("other rows: %d, want %d; first `%s`, want `%s`", len(got), len(want), clip(g), clip(w))}
		}
	}
	return result{failed, "other rows"}
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// refused is the result when vigil does not take a statement of the case.
func refused(err error, sql string) result {
	if e, ok := errors.AsType[*sqlerr.Error](err); ok {
		return result{failed, fmt.Sprintf("%s %s", e.Code, e.Message)}
	}
	return result{failed, err.Error() + ": " + clip(sql)}
}

// expectedError: an error where an error is right; that vigil does not have or know the construct would prove nothing.
func expectedError(err error) result {
	if code := sqlerr.CodeOf(err); code == sqlerr.FeatureNotSupported || code == sqlerr.SyntaxError {
		return refused(err, "")
	}
	return result{passed, ""}
}
