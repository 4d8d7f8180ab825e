package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What TestProbes does: how many events it makes of each rule, and of how many rules at a time a SELECT tells what they say.
const (
	probesPerRule = 2
	selectRules   = 100
	// probesFound is the part of the rules that must find something, for the test to prove much.
	probesFound = 0.7
)

// TestProbes: on events made of the rules' own comparisons, all rules together find what each one's condition says of each event
// when a SELECT evaluates it.
func TestProbes(t *testing.T) {
	s := load(t)
	db := create(t, s, "WITH (retention = '30 days')")
	defer db.Close()
	rng := rand.New(rand.NewPCG(6, 7))
	var lines []byte
	every := 1
	if testing.Short() {
		every = 10
	}
	for i := 0; i < len(s.Rules); i += every {
		lines = append(lines, s.Rules[i].Probes(rng, probesPerRule)...)
	}
	numbered, n := Number(lines, 0)
	if rejected, err := db.Append("logs", numbered); err != nil || rejected > 0 {
		t.Fatal(rejected, err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	got := found(t, db, s, []int{0})[0]
	finding, matches := 0, 0
	for from := 0; from < len(s.Rules); from += selectRules {
		some := s.Rules[from:min(from+selectRules, len(s.Rules))]
		var list []string
		for _, r := range some {
			list = append(list, "CASE WHEN "+r.Where+" THEN 't' ELSE '' END")
		}
		rows, err := db.Rows("SELECT event_number, " + strings.Join(list, ", ") + " FROM logs ORDER BY 1")
		if err != nil || len(rows) != n {
			t.Fatal(len(rows), err)
		}
		for i, r := range some {
			want := column(t, rows, i+1)
			if !slices.Equal(got[r.Key], want) {
				t.Errorf("%s finds %d events, not %d:%s\n%.1000s", r.Key, len(got[r.Key]), len(want), differences(got[r.Key], want), r.Where)
			}
			matches += len(want)
			if len(want) > 0 {
				finding++
			}
		}
	}
	t.Logf("%d events, %d matches, of %d of the rules", n, matches, finding)
	if float64(finding) < probesFound*float64(len(s.Rules)/every) {
		t.Error("that proves too little")
	}
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
