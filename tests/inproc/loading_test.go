package inproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/httpapi"
	"github.com/vigil-sql/vigil/storage/kv"
)

// heldStore is a store in which a reader stops at a key, until the test lets it go on.
type heldStore struct {
	kv.Store
	// at tells whether the n-th key of the n-th scan that begins at lo is the one.
	at func(lo []byte, scan, key int) bool

	mu      sync.Mutex
	scans   map[string]int
	once    sync.Once
	reached chan struct{}
	release chan struct{}
}

func holdAt(store kv.Store, at func(lo []byte, scan, key int) bool) *heldStore {
	return &heldStore{Store: store, at: at, scans: map[string]int{}, reached: make(chan struct{}), release: make(chan struct{})}
}

// Scan implements kv.Reader.
func (h *heldStore) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	h.mu.Lock()
	h.scans[string(lo)]++
	scan, keys := h.scans[string(lo)], 0
	h.mu.Unlock()
	return h.Store.Scan(lo, hi, func(key, value []byte) (bool, error) {
		if keys++; h.at(lo, scan, keys) {
			h.once.Do(func() { close(h.reached); <-h.release })
		}
		return fn(key, value)
	})
}

// Where loading is held: as it reads the state of queries, and when some of the epochs after the checkpoint have run again.
var loadingHolds = []struct {
	name string
	at   func(lo []byte, scan, key int) bool
}{
	{"state", func(lo []byte, _, _ int) bool { return lo[0] == kv.PrefixCheckpoint && len(lo) > 2 }},
	{"epochs", func(lo []byte, scan, key int) bool {
		// Epoch records are 0x02 of what storage/meta has; the first scan only counts them.
		return len(lo) > 2 && lo[0] == kv.PrefixMeta && lo[1] == 0x02 && scan == 2 && key == 4
	}},
}

// loadingLooks are what can be asked for while the server loads.
var loadingLooks = []string{
	"SELECT * FROM perhour ORDER BY n, c", "SELECT * FROM big ORDER BY n", "SELECT * FROM later ORDER BY n", "SELECT * FROM overbig ORDER BY n", "SELECT * FROM v ORDER BY n",
	"SELECT * FROM all0 ORDER BY n", "SELECT * FROM all2 ORDER BY n", "SELECT * FROM gap0 ORDER BY n, c", "SELECT * FROM gap1 ORDER BY n, c",
	"SELECT count(*), sum(n) FROM log", "SELECT * FROM names ORDER BY n", "SELECT count(*) FROM log WHERE line IN IOC bad", "SELECT name, entries FROM vigil.ioc_lists",
	"SELECT name, rows FROM vigil.tables", "SELECT b.n, names.name FROM big AS b JOIN names ON b.n = names.n ORDER BY 1", "SHOW TABLES",
	"SELECT relname FROM pg_class WHERE relname IN ('perhour', 'log', 'names') ORDER BY 1", "SELECT count(*) > 3 FROM vigil.epochs", "SHOW server_version",
}

// loadingDisk is a disk with a checkpoint, epochs after it, and an answer to each of loadingLooks.
func loadingDisk(t *testing.T) (disk *Disk, want []string) {
	disk = NewDisk()
	o := Options{Disk: disk, EpochMin: time.Millisecond}
	db := costsDB(t, o)
	mustExec(t, db, logStream, "CREATE TABLE names (n BIGINT PRIMARY KEY, name TEXT)", "INSERT INTO names VALUES (11, 'eleven'), (12, 'twelve')",
		"CREATE IOC LIST bad TYPE domain", "CREATE CONTINUOUS QUERY perhour "+perHour+" EMIT ON UPDATE", "CREATE CONTINUOUS QUERY big AS SELECT n FROM log WHERE n > 10",
		"CREATE CONTINUOUS QUERY overbig AS SELECT n FROM big WHERE n < 100", "CREATE VIEW v AS SELECT n FROM big")
	for i := range 3 { // they share state
		mustExec(t, db, fmt.Sprintf("CREATE CONTINUOUS QUERY all%d AS SELECT n, count(*) AS c FROM log GROUP BY n HAVING count(*) > %d", i, i),
			fmt.Sprintf("CREATE CONTINUOUS QUERY gap%d AS SELECT n, count(*) AS c FROM log GROUP BY n, SESSION(ts, INTERVAL '15 minutes') HAVING count(*) > %d EMIT ON UPDATE", i, i))
	}
	appendAt(t, db, "12:00:00", 0, 20)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = costsDB(t, o)
	for i := range 5 {
		appendAt(t, db, "12:10:00", 8+i, 20)
	}
	mustExec(t, db, "INSERT INTO names VALUES (13, 'thirteen')", "INSERT INTO bad VALUES ('x.example')", "CREATE CONTINUOUS QUERY later AS SELECT n FROM log WHERE n > 15",
		"UPDATE names SET name = 'dozen' WHERE n = 12", "INSERT INTO bad VALUES ('y.example')")
	appendAt(t, db, "12:20:00", 5, 20)
	for _, sql := range loadingLooks {
		want = append(want, flat(t, db, sql))
	}
	disk = disk.Crash(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, want
}

func sameLooks(t *testing.T, db *DB, want []string) {
	t.Helper()
	for i, sql := range loadingLooks {
		if got := flat(t, db, sql); got != want[i] {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want[i])
		}
	}
}

