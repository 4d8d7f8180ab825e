package rules

import (
	"fmt"
	"testing"
	"time"
)

// entryRatio bounds what a new entry, or one replaced, costs in a list of 100,000 in times of what it costs in a list of ten.
const entryRatio = 10

// TestEntryOfALargeList: an entry that comes or is replaced costs much the same however long the list is that rules read. DELETE and
// UPDATE look for their rows by reading the list, once a statement.
func TestEntryOfALargeList(t *testing.T) {
	c := newCrowd(t)
	defer c.close()
	var took [2]time.Duration
	for i, entries := range []int{10, 100_000} {
		c.exec(fmt.Sprintf("CREATE TABLE list%d (name TEXT PRIMARY KEY, team TEXT)", i))
		c.exec(fmt.Sprintf("INSERT INTO list%d SELECT 'user' || g, 'x' FROM generate_series(1, %d) AS g", i, entries))
		for k := range 20 {
			c.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY rule%d_%d AS SELECT ts FROM s WHERE host IN (SELECT name FROM list%d) AND n = %d", i, k, i, k))
		}
		c.append(c.row("x")) // so that the index over the column is there
		heap()               // the collector's work for the rows that came is not the changes'
		begin := cpu()
		const changes = 100
		for k := range changes {
			c.exec(fmt.Sprintf("INSERT INTO list%d VALUES ('new%d', 'y')", i, k))
			c.exec(fmt.Sprintf("INSERT INTO list%d VALUES ('new%d', 'z') ON CONFLICT (name) DO UPDATE SET team = 'z'", i, k))
		}
		took[i] = (cpu() - begin) / (2 * changes)
		begin = cpu()
		for k := range changes {
			c.exec(fmt.Sprintf("DELETE FROM list%d WHERE name = 'new%d'", i, k))
		}
		t.Logf("a DELETE from %d entries takes %v", entries, (cpu()-begin)/changes)
	}
	t.Logf("a change takes %v among ten entries, %v among 100,000", took[0], took[1])
	if took[1] > entryRatio*took[0] {
		t.Errorf("a change of a list of 100,000 entries costs %v, of ten %v", took[1], took[0])
	}
}
