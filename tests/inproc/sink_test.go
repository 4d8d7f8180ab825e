package inproc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// until waits until a query answers so: sinks work beside the connection.
func until(t *testing.T, db *DB, sql, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		if got = flat(t, db, sql); got == want {
			return
		}
	}
	t.Fatalf("%s: %s, want %s; %s", sql, got, want, flat(t, db, "SELECT name, last_error FROM vigil.sinks"))
}

// numbersIn reads field n of the lines of a sink's files, oldest first.
func numbersIn(t *testing.T, path string) (numbers []int, ids []string, files int) {
	t.Helper()
	ext := filepath.Ext(path)
	paths, err := filepath.Glob(strings.TrimSuffix(path, ext) + "-*" + ext)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	paths = append(paths, path)
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			var row struct {
				ID string `json:"_vigil_id"`
				N  int
			}
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatalf("%s: line %q: %v", p, line, err)
			}
			numbers, ids = append(numbers, row.N), append(ids, row.ID)
		}
	}
	return numbers, ids, len(paths)
}

// inOrder tells whether the numbers are 0, 1, 2 ... n-1.
func inOrder(numbers []int, n int) error {
	if len(numbers) != n {
		return fmt.Errorf("%d rows, want %d", len(numbers), n)
	}
	for i, got := range numbers {
		if got != i {
			return fmt.Errorf("row %d is %d", i, got)
		}
	}
	return nil
}

const (
	logQuery  = "CREATE CONTINUOUS QUERY q AS SELECT n, line FROM log"
	delivered = "SELECT state, rows, lag_rows FROM vigil.sinks"
)

