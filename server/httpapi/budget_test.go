package httpapi

import (
	"errors"
	"testing"
	"time"
)

// refusal is the Retry-After of an error, 0 when there was room.
func refusal(t *testing.T, err error) int64 {
	t.Helper()
	var busy *overloaded
	if err != nil && !errors.As(err, &busy) {
		t.Fatal(err)
	}
	if busy == nil {
		return 0
	}
	return busy.seconds
}

// TestBudget: bodies count twice, several requests of a stream have half of the budget, and one alone has all of it.
func TestBudget(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBudget(1000, func() time.Time { return now })
	claims := map[string]*claim{}
	for i, s := range []struct {
		name   string
		stream uint64
		n      int64
		room   bool
		held   int64
	}{
		{"a", 1, 500, true, 1000},
		{"b", 2, 1, false, 1000},
		{"a", 1, 0, true, 0}, // 0: release
		{"a", 1, 200, true, 400},
		{"b", 1, 51, false, 400},
		{"b", 1, 50, true, 500},
		{"c", 2, 250, true, 1000},
		{"d", 3, 1, false, 1000},
		{"b", 1, 0, true, 900},
		{"a", 1, 50, true, 1000}, // it is the stream's only one again
		{"a", 1, 0, true, 500},
		{"c", 2, 0, true, 0},
	} {
		c := claims[s.name]
		if c == nil {
			c = &claim{b: b, stream: s.stream}
			claims[s.name] = c
		}
		var err error
		if s.n == 0 {
			c.release()
		} else {
			c.stream = s.stream
			err = c.take(s.n)
		}
		if held, _ := b.figures(); (err == nil) != s.room || held != s.held {
			t.Fatalf("step %d: %v, %d held, want room %t and %d", i, err, held, s.room, s.held)
		}
	}
	if _, refused := b.figures(); refused != 3 || len(b.streams) != 0 {
		t.Errorf("%d refused, streams %v", refused, b.streams)
	}
}

// TestRetryAfter: what is held, divided by the rate at which it drained of late, from 1 s to a minute.
func TestRetryAfter(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBudget(1000, func() time.Time { return now })
	one, two := &claim{b: b, stream: 1}, &claim{b: b, stream: 2}
	if err := errors.Join(one.take(200), two.take(300)); err != nil {
		t.Fatal(err)
	}
	after := func() int64 { return refusal(t, (&claim{b: b, stream: 3}).take(400)) }
	for _, s := range []struct {
		step time.Duration
		do   func()
		want int64
	}{
		{0, func() {}, 1},
		{10 * time.Second, func() {}, 10},     // nothing has drained
		{0, one.release, 15},                  // 600 held, 400 drained in 10 s
		{0, func() { _ = one.take(200) }, 25}, // 1000 held
		{30 * time.Second, func() {}, 60},     // 100 s
		{0, func() { one.release() }, 20},     // what was long ago counts half: 600 held, 200 and 400 drained in 20 s
	} {
		now = now.Add(s.step)
		s.do()
		if got := after(); got != s.want {
			t.Errorf("after %s: %d s, want %d", now.Sub(time.Unix(1000, 0)), got, s.want)
		}
	}
}
