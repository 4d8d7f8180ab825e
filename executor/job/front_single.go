package job

import (
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// The index of a segment is one piece of work for all its rules. When it panics, which is a bug of its own, no rule is to blame: the
// rules that it has not come to are evaluated one by one, each guarded by itself, so that only a rule that breaks then goes. From
// then on the whole segment is, in all fronts, until its queries are indexed anew.

// matching is how far the index of a segment has come in a batch.
type matching struct {
	// next is the rule after the last one whose rows were handed out, inside: that is under way.
	next   int
	inside bool
	// single: rules are evaluated one by one. known are the row errors that the index has told before it broke.
	single bool
	known  []badRow
}

// match hands the rows of the batch to the queries of the segment in work.
func (f *front) match() {
	f.at = matching{}
	if !f.seg.broken.Load() {
		bad := len(f.bad)
		err := guard(f.matchOne)
		f.ctx.RowError = f.rowError
		if err == nil {
			return
		}
		f.at.known = f.bad[bad:len(f.bad):len(f.bad)]
		if f.at.inside { // what the rule's queries do with rows broke, not the index
			(*segmentConsumer)(f).Failed(f.at.next-1, err)
			f.seg.m = f.seg.index.NewMatcher()
		} else {
			f.breakIndex(err)
		}
	}
	f.at.single = true
	for rule := f.at.next; rule < f.seg.rules(); rule++ {
		if hasBit(f.seg.skip, uint32(rule)) {
			continue
		}
		f.rule = rule
		err := guard(f.singleOne)
		f.ctx.RowError = f.rowError
		if err != nil {
			(*segmentConsumer)(f).Failed(rule, err)
		}
	}
}

// breakIndex notes that the index of the segment in work is not to be used any more.
func (f *front) breakIndex(err error) {
	f.e.indexPanics.Add(1)
	if !f.seg.broken.Swap(true) {
		f.e.log.Error("the index of conditions broke; its queries are evaluated one by one", "stream", f.it.stream.spec.Name,
			"queries", len(f.seg.readers), "error", err, "detail", sqlerr.As(err).Detail)
	}
}

// matchSingle evaluates one rule by itself.
func (f *front) matchSingle() error {
	c := (*segmentConsumer)(f)
	if f.seg.singles == nil {
		f.seg.singles = make([]*predindex.Single, f.seg.rules())
	}
	s := f.seg.singles[f.rule]
	if s == nil {
		var err error
		if s, err = predindex.NewSingle(f.seg.readers[f.seg.class(f.rule)[0]].predicate()); err != nil {
			return err
		}
		f.seg.singles[f.rule] = s
	}
	f.ctx.RowError = f.singleError
	c.Alone(f.rule)
	rows, err := s.Rows(&f.ctx, f.fb.b, f.fb.valid)
	c.Done(f.rule)
	if err == nil && len(rows) > 0 {
		c.Rows([]predindex.Item{{Rule: uint32(f.rule), Rows: rows}})
	}
	return err
}

// IndexPanics is how often the index of the conditions over a stream broke since the server started.
func (e *Engine) IndexPanics() int64 { return e.indexPanics.Load() }
