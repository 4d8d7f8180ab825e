package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

// memberRules each look for an element of their own in an array of four; one event in ten has one of them. As text: they look for a word of their
// own in a text instead.
func memberRules(rules int, asText bool) *workload {
	w := &workload{rules: rules, found: make([]int, rules)}
	kind, rule := "TEXT[]", func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("SELECT ts FROM ev WHERE 'tag-%06d' = ANY (tags)", i)
		}
		return fmt.Sprintf("SELECT ts FROM ev WHERE tags && ARRAY['tag-%06d', 'none-%d']", i, i)
	}
	if asText {
		kind, rule = "TEXT", func(i int) string { return fmt.Sprintf("SELECT ts FROM ev WHERE tags LIKE '%%tag-%06d%%'", i) }
	}
	w.stream = "CREATE STREAM ev (ts TIMESTAMPTZ, tags " + kind + ", WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON"
	w.rule = rule
	rng := rand.New(rand.NewPCG(5, 6))
	at := rulesDay
	w.events = func(out []byte, n int) []byte {
		out = slices.Grow(out, n*110)
		for range n {
			at = at.Add(100 * time.Microsecond)
			x := 10_000 + rng.IntN(90_000)
			if rng.IntN(10) == 0 {
				x = rng.IntN(rules)
				w.found[x]++
			}
			tags := fmt.Sprintf(`"web-%04d","tag-%06d","eu-%d","tag-%06d"`, rng.IntN(9999), x, rng.IntN(9), x)
			if asText {
				tags = fmt.Sprintf(`"web-%04d,tag-%06d,eu-%d,tag-%06d"`, rng.IntN(9999), x, rng.IntN(9), x)
			} else {
				tags = "[" + tags + "]"
			}
			out = fmt.Appendf(out, `{"ts":"%s","tags":%s}`+"\n", at.Format("2006-01-02T15:04:05.000Z"), tags)
		}
		return out
	}
	return w
}

// TestMemberRules: rules over elements of arrays find what the maker of the events says, once an event, however often an element is there.
func TestMemberRules(t *testing.T) {
	w := memberRules(1000, false)
	x := start(t, listed(t, 0), w)
	defer x.close(t)
	x.run(t, w.events(nil, 3000))
	x.run(t, w.events(nil, 3000))
	if all := x.check(t, w); all < 300 {
		t.Errorf("%d results prove too little", all)
	}
}

// BenchmarkMemberRules prints what an event costs under rules that look for elements of arrays, beside rules that look for the same in a text.
func BenchmarkMemberRules(b *testing.B) {
	store := listed(b, 0)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "rules\tover\tns/event\tresults\t")
	for _, n := range []int{1, 10, 1000} {
		for _, asText := range []bool{false, true} {
			m := measured{}
			w := memberRules(n, asText)
			for range ruleRounds {
				m.measure(b, store, w)
				w = memberRules(n, asText)
			}
			over := "arrays"
			if asText {
				over = "texts"
			}
			fmt.Fprintf(out, "%d\t%s\t%.0f\t%d\t\n", n, over, slices.Min(m.costs), m.results)
		}
	}
	_ = out.Flush()
	b.ReportMetric(0, "ns/op")
}
