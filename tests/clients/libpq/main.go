// Command libpq is what people do with lib/pq and database/sql. It prints a line a check: "ok NAME", or "FAIL NAME: what
// went wrong". It is a module of its own, because nothing else of vigil needs the driver.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
)

// patienceMax bounds every wait.
const patienceMax = 30 * time.Second

func dsn() string {
	return fmt.Sprintf("host=%s port=%s user=analyst dbname=vigil sslmode=disable", os.Getenv("VIGIL_HOST"), os.Getenv("VIGIL_PORT"))
}

// check is one thing that people do.
type check struct {
	name string
	run  func(ctx context.Context, db *sql.DB) error
}

func checks() []check {
	return []check{
		{"types", types}, {"parameters", parameters}, {"binary_parameters", binaryParameters}, {"prepared", prepared}, {"errors", refusals},
		{"transaction", transaction}, {"rolled_back", rolledBack}, {"read_only", readOnly}, {"copy_in", copyIn}, {"column_types", columnTypes},
		{"several_results", severalResults}, {"notifications", notifications}, {"alerts", alerts}, {"cancel", cancel},
	}
}

func main() {
	failed := false
	for _, c := range checks() {
		if err := run(c); err != nil {
			failed = true
			fmt.Printf("FAIL %s: %s\n", c.name, strings.Join(strings.Fields(err.Error()), " "))
			continue
		}
		fmt.Printf("ok %s\n", c.name)
	}
	if failed {
		os.Exit(1)
	}
}

func run(c check) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patienceMax)
	defer cancel()
	db, err := sql.Open("postgres", dsn())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, db) }() // a listener that cannot connect waits without a bound of its own
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func equal(got, want any) error {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		return fmt.Errorf("got %s, want %s", g, w)
	}
	return nil
}

func refused(err error, code string) error {
	e, ok := errors.AsType[*pq.Error](err)
	if !ok || string(e.Code) != code {
		return fmt.Errorf("error %v, want SQLSTATE %s", err, code)
	}
	return nil
}

// value asks for one value as text and compares it.
func value(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, want any, text string, args ...any) error {
	var got sql.NullString
	if err := q.QueryRowContext(ctx, text, args...).Scan(&got); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if !got.Valid {
		got.String = "NULL"
	}
	return equal(got.String, want)
}

func types(ctx context.Context, db *sql.DB) error {
	var (
		owner, price, id string
		weight           float64
		seen             time.Time
		tags             []sql.NullString
		active           bool
		rank             int
		raw              []byte
	)
	err := db.QueryRowContext(ctx, "SELECT owner, price, id, weight, seen, tags, active, rank, raw FROM assets WHERE rank = 7").
		Scan(&owner, &price, &id, &weight, &seen, pq.Array(&tags), &active, &rank, &raw)
	if err != nil {
		return err
	}
	return equal(fmt.Sprintln(owner, price, id, weight, seen.UTC().Format(time.RFC3339), tags, active, rank, raw),
		fmt.Sprintln("ann", "12.50", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 1.5, "2026-01-01T00:00:00Z", "[{a true} {b c true} { false}]", true, 7, []byte{0, 255}))
}

func parameters(ctx context.Context, db *sql.DB) error {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return errors.Join(
		value(ctx, db, 2, "SELECT count(*) FROM auth WHERE username = $1 AND ts >= $2", "ann", at),
		value(ctx, db, 3, "SELECT count(*) FROM auth WHERE username = ANY($1)", pq.Array([]string{"ann", "bob"})),
		value(ctx, db, "NULL", "SELECT $1::text", nil),
		value(ctx, db, 1, `SELECT $1::jsonb -> 'a'`, `{"a": 1}`),
		value(ctx, db, `\x00ff`, "SELECT raw::text FROM assets WHERE raw = $1", []byte{0, 255}))
}

