package job

import "github.com/vigil-sql/vigil/executor/predindex"

// BreakIndex makes the index of conditions panic before it hands out the rows of the rules from n on, and rule bad, where it is
// evaluated by itself; -1: none does.
func (e *Engine) BreakIndex(n, bad int) {
	for _, f := range e.frontList {
		f.mu.Lock()
		single := f.singleOne
		f.matchOne = func() error {
			f.seg.m.Match(&f.ctx, f.fb.b, f.fb.valid, f.seg.skip, breaking{(*segmentConsumer)(f), n})
			panic("the index broke")
		}
		f.singleOne = func() error {
			if f.rule == bad {
				panic("the rule broke")
			}
			return single()
		}
		f.mu.Unlock()
	}
}

type breaking struct {
	*segmentConsumer
	n int
}

func (s breaking) Rows(items []predindex.Item) {
	for i := range items {
		if int(items[i].Rule) >= s.n {
			panic("the index broke")
		}
		s.segmentConsumer.Rows(items[i : i+1])
	}
}
