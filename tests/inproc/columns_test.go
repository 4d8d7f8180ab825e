package inproc

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// columnsBodies are queries over s that leave out a column, or two.
var columnsBodies = append([]string{
	"SELECT id, lag(id) OVER (PARTITION BY k ORDER BY ts) AS before FROM s",
	"SELECT a.id, b.id AS other FROM s a JOIN s b ON a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL '3 seconds' AND a.ts + INTERVAL '3 seconds'",
	"SELECT s.id FROM s WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.k = s.k AND t.ts BETWEEN s.ts AND s.ts + INTERVAL '9 seconds')",
}, pastBodies...)

// TestColumnsComeAndGo: what a query gives does not depend on which columns others have decoded, while its rows wait: over crashes too.
func TestColumnsComeAndGo(t *testing.T) {
	for n, body := range columnsBodies {
		got, want := columnsWorld(t, uint64(n), body, true), columnsWorld(t, uint64(n), body, false)
		if len(want) < 3 || !slices.Equal(got, want) {
			t.Errorf("%s:\n%d rows, want %d\n%s", body, len(got), len(want), firstDifference(got, want))
		}
	}
}

// columnsWorld is what a query gives beside others that come and go, or alone.
func columnsWorld(t *testing.T, seed uint64, body string, beside bool) []string {
	w := newPastWorld(t, rand.New(rand.NewPCG(seed, 1)), time.Millisecond)
	w.open()
	w.streams()
	w.exec("CREATE CONTINUOUS QUERY base AS " + body)
	other := rand.New(rand.NewPCG(seed, 2))
	there := false
	for range 60 {
		w.insert()
		switch x := other.IntN(5); {
		case !beside:
		case x == 0:
			w.crash()
		case x < 3:
			there = !there
			for _, s := range []string{"s", "t"} {
				if there {
					w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY all_%s AS SELECT id + v AS x FROM %s", s, s))
				} else {
					w.exec("DROP CONTINUOUS QUERY all_" + s)
				}
			}
		}
	}
	w.settled()
	if err := w.db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	out := w.result("base", body)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}
