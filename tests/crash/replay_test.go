package crash

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"
)

// replayQueries read streams a and b, or c and d.
var replayQueries = map[string]string{
	"tumble": `SELECT k, count(*) AS c, sum(n) AS n FROM %[1]s GROUP BY k, TUMBLE(ts, INTERVAL '10 seconds')`,
	"hop":    `SELECT k, count(*) AS c, max(n) AS n FROM %[1]s GROUP BY k, HOP(ts, INTERVAL '5 seconds', INTERVAL '15 seconds')`,
	"sess":   `SELECT k, count(*) AS c, sum(n) AS n FROM %[1]s GROUP BY k, SESSION(ts, INTERVAL '2 seconds')`,
	"inn":    `SELECT x.ts, x.k, x.n, y.n AS m FROM %[1]s x JOIN %[2]s y ON x.k = y.k AND y.ts BETWEEN x.ts - INTERVAL '1 second' AND x.ts + INTERVAL '1 second'`,
	"lef":    `SELECT x.ts, x.k, x.n, y.n AS m FROM %[1]s x LEFT JOIN %[2]s y ON x.k = y.k AND y.ts BETWEEN x.ts AND x.ts + INTERVAL '1 second'`,
	"ant":    `SELECT ts, k, n FROM %[1]s WHERE NOT EXISTS (SELECT 1 FROM %[2]s y WHERE y.k = %[1]s.k AND y.ts BETWEEN %[1]s.ts AND %[1]s.ts + INTERVAL '1 second')`,
	"stage":  `SELECT k, sum(c)::bigint AS c FROM (SELECT k, n, count(*) AS c FROM %[1]s GROUP BY k, n, TUMBLE(ts, INTERVAL '5 seconds')) z GROUP BY k, TUMBLE(INTERVAL '10 seconds')`,
	"match":  `SELECT m.k, m.at, m.c FROM %[1]s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES count(f.n) AS c, last(s.ts) AS at PATTERN (f{2,} s) WITHIN INTERVAL '5 seconds' DEFINE f AS n < 5, s AS n >= 5) m`,
	"over":   `SELECT ts, k, n, sum(n) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '2 seconds' PRECEDING AND CURRENT ROW) AS s FROM %[1]s`,
}

// replayRow is a row of the first or second stream.
type replayRow struct {
	at   time.Duration
	text string
	late bool
}

// TestReplayLateAfterRestart: late rows that were not replayed before a restart are replayed after it, and all results are as if
// they had come in time. A last row, which comes in time, closes everything.
func TestReplayLateAfterRestart(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rng := rand.New(rand.NewSource(5))
	var rows [2][]replayRow
	for i := range 600 {
		at := time.Duration(i)*100*time.Millisecond + time.Duration(rng.Intn(90))*time.Millisecond
		text := fmt.Sprintf(`('%s', 'k%d', %d)`, start.Add(at).Format("2006-01-02 15:04:05.999Z"), rng.Intn(4), rng.Intn(8))
		side := rng.Intn(2)
		rows[side] = append(rows[side], replayRow{at, text, i < 400 && rng.Intn(25) == 0})
	}
	const last = `('2026-03-01 13:00:00Z', 'end', 1)`
	for _, restart := range []func(w *world){(*world).restart, (*world).crash} {
		w := newWorld(t)
		for _, name := range []string{"a", "b", "c", "d"} {
			w.exec(fmt.Sprintf(smallStream, name))
		}
		for name, sql := range replayQueries {
			w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY "+name+"_late AS "+sql, "a", "b"), fmt.Sprintf("CREATE CONTINUOUS QUERY "+name+"_calm AS "+sql, "c", "d"))
		}
		for side, list := range rows {
			for _, r := range list {
				w.exec("INSERT INTO " + []string{"c", "d"}[side] + " VALUES " + r.text)
			}
		}
		at := [2]int{}
		for at[0]+at[1] < len(rows[0])+len(rows[1]) { // in order over both streams
			side := 0
			if at[0] == len(rows[0]) || at[1] < len(rows[1]) && rows[1][at[1]].at < rows[0][at[0]].at {
				side = 1
			}
			if r := rows[side][at[side]]; !r.late {
				w.exec("INSERT INTO " + []string{"a", "b"}[side] + " VALUES " + r.text)
			}
			at[side]++
		}
		w.exec("INSERT INTO a VALUES "+last, "INSERT INTO b VALUES "+last, "INSERT INTO c VALUES "+last, "INSERT INTO d VALUES "+last)
		late := 0
		for side, list := range rows {
			for _, r := range list {
				if r.late {
					late++
					w.exec("INSERT INTO " + []string{"a", "b"}[side] + " VALUES " + r.text)
				}
			}
		}
		restart(w)
		differ := replayDiffer(w)
		if late < 10 || len(differ) != len(replayQueries) {
			t.Fatalf("%d late rows; only %v differ by them", late, differ)
		}
		w.exec("REPLAY LATE a", "REPLAY LATE b")
		restart(w)
		for name := range replayQueries {
			got, want := w.rows("SELECT * FROM "+name+"_late"), w.rows("SELECT * FROM "+name+"_calm")
			compare(t, name, got, want)
		}
		again := append(w.rows("REPLAY LATE a"), w.rows("REPLAY LATE b")...)
		for _, line := range again {
			if line[len(line)-11:] != "|0|0|0|NULL" {
				t.Errorf("replayed again: %s", line)
			}
		}
	}
}

// replayDiffer lists the queries whose results are not as if all had come in time.
func replayDiffer(w *world) (names []string) {
	for name := range replayQueries {
		if !slices.Equal(w.rows("SELECT * FROM "+name+"_late"), w.rows("SELECT * FROM "+name+"_calm")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
