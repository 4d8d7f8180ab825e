package spec

import "github.com/vigil-sql/vigil/executor/window"

// Forever is the horizon of a program in which a row may matter at any distance in time.
const Forever = int64(1) << 62

// Horizon is how far apart in event time (microseconds) a row and a result that depends on it may lie: the sum of what the
// operators of a continuous query and its stages look at. ok is false where results have no end in time.
func Horizon(q *Query) (horizon int64, ok bool) {
	ok = true
	for _, st := range q.Stages {
		h, fine := nodeHorizon(st.Program.Root)
		horizon, ok = min(Forever, horizon+h), ok && fine
	}
	h, fine := nodeHorizon(q.Program.Root)
	return min(Forever, horizon+h), ok && fine
}

func nodeHorizon(n *Node) (int64, bool) {
	own, ok := int64(0), true
	switch op := n.Op.(type) {
	case *WindowAgg:
		own = op.Window.Size + op.Lateness
		if op.Window.Kind == window.Session || op.Window.Kind == window.Count {
			own = Forever
		}
	case *GroupAgg, *LookupJoin:
		_, isLookup := n.Op.(*LookupJoin)
		ok = isLookup
	case *IntervalJoin:
		own = max(op.Hi, -op.Lo, op.Hi-op.Lo) + op.Lateness
	case *Over:
		for _, f := range op.Funcs {
			if f.Frame.Rows || f.Frame.Start == -FrameUnbounded || f.Frame.End == FrameUnbounded {
				own = Forever
				continue
			}
			own = max(own, -f.Frame.Start, f.Frame.End)
		}
	case *StreamScan, *ResultScan, *Filter, *Project, *Exchange, *Union, *Result, *ProjectSet:
	default: // patterns, suppression, sightings, versions: any earlier row may matter
		own = Forever
	}
	below := int64(0)
	for _, in := range n.In {
		h, fine := nodeHorizon(in)
		below, ok = max(below, h), ok && fine
	}
	return min(Forever, own+below), ok
}
