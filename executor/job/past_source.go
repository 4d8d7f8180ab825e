package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// A stream whose connector keeps what it delivered has its history there. It is read with ReadRange by a source of its own, so that the
// stream's is not disturbed, towards a goal: where the stream was at some time. What the stream takes in behind its goal is kept in
// memory, up to a bound. If the goal is reached while all of that is there, the sequencer gives it its place as the epoch ends, and the
// query can join; otherwise the goal is moved to where the stream has come by then, which is nearer each time.

const (
	// keptPerJoin times Config.JoinWithin bytes are kept of a stream behind a goal.
	keptPerJoin = 16
	// beginningsMax is how long a connector may take to tell where its history begins.
	beginningsMax = 10 * time.Second
	// The offsets of one ReadRange: at first, at most, and the bytes it should give.
	rangeFirst = 1 << 10
	rangeMax   = 1 << 20
	rangeBytes = 4 << 20
)

// stretch is what a reader is asked for: from where to where, by split.
type stretch struct{ from, to connector.Offsets }

// chase is how the history of a connector's stream follows the stream. The sequencer's, but for asks.
type chase struct {
	// goal is up to where the source is read; nil: it has not been said.
	goal connector.Offsets
	// kept is what the stream took in behind the goal, while keeping.
	kept    []connector.Payload
	bytes   int64
	keeping bool
	// asks has capacity 1, and is empty when the goal is reached.
	asks chan stretch
}

// dated reports a stream of history whose entries tell when they arrived.
func (s *stream) dated() bool { return s.past != nil && s.past.live.log != nil }

// beginnings is where the history of a connector's stream begins.
func (e *Engine) beginnings(s *stream, start *spec.Start) (connector.Offsets, error) {
	src, err := e.newSource(s.spec)
	if err != nil {
		return nil, err
	}
	h, ok := src.(connector.Historian)
	if !ok {
		return nil, sqlerr.NotSupported("start = '"+start.Text+"' over stream "+s.spec.Name+", whose connector keeps nothing",
			"Leave start out: the query begins with the next event.")
	}
	ctx, cancel := context.WithTimeout(e.ctx, beginningsMax)
	defer cancel()
	from, err := h.Beginnings(ctx, start.At)
	if err != nil {
		return nil, sqlerr.As(err).WithDetail("start = '%s' asks where the history of stream %q begins.", start.Text, s.spec.Name)
	}
	return from, nil
}

// left is how much of history there is to be read, in bytes of a log or in records of a source.
func (s *stream) left() int64 {
	live := s.past.live
	if live.log != nil {
		return max(0, live.next[0]-s.next[0])
	}
	if live.isResult && live.next[0] < 0 {
		return 1 // where it stands is not known yet
	}
	left := untold(s)
	for split, next := range live.next {
		left += max(0, next-s.next[split])
	}
	return left
}

// untold is in how many splits, of those that the history has, the stream has not come to its first place.
func untold(s *stream) int64 {
	n := int64(0)
	for split := range s.past.from {
		if _, told := s.past.live.next[split]; !told {
			n++
		}
	}
	return n
}

// reached reports that the history has come to its goal.
func (s *stream) reached() bool {
	for split, to := range s.past.goal {
		if s.next[split] < to {
			return false
		}
	}
	return true
}

// keepBehind has the histories of a connector's stream keep what it takes in.
func (e *Engine) keepBehind(it *item) {
	for _, q := range it.stream.followers {
		s := q.past(it.stream.spec.ID)
		if s == nil || !s.past.keeping {
			continue
		}
		c := &s.past.chase
		for _, p := range it.payloads {
			p.Split = it.split
			c.kept = append(c.kept, p)
			c.bytes += int64(len(p.Bytes))
		}
		if c.bytes > keptPerJoin*e.cfg.JoinWithin {
			c.kept, c.bytes, c.keeping = nil, 0, false
		}
	}
}

