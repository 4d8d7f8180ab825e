package inproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/tests/need"
)

// smallDisk is a directory on a file system of its own, and what makes that larger.
func smallDisk(t *testing.T, size string) (dir string, resize func(size string)) {
	t.Helper()
	dir = t.TempDir()
	mount := func(options ...string) ([]byte, error) {
		return exec.Command("mount", append(options, "tmpfs", dir)...).CombinedOutput()
	}
	if out, err := mount("-t", "tmpfs", "-o", "size="+size); err != nil {
		need.Missing(t, "a small tmpfs", fmt.Sprintf("it needs root: %v %s", err, out))
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir, func(size string) {
		if out, err := mount("-o", "remount,size="+size); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
}

// keysOf are rows of keys that nobody else has; they are long, so that they lie outside of their entries.
func keysOf(from, n int) []byte {
	var b bytes.Buffer
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, `{"ts":"2026-03-01T00:00:00Z","k":"%0300d","n":1}`+"\n", i)
	}
	return b.Bytes()
}

// TestStateOnFullDisk: when state has to move and the disk has no room, events are refused with an error that says so; when there is room, they are
// taken again, and nothing that was taken is lost or counts twice.
func TestStateOnFullDisk(t *testing.T) {
	const budget, step = 8 << 20, 200
	dir, resize := smallDisk(t, "5m")
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)), Workers: 2, EpochMax: time.Millisecond,
		Memory: budget, StateDir: dir, MemoryUse: func(state func() int64) (int64, int64) { return state(), 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts)")
	mustExec(t, db, "CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')")
	keys, refused := 0, 0
	for want := 1 << 20; keys < want; {
		if keys > 400_000 {
			t.Fatal("the state never was too large for the disk")
		}
		_, err := db.Append("s", keysOf(keys, step))
		switch {
		case err == nil:
			keys += step
		case sqlerr.As(err).Code != sqlerr.DiskFull || !strings.Contains(err.Error(), "state cannot move to the disk"):
			t.Fatal(err)
		case refused == 0:
			refused++
			if ready := db.Engine().Ready(); ready == nil || !strings.Contains(ready.Error(), "state cannot move to the disk") {
				t.Errorf("ready: %v", ready)
			}
			resize("300m")
			want = keys + 20*step
		default:
			refused++
		}
	}
	if rejected, err := db.Append("s", []byte(`{"ts":"2026-03-05T00:00:00Z","k":"end","n":1}`+"\n")); err != nil || rejected > 0 {
		t.Fatal(rejected, err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(mustRows(t, db, "SELECT count(*), sum(c) FROM q")); got != fmt.Sprintf("[[%d %d]]", keys, keys) {
		t.Errorf("%s results of %d keys", got, keys)
	}
	t.Logf("%d keys, refused %d times", keys, refused)
}

// breakState makes what of the state lies in the file of a directory unreadable, as where the disk fails to read it.
func breakState(t *testing.T, dir string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, dir) {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MPROTECT, from, to-from, syscall.PROT_NONE); errno == 0 {
			broken += int(to - from)
		}
	}
	if broken == 0 {
		t.Fatal("no state lies in the file")
	}
}

// TestStateUnreadable: where state that lies in the file cannot be read, its query goes out of service and says why; the others go on.
func TestStateUnreadable(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)), Workers: 1, CheckpointEvery: -1,
		Memory: 2 << 20, StateDir: dir, MemoryUse: func(state func() int64) (int64, int64) { return state(), 0 }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts)")
	mustExec(t, db, "CREATE CONTINUOUS QUERY many AS SELECT k, count(*) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')")
	mustExec(t, db, "CREATE CONTINUOUS QUERY one AS SELECT count(*) AS c FROM s GROUP BY TUMBLE(ts, INTERVAL '1 day')")
	for from := 0; from < 40_000; from += 1000 {
		if _, err := db.Append("s", keysOf(from, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	breakState(t, dir)
	if _, err := db.Append("s", keysOf(0, 40_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Append("s", []byte(`{"ts":"2026-03-05T00:00:00Z","k":"end","n":1}`+"\n")); err != nil {
		t.Fatal(err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(mustRows(t, db, "SELECT name, state FROM vigil.queries ORDER BY name")); got != "[[many "+job.StateDeactivated+"] [one "+job.StateRunning+"]]" {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(mustRows(t, db, "SELECT c FROM one")); got != "[[80000]]" {
		t.Errorf("the other query gives %s", got)
	}
}

// TestCheckpointUnreadable: where what a checkpoint is made of cannot be read any more, the engine ends and says so, and the next one has lost nothing.
func TestCheckpointUnreadable(t *testing.T) {
	const keys = 3000
	dir, disk, clock := t.TempDir(), NewDisk(), NewClock(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC))
	store := &slowCheckpoints{Store: disk.KV, at: make(chan struct{}), on: make(chan struct{})}
	db, err := Open(Options{Disk: disk, Store: store, Clock: clock, Workers: 1, EpochMax: time.Millisecond, CheckpointEvery: time.Millisecond,
		Memory: 1 << 20, StateDir: dir, MemoryUse: func(func() int64) (int64, int64) { return 1 << 30, 0 }})
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts)")
	mustExec(t, db, "CREATE CONTINUOUS QUERY q AS SELECT k, count(*) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')")
	for db.Engine().Memory().Resident == 0 { // the first look at the memory
		runtime.Gosched()
	}
	store.hold.Store(true)
	if _, err := db.Append("s", keysOf(0, keys)); err != nil {
		t.Fatal(err)
	}
	<-store.at // a checkpoint was read, and is to be written
	for db.Engine().Memory().OnDisk == 0 {
		runtime.Gosched()
	}
	breakState(t, dir)
	store.hold.Store(false)
	close(store.on) // it fails, and is to be read once more
	<-db.Engine().Failed()
	if err := db.Err(); err == nil || !strings.Contains(err.Error(), "state that lies in a file cannot be read") {
		t.Errorf("the engine ended because of: %v", err)
	}
	_ = db.Close() // says why it had ended
	if db, err = Open(Options{Disk: disk, Clock: clock, Workers: 1}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Append("s", []byte(`{"ts":"2026-03-05T00:00:00Z","k":"end","n":1}`+"\n")); err != nil {
		t.Fatal(err)
	}
	if err := db.Settle(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(mustRows(t, db, "SELECT count(*), sum(c) FROM q")); got != fmt.Sprintf("[[%d %d]]", keys, keys) {
		t.Errorf("%s results of %d keys", got, keys)
	}
}

// slowCheckpoints is a store whose checkpoints fail while it holds them, the first of them once on is closed.
type slowCheckpoints struct {
	kv.Store
	hold   atomic.Bool
	once   sync.Once
	at, on chan struct{}
}

type slowBatch struct {
	kv.Batch
	s     *slowCheckpoints
	large bool
}

// NewBatch implements kv.Store.
func (s *slowCheckpoints) NewBatch() kv.Batch { return &slowBatch{Batch: s.Store.NewBatch(), s: s} }

func (b *slowBatch) Set(key, value []byte) {
	b.large = b.large || key[0] == kv.PrefixCheckpoint && len(value) > 32<<10
	b.Batch.Set(key, value)
}

func (b *slowBatch) Commit(sync bool) error {
	if !b.large || !b.s.hold.Load() {
		return b.Batch.Commit(sync)
	}
	b.s.once.Do(func() { close(b.s.at) })
	<-b.s.on
	b.Batch.Discard()
	return errors.New("this block is not for writing")
}
