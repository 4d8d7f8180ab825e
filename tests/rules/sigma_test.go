package rules

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/inproc"
	"github.com/vigil-sql/vigil/tests/need"
)

// today is what the clock of the tests shows: the events' time, see Number.
var today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// payloadBytes is how much of the events is sent at a time, as a shipper of logs does.
const payloadBytes = 1 << 20

// unanswered are the rules which SQLite could not run, so that nothing says what they match. Vigil runs those whose trees are
// too deep for SQLite; the others are no SQL (Foreign).
var unanswered = []string{
	"rules_windows_generic:589ac73f-8e12-409c-964e-31a2f5775ae2", "rules_windows_generic:a35c97c8-d9c4-4c89-a3e7-533dc0bcb73a",
	"rules_windows_generic:bae7c70b-8569-44e9-accf-b30073da8a5d", "rules_windows_generic:f9578658-9e71-4711-b634-3f9b50cd3c06",
	"rules_windows_generic:fff9d2b7-e11c-4a69-93d3-40ef66189767", "rules_windows_sysmon_high:589ac73f-8e12-409c-964e-31a2f5775ae2",
	"rules_windows_sysmon_high:7aaaf4b8-e47c-4295-92ee-6ed40a6f60c8", "rules_windows_sysmon_high:a35c97c8-d9c4-4c89-a3e7-533dc0bcb73a",
	"rules_windows_sysmon_high:bae7c70b-8569-44e9-accf-b30073da8a5d", "rules_windows_sysmon_high:f9578658-9e71-4711-b634-3f9b50cd3c06",
}

// notRun are the rules that vigil cannot run. Of the Windows ones SQLite cannot run any of them either.
var notRun = []string{
	"rules_linux:97de11cd-4b67-4abf-9a8b-1020e670aa9e", "rules_windows_generic:589ac73f-8e12-409c-964e-31a2f5775ae2",
	"rules_windows_generic:a35c97c8-d9c4-4c89-a3e7-533dc0bcb73a", "rules_windows_generic:fff9d2b7-e11c-4a69-93d3-40ef66189767",
	"rules_windows_sysmon_high:589ac73f-8e12-409c-964e-31a2f5775ae2", "rules_windows_sysmon_high:a35c97c8-d9c4-4c89-a3e7-533dc0bcb73a",
}

// answers is what SQLite found in one set of events.
type answers struct {
	Events  int
	Errors  [][2]string
	Matches map[string]struct {
		Title string
		Rows  []int64
	}
}

// shortEvents is how many events a set may have to be sent with -short, which is for the race detector.
const shortEvents = 5000

// readAnswers reads the answers by the names of their sets, in order.
func readAnswers(t *testing.T, dir string) (names []string, list map[string]answers) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	list = map[string]answers{}
	for _, f := range files {
		var a answers
		if err := ReadGzip(f, &a); err != nil {
			t.Fatal(err)
		}
		if len(a.Errors) != len(unanswered) {
			t.Errorf("%s: SQLite failed on %d rules, %d are listed", f, len(a.Errors), len(unanswered))
		}
		name := strings.TrimSuffix(filepath.Base(f), ".json.gz")
		for _, m := range a.Matches {
			slices.Sort(m.Rows) // SQLite lists some as its index has them
		}
		if testing.Short() && a.Events > shortEvents {
			t.Logf("%s is left out with -short: %d events", name, a.Events)
			continue
		}
		names = append(names, name)
		list[name] = a
	}
	return names, list
}

