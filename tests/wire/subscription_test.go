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

// served is a server whose figures a test looks at.
type served struct {
	t   *testing.T
	ctx context.Context
	srv *server.Server
}

func serve(t *testing.T) *served {
	srv, err := server.Start(server.Config{Dir: t.TempDir(), PG: "127.0.0.1:0", HTTP: "127.0.0.1:0", Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &served{t, ctx, srv}
}

func (s *served) connect() *pgx.Conn {
	s.t.Helper()
	c, err := pgx.Connect(s.ctx, fmt.Sprintf("postgres://test@%s/vigil?sslmode=disable", s.srv.PGAddr()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (s *served) exec(c *pgx.Conn, sql ...string) {
	s.t.Helper()
	for _, text := range sql {
		if _, err := c.Exec(s.ctx, text); err != nil {
			s.t.Fatalf("%s\n%v", text, err)
		}
	}
}

// figures waits until those of subscriptions are as they must be.
func (s *served) figures(what string, holds func(f session.SubscriptionFigures) bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds(s.srv.Session().Subscriptions()) {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("%s: %+v", what, s.srv.Session().Subscriptions())
		}
	}
}

// TestListenerThatIsOvertaken: a client that LISTENs to a query and is slow holds 64 notifications in the server; rows that are dropped
// before it comes to them are counted for it, and it goes on with those that are kept.
func TestListenerThatIsOvertaken(t *testing.T) {
	s := serve(t)
	feeder, slow := s.connect(), s.connect()
	s.exec(feeder, "CREATE STREAM s (ts timestamptz NOT NULL, n int)", "CREATE CONTINUOUS QUERY q AS SELECT n FROM s")
	insert := func(from int) {
		s.exec(feeder, fmt.Sprintf("INSERT INTO s SELECT '2026-01-01', n FROM generate_series(%d, %d) AS n", from, from+99))
	}
	s.exec(slow, "LISTEN q", "BEGIN") // nothing is told in a transaction
	insert(0)
	s.figures("the queue is filled", func(f session.SubscriptionFigures) bool {
		return f.Live == 1 && f.Notifications == 64 && f.NotificationBytes > 64 && f.BehindMax > 0
	})
	insert(100)
	id := s.srv.Session().Catalog().Snapshot().Queries()[0].ID
	if err := s.srv.Session().Engine().Results().Trim(id, results.Bounds{BeforeClock: math.MaxInt64, KeepFrom: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	s.exec(slow, "COMMIT")
	told := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			n, err := slow.WaitForNotification(s.ctx)
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
	s.figures("it was overtaken", func(f session.SubscriptionFigures) bool { return f.Overtaken == 1 && f.Missed == 100 })
	insert(200)
	told(200, 300)
	s.figures("all is read", func(f session.SubscriptionFigures) bool { return f.Notifications == 0 && f.BehindMax == 0 })
	s.exec(slow, "UNLISTEN q")
	s.figures("nobody listens", func(f session.SubscriptionFigures) bool { return f.Live == 0 })
}

// TestNotificationsAreBounded: notifications wait for a client that does not read them up to the bound, to the last one; the next is refused to who sends
// it, and the client gets those that were taken, in order.
func TestNotificationsAreBounded(t *testing.T) {
	const most = 65_536
	s := serve(t)
	sender, slow := s.connect(), s.connect()
	s.exec(slow, "LISTEN c", "BEGIN") // nothing is told in a transaction
	full := func(f session.SubscriptionFigures) bool {
		return f.Notifications == most && f.NotificationBytes == 7*most
	}
	s.exec(sender, fmt.Sprintf("SELECT pg_notify('c', 'n' || (100000 + g)) FROM generate_series(1, %d) AS g", most))
	s.figures("the queue is filled", full)
	if _, err := sender.Exec(s.ctx, "NOTIFY c, 'one more'"); err == nil {
		t.Error("one more was taken")
	}
	s.figures("it is full", full)
	s.exec(slow, "COMMIT")
	for i := 1; i <= most; i++ {
		n, err := slow.WaitForNotification(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("n", 100000+i); n.Payload != want {
			t.Fatalf("notification %d is %s", i, n.Payload)
		}
	}
	s.figures("all is read", func(f session.SubscriptionFigures) bool { return f.Notifications == 0 && f.NotificationBytes == 0 })
	s.exec(sender, "NOTIFY c, 'again'")
	if n, err := slow.WaitForNotification(s.ctx); err != nil || n.Payload != "again" {
		t.Errorf("after it was read: %v %v", n, err)
	}
}
