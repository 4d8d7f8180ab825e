package predindex

import (
	"errors"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
)

// failingList cannot be asked.
type failingList struct{}

func (failingList) Match([]string, *batch.Vec, []uint32, []uint32) ([]uint32, error) {
	return nil, errors.New("no list")
}

// TestFixedTerms: of a value that a rule asks for, a list is asked once, until it changes; of rules that do not ask for one, about
// every value.
func TestFixedTerms(t *testing.T) {
	g := newGen(t, 21)
	b := g.rows(2000)
	v := &b.Cols[colImage]
	values := map[string]bool{}
	for row := range b.N {
		if s := string(v.Bytes(row)); !v.IsNull(row) && s != "" && len(values) < 20 {
			values[s] = true
		}
	}
	type kind struct{ equal, in bool }
	var list []*Predicate
	var texts []string
	var kinds []kind
	for s := range values {
		for _, k := range []kind{{true, true}, {true, false}, {false, true}, {false, false}} {
			is := expr.Expr(&expr.Compare{Op: expr.EQ, L: column(colImage), R: text(s)})
			if !k.equal {
				is = &expr.Not{X: is}
			}
			list = append(list, New(and(is, &expr.InIOC{X: column(colImage), Lists: []string{"l"}, Not: !k.in}), nil))
			texts, kinds = append(texts, s), append(kinds, k)
		}
	}
	m := Build(schema, list, NewEstimates(nil)).NewMatcher()
	asked := 0
	odd := &oddList{&asked}
	for i, lists := range []expr.Matcher{odd, odd, &evenList{}, odd, odd, odd} {
		got := newFound()
		before := asked
		m.Match(&expr.Ctx{IOC: lists}, b, batch.All(b.N), nil, got)
		for r := range list {
			var want []uint32
			for row := range uint32(b.N) {
				value := v.Bytes(int(row))
				in := (len(value)%2 == 1) == (lists == odd)
				if !v.IsNull(int(row)) && (string(value) == texts[r]) == kinds[r].equal && in == kinds[r].in {
					want = append(want, row)
				}
			}
			if !slices.Equal(got.rows[r], want) {
				t.Fatalf("round %d, %q, %v: %v, not %v", i, texts[r], kinds[r], got.rows[r], want)
			}
		}
		if more := asked - before; i != 2 && more > 2*(b.N+len(values)) || i == 1 && more > 0 || i > 3 && more > 0 {
			t.Errorf("round %d: the list was asked about %d rows", i, more)
		}
	}
	got := newFound()
	m.Match(&expr.Ctx{IOC: failingList{}}, b, batch.All(b.N), nil, got)
	if len(got.fail) != len(list) {
		t.Errorf("%d of %d rules fail with the list", len(got.fail), len(list))
	}
}