func binaryParameters(ctx context.Context, _ *sql.DB) (err error) {
	db, err := sql.Open("postgres", dsn()+" binary_parameters=yes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return value(ctx, db, 1, "SELECT count(*) FROM assets WHERE rank = $1 AND raw = $2 AND owner = $3", 7, []byte{0, 255}, "ann")
}

func prepared(ctx context.Context, db *sql.DB) (err error) {
	st, err := db.PrepareContext(ctx, "SELECT n FROM busy WHERE username = $1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for _, want := range []struct {
		name string
		n    int
	}{{"ann", 2}, {"bob", 1}, {"ann", 2}} {
		var n int
		if err := st.QueryRowContext(ctx, want.name).Scan(&n); err != nil {
			return err
		}
		if err := equal(n, want.n); err != nil {
			return err
		}
	}
	return nil
}

func refusals(ctx context.Context, db *sql.DB) error {
	var all error
	for code, text := range map[string]string{"42703": "SELECT usernam FROM auth", "42P01": "SELECT 1 FROM nothing", "22012": "SELECT 1/0",
		"42601": "SELEC 1", "23505": "INSERT INTO assets (ip) VALUES ('10.0.0.1')"} {
		_, err := db.ExecContext(ctx, text)
		all = errors.Join(all, refused(err, code))
	}
	return errors.Join(all, db.PingContext(ctx))
}

func transaction(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO assets (ip, owner) VALUES ($1, $2)", "10.20.0.1", "pq"); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	r, err := db.ExecContext(ctx, "DELETE FROM assets WHERE owner = $1", "pq")
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	return errors.Join(err, equal(n, 1))
}

func rolledBack(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO assets (ip, owner) VALUES ('10.20.0.2', 'undone')"); err != nil {
		return err
	}
	return errors.Join(tx.Rollback(), value(ctx, db, 0, "SELECT count(*) FROM assets WHERE owner = 'undone'"))
}

func readOnly(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(value(ctx, tx, 2, "SELECT count(*) FROM auth WHERE username = 'ann'"), tx.Commit())
}

func copyIn(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	st, err := tx.PrepareContext(ctx, pq.CopyIn("assets", "ip", "owner", "tags"))
	if err != nil {
		return err
	}
	for i := range 30 {
		if _, err := st.ExecContext(ctx, fmt.Sprintf("10.21.0.%d", i), "copied", pq.Array([]string{"x"})); err != nil {
			return err
		}
	}
	_, err = st.ExecContext(ctx)
	if err := errors.Join(err, st.Close(), tx.Commit()); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "DELETE FROM assets WHERE owner = 'nobody'")
	return errors.Join(err, value(ctx, db, 30, "SELECT count(*) FROM assets WHERE owner = 'copied'"))
}

func columnTypes(ctx context.Context, db *sql.DB) (err error) {
	rows, err := db.QueryContext(ctx, "SELECT price, code, ts, src_ip FROM assets CROSS JOIN auth LIMIT 0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close(), rows.Err()) }()
	cols, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	precision, scale, _ := cols[0].DecimalSize()
	length, _ := cols[1].Length()
	return equal(fmt.Sprint(cols[0].DatabaseTypeName(), precision, scale, length, cols[2].DatabaseTypeName(), cols[3].DatabaseTypeName()),
		fmt.Sprint("NUMERIC", 10, 2, 8, "TIMESTAMPTZ", "INET"))
}

func severalResults(ctx context.Context, db *sql.DB) (err error) {
	rows, err := db.QueryContext(ctx, "SELECT 1; SELECT 2")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close(), rows.Err()) }()
	var got []int
	for {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				return err
			}
			got = append(got, n)
		}
		if !rows.NextResultSet() {
			return equal(got, []int{1, 2})
		}
	}
}

// heard waits for one notification of a channel, after something was done.
func heard(ctx context.Context, channel string, do func() error) (got *pq.Notification, err error) {
	l := pq.NewListener(dsn(), time.Second, time.Second, nil)
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Listen(channel); err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	for {
		select {
		case n := <-l.Notify:
			if n != nil {
				return n, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func notifications(ctx context.Context, db *sql.DB) error {
	n, err := heard(ctx, "pqnews", func() error {
		_, err := db.ExecContext(ctx, "SELECT pg_notify($1, $2)", "pqnews", "x")
		return err
	})
	if err != nil {
		return err
	}
	return equal(n.Channel+n.Extra, "pqnewsx")
}

func alerts(ctx context.Context, db *sql.DB) error {
	n, err := heard(ctx, "busy", func() error {
		_, err := db.ExecContext(ctx, "INSERT INTO auth VALUES ('2026-01-01 00:03:00Z', 'dan', NULL, 1, NULL)")
		return err
	})
	if err != nil {
		return err
	}
	return equal(strings.Contains(n.Extra, `"username":"cid"`), true)
}

func cancel(ctx context.Context, db *sql.DB) error {
	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	var got string
	err := db.QueryRowContext(short, "SELECT pg_sleep(60)").Scan(&got)
	return errors.Join(refused(err, "57014"), db.PingContext(ctx))
}
