package faults

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

const (
	slowSenders = 8
	slowPieces  = 6 // of each sender
	slowRows    = 2000
)

// slowRun is senders that send as fast as they are answered, to a disk each of whose syncs takes its time.
type slowRun struct {
	t     *testing.T
	d     *disk
	db    *inproc.DB
	syncs atomic.Int64 // of the event log

	mu    sync.Mutex
	acked map[string]bool // pieces
}

func slowPiece(sender, piece int) (name string, data []byte) {
	name = fmt.Sprintf("%d-%d", sender, piece)
	var b bytes.Buffer
	for i := range slowRows {
		fmt.Fprintf(&b, `{"id":%d,"piece":%q,"ts":%q}`+"\n", i, name, begin.Format(time.RFC3339))
	}
	return name, b.Bytes()
}

// send is one sender. It looks at what waits each time that it is answered.
func (r *slowRun) send(stream uint64, sender int) {
	for piece := range slowPieces {
		name, data := slowPiece(sender, piece)
		before := r.syncs.Load()
		if _, err := r.db.Session().Append(context.Background(), session.Ingest{Stream: stream, Key: name, Data: data}); err != nil {
			r.t.Error(err)
			return
		}
		if r.syncs.Load() == before {
			r.t.Errorf("piece %s was answered before anything was synced", name)
		}
		r.mu.Lock()
		r.acked[name] = true
		acked := int64(len(r.acked))
		r.mu.Unlock()
		if n := r.syncs.Load(); acked > n*slowSenders {
			r.t.Errorf("%d pieces were answered after %d syncs, and %d senders wait for their answers", acked, n, slowSenders)
		}
		st, _ := r.db.Engine().Stream(stream)
		if most := int64(slowSenders * len(data)); st.Log.QueueBytes > most || st.Pending > 2*most {
			r.t.Errorf("%d bytes wait to be written, %d to be processed; the senders have sent %d", st.Log.QueueBytes, st.Pending, most)
		}
		for _, q := range r.db.Engine().Queues() {
			if q.Waiting > q.Max {
				r.t.Errorf("%d wait in %s, where %d may", q.Waiting, q.Name, q.Max)
			}
		}
	}
}

// pieces are those that a query has on a disk, each of them whole.
func (r *slowRun) pieces(db *inproc.DB) map[string]bool {
	for { // after a crash, what the log has is processed beside the connection
		if err := db.Settle(); err != nil {
			r.t.Fatal(err)
		}
		if rows, err := db.Rows("SELECT pending_bytes FROM vigil.streams"); err != nil || rows[0][0] == "0" {
			break
		}
	}
	rows, err := db.Rows("SELECT piece, count(*), count(DISTINCT id) FROM q GROUP BY piece")
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]bool{}
	for _, x := range rows {
		if out[x[0]] = true; x[1] != fmt.Sprint(slowRows) || x[2] != x[1] {
			r.t.Errorf("piece %s has %s rows, %s of them different, of %d", x[0], x[1], x[2], slowRows)
		}
	}
	return out
}

// TestEachSyncIsSlow: with syncs that take 200 ms each, by the clock of the machine, senders wait for them, together; what waits is bounded by how many they are; what was answered
// is there once, also when the power goes on the way.
func TestEachSyncIsSlow(t *testing.T) {
	r := &slowRun{t: t, d: newDisk(), acked: map[string]bool{}}
	slow := atomic.Bool{}
	r.d.hook = func(what, _ string) error {
		if strings.HasSuffix(what, " sync") && slow.Load() {
			<-time.After(200 * time.Millisecond)
			if strings.HasPrefix(what, "log") {
				r.syncs.Add(1)
			}
		}
		return nil
	}
	open := func(d *disk) (*inproc.DB, *pebblekv.Store) {
		store, err := pebblekv.Open("kv", pebblekv.Options{FS: d.kv})
		if err != nil {
			t.Fatal(err)
		}
		db, err := inproc.Open(inproc.Options{Store: store, LogFS: logFS{d.log, d}, Clock: inproc.NewClock(begin), Workers: 2, CheckpointEvery: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return db, store
	}
	db, store := open(r.d)
	r.db = db
	for _, sql := range []string{`CREATE STREAM ev (id BIGINT, piece TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts) FORMAT JSON`, `CREATE CONTINUOUS QUERY q AS SELECT piece, id FROM ev`} {
		if err := db.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	stream, err := db.StreamID("ev")
	if err != nil {
		t.Fatal(err)
	}
	slow.Store(true)
	var senders sync.WaitGroup
	for i := range slowSenders {
		senders.Go(func() { r.send(stream, i) })
	}
	var lost *disk // the disk as it is when half of the pieces were answered
	answered := map[string]bool{}
	for lost == nil {
		<-time.After(time.Millisecond)
		r.mu.Lock()
		if len(r.acked) >= slowSenders*slowPieces/2 || t.Failed() {
			for name := range r.acked {
				answered[name] = true
			}
			lost = r.d.crash(nil)
		}
		r.mu.Unlock()
	}
	senders.Wait()
	slow.Store(false)
	if got := r.pieces(db); len(got) != slowSenders*slowPieces {
		t.Errorf("%d pieces of %d are there", len(got), slowSenders*slowPieces)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_ = store.Close()
	db, store = open(lost)
	got := r.pieces(db)
	for name := range answered {
		if !got[name] {
			t.Errorf("piece %s was answered and is lost", name)
		}
	}
	t.Logf("%d pieces after %d syncs of the log; %d were answered when the power went, %d there afterwards", len(r.acked), r.syncs.Load(), len(answered), len(got))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_ = store.Close()
}
