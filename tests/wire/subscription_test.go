package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vigil-sql/vigil/server"
	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/results"
)

// TestListenerThatIsOvertaken: a client that LISTENs to a query and is slow holds 64 notifications in the server; rows that are dropped
// before it comes to them are counted for it, and it goes on with those that are kept.
func TestListenerThatIsOvertaken(t *testing.T) {
	srv, err := server.Start(server.Config{Dir: t.TempDir(), PG: "127.0.0.1:0", HTTP: "127.0.0.1:0", Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(ctx, fmt.Sprintf("postgres://test@%s/vigil?sslmode=disable", srv.PGAddr()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c
	}
	exec := func(c *pgx.Conn, sql ...string) {
		t.Helper()
		for _, s := range sql {
			if _, err := c.Exec(ctx, s); err != nil {
				t.Fatalf("%s\n%v", s, err)
			}
		}
	}
	figures := func(what string, holds func(f session.SubscriptionFigures) bool) {
		t.Helper()
		for tick := time.NewTicker(5 * time.Millisecond); !holds(srv.Session().Subscriptions()); {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s: %+v", what, srv.Session().Subscriptions())
			}
		}
	}
	feeder, slow := connect(), connect()
	exec(feeder, "CREATE STREAM s (ts timestamptz NOT NULL, n int)", "CREATE CONTINUOUS QUERY q AS SELECT n FROM s")
	insert := func(from int) {
		exec(feeder, fmt.Sprintf("INSERT INTO s SELECT '2026-01-01', n FROM generate_series(%d, %d) AS n", from, from+99))
	}
	exec(slow, "LISTEN q", "BEGIN") // nothing is told in a transaction
	insert(0)
	figures("the queue is filled", func(f session.SubscriptionFigures) bool {
		return f.Live == 1 && f.Notifications == 64 && f.NotificationBytes > 64 && f.BehindMax > 0
	})
	insert(100)
	id := srv.Session().Catalog().Snapshot().Queries()[0].ID
	if err := srv.Session().Engine().Results().Trim(id, results.Bounds{BeforeClock: math.MaxInt64, KeepFrom: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	exec(slow, "COMMIT")
	told := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			n, err := slow.WaitForNotification(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var row struct {
				N       *int
				Dropped int `json:"vigil_dropped"`
			}
			if err := json.Unmarshal([]byte(n.Payload), &row); err != nil {
				t.Fatal(n.Payload, err)
			}
			if row.N == nil && (i != 100 || row.Dropped != 100) || row.N != nil && *row.N != i {
				t.Fatalf("notification %d: %s", i, n.Payload)
			}
			if row.Dropped > 0 {
				i += row.Dropped - 1
			}
		}
	}
	told(0, 200)
	insert(200)
	told(200, 300)
	figures("all is read", func(f session.SubscriptionFigures) bool { return f.Notifications == 0 && f.BehindMax == 0 })
	exec(slow, "UNLISTEN q")
	figures("nobody listens", func(f session.SubscriptionFigures) bool { return f.Live == 0 })
}
