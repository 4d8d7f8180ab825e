package faults

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// pickyStore is a store that does not take checkpoints while it is told so.
type pickyStore struct {
	kv.Store
	least   int // of what it does not take, bytes
	refuse  atomic.Bool
	refused chan struct{} // one for each batch that was refused; somebody must take it
}

type pickyBatch struct {
	kv.Batch
	s          *pickyStore
	checkpoint bool
}

func (s *pickyStore) NewBatch() kv.Batch { return &pickyBatch{Batch: s.Store.NewBatch(), s: s} }

func (b *pickyBatch) Set(key, value []byte) {
	b.checkpoint = b.checkpoint || bytes.HasPrefix(key, []byte{kv.PrefixCheckpoint}) && len(value) >= b.s.least
	b.Batch.Set(key, value)
}

func (b *pickyBatch) Commit(sync bool) error {
	if b.checkpoint && b.s.refuse.Load() {
		b.Batch.Discard()
		b.s.refused <- struct{}{}
		return errors.New("this block is not for writing")
	}
	return b.Batch.Commit(sync)
}

// TestCheckpointRetried: while checkpoints fail all else goes on and readiness says so; then what they should have held is in the next one, and a
// server that is stopped meanwhile loses nothing.
func TestCheckpointRetried(t *testing.T) {
	for _, well := range []bool{true, false} {
		disk, clock := inproc.NewDisk(), inproc.NewClock(begin)
		store := &pickyStore{Store: disk.KV, refused: make(chan struct{})}
		db, err := inproc.Open(inproc.Options{Disk: disk, Store: store, Clock: clock, Workers: 2, EpochMax: time.Millisecond, CheckpointEvery: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		exec := func(sql string) {
			t.Helper()
			if err := db.Exec(sql); err != nil {
				t.Fatal(sql, err)
			}
		}
		exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts); CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 hour')`)
		store.refuse.Store(true)
		exec(`INSERT INTO s VALUES ('2026-01-01 10:00:01Z', 'a')`)
		for i := range 4 {
			<-store.refused
			exec(fmt.Sprintf(`INSERT INTO s VALUES ('2026-01-01 10:00:01Z', 'b%d')`, i))
		}
		if err := db.Engine().Ready(); err == nil || !strings.Contains(err.Error(), "checkpoints fail: ") || db.Err() != nil {
			t.Fatalf("ready: %v, stopped: %v", err, db.Err())
		}
		if st := db.Engine().Checkpoints(); st.Failed < 3 {
			t.Fatalf("%+v", st)
		}
		stop := make(chan struct{})
		go func() { // the attempts that are still made
			for {
				select {
				case <-store.refused:
				case <-stop:
					return
				}
			}
		}()
		before := db.Engine().Checkpoints().Done
		if well {
			store.refuse.Store(false)
			for db.Engine().Checkpoints().Done < before+2 {
				exec(`INSERT INTO s VALUES ('2026-01-01 10:00:01Z', 'c')`)
			}
			if err := db.Engine().Ready(); err != nil {
				t.Fatal(err)
			}
		}
		rows := func(sql string) string {
			t.Helper()
			got, err := db.Rows(sql)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(got)
		}
		want := rows("SELECT k, count(*) FROM s GROUP BY k ORDER BY k")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		if db, err = inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 1}); err != nil {
			t.Fatal(err)
		}
		if well && db.Rerun > 0 {
			t.Errorf("%d epochs ran again after a last checkpoint", db.Rerun)
		}
		exec(`INSERT INTO s VALUES ('2026-01-01 12:00:00Z', 'end')`)
		if err := db.Settle(); err != nil {
			t.Fatal(err)
		}
		if got := rows("SELECT k, n FROM q ORDER BY k"); got != want {
			t.Errorf("well again: %v: the query gives %s, the stream %s", well, got, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckpointOfScarceMemory: a checkpoint whose blocks lie outside of the Go heap, as they do while memory is scarce, is tried again with all of
// them, however often it has failed.
func TestCheckpointOfScarceMemory(t *testing.T) {
	disk, clock := inproc.NewDisk(), inproc.NewClock(begin)
	store := &pickyStore{Store: disk.KV, refused: make(chan struct{}), least: 32 << 10}
	opts := inproc.Options{Disk: disk, Store: store, Clock: clock, Workers: 1, EpochMax: time.Millisecond, CheckpointEvery: time.Millisecond,
		Memory: 1 << 20, StateDir: t.TempDir(), MemoryUse: func(func() int64) (int64, int64) { return 1 << 30, 0 }}
	db, err := inproc.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 3000 // a block of them is not small enough to stay on the Go heap
	exec := func(sql string) {
		t.Helper()
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	exec(`CREATE STREAM s (ts TIMESTAMPTZ, k TEXT, WATERMARK FOR ts AS ts); CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 hour')`)
	for db.Engine().Memory().Resident == 0 { // the first look at the memory
		runtime.Gosched()
	}
	store.refuse.Store(true)
	exec(fmt.Sprintf(`INSERT INTO s SELECT '2026-01-01 10:00:01Z', 'key number ' || n FROM generate_series(1, %d) AS n`, keys))
	stop := make(chan struct{})
	var failed atomic.Int64
	go func() {
		for {
			select {
			case <-store.refused:
				failed.Add(1)
			case <-stop:
				return
			}
		}
	}()
	for failed.Load() < 4 { // a checkpoint is made as epochs go by
		exec(`INSERT INTO s VALUES ('2026-01-01 10:00:01Z', 'key number 1')`)
	}
	if err := db.Engine().Ready(); err == nil || !strings.Contains(err.Error(), "checkpoints fail: ") || db.Err() != nil {
		t.Fatalf("ready: %v, stopped: %v", err, db.Err())
	}
	store.refuse.Store(false)
	for before := db.Engine().Checkpoints().Done; db.Engine().Checkpoints().Done < before+2; {
		exec(`INSERT INTO s VALUES ('2026-01-01 10:00:01Z', 'key number 1')`)
	}
	close(stop)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = inproc.Open(inproc.Options{Disk: disk, Clock: clock, Workers: 1}); err != nil {
		t.Fatal(err)
	}
	if db.Rerun > 0 {
		t.Errorf("%d epochs ran again after a last checkpoint", db.Rerun)
	}
	exec(`INSERT INTO s VALUES ('2026-01-01 12:00:00Z', 'end')`)
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Changes("q"); err != nil || n != keys {
		t.Errorf("%d results, not %d: %v", n, keys, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
