package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws one line that is rewritten in place on a terminal, and nothing elsewhere.
type progress struct {
	out         io.Writer // nil when there is no terminal
	total, done int64     // bytes
	start, last time.Time
}

// progressEvery is the time between redraws.
const progressEvery = 100 * time.Millisecond

func newProgress(f *os.File) *progress {
	p := &progress{start: time.Now()}
	if isTerminal(f) {
		p.out = f
	}
	return p
}

// isTerminal tells whether a person is watching.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show redraws the line: bar, bytes, events, rate, time left.
func (p *progress) show(events int64) {
	if p.out == nil || time.Since(p.last) < progressEvery {
		return
	}
	p.last = time.Now()
	p.draw(events)
}

func (p *progress) draw(events int64) {
	took := time.Since(p.start).Seconds()
	part := 1.0
	if p.total > 0 {
		part = min(1, float64(p.done)/float64(p.total))
	}
	left := "?"
	if part > 0 {
		left = time.Duration(took * (1 - part) / part * float64(time.Second)).Round(time.Second).String()
	}
	filled := int(part * 30)
	fmt.Fprintf(p.out, "\r\033[K[%s%s] %3.0f%%  %.1f MB  %d events  %.0f events/s  %s left",
		strings.Repeat("=", filled), strings.Repeat(" ", 30-filled), part*100, float64(p.done)/1e6, events, float64(events)/took, left)
}

// end draws the last state and leaves the line.
func (p *progress) end(events int64) {
	if p.out != nil {
		p.draw(events)
		fmt.Fprintln(p.out)
	}
}
