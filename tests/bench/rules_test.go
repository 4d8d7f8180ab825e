package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
	"github.com/vigil-sql/vigil/tests/need"
	"github.com/vigil-sql/vigil/tests/rules"
)

// world is a vigil that runs a workload's rules, planned from their text as a user's are.
type world struct {
	db     *inproc.DB
	store  *pebblekv.Store
	feed   *feed
	stream uint64
	events int64
}

// start creates the stream and all rules, on a copy of a store.
func start(t testing.TB, from *pebblekv.Store, w *workload) *world {
	t.Helper()
	x := &world{feed: newFeed()}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := from.Backup(dir, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if x.store, err = pebblekv.Open(dir, pebblekv.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Store: x.store, Clock: inproc.NewClock(rulesDay), Workers: 1, CheckpointEvery: -1,
		Connectors: []connector.Def{x.feed.def()}})
	if err != nil {
		t.Fatal(err)
	}
	x.db = db
	if err := db.Exec(w.stream); err != nil {
		t.Fatal(err)
	}
	if x.stream, err = db.StreamID("ev"); err != nil {
		t.Fatal(err)
	}
	const together = 100
	for from := 0; from < w.rules; from += together {
		var list []string
		for i := from; i < min(from+together, w.rules); i++ {
			list = append(list, fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS %s", i, w.rule(i)))
		}
		if err := db.Exec(strings.Join(list, ";")); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// run passes events through all rules and returns the CPU time from handing them over until the results are committed.
func (x *world) run(t testing.TB, lines []byte) time.Duration {
	t.Helper()
	runtime.GC()
	x.events += int64(bytes.Count(lines, []byte("\n")))
	begin := cpu(t)
	x.feed.in <- lines
	for st, _ := x.db.Engine().Stream(x.stream); st.Rows+st.Rejected < x.events; st, _ = x.db.Engine().Stream(x.stream) {
		if err := x.db.Err(); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Millisecond) // to ask costs something, too
	}
	if err := x.db.Settle(); err != nil {
		t.Fatal(err)
	}
	took := cpu(t) - begin
	if st, _ := x.db.Engine().Stream(x.stream); st.Rejected > 0 {
		t.Fatalf("%d events rejected", st.Rejected)
	}
	return took
}

// check compares what each rule found with what it was meant to find, and returns how much that is in all.
func (x *world) check(t testing.TB, w *workload) int {
	t.Helper()
	all := 0
	for i, want := range w.found {
		got, err := x.db.Changes(fmt.Sprintf("r%d", i))
		if err != nil || got != want {
			t.Fatalf("rule %d of %d has %d results, not %d: %v", i, w.rules, got, want, err)
		}
		all += got
	}
	return all
}

func (x *world) close(t testing.TB) {
	t.Helper()
	if err := errors.Join(x.db.Close(), x.store.Close()); err != nil {
		t.Fatal(err)
	}
}

func listed(t testing.TB, indicators int) *pebblekv.Store {
	t.Helper()
	store, err := storeWith(filepath.Join(t.TempDir(), "listed"), indicators)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// TestManyRules: few rules and many find what the maker of the events says, in the list of indicators and beyond it.
func TestManyRules(t *testing.T) {
	const events, indicators = 6000, 100
	store := listed(t, indicators)
	for _, w := range []*workload{thesisRules(6, indicators), thesisRules(1000, indicators), substringRules(1000)} {
		x := start(t, store, w)
		x.run(t, w.events(nil, events/2))
		x.run(t, w.events(nil, events/2))
		if all, silent := x.check(t, w), count(w.found, 0); all < events/100 || w.rules > 6 && silent == 0 || silent > w.rules*9/10 {
			t.Errorf("%d results of %d rules, of which %d found nothing, prove too little", all, w.rules, silent)
		}
		x.close(t)
	}
}

func count(list []int, of int) int {
	n := 0
	for _, v := range list {
		if v == of {
			n++
		}
	}
	return n
}

// The benchmark of many rules.
const (
	ruleIndicators = 1_000_000
	// Events come in pieces that double from ruleEventsMin on until one takes rulePiece of CPU time; by then the rules' index has been
	// built from a sample of them. rulePieces more like it count, together: results are written out in some and not in others.
	ruleEventsMin = 2048
	ruleEventsMax = 1 << 19
	rulePiece     = 400 * time.Millisecond
	rulePieces    = 4
	ruleRounds    = 3
	substrings    = 10_000
)

// ruleGoals are the speeds to reach: rules have at least times the speed of base rules.
var ruleGoals = []struct {
	rules, base int
	times       float64
}{{36, 6, 0.8}, {1000, 10, 0.5}, {10_000, 10, 0.3}}

// measured is what one kind of rules took.
type measured struct {
	name  string
	rules int
	costs []float64 // ns an event, one a round
	// What passed in a round, and what was found.
	events, bytes, results int
}

// measure starts a world and finds what an event costs in it.
func (m *measured) measure(t testing.TB, store *pebblekv.Store, w *workload) {
	x := start(t, store, w)
	defer x.close(t)
	m.bytes = 0
	n := ruleEventsMin
	var lines []byte // the same memory for all pieces: that of the maker of events is not to be collected at the rules' cost
	piece := func() time.Duration {
		lines = w.events(lines[:0], n)
		m.bytes += len(lines)
		return x.run(t, lines)
	}
	for piece() < rulePiece && n < ruleEventsMax {
		n *= 2
	}
	took := time.Duration(0)
	for range rulePieces {
		took += piece()
	}
	m.costs = append(m.costs, float64(took)/float64(n*rulePieces))
	m.events, m.results = int(x.events), x.check(t, w)
}

func (m *measured) median() float64 {
	list := slices.Sorted(slices.Values(m.costs))
	return list[len(list)/2]
}

// BenchmarkRules prints what an event costs with few and with many rules over its stream, on one core. VIGIL_BENCH_RULES="6,10,36"
// chooses the numbers of rules, "whole36" those whose alerts are whole events; "sigma", "substrings" and "lists-KIND-ENTRIES" in it, the
// other kinds.
func BenchmarkRules(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	chosen := os.Getenv("VIGIL_BENCH_RULES")
	if chosen == "" {
		chosen = "6,10,36,100,1000,10000,whole1000,substrings,sigma,lists-one-1,lists-one-100000,lists-ten-100000,lists-join-100000,lists-or-100000"
	}
	var list []*measured
	for _, name := range strings.Split(chosen, ",") {
		m := &measured{name: name}
		if name == "substrings" {
			m.rules = substrings
		} else if strings.HasPrefix(name, "lists-") {
			m.rules = listRuleCount
		} else if name != "sigma" {
			number, whole := strings.CutPrefix(name, "whole")
			n, err := strconv.Atoi(number)
			if err != nil {
				b.Fatal("VIGIL_BENCH_RULES:", err)
			}
			m.name, m.rules = "thesis", n
			if whole {
				m.name = "thesis, whole event"
			}
		}
		list = append(list, m)
	}
	indicators := 0
	if slices.ContainsFunc(list, func(m *measured) bool { return strings.HasPrefix(m.name, "thesis") }) {
		indicators = ruleIndicators
	}
	store := listed(b, indicators)
	for range max(b.N, ruleRounds) {
		for _, m := range list {
			switch m.name {
			case "thesis":
				m.measure(b, store, thesisRules(m.rules, ruleIndicators))
			case "thesis, whole event":
				w := thesisRules(m.rules, ruleIndicators)
				w.columns = wholeEvent
				m.measure(b, store, w)
			case "substrings":
				m.measure(b, store, substringRules(m.rules))
			case "sigma":
				m.sigma(b, store)
			default:
				m.lists(b, store)
			}
		}
	}
	printRules(b, list)
}

// lists measures rules over lists: the name is lists-KIND-ENTRIES.
func (m *measured) lists(b *testing.B, store *pebblekv.Store) {
	part := strings.Split(m.name, "-")
	entries, err := strconv.Atoi(part[len(part)-1])
	if err != nil || len(part) != 3 {
		b.Fatal("VIGIL_BENCH_RULES:", m.name)
	}
	m.measure(b, store, listRules(part[1], entries))
}

// sigma passes recorded attacks through all Sigma rules, once: what they find is compared event by event in tests/rules.
func (m *measured) sigma(b *testing.B, store *pebblekv.Store) {
	if len(m.costs) > 0 {
		return
	}
	set, err := rules.Load(need.Shared(b, "data/rules/sigma-sql"))
	if err != nil {
		b.Fatal(err)
	}
	w := &workload{stream: set.Stream("ev", "WITH (connector = 'generator')"), rules: len(set.Rules),
		rule: func(i int) string { return "SELECT event_number FROM ev WHERE " + set.Rules[i].Where }}
	answers, err := filepath.Glob(filepath.Join(need.Shared(b, "data/events/mordor"), "expected-sigma-sql", "*.json.gz"))
	if err != nil {
		b.Fatal(err)
	}
	x := start(b, store, w)
	defer x.close(b)
	var took time.Duration
	for _, file := range answers {
		dir := filepath.Dir(filepath.Dir(file))
		lines, err := rules.ReadZip(filepath.Join(dir, strings.TrimSuffix(filepath.Base(file), ".json.gz")+".zip"))
		if err != nil {
			b.Fatal(err)
		}
		numbered, n := rules.Number(lines, m.events)
		took += x.run(b, numbered)
		m.events, m.bytes = m.events+n, m.bytes+len(numbered)
	}
	m.rules, m.costs = w.rules, []float64{float64(took) / float64(m.events)}
	for i := range w.rules {
		n, err := x.db.Changes(fmt.Sprintf("r%d", i))
		if err != nil {
			b.Fatal(err)
		}
		m.results += n
	}
	if m.results == 0 {
		b.Fatal("no rule found anything")
	}
}

// printRules prints the table.
func printRules(b *testing.B, list []*measured) {
	thesis := map[int]float64{}
	for _, m := range list {
		if m.name == "thesis" {
			thesis[m.rules] = m.median()
		}
	}
	ratio := func(m *measured, base int) string {
		if m.name != "thesis" || thesis[base] == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f", thesis[base]/m.median())
	}
	tab := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "many rules, one core\trules\tns/event\tspread\tevents/s\tMB/s\tevents\tresults\tx speed of 6\tof 10\tgoal\t\t")
	for _, m := range list {
		goal, met := "-", ""
		for _, g := range ruleGoals {
			if m.name == "thesis" && m.rules == g.rules && thesis[g.base] > 0 {
				goal, met = fmt.Sprintf(">= %.1f of %d", g.times, g.base), "not met"
				if thesis[g.base]/m.median() >= g.times {
					met = "met"
				}
			}
		}
		ns := m.median()
		fmt.Fprintf(tab, "%s\t%d\t%.0f\t%.0f..%.0f\t%.0f\t%.2f\t%d\t%d\t%s\t%s\t%s\t%s\t\n", m.name, m.rules, ns, slices.Min(m.costs), slices.Max(m.costs),
			1e9/ns, float64(m.bytes)/float64(m.events)/ns*1e3, m.events, m.results, ratio(m, 6), ratio(m, 10), goal, met)
		b.ReportMetric(ns, fmt.Sprintf("%s-%d-ns/event", strings.Join(strings.Fields(m.name), "-"), m.rules))
	}
	tab.Flush()
}
