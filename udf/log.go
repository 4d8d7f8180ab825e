package udf

import (
	"sync"
	"time"
)

// What is kept of console.log: lines of all functions together, and how many of a function in a second.
const (
	logKept     = 2000
	logASecond  = 100
	logTrackMax = 1000 // functions that are told apart
)

// LogLine is a line that a function gave to console.log.
type LogLine struct {
	At       time.Time
	Function string
	Line     string
}

// Log keeps the newest lines of console.log. The zero value is empty. Safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []LogLine // a ring once it is full
	next  int
	// of counts the lines of functions in the second since began.
	of    map[string]int
	began time.Time
	// dropped are the lines that were too many.
	dropped int64
}

// Add keeps lines of a function, as many as it may have in a second.
func (l *Log) Add(now time.Time, function string, lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := now.Sub(l.began); d >= time.Second || d < 0 || len(l.of) >= logTrackMax {
		l.of, l.began = map[string]int{}, now
	}
	for i, line := range lines {
		if l.of[function]++; l.of[function] > logASecond {
			l.dropped += int64(len(lines) - i)
			return
		}
		x := LogLine{now, function, clean(line)}
		if len(l.lines) < logKept {
			l.lines = append(l.lines, x)
			continue
		}
		l.lines[l.next] = x
		l.next = (l.next + 1) % logKept
	}
}

// Lines are those that are kept, oldest first.
func (l *Log) Lines() []LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]LogLine(nil), l.lines[l.next:]...), l.lines[:l.next]...)
}
