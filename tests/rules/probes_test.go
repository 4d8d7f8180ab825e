package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/inproc"
)

// What TestProbes does: how many events it makes of each rule, and of how many rules at a time a SELECT tells what they say.
const (
	probesPerRule = 2
	selectRules   = 100
	// probesFound is the part of the rules that must find something, for the test to prove much.
	probesFound = 0.7
)

// TestProbes: on events made of the rules' own comparisons, all rules together find what each one's condition says of each event
// when a SELECT evaluates it; also when every other rule was dropped, which finds nothing then, and was created again.
func TestProbes(t *testing.T) {
	s := load(t)
	db := create(t, s, "WITH (retention = '30 days')")
	defer db.Close()
	every := 1
	if testing.Short() {
		every = 11
	}
	begun := sendProbes(t, db, s, 0, every)
	first := found(t, db, s, []int{0})[0]
	forRules(t, db, len(s.Rules), 2, func(i int) string { return fmt.Sprintf("DROP CONTINUOUS QUERY r%d", i) })
	dropped := sendProbes(t, db, s, begun, 7)
	forRules(t, db, len(s.Rules), 2, func(i int) string { return s.Query("logs", "event_number", i) })
	all := sendProbes(t, db, s, dropped, 7)
	got := found(t, db, s, []int{0})[0]
	for i := 1; i < len(s.Rules); i += 2 { // what they had found went with them
		got[s.Rules[i].Key] = append(slices.Clone(first[s.Rules[i].Key]), got[s.Rules[i].Key]...)
	}
	finding, matches := 0, 0
	for i, want := range says(t, db, s, all) {
		r := s.Rules[i]
		if i%2 == 1 {
			want = slices.DeleteFunc(want, func(n int64) bool { return n > int64(begun) && n <= int64(dropped) })
		}
		if !slices.Equal(got[r.Key], want) {
			t.Errorf("%s finds %d events, not %d:%s\n%.1000s", r.Key, len(got[r.Key]), len(want), differences(got[r.Key], want), r.Where)
		}
		matches += len(want)
		if len(want) > 0 {
			finding++
		}
	}
	t.Logf("%d events, %d matches, of %d of the rules", all, matches, finding)
	if float64(finding) < probesFound*float64(len(s.Rules)/every) {
		t.Error("that proves too little")
	}
}

// sendProbes sends events made of one rule in every so many, numbered on from first, and returns the last one's number.
func sendProbes(t *testing.T, db *inproc.DB, s *Set, first, every int) int {
	t.Helper()
	rng := rand.New(rand.NewPCG(6, uint64(first)))
	var lines []byte
	for i := 0; i < len(s.Rules); i += every {
		lines = append(lines, s.Rules[i].Probes(rng, probesPerRule)...)
	}
	numbered, n := Number(lines, first)
	if rejected, err := db.Append("logs", numbered); err != nil || rejected > 0 {
		t.Fatal(rejected, err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	return first + n
}

// says lists the events of which each rule's condition is true by itself.
func says(t *testing.T, db *inproc.DB, s *Set, events int) (list [][]int64) {
	t.Helper()
	for from := 0; from < len(s.Rules); from += selectRules {
		var conditions []string
		for _, r := range s.Rules[from:min(from+selectRules, len(s.Rules))] {
			conditions = append(conditions, "CASE WHEN "+r.Where+" THEN 't' ELSE '' END")
		}
		rows, err := db.Rows("SELECT event_number, " + strings.Join(conditions, ", ") + " FROM logs ORDER BY 1")
		if err != nil || len(rows) != events {
			t.Fatal(len(rows), err)
		}
		for i := range conditions {
			list = append(list, column(t, rows, i+1))
		}
	}
	return list
}

// column lists the numbers of the events of which a column says t.
func column(t *testing.T, rows [][]string, c int) (list []int64) {
	t.Helper()
	for _, row := range rows {
		if row[c] == "t" {
			n, err := strconv.ParseInt(row[0], 10, 64)
			if err != nil {
				t.Fatal(fmt.Errorf("event %s: %w", row[0], err))
			}
			list = append(list, n)
		}
	}
	return list
}
