package inproc

import (
	"context"
	"fmt"
	"math/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/connector/postgres"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/harness"
)

// target is a PostgreSQL server that sinks write to.
type target struct {
	conn *pgx.Conn
	url  string
}

func newTarget(t *testing.T) *target {
	t.Helper()
	p := harness.StartPostgres(t)
	return &target{p.Connect(t), "postgres://test@/postgres?sslmode=disable&host=" + url.QueryEscape(p.Dir)}
}

func (p *target) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := p.conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// text is what a query of one column of text answers, its rows separated by semicolons.
func (p *target) text(t *testing.T, sql string) string {
	t.Helper()
	rows, err := p.conn.Query(t.Context(), sql)
	if err == nil {
		var found []string
		if found, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil {
			return strings.Join(found, "; ")
		}
	}
	t.Fatalf("%s: %v", sql, err)
	return ""
}

// TestPostgresSink: values of all kinds arrive; a table that is not there is told with the statement that makes it; rows that the table
// refuses are dead letters, and the others arrive.
func TestPostgresSink(t *testing.T) {
	p := newTarget(t)
	db := costsDB(t, Options{})
	defer db.Close()
	mustExec(t, db, `CREATE STREAM s (n BIGINT, "Line" TEXT, at TIMESTAMPTZ, price NUMERIC, src INET, tags TEXT[], doc JSONB, ok BOOLEAN, f DOUBLE PRECISION, raw BYTEA)`,
		"CREATE CONTINUOUS QUERY q AS SELECT * FROM s",
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'postgres', url = '%s', table = 'alerts')", p.url))
	mustExec(t, db, `INSERT INTO s VALUES (1, 'it''s "x"', '2026-03-01 12:00:00.123456+00', 12345678901234567890.5, '10.0.0.0/8', ARRAY['a', NULL, 'b,"c'], '{"k": [1, null]}', true, 'NaN', '\x00ff')`,
		"INSERT INTO s (n) VALUES (2)")
	until(t, db, "SELECT state, rows FROM vigil.sinks", "failing 0")
	hint := flat(t, db, "SELECT last_error FROM vigil.sinks")
	create := strings.TrimSuffix(hint[strings.Index(hint, "CREATE TABLE"):], ")")
	if !strings.Contains(hint, `has no table "alerts"`) || !strings.Contains(create, `"Line" text, "at" timestamp with time zone, "price" numeric, "src" inet, "tags" text[]`) {
		t.Errorf("last_error: %s", hint)
	}
	p.exec(t, create)
	p.exec(t, "ALTER TABLE alerts ADD COLUMN _vigil_id text PRIMARY KEY, ADD CHECK (n NOT IN (7, 13))")
	until(t, db, "SELECT state, rows, lag_rows FROM vigil.sinks", "running 2 0")
	want := `1|it's "x"|2026-03-01 12:00:00.123456+00|12345678901234567890.5|10.0.0.0/8|{a,NULL,"b,\"c"}|{"k": [1, null]}|t|NaN|\x00ff; 2|||||||||`
	if got := p.text(t, `SELECT concat_ws('|', n::text, coalesce("Line",''), coalesce(at::text,''), coalesce(price::text,''), coalesce(src::text,''), coalesce(tags::text,''), coalesce(doc::text,''),
		CASE WHEN ok THEN 't' ELSE '' END, coalesce(f::text,''), coalesce(raw::text,'')) FROM alerts ORDER BY n`); got != want {
		t.Errorf("the table has %s\nwant %s", got, want)
	}
	mustExec(t, db, "INSERT INTO s (n) SELECT * FROM generate_series(3, 22)")
	until(t, db, "SELECT state, rows, lag_rows, dead_letters FROM vigil.sinks", "running 20 0 2")
	if got := p.text(t, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM alerts WHERE n > 2"); got != "3 4 5 6 8 9 10 11 12 14 15 16 17 18 19 20 21 22" {
		t.Errorf("the table has %s", got)
	}
	expect(t, db, "SELECT code, body::json ->> 'n' FROM vigil.sink_dead_letters WHERE reason LIKE '%violates check constraint%'", "23514 7, 23514 13")
	p.exec(t, "ALTER TABLE alerts DROP COLUMN doc")
	mustExec(t, db, "INSERT INTO s (n) VALUES (23)")
	until(t, db, `SELECT state, last_error LIKE '%has no column "doc"%ALTER TABLE alerts ADD COLUMN "doc" jsonb;%' FROM vigil.sinks`, "failing t")
	p.exec(t, "ALTER TABLE alerts ADD COLUMN doc jsonb")
	until(t, db, "SELECT state, rows, lag_rows, dead_letters FROM vigil.sinks", "running 21 0 2")
}

