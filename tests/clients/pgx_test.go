package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/vigil-sql/vigil/tests/harness"
)

// pgxChecks are what people do with pgx.
var pgxChecks = []struct {
	name string
	run  func(ctx context.Context, c *pgx.Conn) error
}{
	{"types_in_every_mode", pgxTypes}, {"batch", pgxBatch}, {"errors", pgxErrors}, {"structs", pgxStructs}, {"origins", pgxOrigins},
	{"copy_from", pgxCopyFrom}, {"rolled_back", pgxRolledBack}, {"notifications", pgxNotifications}, {"cancel", pgxCancel},
	{"stale_statement", pgxStale}, {"pipeline", pgxPipeline},
	{"deallocate", pgxDeallocate}, {"regclass_parameter", pgxRegclass},
}

func TestPgx(t *testing.T) {
	p := start(t)
	for _, check := range pgxChecks {
		t.Run(check.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
			defer cancel()
			why := ""
			err := check.run(ctx, p.Connect(t))
			if err != nil {
				why = err.Error()
			}
			judge(t, "pgx/"+check.name, err == nil, why)
		})
	}
}

// same compares what two values print as.
func same(got, want any) error {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		return fmt.Errorf("got %s, want %s", g, w)
	}
	return nil
}

func refused(err error, code string) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != code {
		return fmt.Errorf("error %v, want SQLSTATE %s", err, code)
	}
	return nil
}

func pgxTypes(ctx context.Context, c *pgx.Conn) error {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		var (
			owner string
			w     float64
			seen  time.Time
			tags  []*string
			info  map[string]any
			price pgtype.Numeric
			day   pgtype.Date
			id    pgtype.UUID
			raw   []byte
			gap   pgtype.Interval
		)
		err := c.QueryRow(ctx, "SELECT owner, weight, seen, tags, info, price, day, id, raw, gap FROM assets WHERE rank = $1 AND seen = $2", mode, 7, at).
			Scan(&owner, &w, &seen, &tags, &info, &price, &day, &id, &raw, &gap)
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		number, err := price.Float64Value()
		if err != nil {
			return err
		}
		got := fmt.Sprintln(owner, w, seen.UTC(), *tags[0], *tags[1], tags[2] == nil, info, number.Float64, day.Time.Format(time.DateOnly), raw, gap.Days, gap.Microseconds)
		if err := same(got, fmt.Sprintln("ann", 1.5, at, "a", "b c", true, "map[k:[1 2]]", 12.5, "2026-01-02", []byte{0, 255}, 1, 7200000000)); err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
	}
	return nil
}

func pgxBatch(ctx context.Context, c *pgx.Conn) error {
	b := &pgx.Batch{}
	for i := range 30 {
		b.Queue("INSERT INTO assets (ip, owner, rank) VALUES ($1::text::inet, $2, $3)", fmt.Sprintf("10.40.0.%d", i), "batch", i)
	}
	var n, sum int
	b.Queue("SELECT count(*), sum(rank) FROM assets WHERE owner = $1", "batch").QueryRow(func(row pgx.Row) error { return row.Scan(&n, &sum) })
	b.Queue("DELETE FROM assets WHERE owner = $1", "batch")
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return same([]int{n, sum}, []int{30, 435})
}

func pgxErrors(ctx context.Context, c *pgx.Conn) error {
	var all error
	for code, sql := range map[string]string{"42703": "SELECT usernam FROM auth", "42P01": "SELECT 1 FROM nothing", "22012": "SELECT 1/0",
		"42601": "SELEC 1", "23505": "INSERT INTO assets (ip) VALUES ('10.0.0.1')"} {
		_, err := c.Exec(ctx, sql)
		all = errors.Join(all, refused(err, code))
	}
	_, err := c.Exec(ctx, "SELECT 1 FROM auth WHERE bytes = $1", "x")
	return errors.Join(all, same(err != nil, true), c.Ping(ctx))
}

func pgxStructs(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, "SELECT username, n FROM busy ORDER BY 1")
	if err != nil {
		return err
	}
	type busy struct {
		Username string
		N        int
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[busy])
	return errors.Join(err, same(list, "[{ann 2} {bob 1}]"))
}

// pgxOrigins looks up the columns that a result says it comes from.
func pgxOrigins(ctx context.Context, c *pgx.Conn) error {
	const sql = "SELECT a.n + 1, a.username, x.owner, relname, count(*) FROM (SELECT * FROM busy WHERE n > 0) a LEFT JOIN assets x ON x.owner = a.username " +
		"CROSS JOIN pg_class WHERE relname = 'auth' GROUP BY 1, 2, 3, 4 ORDER BY 2"
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return err
	}
	fields := slices.Clone(rows.FieldDescriptions())
	rows.Close()
	var got []string
	for _, f := range fields {
		name := "computed"
		if f.TableOID != 0 {
			err := c.QueryRow(ctx, "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute WHERE attrelid = $1 AND attnum = $2",
				f.TableOID, int16(f.TableAttributeNumber)).Scan(&name)
			if err != nil {
				return err
			}
		}
		got = append(got, name)
	}
	return same(got, "[computed busy.username assets.owner pg_class.relname computed]")
}

