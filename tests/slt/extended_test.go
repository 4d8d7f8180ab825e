package slt

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

// TestExtendedProtocol binds typed parameters and reads binary results, as drivers do.
func TestExtendedProtocol(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	ctx := context.Background()
	harness.Exec(t, c, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, name TEXT, ip INET, n BIGINT, f DOUBLE PRECISION, ok BOOLEAN, WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY q AS SELECT name, count(*) AS n, sum(f) AS f FROM s GROUP BY name, TUMBLE(ts, INTERVAL '1 minute')")
	at := time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)
	for i := range 5 {
		tag, err := c.Exec(ctx, "INSERT INTO s VALUES ($1, $2, $3, $4, $5, $6)", at.Add(time.Duration(i)*20*time.Second), fmt.Sprint("u", i%2),
			netip.MustParsePrefix("10.0.0.1/32"), int64(i), float64(i)/2, i%2 == 0)
		if err != nil || tag.String() != "INSERT 0 1" {
			t.Fatal(tag, err)
		}
	}
	var name string
	var n int64
	var f float64
	var start time.Time
	row := c.QueryRow(ctx, "SELECT name, n, f, window_start FROM q WHERE name = $1 AND n > $2", "u0", 1)
	if err := row.Scan(&name, &n, &f, &start); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(name, n, f, start.UTC()), fmt.Sprint("u0", 2, 1.0, at.Truncate(time.Minute)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rows, err := c.Query(ctx, "SELECT ts, ip, ok FROM s WHERE n >= $1 ORDER BY ts LIMIT $2", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var ts time.Time
		var ip netip.Prefix
		var ok bool
		if err := rows.Scan(&ts, &ip, &ok); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(ts.Sub(at), ip, ok))
	}
	if want := "[20s 10.0.0.1/32 false 40s 10.0.0.1/32 true]"; rows.Err() != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v (%v), want %s", got, rows.Err(), want)
	}
}