// followSource goes on with the history of a connector's stream as an epoch ends.
func (e *Engine) followSource(s *stream) {
	p, live := s.past, s.past.live
	if len(live.next) == 0 || !s.reached() {
		return
	}
	if p.keeping {
		for _, x := range p.kept {
			e.placeKept(s, x)
		}
		p.kept, p.bytes = nil, 0
		return
	}
	first := p.goal == nil
	if first && untold(s) > 0 { // rows of a split that is not known to come would be late for the others' sake
		return
	}
	p.goal, p.keeping = maps.Clone(live.next), true
	if first {
		e.beginSource(s)
	}
	if !s.reached() {
		p.asks <- stretch{maps.Clone(s.next), maps.Clone(p.goal)}
	}
}

// beginSource makes the splits of a history known: no row is to be late because another split's were read before, also none of a split
// of which nothing has come yet. Where the stream is not yet at the beginning of what is wanted, the query begins with the stream.
func (e *Engine) beginSource(s *stream) {
	for _, split := range slices.Sorted(maps.Keys(s.past.goal)) {
		s.next[split] = min(s.next[split], s.past.goal[split])
		e.placeKept(s, connector.Payload{Split: split, From: s.next[split], To: s.next[split]})
	}
}

func (e *Engine) placeKept(s *stream, p connector.Payload) {
	it := e.newItem(itemData)
	it.stream, it.split = s, p.Split
	it.payloads = append(it.payloads, p)
	e.placePast(it)
}

// startSourcePast begins to read the history of a connector's stream.
func (e *Engine) startSourcePast(ctx context.Context, q *query, s *stream) {
	live, done := s.past.live, make(chan struct{})
	s.past.asks = make(chan stretch, 1)
	e.mu.Lock()
	s.stop, s.done = q.back.stop, done
	e.mu.Unlock()
	if !slices.Contains(live.followers, q) {
		live.followers = append(live.followers, q)
	}
	if live.stop == nil {
		e.startInput(live) // where it stands is where this ends
	}
	r := &sourceReader{e: e, q: q, s: s, asks: s.past.asks, size: rangeFirst}
	go func() {
		defer close(done)
		r.run(ctx)
	}()
}

// sourceReader reads the history of a connector's stream, a goroutine.
type sourceReader struct {
	e    *Engine
	q    *query
	s    *stream
	asks chan stretch
	src  connector.Source
	open bool
	size int64 // offsets of a read
}

func (r *sourceReader) run(ctx context.Context) {
	var err error
	if r.src, err = r.e.newSource(r.s.spec); err != nil {
		r.tell(err)
		return
	}
	defer r.src.Close()
	for {
		select {
		case x := <-r.asks:
			if !r.read(ctx, x) {
				return
			}
			r.e.resultWaits()
		case <-ctx.Done():
			return
		}
	}
}

// tell says on the stream that its history cannot be read.
func (r *sourceReader) tell(err error) {
	live := r.s.past.live
	live.setError(fmt.Errorf("read the history for query %s: %w", r.q.spec.Name, err))
	r.e.log.Error("history", "query", r.q.spec.Name, "stream", live.spec.Name, "error", err)
}

