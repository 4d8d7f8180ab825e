package op

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// SharedState is the state of several groupings, its members, that are given the same rows and group them by the same keys and windows:
// each row is folded once, into the union of their aggregates. Every member applies its own HAVING to what comes out, and emits
// its own columns of it.
//
// A member has in its own operator what the shared state does not know, or knows too much of: what had rows before it joined. Of that
// it takes the rows itself until it is over. A checkpoint has what is shared once, and of each member what it holds itself.
//
// One goroutine calls everything. Where a member has something to do, its Drive is called.
type SharedState interface {
	// Join makes m a member, before it is given the next rows; Leave ends that: m takes all rows itself from then on, and what is open
	// here is lost to it. Before that, Give copies to m what is open here, as if m had taken the rows itself; after an error of it
	// m is of no use.
	Join(m *Member) error
	Give(m *Member) error
	Leave(m *Member)
	// Open reports whether anything is kept.
	Open() bool
	// Process folds rows, here and in the members that have something of their own. Left are those that were not taken, for each
	// member to report: valid until the next call.
	Process(in Input) error
	Left() []LeftRow
	// Advance, EndEpoch and Deadline are as those of the operators. Both advance the members' own operators first.
	Advance(watermark types.EventTime) error
	EndEpoch(watermark types.EventTime) error
	Deadline() types.EventTime
	// Snapshot writes what is shared; Record tells what a checkpoint must have of a member beside that, and beside what its operator
	// writes.
	Snapshot(out StateWriter) error
	Record(dst []byte, m *Member) []byte
	// Restore reads what was written. Those of members that are none yet become so, as their records say: all of them before what is
	// shared has anything. It may be called for several checkpoints of other keys, with the same members.
	Restore(members []SavedMember, in StateReader, own func(hash uint64) bool) error
	// Changed and CopyAhead are as those of an AheadCopier.
	Changed() int
	CopyAhead(out StateWriter, most int) (int, error)
	Bytes() int64
	// Close gives the memory back, after all members have left.
	Close()
}

// Member is a grouping that is part of a SharedState.
type Member struct {
	// Agg is the grouping, Out where its rows go.
	Agg Operator
	Out Emitter
	// Drive calls do as the work of this member: what fails there is the member's.
	Drive func(do func() error)

	windows *WindowAgg
	panes   *PaneAgg
	whole   wholeAgg
	number  uint32 // among all members that there were; from 1
	// What it does when it is driven, bound once.
	take, advance, tell, pass, emit, examine func() error
}

// LeftRow is a row that was not taken: its windows had closed by a watermark, or, where err is set, it has none, or an argument failed.
type LeftRow struct {
	Row    uint32
	Closed types.EventTime
	err    error
}

// Shareable reports that a grouping may share its state: it is of a kind that NewSharedState makes, and none of its aggregates can
// fail on a row, which the others would then miss. Where their arguments and filters can, they must do so on the same rows: see Risk.
func Shareable(s *spec.WindowAgg) bool {
	switch s.Window.Kind {
	case window.None, window.Count:
	case window.Session, window.Slide:
		if s.Emit.Mode == spec.EmitFirst {
			return false // what has been told is each one's, row by row
		}
	case window.Tumble, window.Hop, window.Cumulate:
		if _, ok := window.GridOf(s.Window); !ok {
			return false
		}
	default:
		return false
	}
	texts := map[string]bool{}
	for i := range s.Aggs {
		if a := &s.Aggs[i]; !agg.Sure(a.Kernel) || len(a.OrderBy) > 0 {
			return false
		}
		texts[callText(&s.Aggs[i])] = true
	}
	return len(texts) == len(s.Aggs) // the planner leaves none twice
}

// SharedFromBirth reports that a grouping shares with those only that had no rows before as it had none: what it holds is not over at
// a time that is known. Its state is either all shared or all its own.
func SharedFromBirth(s *spec.WindowAgg) bool {
	switch s.Window.Kind {
	case window.Tumble, window.Hop, window.Cumulate:
		return false
	}
	return true
}

// NewSharedState makes shared state without members, with the window and keys of s, which is Shareable; of window.None for a grouping
// without a window. risks are those of each member.
func NewSharedState(s *spec.WindowAgg, risks []string, ctx *expr.Ctx) (SharedState, error) {
	switch s.Window.Kind {
	case window.Session, window.Slide, window.Count:
		return newSharedWhole(s, risks, ctx), nil
	}
	if s.Window.Kind == window.Tumble && s.Emit.Mode == spec.EmitFinal && s.Lateness == 0 {
		return newSharedWindows(s, risks, ctx)
	}
	return newSharedPanes(s, risks, ctx)
}

