package slt

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

// TestReplicationConnection: a connection with replication=database knows the commands that tell about the server, and SQL.
func TestReplicationConnection(t *testing.T) {
	dir := t.TempDir()
	p := harness.Start(t, dir)
	identity := replicate(t, p, "IDENTIFY_SYSTEM;")
	for sql, want := range map[string]string{
		"SELECT 1; SELECT 2":      "[[1]] [[2]]",
		"show TimeZone":           "[[UTC]]",
		"IDENTIFY_SYSTEM x":       "42601",
		"identify_system":         "0A000",
		"SHOW time zone":          "42601",
		"START_REPLICATION 0/0":   "0A000",
		"BASE_BACKUP":             "0A000",
		"-- x\nIDENTIFY_SYSTEM":   "0A000",
		"SHOW nope":               "42704",
		"DROP_REPLICATION_SLOT x": "0A000",
	} {
		if got := replicate(t, p, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if code := p.Stop(t); code != 0 {
		t.Fatal(code)
	}
	p = harness.Start(t, dir)
	if got := replicate(t, p, "IDENTIFY_SYSTEM"); got != identity {
		t.Errorf("the identity changed with a restart: %s, %s", identity, got)
	}
}

// replicate runs a query string over a replication connection and returns its rows, or its SQLSTATE.
func replicate(t *testing.T, p *harness.Process, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	c, err := pgconn.Connect(ctx, "postgres://test@"+p.PG+"/vigil?sslmode=disable&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, sql).ReadAll()
	if pg, ok := err.(*pgconn.PgError); ok {
		return pg.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for i, r := range results {
		if i > 0 {
			out += " "
		}
		out += fmt.Sprintf("%s", r.Rows)
	}
	return out
}
