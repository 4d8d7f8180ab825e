package slt

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/vigil-sql/vigil/tests/harness"
)

// notified waits for one notification.
func notified(t *testing.T, c *pgx.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	n, err := c.WaitForNotification(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n.Channel + " " + n.Payload
}

// TestListenBeforeQuery: a channel carries NOTIFY, and the results of the query of that name from when there is one.
func TestListenBeforeQuery(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	l, c := p.Connect(t), p.Connect(t)
	harness.Exec(t, l, "LISTEN q")
	harness.Exec(t, c, "NOTIFY q, 'early'")
	if got := notified(t, l); got != "q early" {
		t.Error(got)
	}
	create := "CREATE OR REPLACE CONTINUOUS QUERY q AS SELECT name FROM s WHERE name <> 'x'"
	harness.Exec(t, c, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, name TEXT, WATERMARK FOR ts AS ts)", create,
		"INSERT INTO s VALUES ('2026-01-01', 'a')")
	if got := notified(t, l); got != `q {"name":"a"}` {
		t.Error(got)
	}
	harness.Exec(t, c, create, "INSERT INTO s VALUES ('2026-01-02', 'b')", "NOTIFY q, 'late'")
	got := []string{notified(t, l), notified(t, l)}
	if all := strings.Join(got, "\n"); !strings.Contains(all, `q {"name":"b"}`) || !strings.Contains(all, "q late") {
		t.Error(all)
	}
}

// TestListenerThatDoesNotRead: who listens and stays in a transaction holds up nobody's memory; the sender is told.
func TestListenerThatDoesNotRead(t *testing.T) {
	p := harness.Start(t, t.TempDir())
	l, c := p.Connect(t), p.Connect(t)
	harness.Exec(t, l, "LISTEN q", "BEGIN")
	many := "SELECT count(pg_notify('q', i::text)) FROM generate_series(1, 60000) AS g(i)"
	if got := harness.Rows(t, c, many); got[0] != "60000" {
		t.Fatal(got)
	}
	_, err := harness.TryRows(c, many)
	if err == nil || !strings.Contains(err.Error(), "54000") {
		t.Fatalf("got %v, want SQLSTATE 54000", err)
	}
	harness.Exec(t, l, "COMMIT")
	for i := range 60000 {
		if got := notified(t, l); i == 0 && got != "q 1" || i == 59999 && got != "q 60000" {
			t.Fatal(i, got)
		}
	}
	harness.Exec(t, c, "NOTIFY q, 'room again'")
	if got := notified(t, l); got != "q room again" {
		t.Error(got)
	}
}
