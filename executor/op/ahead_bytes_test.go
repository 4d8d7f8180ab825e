package op_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// growingKinds are queries, beside aheadKinds, whose keys hold more the more rows they have had.
var growingKinds = map[string]string{
	"array":           "SELECT k, array_agg(x) AS a FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"distinct":        "SELECT k, count(DISTINCT x) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"median":          "SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS m FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"count by one":    "SELECT k, count(*) AS n, sum(x) AS x FROM s GROUP BY k, COUNT_WINDOW(1000, 1)",
	"over all":        "SELECT ts, k, x, array_agg(x) OVER (PARTITION BY k ORDER BY ts) AS n FROM s",
	"match all":       "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES count(b.*) AS n PATTERN (a b* d) WITHIN INTERVAL 'W seconds' DEFINE b AS c = 'a', d AS c = 'd') m",
	"sequence absent": "SEQUENCE BY k WITHIN INTERVAL 'W seconds' [s WHERE c = 'a'] ![s WHERE c = 'd']",
}

// wholeKinds write all that there is of a key when a row of it comes: docs/design/0001-epochs.md says so.
var wholeKinds = map[string]bool{"array": true, "distinct": true, "median": true, "count by one": true, "over all": true, "sequence absent": true}

// TestBytesOfARow: what a checkpoint writes for a row does not depend on how many rows its key has had, but for wholeKinds; nor does
// what is copied ahead at once.
func TestBytesOfARow(t *testing.T) {
	const keys, few, many, times, piece, entryBytes = 20, 20, 400, 5, 50, 400
	all := maps.Clone(aheadKinds)
	maps.Copy(all, growingKinds)
	for name, sql := range all {
		if strings.HasPrefix(name, "hop first") { // an entry names each window that was told: thousands here, few otherwise
			sql = strings.ReplaceAll(sql, "3 seconds", "W seconds")
		}
		parts := aheadParts(t, strings.ReplaceAll(sql, "W sec", "9000 sec"))
		var bytes [2]int
		for i, had := range []int{few, many} {
			a := newAheadTree(t, parts, nil)
			a.deaf = true
			now, x := int64(5_000_000), int64(0)
			epoch := func() {
				var st aheadStep
				for k := range keys {
					x++
					st.rows[0] = append(st.rows[0], event{ts: now, k: fmt.Sprintf("key %06d", k), c: "a", x: x})
				}
				st.wm = types.EventTime(now)
				now += 1000
				a.epoch(st)
			}
			for range had {
				epoch()
			}
			if a.copyAhead(piece); !wholeKinds[name] {
				if n := a.aheadBytes(); n > 2*piece*entryBytes {
					t.Errorf("%s: %d entries of keys with %d rows each are %d bytes at once", name, piece, had, n)
				}
			}
			a.snapshot()
			for range times {
				epoch()
				bytes[i] += a.snapshot() / keys
			}
		}
		if grows := bytes[1] > bytes[0]*3/2; grows != wholeKinds[name] {
			t.Errorf("%s: a row is %d bytes after %d, %d after %d others", name, bytes[0]/times, few, bytes[1]/times, many)
		}
	}
}

// aheadBytes is how much was copied ahead of the next snapshot.
func (a *aheadTree) aheadBytes() (n int) {
	for _, s := range a.stores {
		n += s.aheadBytes
	}
	return n
}
