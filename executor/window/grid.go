package window

import (
	"math"

	"github.com/vigil-sql/vigil/executor/types"
)

// Grid is the arithmetic of aligned windows: tumbling, hopping and cumulating ones. Event time is cut into panes, none of
// which a window's bound divides, so that a window is a run of whole panes. Lengths are microseconds. Times must keep
// Within's distance from the ends of event time.
type Grid struct {
	// Size is the length of a window, of cumulating ones of the longest; Slide the distance of window ends.
	Size, Slide int64
	// Pane is the length of a pane; it divides Size and Slide.
	Pane   int64
	offset int64
	grow   bool // cumulating: all windows of a period of Size begin with it
}

// GridOf returns the grid of a TUMBLE, HOP or CUMULATE window, false for other kinds and for sizes that are not positive.
func GridOf(s Spec) (Grid, bool) {
	g := Grid{Size: s.Size, Slide: s.Size, Pane: s.Size, offset: s.Offset}
	switch s.Kind {
	case Tumble:
	case Hop, Cumulate:
		g.Slide, g.grow = s.Slide, s.Kind == Cumulate
	default:
		return g, false
	}
	if g.Size <= 0 || g.Slide <= 0 || g.Size > math.MaxInt64/8 || g.Slide > math.MaxInt64/8 || g.grow && g.Size%g.Slide != 0 {
		return g, false
	}
	g.Pane = gcd(g.Size, g.Slide)
	return g, true
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Within reports that t is so far from the ends of event time that no bound of its windows overflows.
func (g *Grid) Within(t types.EventTime) bool {
	margin := 2 * (g.Size + g.Slide)
	return int64(t) >= math.MinInt64+margin && int64(t) <= math.MaxInt64-margin
}

// floor returns the last multiple of step, shifted by the offset, at or before t.
func (g *Grid) floor(t types.EventTime, step int64) types.EventTime {
	return t - types.EventTime((floorMod(int64(t), step)-floorMod(g.offset, step)+step)%step)
}

// PaneStart returns the start of the pane that holds t.
func (g *Grid) PaneStart(t types.EventTime) types.EventTime { return g.floor(t, g.Pane) }

// FirstEnd returns the end of the first window that ends after t. It holds t, unless t lies in a gap between windows (a
// slide longer than the size).
func (g *Grid) FirstEnd(t types.EventTime) types.EventTime {
	shift := types.EventTime(0)
	if !g.grow {
		shift = types.EventTime(g.Size)
	}
	return g.floor(t-shift, g.Slide) + shift + types.EventTime(g.Slide)
}

// LastEnd returns the end of the last window that begins at or before t.
func (g *Grid) LastEnd(t types.EventTime) types.EventTime {
	if g.grow {
		return g.floor(t, g.Size) + types.EventTime(g.Size)
	}
	return g.floor(t, g.Slide) + types.EventTime(g.Size)
}

// Start returns where the window that ends at end begins.
func (g *Grid) Start(end types.EventTime) types.EventTime {
	if g.grow {
		return g.floor(end-1, g.Size)
	}
	return end - types.EventTime(g.Size)
}

// Block returns a time within the window that ends at end, or at its start, that depends on end only and stays the same for
// as many windows as fit into a window's length: what lies before it in the window shrinks from window to window, what
// comes after it grows.
func (g *Grid) Block(end types.EventTime) types.EventTime {
	if g.grow {
		return g.Start(end)
	}
	return max(g.Start(end), g.floor(end-1, g.Size))
}
