package meta

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
)

// feeder is where all streams of a world read from: it hands the events out in the world's order, over all streams and splits, in
// payloads that it cuts at random. An offset of a split counts the events of that split. Safe for concurrent use.
type feeder struct {
	mu   sync.Mutex
	cond *sync.Cond
	list []*event
	// shape of the world, and what may vary.
	shape    shape
	rng      *rand.Rand
	batchMax int

	limit, head int
	busy        *source // it has the events from head on, and the engine has not taken them all
	flying      int
	sources     map[int]*source // by stream: the ones that are open
	started     bool            // all sources have polled, and head is where the engine goes on
	problem     error
}

func newFeeder(list []*event, s shape, rng *rand.Rand, batchMax int) *feeder {
	if rng != nil { // nil: nothing will flow. Its own is under mu, while the run goes on drawing from rng
		rng = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	}
	f := &feeder{list: list, shape: s, rng: rng, batchMax: batchMax, sources: map[int]*source{}}
	f.cond = sync.NewCond(&f.mu)
	return f
}

// def is the feeder as a connector, in the place of one that CREATE STREAM knows.
func (f *feeder) def() connector.Def {
	return connector.Def{Name: "kafka", New: func(o connector.Options) (connector.Source, error) {
		return &source{f: f, stream: slices.Index(streamNames, o.Stream)}, nil
	}}
}

// streamNames are the streams of a world.
var streamNames = []string{"a", "b", "c"}

// reset forgets the sources of an engine that is gone.
func (f *feeder) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy, f.flying, f.started, f.sources, f.limit = nil, 0, false, map[int]*source{}, 0
}

// until lets the events up to a number flow and waits until the engine has taken so many.
func (f *feeder) until(limit, wait int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = max(f.limit, limit)
	f.cond.Broadcast()
	for f.problem == nil && (!f.started || f.head < wait) {
		f.cond.Wait()
	}
	return f.problem
}

// source is one stream's reader.
type source struct {
	f         *feeder
	stream    int
	from      connector.Offsets
	polled    bool
	announced bool
}

var _ connector.Source = (*source)(nil)

// Open implements connector.Source.
func (s *source) Open(_ context.Context, from connector.Offsets) error {
	s.from = from
	return nil
}

// Close implements connector.Source.
func (s *source) Close() error { return nil }

// Poll implements connector.Source. To poll again tells that the engine has put what it got in its place.
func (s *source) Poll(ctx context.Context, dst []connector.Payload, _ int) ([]connector.Payload, error) {
	f := s.f
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy == s {
		f.head, f.busy, f.flying = f.head+f.flying, nil, 0
		f.cond.Broadcast()
	}
	if !s.polled {
		s.polled = true
		if got := s.announce(dst); len(got) > len(dst) {
			return got, nil
		}
	}
	if f.sources[s.stream] != s {
		f.sources[s.stream] = s
		f.start()
	}
	for ctx.Err() == nil {
		if f.started && f.busy == nil && f.head < f.limit && f.list[f.head].stream == s.stream {
			return s.cut(dst), nil
		}
		f.cond.Wait()
	}
	return dst, ctx.Err()
}

// announce makes the splits known that the engine does not know.
func (s *source) announce(dst []connector.Payload) []connector.Payload {
	if !s.f.shape.announce {
		return dst
	}
	for i := range s.f.shape.splits {
		if _, known := s.from[int32(i)]; !known {
			dst = append(dst, connector.Payload{Split: int32(i), Codec: "JSON"})
		}
	}
	return dst
}

// start finds where the engine goes on, once all sources are there: what it has must be a prefix of the order.
func (f *feeder) start() {
	if len(f.sources) < f.shape.streams {
		return
	}
	head := 0
	for _, s := range f.sources {
		for _, n := range s.from {
			head += int(n)
		}
	}
	next := map[[2]int]int64{}
	for _, e := range f.list[:min(head, len(f.list))] {
		next[[2]int{e.stream, e.split}]++
	}
	for stream, s := range f.sources {
		for split := range f.shape.splits {
			if got, want := s.from[int32(split)], next[[2]int{stream, split}]; got != want {
				f.problem = fmt.Errorf("after %d events the engine goes on at %d of stream %d, split %d, instead of %d", head, got, stream, split, want)
			}
		}
	}
	f.head, f.started = head, true
	f.cond.Broadcast()
}

// cut takes the next events, as payloads that each hold events of one split.
func (s *source) cut(dst []connector.Payload) []connector.Payload {
	f := s.f
	most := 1 + f.rng.IntN(f.batchMax)
	n := 0
	for n < most && f.head+n < f.limit && f.list[f.head+n].stream == s.stream {
		n++
	}
	f.busy, f.flying = s, n
	return append(dst, f.payloads(f.head, f.head+n)...)
}

// payloads packs events in order; neighbours of one split share a payload, or not.
func (f *feeder) payloads(from, to int) []connector.Payload {
	var out []connector.Payload
	for i := from; i < to; i++ {
		e := f.list[i]
		at := f.offset(i)
		if n := len(out); n > 0 && out[n-1].Split == int32(e.split) && f.rng.IntN(4) > 0 {
			out[n-1].Bytes, out[n-1].To = append(out[n-1].Bytes, e.line()...), at+1
			continue
		}
		out = append(out, connector.Payload{Split: int32(e.split), From: at, To: at + 1, Bytes: e.line(), Codec: "JSON", Arrival: types.EventTime(e.id)})
	}
	return out
}

// offset counts the earlier events of the event's split.
func (f *feeder) offset(i int) int64 {
	n := int64(0)
	for _, e := range f.list[:i] {
		if e.stream == f.list[i].stream && e.split == f.list[i].split {
			n++
		}
	}
	return n
}

// ReadRange implements connector.Source.
func (s *source) ReadRange(_ context.Context, split int32, from, to int64, dst []connector.Payload) ([]connector.Payload, error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	n := int64(0)
	for i, e := range s.f.list {
		if e.stream != s.stream || e.split != int(split) {
			continue
		}
		if n >= from && n < to {
			p := s.f.payloads(i, i+1)[0]
			if k := len(dst); k > 0 && s.f.rng.IntN(3) > 0 {
				dst[k-1].Bytes, dst[k-1].To = append(dst[k-1].Bytes, p.Bytes...), p.To
			} else {
				dst = append(dst, p)
			}
		}
		n++
	}
	return dst, nil
}