// TestSigma runs all Sigma rules at once as continuous queries over one stream, sends recorded attacks through it as JSON, and
// compares what each rule finds, event by event, with what SQLite finds.
func TestSigma(t *testing.T) {
	s := load(t)
	dir := need.Shared(t, "data/events/mordor")
	names, want := readAnswers(t, filepath.Join(dir, "expected-sigma-sql"))
	checkForeign(t, s)
	db := create(t, s, "")
	defer db.Close()
	start, total := cpu(), 0
	firsts := make([]int, len(names))
	for i, name := range names {
		firsts[i] = total
		total += send(t, db, filepath.Join(dir, name+".zip"), total, want[name].Events)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events through %d rules: %v computed", total, len(s.Rules), cpu()-start)
	c := tally{want: want}
	for i, got := range found(t, db, s, firsts) {
		c.set(t, s, names[i], got)
	}
	linux := len(s.Rules) + len(s.Foreign) - windowsRules
	t.Logf("%d sets of %d rules compared, %d matches; %d rules have no answer because SQLite failed, %d because they are of linux",
		len(names), c.rules/len(names), c.matches, len(unanswered), linux)
	if c.rules != len(names)*(windowsRules-len(unanswered)) || linux != 181 || c.matches < 150 || !testing.Short() && c.matches != 814 {
		t.Errorf("%d comparisons with %d matches prove too little", c.rules, c.matches)
	}
}

// windowsRules is how many rules the sets that have answers have.
const windowsRules = 3654

// tally counts what was compared: rules, once for each set of events, and the matches that were expected.
type tally struct {
	want           map[string]answers
	rules, matches int
}

// set compares what the rules found in one set of events.
func (c *tally) set(t *testing.T, s *Set, name string, got map[string][]int64) {
	t.Helper()
	want := c.want[name].Matches
	for _, r := range s.Rules {
		if slices.Contains(unanswered, r.Key) || strings.HasPrefix(r.Key, "rules_linux:") {
			continue
		}
		c.rules++
		rows := want[r.Key].Rows
		c.matches += len(rows)
		if !slices.Equal(got[r.Key], rows) {
			t.Errorf("%s: %s (%s) matches %d events, not %d:%s\n%.1000s", name, r.Key, want[r.Key].Title, len(got[r.Key]), len(rows),
				differences(got[r.Key], rows), r.Where)
		}
		delete(want, r.Key)
	}
	for key := range want {
		t.Errorf("%s: %s has an answer and was not compared", name, key)
	}
}

// checkForeign: what vigil does not run is known by name.
func checkForeign(t *testing.T, s *Set) {
	t.Helper()
	var keys []string
	for _, f := range s.Foreign {
		keys = append(keys, f.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, notRun) {
		t.Errorf("vigil cannot run %v", s.Foreign)
	}
}

// create starts a vigil that runs all rules over a stream with options.
func create(t *testing.T, s *Set, options string) *inproc.DB {
	t.Helper()
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(today), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(s.Stream("logs", options)); err != nil {
		t.Fatal(err)
	}
	start := cpu()
	forRules(t, db, len(s.Rules), 1, func(i int) string { return s.Query("logs", "event_number", i) })
	t.Logf("%d rules created: %v computed", len(s.Rules), cpu()-start)
	return db
}

// forRules runs a statement for one rule in every so many, a hundred in one message.
func forRules(t *testing.T, db *inproc.DB, n, every int, statement func(i int) string) {
	t.Helper()
	var list []string
	for i := every - 1; i < n; i += every {
		list = append(list, statement(i))
		if len(list) == 100 || i+every >= n {
			if err := db.Exec(strings.Join(list, ";")); err != nil {
				t.Fatal(err)
			}
			list = list[:0]
		}
	}
}

// send sends a set's events, numbered on from first, and returns how many there are.
func send(t *testing.T, db *inproc.DB, file string, first, want int) int {
	t.Helper()
	lines, err := ReadZip(file)
	if err != nil {
		t.Fatal(err)
	}
	numbered, n := Number(lines, first)
	if n != want {
		t.Errorf("%s has %d events, the answers are for %d", filepath.Base(file), n, want)
	}
	for rest := numbered; len(rest) > 0; {
		size := len(rest)
		if size > payloadBytes {
			size = bytes.LastIndexByte(rest[:payloadBytes], '\n') + 1
		}
		rejected, err := db.Append("logs", rest[:size])
		if err != nil || rejected > 0 {
			t.Fatalf("%s: %d rejected, %v", file, rejected, err)
		}
		rest = rest[size:]
	}
	return n
}

// found is what each rule matched in each set of events, by the events' numbers in their set.
func found(t *testing.T, db *inproc.DB, s *Set, firsts []int) []map[string][]int64 {
	t.Helper()
	list := make([]map[string][]int64, len(firsts))
	for i := range list {
		list[i] = map[string][]int64{}
	}
	for i, r := range s.Rules {
		changes, err := db.Changelog(fmt.Sprintf("r%d", i))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			n, err := strconv.Atoi(c.Text)
			if err != nil || c.Op != 1 {
				t.Fatalf("%s: %v", r.Key, c)
			}
			set, _ := slices.BinarySearch(firsts, n)
			set-- // the last that begins before n
			list[set][r.Key] = append(list[set][r.Key], int64(n-firsts[set]))
		}
	}
	return list
}

// differences names a few events that only one side has.
func differences(got, want []int64) string {
	seen := map[int64]int{}
	for _, n := range got {
		seen[n]++
	}
	for _, n := range want {
		seen[n]--
	}
	text := ""
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		if seen[n] != 0 && len(text) < 100 {
			text += fmt.Sprintf(" %d:%+d", n, seen[n])
		}
	}
	return text
}