// TestServesWhileLoading: while the server loads, what was committed is there, exactly; what needs more waits, and goes on when it is
// loaded, as it would have without the wait.
func TestServesWhileLoading(t *testing.T) {
	for _, hold := range loadingHolds {
		t.Run(hold.name, func(t *testing.T) {
			disk, want := loadingDisk(t)
			other := disk.Crash(nil)
			store := holdAt(disk.KV, hold.at)
			db := costsDB(t, Options{Disk: disk, Store: store, Loading: true})
			<-store.reached
			sameLooks(t, db, want)
			if got := flat(t, db, "SELECT DISTINCT state, progress BETWEEN 0 AND 1 FROM vigil.queries"); got != "loading t" {
				t.Errorf("vigil.queries says %s", got)
			}
			api := httpapi.New(db.Session(), httpapi.Options{})
			loadingHTTP(t, api)
			loadingCancel(t, db)
			added := make(chan error)
			go func() { added <- db.Exec("INSERT INTO log VALUES ('2026-03-01 12:30:00Z', 14, 'y.example')") }()
			close(store.release)
			if err := <-added; err != nil {
				t.Fatal(err)
			}
			ask(t, api, "GET", "/readyz", http.StatusOK)
			undisturbed := costsDB(t, Options{Disk: other})
			mustExec(t, undisturbed, "INSERT INTO log VALUES ('2026-03-01 12:30:00Z', 14, 'y.example')")
			for _, x := range []*DB{db, undisturbed} {
				appendAt(t, x, "14:00:00", 9, 20)
			}
			want = want[:0]
			for _, sql := range loadingLooks {
				want = append(want, flat(t, undisturbed, sql))
			}
			sameLooks(t, db, want)
			if got := flat(t, db, "SELECT DISTINCT state, progress FROM vigil.queries"); got != "running NULL" {
				t.Errorf("vigil.queries says %s", got)
			}
			for _, x := range []*DB{db, undisturbed} {
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// ask makes a request and returns the answer to it.
func ask(t *testing.T, api *httpapi.API, method, path string, status int) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(`{"ts":"2026-03-01T12:30:00Z","n":1}`)))
	if w.Code != status {
		t.Errorf("%s %s: status %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w
}

// loadingHTTP: the server is alive and says that it loads; results are there, events have to come again.
func loadingHTTP(t *testing.T, api *httpapi.API) {
	t.Helper()
	ask(t, api, "GET", "/healthz", http.StatusOK)
	if w := ask(t, api, "GET", "/readyz", http.StatusServiceUnavailable); !strings.Contains(w.Body.String(), "loading: ") {
		t.Errorf("/readyz says %s", w.Body)
	}
	w := ask(t, api, "POST", "/v1/streams/log/events", http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), string(sqlerr.CannotConnectNow)) {
		t.Errorf("events are refused with %v, %s", w.Header(), w.Body)
	}
	if w := ask(t, api, "GET", "/v1/queries/big/results?limit=1", http.StatusOK); !strings.Contains(w.Body.String(), `"n":11`) {
		t.Errorf("the first result is %s", w.Body)
	}
	if w := ask(t, api, "GET", "/metrics", http.StatusOK); !strings.Contains(w.Body.String(), "vigil_ready 0") {
		t.Error("vigil_ready is not 0")
	}
}

// noticed cancels a statement when it says that it waits.
type noticed struct {
	output
	stop func()
}

// Flush implements pgwire.Output.
func (n *noticed) Flush() error {
	n.stop()
	return nil
}

// loadingCancel: a change says that it waits, and can be cancelled; nothing of it happens.
func loadingCancel(t *testing.T, db *DB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	list, err := db.conn.Split("CREATE TABLE never (n BIGINT)")
	if err != nil {
		t.Fatal(err)
	}
	out := &noticed{output{format: &types.TextFormat{}, in: bytes.NewReader(nil)}, cancel}
	if st, err := db.conn.Prepare(ctx, list[0], nil); err != nil {
		t.Fatal(err)
	} else if portal, err := st.Bind(nil); err != nil {
		t.Fatal(err)
	} else if _, _, err = portal.Execute(ctx, 0, out); sqlerr.CodeOf(err) != sqlerr.QueryCanceled {
		t.Errorf("a change that is cancelled while the server loads: %v", err)
	}
	for _, sql := range []string{"INSERT INTO log VALUES ('2026-03-01 12:30:00Z', 14, 'y.example')", "INSERT INTO names VALUES (1, 'x')", "DELETE FROM names",
		"INSERT INTO bad VALUES ('z.example')", "REPLAY LATE log", "BACKUP TO '/'", "EXPLAIN ANALYZE big"} {
		if list, err = db.conn.Split(sql); err != nil {
			t.Fatal(err)
		}
		if err := db.run(ctx, list[0], &out.output); sqlerr.CodeOf(err) != sqlerr.QueryCanceled {
			t.Errorf("%s, cancelled while the server loads: %v", sql, err)
		}
	}
}

// TestCloseWhileLoading: a server that is stopped while it loads ends at once, without an error, and leaves the disk as it was; those who
// wait hear of it. The next one finds all.
func TestCloseWhileLoading(t *testing.T) {
	for _, hold := range loadingHolds {
		t.Run(hold.name, func(t *testing.T) {
			disk, want := loadingDisk(t)
			before := contents(t, disk.KV)
			for range 3 {
				store := holdAt(disk.KV, hold.at)
				db := costsDB(t, Options{Disk: disk, Store: store, Loading: true})
				<-store.reached
				waits, closed := make(chan error), make(chan error)
				go func() {
					_, err := db.Append("log", []byte(`{"ts":"2026-03-01T12:30:00Z","n":1}`))
					waits <- err
				}()
				go func() { closed <- db.Close() }()
				if err := <-waits; sqlerr.CodeOf(err) != sqlerr.AdminShutdown {
					t.Errorf("one who waits gets %v", err)
				}
				close(store.release)
				if err := <-closed; err != nil {
					t.Error(err)
				}
				if !bytes.Equal(contents(t, disk.KV), before) {
					t.Error("the disk is not as it was")
				}
			}
			db := costsDB(t, Options{Disk: disk})
			sameLooks(t, db, want)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCloseWhileSourceIsSilent: a server that waits for a source, as it runs epochs again, ends when it is told to.
func TestCloseWhileSourceIsSilent(t *testing.T) {
	w := newSourceWorld(t, 2) // without checkpoints
	w.open()
	w.exec(sourceStream)
	w.exec("CREATE CONTINUOUS QUERY everything AS SELECT id FROM s")
	for range 5 {
		w.send()
	}
	w.settled("everything", w.id)
	disk := w.options.Disk.Crash(nil)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	w.b.asked = make(chan struct{})
	db := costsDB(t, Options{Disk: disk, Connectors: []connector.Def{w.b.def()}, Loading: true})
	<-w.b.asked
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on waiting for the source")
	}
}

// contents is all that is in a store.
func contents(t *testing.T, store kv.Reader) (all []byte) {
	t.Helper()
	err := store.Scan(nil, nil, func(key, value []byte) (bool, error) {
		all = append(append(all, key...), value...)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLoadingFails: state that cannot be loaded ends the server, with an error that says so, and those who wait hear it.
func TestLoadingFails(t *testing.T) {
	disk, want := loadingDisk(t)
	store := holdAt(disk.KV, loadingHolds[0].at)
	db := costsDB(t, Options{Disk: disk, Store: &brokenStore{store, store.release}, Loading: true})
	<-store.reached
	sameLooks(t, db, want)
	close(store.release)
	_, err := db.Append("log", []byte(`{"ts":"2026-03-01T12:30:00Z","n":1}`))
	<-db.Engine().Failed()
	for _, err := range []error{err, db.Err(), db.Close()} {
		if err == nil || !strings.Contains(err.Error(), "load what is stored") || !errors.Is(err, kv.ErrInjected) {
			t.Errorf("state that cannot be read: %v", err)
		}
	}
	if _, err := Open(Options{Disk: disk, Store: &brokenStore{disk.KV, store.release}, Clock: NewClock(time.Now())}); !errors.Is(err, kv.ErrInjected) {
		t.Errorf("opened by one who waits: %v", err)
	}
	db = costsDB(t, Options{Disk: disk})
	sameLooks(t, db, want)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// brokenStore cannot read the state of queries to its end, once since is closed.
type brokenStore struct {
	kv.Store
	since chan struct{}
}

// Scan implements kv.Reader.
func (b *brokenStore) Scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) error {
	if err := b.Store.Scan(lo, hi, fn); err != nil || lo[0] != kv.PrefixCheckpoint || len(lo) <= 2 {
		return err
	}
	select {
	case <-b.since:
	default:
		return nil
	}
	return fmt.Errorf("block of sector 7: %w", kv.ErrInjected)
}