// TestPostgresSinkCrashes loses vigil's power and the sink's connections again and again: each row is in the table once.
func TestPostgresSinkCrashes(t *testing.T) {
	const rounds, perRound = 10, 400
	p := newTarget(t)
	p.exec(t, "CREATE TABLE alerts (n bigint, line text, _vigil_id text)") // nothing keeps rows from being there twice
	rnd := rand.New(rand.NewSource(7))
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	mustExec(t, db, logStream, logQuery, fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'postgres', url = '%s', table = 'alerts', batch = 40)", p.url))
	broken := 0
	for round := range rounds {
		appendAt(t, db, "12:00:00", round*perRound, perRound)
		doing := []string{"INSERT", "UPDATE", "commit", ""}[round%4]
		for kills, tries := 1+rnd.Intn(2), 0; kills > 0; tries++ {
			if tries == 200 { // it was not met doing that
				doing = ""
			}
			n := p.text(t, "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE application_name = 'vigil' AND query LIKE '"+doing+"%'")
			if n != "0" {
				broken++
				kills--
			}
			flat(t, db, "SELECT 1") // a moment later
		}
		if round%2 == 0 {
			survives := disk.Crash(nil)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			disk = survives
			db = costsDB(t, Options{Disk: disk, Clock: clock, Workers: 1 + round%3})
		}
	}
	defer func() { db.Close() }()
	until(t, db, "SELECT lag_rows FROM vigil.sinks", "0")
	if got, want := p.text(t, "SELECT concat_ws(' ', count(*), count(DISTINCT n), count(DISTINCT _vigil_id), min(n), max(n)) FROM alerts"),
		fmt.Sprintf("%d %[1]d %[1]d 0 %d", rounds*perRound, rounds*perRound-1); got != want {
		t.Errorf("rows, numbers, ids, first, last: %s, want %s", got, want)
	}
	if broken < rounds {
		t.Errorf("only %d times a connection was broken", broken)
	}
}

// TestPostgresSinkByKey: with a key, the table is what the query's result is, whatever batches its changes came in.
func TestPostgresSinkByKey(t *testing.T) {
	p := newTarget(t)
	p.exec(t, "CREATE TABLE counts (g text, parity bigint, c bigint, PRIMARY KEY (g, parity))")
	db := costsDB(t, Options{})
	defer db.Close()
	mustExec(t, db, "CREATE STREAM s (g TEXT, n BIGINT)",
		"CREATE CONTINUOUS QUERY q AS SELECT g, n % 2 AS parity, count(*) AS c FROM s GROUP BY g, n % 2 HAVING count(*) % 5 <> 4",
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'postgres', url = '%s', table = 'counts', key = 'g, parity', batch = 7)", p.url))
	for i := range 40 {
		mustExec(t, db, fmt.Sprintf("INSERT INTO s SELECT 'g' || (x %% 4), x FROM generate_series(%d, %d) x", i*7, i*7+i%11))
	}
	mustExec(t, db, "INSERT INTO s VALUES (NULL, 1)")
	settle(t, db)
	until(t, db, "SELECT state, lag_rows, dead_letters FROM vigil.sinks", "running 0 1")
	want := strings.ReplaceAll(flat(t, db, "SELECT string_agg(g || ' ' || parity || ' ' || c, '; ' ORDER BY g, parity) FROM q WHERE g IS NOT NULL"), "\n", "; ")
	if got := p.text(t, "SELECT concat_ws(' ', g, parity, c) FROM counts ORDER BY g, parity"); got != want || want == "" {
		t.Errorf("the table has %s\nwant %s", got, want)
	}
	p.exec(t, "ALTER TABLE counts DROP CONSTRAINT counts_pkey")
	mustExec(t, db, "INSERT INTO s VALUES ('g0', 1), ('g0', 2)")
	until(t, db, `SELECT state, last_error LIKE '%CREATE UNIQUE INDEX ON counts ("g", "parity")%' FROM vigil.sinks`, "failing t")
}