// read reads a stretch, from the split that has come least far. Errors are retried with growing pauses.
func (r *sourceReader) read(ctx context.Context, x stretch) bool {
	const pauseMin, pauseMax = 100 * time.Millisecond, 10 * time.Second
	pause, begun := pauseMin, maps.Clone(x.from)
	for {
		split, some := x.next(begun)
		if !some {
			return true
		}
		err := r.some(ctx, &x, split)
		switch {
		case err == nil:
			pause = pauseMin
			continue
		case ctx.Err() != nil:
			return false
		}
		r.tell(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
		pause = min(2*pause, pauseMax)
	}
}

// next is the split of which the greatest part is left, so that none of them runs far ahead of the others' time.
func (x *stretch) next(begun connector.Offsets) (split int32, some bool) {
	most := 0.0
	for _, n := range slices.Sorted(maps.Keys(x.to)) {
		if x.from[n] >= x.to[n] {
			continue
		}
		if left := float64(x.to[n]-x.from[n]) / float64(x.to[n]-begun[n]); left > most {
			split, most, some = n, left, true
		}
	}
	return split, some
}

// some reads a part of a split. What the source has lost by now is passed over, and told of.
func (r *sourceReader) some(ctx context.Context, x *stretch, split int32) error {
	if !r.open {
		if err := r.src.Open(ctx, x.from); err != nil {
			return err
		}
		r.open = true
	}
	from := x.from[split]
	to := min(x.to[split], from+r.size)
	got, err := r.src.ReadRange(ctx, split, from, to, nil)
	if err != nil {
		first, lost := r.lost(ctx, split, from)
		if !lost {
			return err
		}
		to = min(first, x.to[split])
		r.tellLost(ctx, split, from, to)
		got = []connector.Payload{{Split: split, From: to, To: to}}
	}
	bytes := 0
	for i := range got {
		bytes += len(got[i].Bytes)
	}
	switch {
	case bytes < rangeBytes/2:
		r.size = min(2*r.size, rangeMax)
	case bytes > 2*rangeBytes:
		r.size = max(r.size/2, 1)
	}
	if len(got) == 0 || got[len(got)-1].To < to {
		got = append(got, connector.Payload{Split: split, From: to, To: to})
	}
	if err := r.submit(ctx, split, got); err != nil {
		return err
	}
	x.from[split] = to
	return nil
}

// lost finds out whether the source has no offset from one on any more, up to the first that it has.
func (r *sourceReader) lost(ctx context.Context, split int32, from int64) (first int64, lost bool) {
	h, ok := r.src.(connector.Historian)
	if !ok {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, beginningsMax)
	defer cancel()
	begin, err := h.Beginnings(ctx, types.MinTime)
	if err != nil {
		return 0, false // the error at hand is told
	}
	return begin[split], begin[split] > from
}

func (r *sourceReader) tellLost(ctx context.Context, split int32, from, to int64) {
	reason := fmt.Sprintf("offsets %d to %d of split %d of stream %s were removed at the source before they were read", from, to-1, split, r.s.spec.Name)
	r.e.log.Warn("history", "query", r.q.spec.Name, "lost", reason)
	err := r.e.Apply(ctx, Change{Events: []Event{{Query: r.q.spec.ID, Name: r.q.spec.Name, What: "history lost", Reason: reason}}})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.e.log.Error("history", "query", r.q.spec.Name, "error", err)
	}
}

// submit gives payloads of a split to the sequencer, in items of history.
func (r *sourceReader) submit(ctx context.Context, split int32, got []connector.Payload) error {
	for len(got) > 0 {
		select {
		case r.e.pastSlots <- struct{}{}:
		case <-ctx.Done():
			return io.EOF
		}
		it := r.e.newItem(itemData)
		it.stream, it.split, it.slot = r.s, split, true
		n := 0
		for size := 0; n < len(got) && (n == 0 || size+len(got[n].Bytes) <= r.e.cfg.HistoryBytes); n++ {
			size += len(got[n].Bytes)
		}
		it.payloads = append(it.payloads, got[:n]...)
		got = got[n:]
		select {
		case r.e.history <- it:
		case <-ctx.Done():
			r.e.discard(it)
			return io.EOF
		}
	}
	return nil
}

// goneText says what a source has lost of a history that is wanted from its beginning.
func (p *past) goneText() string {
	if p.live.log != nil {
		return ""
	}
	for _, split := range slices.Sorted(maps.Keys(p.from)) {
		if p.from[split] > 0 && p.q.spec.Start != nil && p.q.spec.Start.At == types.MinTime {
			return fmt.Sprintf(" (what came before offset %d of split %d is gone there)", p.from[split], split)
		}
	}
	return ""
}

// sum adds offsets up.
func sum(o connector.Offsets) int64 {
	n := int64(0)
	for _, x := range o {
		n += x
	}
	return n
}
