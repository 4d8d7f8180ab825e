package window

import (
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// TestGridLaws compares the grid with the definition of windows: all starts and ends counted out one by one.
func TestGridLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	gaps, negative, uneven := 0, 0, 0
	for range 3000 {
		s := Spec{Kind: []Kind{Tumble, Hop, Cumulate}[rng.IntN(3)], Slide: 1 + rng.Int64N(12), Offset: rng.Int64N(60) - 30}
		if s.Size = 1 + rng.Int64N(30); s.Kind == Cumulate {
			s.Size = s.Slide * (1 + rng.Int64N(6))
		}
		g, ok := GridOf(s)
		if !ok {
			t.Fatalf("%+v is refused", s)
		}
		if s.Kind == Hop && s.Size%s.Slide != 0 {
			uneven++
		}
		at := types.EventTime(rng.Int64N(400) - 200)
		if at < 0 {
			negative++
		}
		all := windowsAround(s)
		var holds []Window
		after := types.MaxTime
		for _, w := range all {
			if w.Start <= at && at < w.End {
				holds = append(holds, w)
			}
			if w.End > at && w.End < after {
				after = w.End
			}
			if got := g.Start(w.End); got != w.Start {
				t.Fatalf("%+v: Start(%d) = %d, want %d", s, w.End, got, w.Start)
			}
			if b := g.Block(w.End); b < w.Start || b >= w.End || g.PaneStart(b) != b {
				t.Fatalf("%+v: Block(%d) = %d", s, w.End, b)
			}
			if g.PaneStart(w.Start) != w.Start || g.PaneStart(w.End) != w.End {
				t.Fatalf("%+v: a pane crosses a bound of %v", s, w)
			}
		}
		if after != types.MaxTime && g.FirstEnd(at) != after {
			t.Fatalf("%+v: FirstEnd(%d) = %d, want %d", s, at, g.FirstEnd(at), after)
		}
		if len(holds) == 0 {
			gaps++
			if g.Start(g.FirstEnd(at)) <= at {
				t.Fatalf("%+v: %d lies in a gap", s, at)
			}
			continue
		}
		first, last := holds[0].End, holds[0].End
		for _, w := range holds {
			first, last = min(first, w.End), max(last, w.End)
		}
		if g.FirstEnd(at) != first || g.LastEnd(at) != last || (last-first)%types.EventTime(g.Slide) != 0 {
			t.Fatalf("%+v at %d: ends %d to %d, want %d to %d", s, at, g.FirstEnd(at), g.LastEnd(at), first, last)
		}
	}
	if gaps < 50 || negative < 500 || uneven < 100 {
		t.Fatalf("too tame: %d gaps, %d negative times, %d uneven slides", gaps, negative, uneven)
	}
}

// windowsAround counts out windows from before -300 to after 300.
func windowsAround(s Spec) []Window {
	var out []Window
	switch s.Kind {
	case Tumble:
		for start := s.Offset - 20*30*s.Size; start < 400; start += s.Size {
			out = append(out, Window{types.EventTime(start), types.EventTime(start + s.Size)})
		}
	case Hop:
		for start := s.Offset - 600*s.Slide; start < 400; start += s.Slide {
			out = append(out, Window{types.EventTime(start), types.EventTime(start + s.Size)})
		}
	case Cumulate:
		for base := s.Offset - 600*s.Size; base < 400; base += s.Size {
			for end := base + s.Slide; end <= base+s.Size; end += s.Slide {
				out = append(out, Window{types.EventTime(base), types.EventTime(end)})
			}
		}
	}
	return out
}

func TestGridRefuses(t *testing.T) {
	for _, s := range []Spec{{Kind: Session, Size: 1}, {Kind: Tumble}, {Kind: Hop, Size: 5}, {Kind: Hop, Size: -5, Slide: 5},
		{Kind: Cumulate, Size: 5, Slide: 2}, {Kind: Tumble, Size: 1 << 62}} {
		if _, ok := GridOf(s); ok {
			t.Errorf("%+v is taken", s)
		}
	}
}
