package meta

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"
)

// event is a row of a stream; nil pointers are NULL.
type event struct {
	stream, split int
	at            int64 // microseconds since 1970
	k, v          *string
	n             *int64
	x             *float64 // a multiple of 1/4, so that sums are exact in any order
	id            int64    // its place in the world's order
}

// second is a second in microseconds.
const second = int64(1e6)

// streamColumns are the columns of every stream of a world.
const streamColumns = `ts TIMESTAMPTZ NOT NULL, k TEXT, v TEXT, n BIGINT, x DOUBLE PRECISION, id BIGINT`

func timeText(at int64) string { return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000000Z") }

// line is the event as JSON.
func (e *event) line() []byte {
	data, err := json.Marshal(map[string]any{"ts": timeText(e.at), "k": e.k, "v": e.v, "n": e.n, "x": e.x, "id": e.id})
	if err != nil {
		panic(err)
	}
	return append(data, '\n')
}

func ptr[T any](x T) *T { return &x }

// step is one step of a world's order: an event; time by the clock; or a restart of the engine, which is a part of the order
// when the clock moves, because the idle time begins anew then.
type step struct {
	ev      *event
	clock   time.Duration
	restart bool
}

// shape says how a world's streams look.
type shape struct {
	streams, splits int
	delay           int64 // of the watermarks, microseconds
	idle            int64 // IDLE AFTER, microseconds
	lateness        int64 // allowed, microseconds
	announce        bool  // the splits are known before their first row
	start           int64
	rows            int
	pauses          bool // the clock moves between events, so that splits fall idle and wake up
}

func randomShape(rng *rand.Rand, streams int) shape {
	s := shape{streams: streams, splits: 1 + rng.IntN(3), delay: rng.Int64N(4) * second / 2, idle: 30 * second,
		announce: rng.IntN(2) == 0, rows: 150 + rng.IntN(150)}
	s.start = []int64{-20 * second, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC).UnixMicro()}[rng.IntN(2)]
	if !before1970 {
		s.start = max(s.start, 20*second)
	}
	if s.pauses = rng.IntN(2) == 0; s.pauses && !behindRowsCount {
		s.splits = 1
	}
	if rng.IntN(3) == 0 {
		s.lateness = rng.Int64N(6) * second
	}
	return s
}

// randomOrder makes the steps of a world: time goes on, jumps, and goes back; many events share a time, many lie on a boundary
// or a microsecond from it.
func randomOrder(rng *rand.Rand, s shape) []step {
	var out []step
	now := s.start
	split := 0
	for len(out) < s.rows {
		now += rng.Int64N(8) * second / 20
		if rng.IntN(40) == 0 {
			now += rng.Int64N(12 * second)
		}
		if rng.IntN(3) == 0 {
			split = rng.IntN(s.splits)
		}
		e := &event{stream: rng.IntN(s.streams), split: split, at: now - now%(second/4), id: int64(len(out))}
		switch rng.IntN(8) {
		case 0:
			e.at -= rng.Int64N(5 * second)
		case 1:
			e.at = e.at/second*second + rng.Int64N(3) - 1
		case 2:
			e.at -= rng.Int64N(24) * second / 4
		}
		e.fill(rng)
		out = append(out, step{ev: e})
		if s.pauses && rng.IntN(25) == 0 {
			out = append(out, step{clock: time.Duration(1+rng.IntN(40)) * time.Second})
		}
		// Not right after a pause: what the clock alone did to the watermark since the last event is forgotten by a crash.
		if s.pauses && behindRowsCount && out[len(out)-1].ev != nil && rng.IntN(60) == 0 {
			out = append(out, step{restart: true})
		}
	}
	return out
}

func (e *event) fill(rng *rand.Rand) {
	if rng.IntN(9) > 0 {
		e.k = ptr([]string{"a", "b", "root", ""}[rng.IntN(4)])
	}
	if rng.IntN(8) > 0 {
		e.v = ptr([]string{"x", "y", "z"}[rng.IntN(3)])
	}
	if rng.IntN(6) > 0 {
		e.n = ptr(rng.Int64N(9) - 3)
	}
	if rng.IntN(6) > 0 {
		e.x = ptr(float64(rng.Int64N(64)-20) / 4)
	}
}

// events are those of the steps.
func events(order []step) []*event {
	var out []*event
	for _, s := range order {
		if s.ev != nil {
			out = append(out, s.ev)
		}
	}
	return out
}

// ties counts the events that share stream, key and time with an earlier one.
func ties(list []*event) int {
	n := 0
	for i, e := range list {
		if slices.ContainsFunc(list[:i], func(o *event) bool { return o.stream == e.stream && o.at == e.at && text(o.k) == text(e.k) }) {
			n++
		}
	}
	return n
}
