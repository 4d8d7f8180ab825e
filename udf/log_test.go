package udf

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// TestLog: the newest lines stay, in order, and a function that talks too much is cut short without harm to others.
func TestLog(t *testing.T) {
	var l Log
	now := time.Unix(1000, 0)
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	l.Add(now, "f", many)
	l.Add(now, "g", []string{"a\x1b[2J", "b"})
	if lines := l.Lines(); len(lines) != 102 || lines[99].Line != "99" || lines[100] != (LogLine{now, "g", "a [2J"}) || l.dropped != 50 {
		t.Errorf("%d lines, %d dropped, %v", len(lines), l.dropped, lines[len(lines)-2:])
	}
	for i := range 40 {
		l.Add(now.Add(time.Duration(i+1)*time.Second), "f", many[:100])
	}
	lines := l.Lines()
	if len(lines) != logKept || !slices.IsSortedFunc(lines, func(a, b LogLine) int { return a.At.Compare(b.At) }) || lines[0].At != now.Add(21*time.Second) {
		t.Errorf("%d lines from %v", len(lines), lines[0])
	}
}

// TestConsole: what console.log is given comes out, text and numbers as they are; nothing of the user's runs on the way.
func TestConsole(t *testing.T) {
	var got []string
	p := NewPool(Options{Command: newPool(t, 1).opts.Command, Workers: 1, Log: func(function string, lines []string) { got = append(got, lines...) }})
	defer p.Close()
	define(t, p, &spec.Function{ID: 1, Name: "f", Ret: types.T(types.Int4),
		Body: "console.log('row', a, 5n, null, {toString() { for (;;); }}, [1]); for (let i = 0; i < a; i++) console.warn('x'.repeat(2000)); return a"}, types.Int4)
	if rows, err := run(t, p, 1, types.T(types.Int4), 2, vec(types.Int4, 1, 100)); err != nil || rows[1].text != "100" {
		t.Fatal(rows, err)
	}
	if len(got) != wire.LogLinesMax || got[0] != "row 1 5 null [object Object] [object Array]" || got[2] != "row 100 5 null [object Object] [object Array]" || len(got[1]) != wire.LogLineMax {
		t.Errorf("%d lines: %.200q", len(got), got)
	}
	if p.Stats().Logged != 103 {
		t.Errorf("%d lines were counted", p.Stats().Logged)
	}
}