// pgxDeallocate forgets statements that were prepared by message with statements.
func pgxDeallocate(ctx context.Context, c *pgx.Conn) error {
	for _, forget := range []string{"DEALLOCATE mine", "DEALLOCATE ALL", "DISCARD ALL"} {
		if _, err := c.PgConn().Prepare(ctx, "mine", "SELECT 1", nil); err != nil {
			return err
		}
		if err := c.PgConn().ExecPrepared(ctx, "mine", nil, nil, nil).Read().Err; err != nil {
			return err
		}
		if _, err := c.PgConn().Exec(ctx, forget).ReadAll(); err != nil {
			return err
		}
		if err := refused(c.PgConn().ExecPrepared(ctx, "mine", nil, nil, nil).Read().Err, "26000"); err != nil {
			return fmt.Errorf("after %s: %w", forget, err)
		}
	}
	_, err := c.PgConn().Exec(ctx, "DEALLOCATE mine").ReadAll()
	return refused(err, "26000")
}

// pgxRegclass sends names where the parameter's type is regclass.
func pgxRegclass(ctx context.Context, c *pgx.Conn) error {
	var all error
	for name, want := range map[string]string{"auth": "auth", "pg_catalog.pg_class": "pg_class", "1259": "pg_class", "-": "-"} {
		var got string
		err := c.QueryRow(ctx, "SELECT $1::regclass::text", pgx.QueryExecModeExec, name).Scan(&got)
		all = errors.Join(all, err, same(got, want))
	}
	_, err := c.Exec(ctx, "SELECT $1::regclass", pgx.QueryExecModeExec, "nothing")
	return errors.Join(all, refused(err, "42P01"))
}

func pgxCopyFrom(ctx context.Context, c *pgx.Conn) error {
	n, err := c.CopyFrom(ctx, pgx.Identifier{"assets"}, []string{"ip", "owner", "rank"}, pgx.CopyFromSlice(20, func(i int) ([]any, error) {
		return []any{fmt.Sprintf("10.41.0.%d", i), "copied", i}, nil
	}))
	if err != nil {
		return err
	}
	tag, err := c.Exec(ctx, "DELETE FROM assets WHERE owner = 'copied'")
	return errors.Join(err, same([]int64{n, tag.RowsAffected()}, "[20 20]"))
}

func pgxRolledBack(ctx context.Context, c *pgx.Conn) error {
	undo := errors.New("undo")
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO assets (ip, owner) VALUES ('10.42.0.1', 'undone')"); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		return err
	}
	var n int
	return errors.Join(c.QueryRow(ctx, "SELECT count(*) FROM assets WHERE owner = 'undone'").Scan(&n), same(n, 0))
}

func pgxNotifications(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "LISTEN gonews"); err != nil {
		return err
	}
	if _, err := c.Exec(ctx, "SELECT pg_notify($1, $2)", "gonews", "x"); err != nil {
		return err
	}
	n, err := c.WaitForNotification(ctx)
	if err != nil {
		return err
	}
	return same(n.Channel+n.Payload, "gonewsx")
}

func pgxCancel(ctx context.Context, c *pgx.Conn) error {
	stop := time.AfterFunc(200*time.Millisecond, func() { _ = c.PgConn().CancelRequest(ctx) }) // the statement's error tells
	defer stop.Stop()
	_, err := c.Exec(ctx, "SELECT count(*) FROM generate_series(1, 1000000000000) AS g")
	return errors.Join(refused(err, "57014"), c.Ping(ctx))
}

func pgxStale(ctx context.Context, c *pgx.Conn) error {
	read := func() (string, error) {
		rows, err := c.Query(ctx, "SELECT * FROM moved")
		if err != nil {
			return "", err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToMap)
		return fmt.Sprint(list), err
	}
	ddl := []string{"CREATE TABLE moved (a INTEGER PRIMARY KEY)", "INSERT INTO moved VALUES (1)"}
	for _, want := range []string{"[map[a:1]]", "[map[a:1 b:x]]"} {
		for _, sql := range ddl {
			if _, err := c.Exec(ctx, sql); err != nil {
				return err
			}
		}
		got, err := read()
		if want == "[map[a:1 b:x]]" {
			// pgx forgets the statement after the first refusal.
			if err := refused(err, "0A000"); err != nil {
				return err
			}
			got, err = read()
		}
		if err := errors.Join(err, same(got, want)); err != nil {
			return err
		}
		ddl = []string{"DROP TABLE moved", "CREATE TABLE moved (a INTEGER PRIMARY KEY, b TEXT)", "INSERT INTO moved VALUES (1, 'x')"}
	}
	return nil
}

func pgxPipeline(ctx context.Context, c *pgx.Conn) error {
	p := c.PgConn().StartPipeline(ctx)
	p.SendQueryParams("SELECT $1::int + 1", [][]byte{[]byte("1")}, nil, nil, nil)
	p.SendQueryParams("SELECT 1/0", nil, nil, nil, nil)
	p.SendQueryParams("SELECT 3", nil, nil, nil, nil)
	if err := p.Sync(); err != nil {
		return err
	}
	var rows []string
	var failure error
	for failure == nil {
		r, err := p.GetResults()
		failure = err
		if rr, ok := r.(*pgconn.ResultReader); ok {
			result := rr.Read()
			failure = result.Err
			for _, row := range result.Rows {
				rows = append(rows, string(row[0]))
			}
		}
	}
	_ = p.Close() // it repeats the failure
	return errors.Join(same(rows, "[2]"), refused(failure, "22012"), c.Ping(ctx))
}
