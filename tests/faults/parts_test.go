package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
)

// parts is what a broker would have: records of a stream in several partitions, of which nothing is lost with the server. Within a
// partition no record is late, so that the results do not depend on how the partitions interleave. Safe for concurrent use.
type parts struct {
	mu      sync.Mutex
	splits  [partCount][]event
	changed chan struct{} // closed when there is more
	head    [partCount]int64
}

const (
	partCount    = 3
	partsRows    = `CREATE CONTINUOUS QUERY IF NOT EXISTS pa_rows WITH (retention = '36500 days') AS SELECT id, k FROM pa`
	partsWindows = `CREATE CONTINUOUS QUERY IF NOT EXISTS pa_windows WITH (retention = '36500 days') AS SELECT k, count(*) AS c, sum(id)::bigint AS n FROM pa GROUP BY k, TUMBLE(ts, INTERVAL '20 seconds')`
)

func newParts() *parts { return &parts{changed: make(chan struct{})} }

// def is the broker as a connector, in the place of one that CREATE STREAM knows.
func (p *parts) def() []connector.Def {
	return []connector.Def{{Name: "kafka", New: func(connector.Options) (connector.Source, error) { return &partsSource{p: p}, nil }}}
}

// feed adds records; partitions are apart by much more than the delay of the watermark.
func (p *parts) feed(rng *rand.Rand, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.splits {
		for range rng.IntN(4) {
			p.head[i] = min(p.head[i]+int64(rng.IntN(20_000_000)), now)
			p.head[i] = max(p.head[i], now-120*second*int64(i))
			id := i + partCount*len(p.splits[i])
			p.splits[i] = append(p.splits[i], event{at: p.head[i] - int64(rng.IntN(4_900_000)), id: id, k: fmt.Sprint("k", rng.IntN(3))})
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *parts) count() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.splits {
		n += len(list)
	}
	return n
}

// model is what pa_rows and pa_windows give.
func (p *parts) model() (rows, windows []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	type key struct {
		start int64
		k     string
	}
	const size = 20 * second
	wm := int64(1 << 62)
	c, n := map[key]int{}, map[key]int{}
	for _, list := range p.splits {
		last := int64(-1 << 62)
		for _, e := range list {
			rows = append(rows, fmt.Sprintf("%d|%s", e.id, e.k))
			x := key{floor(e.at, size), e.k}
			c[x], n[x] = c[x]+1, n[x]+e.id
			last = max(last, e.at-5*second)
		}
		wm = min(wm, last)
	}
	for x := range c {
		if x.start+size <= wm {
			windows = append(windows, fmt.Sprintf("%s|%s|%s|%d|%d", text(x.start), text(x.start+size), x.k, c[x], n[x]))
		}
	}
	slices.Sort(rows)
	slices.Sort(windows)
	return rows, windows
}

// checkParts compares the queries over the partitions with the model.
func (s *sim) checkParts() error {
	rows, windows := s.parts.model()
	for name, want := range map[string][]string{"pa_rows": rows, "pa_windows": windows} {
		list, err := s.w.db.Rows("SELECT * FROM " + name)
		if err != nil {
			return err
		}
		var got []string
		for _, r := range list {
			got = append(got, strings.Join(r, "|"))
		}
		slices.Sort(got)
		if s.seen["rows"] += len(want); !slices.Equal(got, want) && !s.w.crashed() {
			s.t.Fatalf("%s: %d rows, the model has %d\n got %.600q\nwant %.600q\n%.3000q", name, len(got), len(want), without(got, want), without(want, got), s.w.logs)
		}
	}
	return nil
}

// partsSource reads all partitions.
type partsSource struct {
	p    *parts
	next [partCount]int64
	told bool // the engine knows the partitions
}

var _ connector.Source = (*partsSource)(nil)

// Open implements connector.Source.
func (s *partsSource) Open(_ context.Context, from connector.Offsets) error {
	for i := range s.next {
		s.next[i] = from[int32(i)]
	}
	return nil
}

// Close implements connector.Source.
func (s *partsSource) Close() error { return nil }

// Poll implements connector.Source.
func (s *partsSource) Poll(ctx context.Context, dst []connector.Payload, _ int) ([]connector.Payload, error) {
	for {
		s.p.mu.Lock()
		wait := s.p.changed
		for i := range s.next {
			if !s.told {
				dst = append(dst, connector.Payload{Split: int32(i), Codec: "JSON", From: s.next[i], To: s.next[i]})
			} else if to := min(int64(len(s.p.splits[i])), s.next[i]+3); s.next[i] < to {
				dst = append(dst, s.p.payload(i, s.next[i], to))
				s.next[i] = to
			}
		}
		s.p.mu.Unlock()
		if s.told = true; len(dst) > 0 {
			return dst, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
}

func (p *parts) payload(i int, from, to int64) connector.Payload {
	var b []byte
	for _, e := range p.splits[i][from:to] {
		b = fmt.Appendf(b, `{"ts":%q,"id":%d,"k":%q}`+"\n", time.UnixMicro(e.at).UTC().Format(time.RFC3339Nano), e.id, e.k)
	}
	return connector.Payload{Split: int32(i), From: from, To: to, Bytes: b, Codec: "JSON", Arrival: types.EventTime(begin.UnixMicro())}
}

// ReadRange implements connector.Source.
func (s *partsSource) ReadRange(_ context.Context, split int32, from, to int64, dst []connector.Payload) ([]connector.Payload, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return append(dst, s.p.payload(int(split), from, to)), nil
}
