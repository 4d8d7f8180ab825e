package inproc

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func keyedDB(t testing.TB) *DB {
	t.Helper()
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), Workers: 2, CheckpointEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// byKey is a condition that a key answers, and the same as none does.
func byKey(r *rand.Rand) (keyed, scanned string) {
	n := r.IntN(320)
	switch r.IntN(6) {
	case 0:
		keyed = fmt.Sprintf("id = %d", n)
	case 1:
		keyed = fmt.Sprintf("id IN (%d, %d, %d, NULL)", n+1, n, n)
	case 2:
		keyed = fmt.Sprintf("a = %d AND b = 'b%d'", n%10, n/10)
	case 3:
		keyed = fmt.Sprintf("a IN (%d, %d) AND b IN ('b%d', 'b3')", n%10, n%7, n/10)
	case 4:
		keyed = fmt.Sprintf("%d = id AND n < 2 AND id <> 8", n)
	default:
		keyed = "id = NULL"
	}
	return keyed, strings.NewReplacer("id ", "id + 0 ", "a ", "a + 0 ", "b ", "b || '' ").Replace(keyed + " ")
}

// TestChangesByKey: what finds its rows by a key does what a scan does, in transactions too: two tables are changed alike, one of them
// by conditions that no key answers.
func TestChangesByKey(t *testing.T) {
	db := keyedDB(t)
	for _, name := range []string{"keyed", "scanned"} {
		mustExec(t, db, "CREATE TABLE "+name+" (id BIGINT PRIMARY KEY, a INT, b TEXT, n INT, UNIQUE (a, b))",
			"INSERT INTO "+name+" SELECT i, (i % 10)::int, 'b' || i / 10, 0 FROM generate_series(0, 299) AS i",
			"UPDATE "+name+" SET a = NULL WHERE n = 0 AND id = 7")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 400 {
		if step%25 == 0 {
			mustExec(t, db, "BEGIN")
		}
		keyed, scanned := byKey(r)
		stmt := []string{"UPDATE %s SET n = n + 1 WHERE %s", "DELETE FROM %s WHERE %s", "SELECT * FROM %s WHERE %s"}[r.IntN(3)]
		if strings.HasPrefix(stmt, "SELECT") {
			got, want := flat(t, db, fmt.Sprintf(stmt, "keyed", keyed)), flat(t, db, fmt.Sprintf(stmt, "scanned", scanned))
			if got != want {
				t.Fatalf("%s: got %s, want %s", keyed, got, want)
			}
		} else {
			mustExec(t, db, fmt.Sprintf(stmt, "keyed", keyed), fmt.Sprintf(stmt, "scanned", scanned))
		}
		if got, want := flat(t, db, "SELECT * FROM keyed ORDER BY id"), flat(t, db, "SELECT * FROM scanned ORDER BY id"); got != want {
			t.Fatalf("after %s, %s: got %s, want %s", stmt, keyed, got, want)
		}
		if step%25 == 24 {
			mustExec(t, db, []string{"COMMIT", "ROLLBACK"}[r.IntN(2)])
		}
	}
	if left := len(mustRows(t, db, "SELECT id FROM keyed WHERE n > 0")); left < 10 {
		t.Errorf("%d rows were changed", left)
	}
	if left := len(mustRows(t, db, "SELECT id FROM keyed")); left < 20 || left > 280 {
		t.Errorf("%d rows are left of 300", left)
	}
	for _, sql := range []string{"EXPLAIN DELETE FROM keyed WHERE id = 5", "EXPLAIN UPDATE keyed SET n = 1 WHERE a = 1 AND b = 'b'", "EXPLAIN SELECT * FROM keyed WHERE id IN (1, 2)"} {
		if got := flat(t, db, sql); !strings.Contains(got, "TableScan keyed key") {
			t.Errorf("%s: %s", sql, got)
		}
	}
	if got := flat(t, db, "EXPLAIN DELETE FROM scanned WHERE id + 0 = 5"); strings.Contains(got, " key") {
		t.Error(got)
	}
}

// BenchmarkChangeByKey: a statement costs about the same in a small table and in a large one.
func BenchmarkChangeByKey(b *testing.B) {
	for _, rows := range []int{1000, 100_000} {
		db := keyedDB(b)
		for _, sql := range []string{"CREATE TABLE t (id BIGINT PRIMARY KEY, n INT)",
			fmt.Sprintf("INSERT INTO t SELECT i, 0 FROM generate_series(1, %d) AS i", rows)} {
			if err := db.Exec(sql); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range []struct{ name, sql string }{{"update", "UPDATE t SET n = n + 1 WHERE id = 77"}, {"delete", "DELETE FROM t WHERE id IN (0, -1)"},
			{"select", "SELECT n FROM t WHERE id = 77"}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, rows), func(b *testing.B) {
				for b.Loop() {
					if err := db.Exec(c.sql); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func flat(t *testing.T, db *DB, sql string) string {
	t.Helper()
	var got []string
	for _, r := range mustRows(t, db, sql) {
		got = append(got, strings.Join(r, " "))
	}
	return strings.Join(got, ", ")
}
