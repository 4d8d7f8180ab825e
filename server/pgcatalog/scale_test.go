package pgcatalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// listing is what psql's \d asks.
const listing = `SELECT n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner), c.oid::pg_catalog.regclass
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname = 'public' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2`

// listed is the time to list a catalogue with n streams, the least of three.
func listed(t *testing.T, n int) time.Duration {
	t.Helper()
	d := newDatabase(t)
	for i := range n {
		if err := d.src.cat.Put(&catalog.Stream{Stream: spec.Stream{ID: uint64(100 + i), Name: fmt.Sprint("s", i), Schema: authSchema}}); err != nil {
			t.Fatal(err)
		}
	}
	least := time.Duration(0)
	for range 3 {
		start := time.Now()
		_, rows, err := d.query(listing)
		took := time.Since(start)
		if err != nil || len(rows) != n+3 {
			t.Fatalf("%d rows: %v", len(rows), err)
		}
		if least == 0 || took < least {
			least = took
		}
	}
	return least
}

// Listing eight times as many relations takes about eight times as long, not sixty-four times.
func TestListingScales(t *testing.T) {
	few, many := listed(t, 500), listed(t, 4000)
	if ratio := float64(many) / float64(few); ratio > 24 {
		t.Errorf("4,000 relations take %v, 500 take %v: %.0f times as long", many, few, ratio)
	} else {
		t.Logf("4,000 relations take %v, 500 take %v: %.1f times as long", many, few, ratio)
	}
}
