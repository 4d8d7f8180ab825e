// Package seeds runs the scenarios that vigil is built for, small and with exact answers, against the real server.
package seeds

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// TestWaves is the correctness experiment of the thesis (chapter 7.2.1): sawtooth, sine and square sources at ten events a
// cycle of one second; every closed window of one second sums to 4.5, 0.0 and 5.0.
func TestWaves(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	harness.Exec(t, c,
		`CREATE STREAM waves (ts TIMESTAMPTZ NOT NULL, source TEXT, cnl DOUBLE PRECISION, WATERMARK FOR ts AS ts)
		   WITH (connector = 'generator', scenario = 'waves', rate = 0, events = 6000, start = '2026-01-01T00:00:00Z')`,
		`CREATE CONTINUOUS QUERY sums AS SELECT source, count(*) AS n, round(sum(cnl)::numeric, 9) AS total
		   FROM waves GROUP BY source, TUMBLE(ts, INTERVAL '1 second')`)
	// 6,000 events are 200 seconds of three sources; the last second stays open until the stream is idle.
	rows := harness.WaitRows(t, c, "SELECT source, n, total, count(*) FROM sums GROUP BY source, n, total ORDER BY source",
		func(rows []string) bool { return len(rows) >= 3 && strings.HasSuffix(rows[0], "|199") })
	want := []string{"sawtooth|10|4.500000000|199", "sinewave|10|0.000000000|199", "squarewave|10|5.000000000|199"}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Fatalf("got  %q\nwant %q", rows, want)
	}
}
