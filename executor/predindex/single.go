package predindex

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
)

// Single evaluates one predicate by itself, as its text says, with nothing of the index. It costs a rule a pass over the batch, and is
// for rules whose index broke. One goroutine uses it at a time.
type Single struct {
	terms []Filterer
	// sel are the rows that passed a term, and those that passed the one before.
	sel [2][]uint32
}

// NewSingle makes p's evaluator.
func NewSingle(p *Predicate) (*Single, error) {
	s := &Single{}
	if p.whole != nil {
		f, err := expr.Compile(p.whole)
		if err != nil {
			return nil, err
		}
		s.terms = append(s.terms, f)
	}
	for _, t := range p.slow {
		f, err := t.new()
		if err != nil {
			return nil, err
		}
		s.terms = append(s.terms, f)
	}
	return s, nil
}

// Rows returns the rows of sel for which the predicate is true; they are valid until the next call. Errors of single rows go to
// ctx.RowError, which leaves them out.
func (s *Single) Rows(ctx *expr.Ctx, b *batch.Batch, sel []uint32) ([]uint32, error) {
	for i, f := range s.terms {
		if len(sel) == 0 {
			break
		}
		out, err := f.Filter(ctx, b, sel, s.sel[i%2][:0])
		if err != nil {
			return nil, err
		}
		s.sel[i%2], sel = out, out
	}
	return sel, nil
}
