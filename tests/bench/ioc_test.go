package bench

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// iocMillion is how many indicators, in millions, TestIOCCopy loads; 0: it measures nothing.
var iocMillion = flag.Float64("ioc-million", 0, "indicators that TestIOCCopy loads, in millions")

// lines are n different values of 16 bytes, one a line.
type lines struct {
	at, n int
	buf   []byte
}

// Read implements io.Reader.
func (l *lines) Read(p []byte) (int, error) {
	for len(l.buf) < len(p) && l.at < l.n {
		l.buf = fmt.Appendf(l.buf, "%08x%08x\n", uint32(l.at)*2654435761, l.at)
		l.at++
	}
	if len(l.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.buf)
	l.buf = append(l.buf[:0], l.buf[n:]...)
	return n, nil
}

// TestIOCCopy prints how fast COPY fills a list, beside a running rule that asks for it, and what stays in memory:
//
//	go test ./tests/bench -run IOCCopy -args -ioc-million 3
func TestIOCCopy(t *testing.T) {
	n := int(*iocMillion * 1e6)
	if n == 0 {
		t.Skip("it measures; say -args -ioc-million 3")
	}
	store, err := pebblekv.Open(t.TempDir(), pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	clock := inproc.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Store: store, Clock: clock, Workers: 1, CheckpointEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, sql := range []string{`CREATE STREAM s (v TEXT) FORMAT JSON`, `CREATE IOC LIST l TYPE text`, `CREATE CONTINUOUS QUERY q AS SELECT v FROM s WHERE v IN IOC l`} {
		if err := db.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	if err := db.Copy(`COPY l (value) FROM STDIN`, &lines{n: n}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	runtime.GC()
	runtime.ReadMemStats(&after)
	rows, err := db.Rows(`SELECT entries FROM vigil.ioc_lists`)
	if err != nil || fmt.Sprint(rows) != fmt.Sprintf("[[%d]]", n) {
		t.Fatal(rows, err)
	}
	fmt.Printf("COPY of %d entries of 16 bytes: %.0f entries/s; %.1f MB of heap after it\n", n, float64(n)/took.Seconds(), float64(after.HeapAlloc-before.HeapAlloc)/1e6)
}