// Risk is the text of what may fail of an aggregate: its arguments and its filter. Groupings whose aggregates have the same risks, in
// the order in which they come first, miss the same rows, and tell the same of each: what failed first.
func Risk(a *spec.AggCall) string {
	args := make([]string, len(a.Args))
	for i, x := range a.Args {
		args[i] = expr.Exact(x)
	}
	text := strings.Join(args, ", ")
	if a.Filter != nil {
		text += " where " + expr.Exact(a.Filter)
	}
	return text
}

// orderOf is the order in which a union of all evaluates its first aggregates and the others, n together: the risks first, as each member
// by itself has them; nil: any order will do.
func orderOf(risks []string, all []spec.AggCall, n int) []int {
	if len(risks) < 2 {
		return nil
	}
	order, rank := make([]int, n), make([]int, n)
	for i := range order {
		order[i], rank[i] = i, len(risks)
		if i < len(all) {
			if at := slices.Index(risks, Risk(&all[i])); at >= 0 {
				rank[i] = at
			}
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return rank[x] - rank[y] })
	return order
}

// sharedCalls are the aggregates of a union, by their text.
type sharedCalls struct {
	byText  map[string]*sharedCall
	numbers uint32 // given to members so far
	risks   []string
	list    []spec.AggCall // in the order of the union
}

// sharedCall is an aggregate of the union. Without users it is not computed any more, and its columns need not be there; who
// asks for it later has no part in what is open until then.
type sharedCall struct{ at, users int }

// callText tells aggregates apart that are over the same rows.
func callText(a *spec.AggCall) string {
	return fmt.Sprintf("%s(%s) %t %T%+v", a.Name, Risk(a), a.Distinct, a.Kernel, a.Kernel)
}

// join makes the aggregates of a member part of the union, and tells it where they are. more: the union has got more of them; they
// come after those that it had.
func (c *sharedCalls) join(all, m *grouping, calls []spec.AggCall) (more bool, err error) {
	if c.byText == nil {
		c.byText = map[string]*sharedCall{}
	}
	m.sharedOffs, m.sharedAt = make([]int, len(calls)), make([]int, len(calls))
	for i := range calls {
		text := callText(&calls[i])
		s := c.byText[text]
		if s == nil {
			call, err := newAggCall(&calls[i])
			if err != nil {
				return more, err
			}
			s = &sharedCall{at: len(all.aggs)}
			c.byText[text] = s
			c.list = append(c.list, calls[i])
			all.aggs, all.offs = append(all.aggs, call), append(all.offs, all.stride)
			all.stride += call.kernel.Words()
			more = true
		}
		s.users++
		all.aggs[s.at].off = false
		m.sharedOffs[i], m.sharedAt[i] = all.offs[s.at], s.at
	}
	if more {
		all.order = orderOf(c.risks, c.list, len(c.list))
	}
	return more, nil
}

// leave takes the aggregates of a member back.
func (c *sharedCalls) leave(all, m *grouping, calls []spec.AggCall) {
	m.sharedOffs, m.sharedAt = nil, nil
	for i := range calls {
		s := c.byText[callText(&calls[i])]
		s.users--
		all.aggs[s.at].off = s.users == 0
	}
}

// lookShared has a member find its aggregates where the union has them, until what it returns is called.
func (g *grouping) lookShared() (back func()) {
	own := g.offs
	g.offs = g.sharedOffs
	return func() { g.offs = own }
}

// reportLeft tells of rows that shared state has left out, and returns how many of them were late.
func (g *grouping) reportLeft(left []LeftRow) (late int64, err error) {
	for i := range left {
		l := &left[i]
		switch {
		case l.err == nil:
			late++
			if g.ctx.LateRow != nil {
				g.ctx.LateRow(l.Row, l.Closed)
			}
		case g.ctx.RowError == nil:
			return late, l.err
		default:
			g.ctx.RowError(l.Row, l.err)
		}
	}
	return late, nil
}

// Leaver is a grouping that may be a member of a SharedState; Left tells it of the rows that were left out there.
type Leaver interface{ TakeLeft(left []LeftRow) error }

var errOutOfWindows = sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp out of range of windows")

// allKeys owns every key.
func allKeys(uint64) bool { return true }

func without(list []*Member, m *Member) []*Member {
	for i := range list {
		if list[i] == m {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
