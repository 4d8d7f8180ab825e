package spec

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Match finds runs of neighbouring rows that fit a pattern (MATCH_RECOGNIZE), per key and in order of (time, arrival). For each
// first row the preferred match counts, as SQL prescribes: the earlier alternative, more repetitions unless reluctant. Empty
// matches produce nothing.
//
// Output with AllRows: each row of a match (the input's first columns, as many as the output has besides Measures), then
// Measures; otherwise one row per match: Keys, then Measures. Expressions of variables and measures read a row of the match, followed by one column per element of Refs: the row
// that is being tried, or for a measure the current one (the last, without AllRows).
type Match struct {
	Keys    []expr.Expr
	TimeCol int
	Vars    []MatchVar
	// Start lists the states that wait for the first row, States what follows each; the preferred ones come first.
	Start    []int32
	States   []MatchState
	Refs     []MatchRef
	Measures []expr.Expr
	AllRows  bool
	Skip     MatchSkip
	SkipVar  int
	// Within (microseconds) is how far the last row of a match may lie behind its first, inclusive; 0: no bound.
	Within int64
	// Sequence, when set, takes the place of Start, States and Skip: rows need not be neighbours.
	Sequence *Sequence
	// Pattern is the pattern as text.
	Pattern string
}

// Sequence is SEQUENCE, with the meaning of EQL's sequence: per key one sequence waits at each stage. A row that fits the next
// stage moves it there, in place of the one that was there. Within bounds the whole of it.
type Sequence struct {
	Stages []SequenceStage
	// Before lists variables of which no row may have come in the Within before the first row, After those of which none may come
	// after the last row until Within has passed since the first: the sequence comes out then.
	Before, After []int
	// Until is the variable whose rows end all sequences that wait, -1 for none.
	Until int
}

// SequenceStage takes a row of variable Var; one of a variable of Missing that comes before it ends the sequence.
type SequenceStage struct {
	Var     int
	Missing []int
}

// MatchVarsMax bounds the variables of a pattern: a row's truth values fit into a word.
const MatchVarsMax = 64

// MatchVar is a pattern variable. A row may be mapped to it when its boolean column Col is true (-1: it need not be) and so
// is Cond (nil: it need not be), which reads other rows of the match too.
type MatchVar struct {
	Name string
	Col  int
	Cond expr.Expr
}

// MatchAccept in a list of states means that the match is complete.
const MatchAccept = int32(-1)

// MatchState waits for a row that fits variable Var; Next lists what waits after it.
type MatchState struct {
	Var  int32
	Next []int32
}

// MatchSkip says where the search goes on after a match.
type MatchSkip uint8

// The modes. A target of SkipToFirst and SkipToLast that the match does not have means SkipPastLast; one that is the match's
// first row means SkipToNext.
const (
	SkipPastLast MatchSkip = iota
	SkipToNext
	SkipToFirst
	SkipToLast
)

// MatchRefKind is what a MatchRef computes.
type MatchRefKind uint8

// MatchRow is the value of an expression over one row of the match, MatchAgg an aggregate over rows of it, MatchClassifier the
// name of the variable that the row is mapped to, MatchNumber the number of the match within its key, from 1.
const (
	MatchRow MatchRefKind = iota
	MatchAgg
	MatchClassifier
	MatchNumber
)

// MatchRef is a value computed from the rows of a match up to the current one (all of them: Final). Rows are those mapped to
// Var (-1: any). MatchRow takes the Nth of them (0-based) from the first or the last one, and from there the row Back places
// before it, in the match or not; NULL where there is none.
type MatchRef struct {
	Kind  MatchRefKind
	Var   int
	First bool
	Nth   int
	Back  int
	Final bool
	X     expr.Expr
	Agg   AggCall
	Typ   types.Type
	// Name is the reference as text.
	Name string
}

func (*Match) op() {}

func describeMatch(op *Match) string {
	var sb strings.Builder
	name := "Match"
	if op.Sequence != nil {
		name = "Sequence"
	}
	fmt.Fprintf(&sb, "%s (%s)", name, op.Pattern)
	if op.Within > 0 {
		fmt.Fprintf(&sb, " within %s", time.Duration(op.Within)*time.Microsecond)
	}
	fmt.Fprintf(&sb, " keys: %s", orNone(list(op.Keys)))
	for i, v := range op.Vars {
		fmt.Fprintf(&sb, "%s%s", [2]string{" vars: ", ", "}[min(i, 1)], v.Name)
		if v.Cond != nil {
			sb.WriteString(" " + parens(v.Cond.String()))
		}
	}
	fmt.Fprintf(&sb, " measures: %s", orNone(list(op.Measures)))
	if op.AllRows {
		sb.WriteString(" all rows")
	}
	switch op.Skip {
	case SkipToNext:
		sb.WriteString(" skip to next")
	case SkipToFirst, SkipToLast:
		fmt.Fprintf(&sb, " skip to %s %s", [2]string{"first", "last"}[op.Skip-SkipToFirst], op.Vars[op.SkipVar].Name)
	}
	return sb.String()
}
