package faults

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// room is a disk that has room.
type room struct{ store *pebblekv.Store }

func (room) Free() (free, total int64, err error) { return 1 << 40, 1 << 40, nil }
func (r room) Waiting() bool                      { return r.store.Waiting() }
func (r room) Syncing() time.Duration             { return r.store.Health().Syncing }

// TestSlowDisk: while a sync of the store, or of an event log, lasts, senders wait after a bounded number of events, SELECT goes on, and readiness says what
// lasts; when it is done everything is there.
func TestSlowDisk(t *testing.T) {
	for _, part := range []string{"kv", "log"} {
		t.Run(part, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { slowDisk(t, part) }) })
	}
}

func slowDisk(t *testing.T, part string) {
	d := newDisk()
	var slow atomic.Bool
	well := make(chan struct{})
	d.hook = func(what, _ string) error {
		if what == part+" sync" && slow.Load() {
			<-well
		}
		return nil
	}
	store, err := pebblekv.Open("kv", pebblekv.Options{FS: d.kv})
	if err != nil {
		t.Fatal(err)
	}
	db, err := inproc.Open(inproc.Options{Store: store, LogFS: logFS{d.log, d}, Clock: inproc.NewClock(begin), Workers: 2, Room: room{store}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`CREATE STREAM ev (id BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts) FORMAT JSON`, `CREATE CONTINUOUS QUERY q AS SELECT id FROM ev`,
		`INSERT INTO ev (id, ts) VALUES (-1, '2026-01-01 10:00:00Z')`} {
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	ready := func() string {
		if err := db.Engine().Ready(); err != nil {
			return err.Error()
		}
		return ""
	}
	if err := db.Settle(); err != nil || ready() != "" {
		t.Fatal(err, ready())
	}
	slow.Store(true)
	const pieces = 2000
	var acked atomic.Int64
	done := make(chan error, 1)
	go func() {
		id, err := db.StreamID("ev")
		for i := 0; i < pieces && err == nil; i++ {
			<-time.After(20 * time.Millisecond) // by the clock of synctest
			data := fmt.Appendf(nil, `{"id":%d,"ts":%q}`+"\n", i, begin.Add(time.Duration(i)*time.Second).Format(time.RFC3339))
			if _, err = db.Session().Append(context.Background(), session.Ingest{Stream: id, Data: data}); err == nil {
				acked.Add(1)
			}
		}
		done <- err
	}()
	<-time.After(10 * time.Minute)
	bound := int64(100) // what fits into the engine's queues
	if part == "log" {
		bound = 1
	}
	t.Logf("%d pieces were answered", acked.Load())
	if n := acked.Load(); n >= bound {
		t.Errorf("%d pieces were answered while nothing could be written", n)
	}
	if rows, err := db.Rows("SELECT count(*) FROM q"); err != nil || fmt.Sprint(rows) != "[[1]]" {
		t.Errorf("SELECT gives %v, %v", rows, err)
	}
	if got := ready(); !strings.Contains(got, "the disk is slow") {
		t.Errorf("ready: %q", got)
	}
	slow.Store(false)
	close(well)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := db.Settle(); err != nil || ready() != "" {
		t.Fatal(err, ready())
	}
	if rows, err := db.Rows("SELECT count(*), count(DISTINCT id) FROM q"); err != nil || fmt.Sprint(rows) != fmt.Sprintf("[[%d %[1]d]]", pieces+1) {
		t.Errorf("in the end there are %v, %v", rows, err)
	}
	if part == "kv" && store.Health().Slow == 0 {
		t.Error("no sync counts as slow")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