// TestFileSinkCrashes loses power again and again while a file sink writes and rotates, before, while and after the server notes where
// the sink stands. Each row is in the files once, in order.
func TestFileSinkCrashes(t *testing.T) {
	const rounds, perRound = 12, 300
	rnd := rand.New(rand.NewSource(5))
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	path := filepath.Join(t.TempDir(), "alerts.json")
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	mustExec(t, db, logStream, logQuery, fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'file', path = '%s', rotate_size = '20kB')", path))
	opened := func() bool {
		names, err := db.Engine().Results().Cursors("sink/")
		return err == nil && len(names) == 1
	}
	for deadline := time.Now().Add(20 * time.Second); !opened() && time.Now().Before(deadline); <-time.After(time.Millisecond) {
	}
	cut, rotated := 0, false
	for round := range rounds {
		appendAt(t, db, "12:00:00", round*perRound, perRound)
		extra := round % 3 * 25 // rows that are lost with the server, and not with the file
		if extra > 0 {
			until(t, db, delivered, fmt.Sprintf("running %d 0", (round+1)*perRound))
		}
		for range rnd.Intn(40) {
			flat(t, db, "SELECT 1") // a moment later
		}
		survives := disk.Crash(nil)
		if extra > 0 {
			appendAt(t, db, "12:00:00", (round+1)*perRound, extra)
		}
		until(t, db, delivered, fmt.Sprintf("running %d 0", (round+1)*perRound+extra))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		before, _, files := numbersIn(t, path)
		rotated = rotated || files > 3
		disk = survives
		db = costsDB(t, Options{Disk: disk, Clock: clock, Workers: 1 + round%3})
		until(t, db, "SELECT lag_rows FROM vigil.sinks", "0")
		if err := inOrder(before, (round+1)*perRound+extra); err != nil {
			t.Fatalf("round %d, before the crash: %v", round, err)
		}
		after, ids, _ := numbersIn(t, path)
		// What the file has too much is cut off when the sink opens it, and that is beside the server's start.
		for deadline := time.Now().Add(20 * time.Second); len(after) > (round+1)*perRound && time.Now().Before(deadline); <-time.After(time.Millisecond) {
			after, ids, _ = numbersIn(t, path)
		}
		if err := inOrder(after, (round+1)*perRound); err != nil {
			t.Fatalf("round %d, after the crash: %v", round, err)
		}
		if slices.Sort(ids); len(slices.Compact(ids)) != len(after) {
			t.Fatalf("round %d: ids are not unique", round)
		}
		if len(after) < len(before) {
			cut++
		}
	}
	if !rotated || cut < rounds/2 {
		t.Errorf("files were rotated: %v; the end of one was cut off %d times of %d", rotated, cut, rounds)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSinkStatements: what happens to a sink and its query by statements, also across restarts.
func TestSinkStatements(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	restart := func() {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = costsDB(t, Options{Disk: disk, Clock: clock})
	}
	mustExec(t, db, logStream, logQuery)
	appendAt(t, db, "12:00:00", 0, 5)
	mustExec(t, db, fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'file', path = '%s')", path),
		fmt.Sprintf("CREATE SINK later FROM q WITH (connector = 'file', path = '%s', start = 'now', id = 'none')", filepath.Join(dir, "b.json")))
	until(t, db, "SELECT name, rows FROM vigil.sinks ORDER BY name", "later 0, out 5")
	mustExec(t, db, "ALTER SINK out PAUSE")
	appendAt(t, db, "12:00:00", 5, 5)
	until(t, db, "SELECT name, state, rows, lag_rows FROM vigil.sinks ORDER BY name", "later running 5 0, out paused 5 5")
	restart()
	until(t, db, "SELECT name, state, rows, lag_rows FROM vigil.sinks ORDER BY name", "later running 5 0, out paused 5 5")
	mustExec(t, db, "RESUME SINK out", "ALTER SINK out RENAME TO alerts", "ALTER CONTINUOUS QUERY q RENAME TO denials")
	until(t, db, "SELECT name, query, state, rows, lag_rows FROM vigil.sinks ORDER BY name", "alerts denials running 10 0, later denials running 5 0")
	mustExec(t, db, "CREATE OR REPLACE CONTINUOUS QUERY denials AS SELECT n, line, 'new' AS v FROM log")
	appendAt(t, db, "12:00:00", 10, 5)
	until(t, db, "SELECT name, rows, lag_rows FROM vigil.sinks ORDER BY name", "alerts 15 0, later 10 0")
	restart()
	appendAt(t, db, "12:00:00", 15, 5)
	until(t, db, "SELECT name, rows, lag_rows FROM vigil.sinks ORDER BY name", "alerts 20 0, later 15 0")
	numbers, _, _ := numbersIn(t, path)
	if err := inOrder(numbers, 20); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "b.json"))
	if err != nil || !strings.HasPrefix(string(text), `{"n":5,"line":"x"}`+"\n") || !strings.HasSuffix(string(text), `{"n":19,"line":"x","v":"new"}`+"\n") {
		t.Errorf("%v: %s", err, text)
	}
	if err := db.Exec("DROP CONTINUOUS QUERY denials"); sqlerr.CodeOf(err) != sqlerr.DependentObjectsExist {
		t.Error(err)
	}
	mustExec(t, db, "BEGIN", "DROP CONTINUOUS QUERY denials CASCADE", logQuery,
		fmt.Sprintf("CREATE SINK again FROM q WITH (connector = 'file', path = '%s')", filepath.Join(dir, "c.json")), "COMMIT")
	appendAt(t, db, "12:00:00", 0, 3)
	until(t, db, "SELECT name, query, rows, lag_rows FROM vigil.sinks", "again q 3 0")
	restart()
	appendAt(t, db, "12:00:00", 3, 3)
	until(t, db, "SELECT name, query, rows, lag_rows FROM vigil.sinks", "again q 6 0")
	mustExec(t, db, "DROP SINK again")
	if got := flat(t, db, "SELECT count(*) FROM vigil.sinks"); got != "0" {
		t.Error(got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := db.Engine().Results().Cursors("sink/")
	if err != nil || len(names) != 0 {
		t.Errorf("cursors that are left: %q, %v", names, err)
	}
}

// TestMissedRows: what retention removes before a sink has it is counted, told and on record, and the sink goes on behind it.
func TestMissedRows(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	path := filepath.Join(t.TempDir(), "a.json")
	db := costsDB(t, Options{Disk: disk, Clock: clock, CheckpointEvery: time.Millisecond})
	mustExec(t, db, logStream, "CREATE CONTINUOUS QUERY q WITH (retention = '1 minute') AS SELECT n, line FROM log",
		fmt.Sprintf("CREATE SINK out FROM q WITH (connector = 'file', path = '%s')", path))
	appendAt(t, db, "12:00:00", 0, 10)
	until(t, db, delivered, "running 10 0")
	mustExec(t, db, "PAUSE SINK out")
	appendAt(t, db, "12:00:00", 10, 10)
	if err := db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	appendAt(t, db, "12:00:00", 20, 1)
	until(t, db, "SELECT count(*) FROM q", "1")
	mustExec(t, db, "RESUME SINK out")
	until(t, db, delivered, "running 11 0")
	const text = `rows 10 to 19 of query "q" were removed by its retention before sink "out" could deliver them`
	expect(t, db, "SELECT missed_rows, last_error FROM vigil.sinks", "10 "+text)
	until(t, db, "SELECT query, reason, detail FROM vigil.query_events WHERE what = 'sink missed rows'", "q "+text+" sink out")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDeadTarget: a target that is dead, or never answers, holds nobody up: the query and another sink of it go on, and the lag grows. Once
// the target is there it gets all, but for what it refuses, which is kept.
func TestDeadTarget(t *testing.T) {
	disk, clock := NewDisk(), NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	path := filepath.Join(t.TempDir(), "a.json")
	var mu sync.Mutex
	var got []string
	hold := make(chan struct{})
	well := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(body), `"n":3,`) {
			http.Error(w, "no threes", http.StatusBadRequest)
			return
		}
		for line := range strings.Lines(string(body)) {
			got = append(got, line)
		}
	})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
			well(w, r)
		case <-r.Context().Done():
		}
	}))
	defer target.Close()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	mustExec(t, db, logStream, logQuery,
		fmt.Sprintf("CREATE SINK hung FROM q WITH (connector = 'http', url = '%s', body = 'lines', timeout = '5 minutes', batch = 50)", target.URL),
		"CREATE SINK dead FROM q WITH (connector = 'http', url = 'http://127.0.0.1:1/')",
		fmt.Sprintf("CREATE SINK well FROM q WITH (connector = 'file', path = '%s')", path))
	for i := range 20 {
		appendAt(t, db, "12:00:00", i*100, 100)
	}
	until(t, db, "SELECT name, rows, lag_rows FROM vigil.sinks ORDER BY name", "dead 0 2000, hung 0 2000, well 2000 0")
	until(t, db, "SELECT state, last_error LIKE '%connection refused' FROM vigil.sinks WHERE name = 'dead'", "failing t")
	expect(t, db, "SELECT count(*) FROM q", "2000")
	numbers, _, _ := numbersIn(t, path)
	if err := inOrder(numbers, 2000); err != nil {
		t.Error(err)
	}
	close(hold)
	until(t, db, "SELECT state, rows, lag_rows, dead_letters FROM vigil.sinks WHERE name = 'hung'", "running 1999 0 1")
	const letter = `SELECT sink, code, reason, body FROM vigil.sink_dead_letters`
	want := `hung 400 ` + strings.TrimPrefix(target.URL, "http://") + ` answered 400 Bad Request: no threes {"_vigil_id":"3:3","n":3,"line":"x"}`
	until(t, db, letter, want)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if len(got) != 1999 || got[0] != `{"_vigil_id":"3:0","n":0,"line":"x"}`+"\n" {
		t.Errorf("%d rows, the first %q", len(got), got[0])
	}
	mu.Unlock()
	db = costsDB(t, Options{Disk: disk, Clock: clock})
	expect(t, db, letter, want)
	until(t, db, "SELECT rows, lag_rows, dead_letters FROM vigil.sinks WHERE name = 'hung'", "1999 0 1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
