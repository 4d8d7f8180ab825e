package wire

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/vigil-sql/vigil/server"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// TestManyConnections: a thousand clients that are idle cost two goroutines each and little memory, and two hundred beside
// them get right answers.
func TestManyConnections(t *testing.T) {
	const idle, busy, queries = 1000, 199, 20 // and one that tells the server what to do
	srv, err := server.Start(server.Config{Dir: t.TempDir(), PG: "127.0.0.1:0", HTTP: "127.0.0.1:0", Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	}()
	dial := func() *pgwire.Client {
		c, err := pgwire.Dial(srv.PGAddr(), "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c *pgwire.Client, sql, want string) error {
		got := ""
		err := c.Query(sql, func(fields [][]byte) error { got += string(fields[0]); return nil })
		if err == nil && got != want {
			err = fmt.Errorf("%s: %q, want %q", sql, got, want)
		}
		return err
	}
	if err := ask(dial(), "CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 1000) AS n", ""); err != nil {
		t.Fatal(err)
	}
	goroutines, memory := runtime.NumGoroutine(), heap()
	idlers := make([]*pgwire.Client, idle)
	for i := range idlers {
		idlers[i] = dial()
	}
	if n := runtime.NumGoroutine() - goroutines; n > 2*idle+50 {
		t.Errorf("%d goroutines for %d idle connections", n, idle)
	}
	if n := (heap() - memory) / idle; n > 64<<10 {
		t.Errorf("an idle connection takes %d bytes of heap, both ends", n)
	}
	var wg sync.WaitGroup
	for i := range busy {
		c := dial()
		wg.Go(func() {
			for j := range queries {
				n := (i*queries+j)%1000 + 1
				if err := ask(c, fmt.Sprintf("SELECT v FROM t WHERE id = %d", n), fmt.Sprint("v", n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i, c := range idlers {
		if err := ask(c, "SELECT 1", "1"); err != nil {
			t.Errorf("connection %d, idle until now: %v", i, err)
		}
	}
}

// heap is what is live.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