// open opens a sink of query 7, which has a column n, without a server.
func (p *target) open(t *testing.T, at int64, params map[string]string) (connector.Sink, connector.SinkPosition) {
	t.Helper()
	params["url"] = p.url
	s, err := postgres.SinkDef().New(connector.SinkOptions{ID: 9, Server: "test", Params: params, Query: "q", Columns: []types.Column{{Name: "n", Type: types.T(types.Int8)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	to, err := s.Open(t.Context(), connector.SinkPosition{Query: 7, Next: at})
	if err != nil {
		t.Fatal(err)
	}
	return s, to
}

// TestPostgresSinkHalf: where a batch ends in the middle of an update, nobody sees the row missing; where the other half has another key, it goes.
func TestPostgresSinkHalf(t *testing.T) {
	p := newTarget(t)
	p.exec(t, "CREATE TABLE kept (n bigint PRIMARY KEY)")
	s, _ := p.open(t, 0, map[string]string{"table": "kept", "key": "n"})
	row := func(at int64, op batch.Op, n string) connector.SinkRow {
		return connector.SinkRow{Offset: at, Op: op, Key: []byte(n), Body: []byte(`{"n":` + n + `}`)}
	}
	for i, step := range []struct {
		rows []connector.SinkRow
		want string
	}{
		{[]connector.SinkRow{row(0, batch.Insert, "1"), row(1, batch.UpdateBefore, "1")}, "1"},
		{[]connector.SinkRow{row(2, batch.UpdateAfter, "1"), row(3, batch.UpdateBefore, "1"), row(4, batch.UpdateAfter, "2")}, "2"},
		{[]connector.SinkRow{row(5, batch.Delete, "2"), row(6, batch.Insert, "2"), row(7, batch.Insert, "3"), row(8, batch.Delete, "3")}, "2"},
	} {
		d, err := s.Deliver(t.Context(), step.rows)
		if got := p.text(t, "SELECT n::text FROM kept ORDER BY n"); err != nil || d.Done != len(step.rows) || got != step.want {
			t.Errorf("step %d: %+v, %v; the table has %s", i, d, err, got)
		}
	}
}

// TestPostgresSinkFence: once the position is taken over, nothing of an earlier connection is committed.
func TestPostgresSinkFence(t *testing.T) {
	p := newTarget(t)
	p.exec(t, "CREATE TABLE alerts (n bigint)")
	open := func(at int64) (connector.Sink, connector.SinkPosition) {
		return p.open(t, at, map[string]string{"table": "alerts"})
	}
	rows := []connector.SinkRow{{Offset: 0, Body: []byte(`{"n":1}`)}, {Offset: 1, Body: []byte(`{"n":2}`)}}
	old, _ := open(0)
	if d, err := old.Deliver(t.Context(), rows[:1]); err != nil || d.Done != 1 {
		t.Fatal(d, err)
	}
	anew, to := open(0) // the note of the first row was lost
	if to.Next != 1 || to.Query != 7 {
		t.Errorf("the position is %+v", to)
	}
	if d, err := old.Deliver(context.Background(), rows[1:]); err == nil || d.Done != 0 || !strings.Contains(err.Error(), "taken over") {
		t.Errorf("an earlier connection: %+v, %v", d, err)
	}
	if d, err := anew.Deliver(t.Context(), rows[1:]); err != nil || d.Done != 1 {
		t.Fatal(d, err)
	}
	if got := p.text(t, "SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || (SELECT next FROM vigil_sink_positions) FROM alerts"); got != "2 2 2" {
		t.Errorf("rows, different ones, position: %s", got)
	}
}
