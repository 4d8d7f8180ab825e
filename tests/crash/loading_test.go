package crash

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

var (
	loadingKeys  = flag.Int("loading-keys", 150_000, "keys of the state that TestKillWhileLoading loads")
	loadingKills = flag.Int("loading-kills", 12, "how often TestKillWhileLoading kills or stops the server while it loads")
)

// loadingSchema is a query with much state and few results, and one with results only.
var loadingSchema = []string{
	`CREATE STREAM ev (ts TIMESTAMPTZ NOT NULL, k BIGINT, n BIGINT, WATERMARK FOR ts AS ts IDLE AFTER INTERVAL '1 day') FORMAT JSON`,
	`CREATE CONTINUOUS QUERY perkey AS SELECT k, count(*) AS c, sum(n) AS n FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 1`,
	`CREATE CONTINUOUS QUERY alerts AS SELECT k, n FROM ev WHERE n > 1`,
}

// TestKillWhileLoading ends the server again and again while it loads its state, by kill -9 and by SIGTERM. Each one answers at once with
// what was committed; the last one goes on as if nothing had been.
func TestKillWhileLoading(t *testing.T) {
	dir, keys := t.TempDir(), *loadingKeys
	start := func() *harness.Process {
		p, err := harness.TryStartLoading(t, dir, "--checkpoint-every", "1h")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := start()
	c := p.Connect(t)
	harness.Exec(t, c, loadingSchema...)
	for from := 0; from < keys; from += 50_000 {
		harness.Exec(t, c, fmt.Sprintf("INSERT INTO ev SELECT '2026-03-01 12:00:00Z', g, 1 FROM generate_series(%d, %d) AS g", from, min(from+50_000, keys)-1))
	}
	if code := p.Stop(t); code != 0 {
		t.Fatalf("the first server ended with %d\n%s", code, p.Log())
	}
	p = start()
	c = p.Connect(t)
	for i := range 20 { // an epoch or more each, after the checkpoint
		harness.Exec(t, c, fmt.Sprintf("INSERT INTO ev SELECT '2026-03-01 13:00:00Z', g, %d FROM generate_series(0, 9) AS g", i+2))
	}
	p.Kill()
	const alerts = "SELECT count(*), sum(n) FROM alerts"
	committed := []string{"200|2300"} // 10 x (2 + .. + 21)
	rnd, loading := rand.New(rand.NewSource(1)), 0
	for i := range *loadingKills {
		p = start()
		if got := harness.Rows(t, p.Connect(t), alerts); !slices.Equal(got, committed) {
			t.Fatalf("start %d has %q, want %q", i, got, committed)
		}
		<-time.After(time.Duration(rnd.Intn(60)) * time.Millisecond)
		if !p.IsReady() {
			loading++
		}
		if i%4 != 3 {
			p.Kill()
		} else if code := p.Stop(t); code != 0 {
			t.Fatalf("a server that is stopped while it loads ends with %d\n%s", code, p.Log())
		}
	}
	if loading == 0 {
		t.Error("no server was still loading when it ended")
	}
	from := time.Now()
	p = start()
	c = p.Connect(t)
	harness.Rows(t, c, alerts)
	answered := time.Since(from)
	// It waits until the server has loaded.
	harness.Exec(t, c, "INSERT INTO ev VALUES ('2026-03-02 12:00:00Z', -1, 0)")
	taken := time.Since(from)
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := harness.Rows(t, c, alerts); !slices.Equal(got, committed) {
		t.Errorf("in the end there are %q, want %q", got, committed)
	}
	if got := harness.Rows(t, c, "SELECT count(*), min(c), max(c), sum(n) FROM perkey"); !slices.Equal(got, []string{"10|21|21|2310"}) {
		t.Errorf("in the end perkey has %q", got)
	}
	t.Logf("of %d servers that were ended %d were still loading", *loadingKills, loading)
	t.Logf("a server with %d keys answers a SELECT %.2f s after it was started, and has taken an INSERT after %.2f s", keys, answered.Seconds(), taken.Seconds())
	_ = c.Close(context.Background()) // the server ends with the test
}
