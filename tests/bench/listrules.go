package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// listRuleCount is how many rules there are of a kind; ruleLists over how many tables those that have tables of their own are spread.
const (
	listRuleCount = 5000
	ruleLists     = 10
)

// listRules are rules over events of about 120 bytes, of which one in 10,000 has a user that is in a list of so many entries. By kind they
// read one list and look for a number of their own, by IN ("one") or JOIN ("join"), one of ten lists ("ten"), or one list or a number ("or").
func listRules(kind string, entries int) *workload {
	w := &workload{rules: listRuleCount, found: make([]int, listRuleCount)}
	var stream strings.Builder
	stream.WriteString("CREATE STREAM ev (ts TIMESTAMPTZ, usr TEXT, num BIGINT, note TEXT, WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON")
	for i := range ruleLists {
		fmt.Fprintf(&stream, ";CREATE TABLE watch_%d (name TEXT PRIMARY KEY, team TEXT)", i)
		for from := 0; from < entries; from += 10_000 {
			fmt.Fprintf(&stream, ";INSERT INTO watch_%d SELECT 'user-%d-' || g, 'x' FROM generate_series(%d, %d) AS g", i, i, from, min(from+10_000, entries)-1)
		}
		if kind != "ten" {
			break
		}
	}
	w.stream = stream.String()
	lists := 1
	w.rule = func(i int) string {
		return map[string]string{
			"one":  fmt.Sprintf("SELECT ts, usr FROM ev WHERE usr IN (SELECT name FROM watch_0) AND num = %d", i),
			"ten":  fmt.Sprintf("SELECT ts, usr FROM ev WHERE usr IN (SELECT name FROM watch_%d) AND num <> %d", i%ruleLists, -1-i),
			"join": fmt.Sprintf("SELECT ts, usr, w.team FROM ev JOIN watch_0 w ON w.name = usr WHERE w.team = 'x' AND num = %d", i),
			"or":   fmt.Sprintf("SELECT ts, usr FROM ev WHERE num = %d OR usr IN (SELECT name FROM watch_0) AND num < 0", i),
		}[kind]
	}
	if kind == "ten" {
		lists = ruleLists
	}
	rng, at := rand.New(rand.NewPCG(8, 9)), rulesDay
	w.events = func(out []byte, n int) []byte {
		out = slices.Grow(out, n*130)
		for range n {
			at = at.Add(100 * time.Microsecond)
			list, entry, num := rng.IntN(lists), rng.IntN(entries), rng.IntN(listRuleCount)
			listed := rng.IntN(10_000) == 0
			if !listed {
				entry += 1_000_000
			}
			if kind == "or" {
				num += 10 * listRuleCount * min(1, rng.IntN(1000))
			}
			out = fmt.Appendf(out, `{"ts":"%s","usr":"user-%d-%d","num":%d,"note":"%016x%016x"}`+"\n", at.Format("2006-01-02T15:04:05.000Z"), list, entry,
				num, rng.Uint64(), rng.Uint64())
			w.count(kind, list, num, listed)
		}
		return out
	}
	return w
}

// count notes which rules an event is for.
func (w *workload) count(kind string, list, num int, listed bool) {
	switch {
	case kind == "or":
		if num < listRuleCount {
			w.found[num]++
		}
	case !listed:
	case kind == "ten":
		for i := list; i < listRuleCount; i += ruleLists {
			w.found[i]++
		}
	default:
		w.found[num]++
	}
}
