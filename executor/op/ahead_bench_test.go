package op_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/types"
)

// BenchmarkCopyAhead prints what a piece of 4,096 entries costs that is copied ahead of a checkpoint, of 100,000 keys in no order:
// the median, and the longest of all pieces, which the machine's other work may be part of.
func BenchmarkCopyAhead(b *testing.B) {
	const keys, piece = 100_000, 4096
	fmt.Printf("%-16s %10s %10s %10s %12s\n", "", "pieces", "median, us", "most, us", "counting, us")
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range aheadKinds {
			if !yield(name) {
				return
			}
		}
	}) {
		a := newAheadTree(b, aheadParts(b, strings.ReplaceAll(aheadKinds[name], "W sec", "9 sec")), nil)
		a.deaf = true
		for _, wm := range []types.EventTime{0, 2_000_000} {
			for from := 0; from < keys; from += 1000 {
				var st aheadStep
				for i := range 1000 {
					k := (from + i) * 7919 % keys
					for side := range st.rows {
						st.rows[side] = append(st.rows[side], event{ts: 1_000_000 + int64(wm), k: fmt.Sprintf("key %06d", k), c: "a", x: 1})
					}
				}
				st.wm = wm
				a.epoch(st)
			}
		}
		var took []time.Duration
		from := time.Now()
		a.changed()
		counting := time.Since(from)
		for i, o := range a.tree.Ops() {
			o, ok := o.(op.AheadCopier)
			for n := 1; ok && n > 0; {
				from := time.Now()
				var err error
				if n, err = o.CopyAhead(aheadLater{a.stores[i]}, piece); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(from))
			}
		}
		slices.Sort(took)
		fmt.Printf("%-16s %10d %10d %10d %12d\n", name, len(took), took[len(took)/2].Microseconds(), took[len(took)-1].Microseconds(), counting.Microseconds())
	}
}
