package inproc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/server/httpapi"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// gatedFS is a disk whose files are synced when the test lets them; as slow as a disk can be.
type gatedFS struct {
	eventlog.FS
	mu sync.RWMutex // held for writing while nothing is synced
}

type gatedFile struct {
	eventlog.File
	fs *gatedFS
}

// Create implements eventlog.FS.
func (g *gatedFS) Create(name string) (eventlog.File, error) { return g.gated(g.FS.Create(name)) }

// Open implements eventlog.FS.
func (g *gatedFS) Open(name string) (eventlog.File, error) { return g.gated(g.FS.Open(name)) }

func (g *gatedFS) gated(f eventlog.File, err error) (eventlog.File, error) {
	return &gatedFile{f, g}, err
}

// Sync implements eventlog.File.
func (f *gatedFile) Sync() error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	return f.File.Sync()
}

const (
	overloadBody = 1 << 20 // about, bytes of a post
	overloadMax  = 8 << 20 // of bodies in memory, each counted twice
)

// overloadLine is a row with number n.
func overloadLine(n int) string {
	return fmt.Sprintf(`{"ts":"2026-01-05T10:00:00Z","n":%d,"t":"%s"}`+"\n", n, strings.Repeat("x", 1000))
}

// producer posts to streams s0 .. s2 in process.
type producer struct {
	api *httpapi.API

	mu         sync.Mutex
	held, peak int // bytes of bodies that the server has taken and not answered
}

// meteredBody counts what was read of it.
type meteredBody struct {
	io.Reader
	p    *producer
	read int
}

// Read implements io.Reader.
func (b *meteredBody) Read(dst []byte) (int, error) {
	n, err := b.Reader.Read(dst)
	b.read += n
	b.p.count(n)
	return n, err
}

// Close implements io.Closer.
func (b *meteredBody) Close() error { return nil }

func (p *producer) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held += n
	p.peak = max(p.peak, p.held)
}

// post sends one body of rows that all have the number n, and returns the status and Retry-After. Half of the posts do not
// declare their length.
func (p *producer) post(n int) (int, string) {
	line := overloadLine(n)
	data := strings.Repeat(line, overloadBody/len(line))
	body := &meteredBody{Reader: strings.NewReader(data), p: p}
	req := httptest.NewRequest("POST", fmt.Sprintf("/v1/streams/s%d/events", n%3), body)
	req.ContentLength = int64(len(data))
	if n%2 == 1 {
		req.ContentLength = -1
	}
	req.Header.Set("Idempotency-Key", strconv.Itoa(n))
	rec := httptest.NewRecorder()
	p.api.ServeHTTP(rec, req)
	p.count(-body.read)
	return rec.Code, rec.Header().Get("Retry-After")
}

// TestOverload: many large posts against a disk that stands still. What they hold stays within the budget, the others are
// told to come again, and in the end every row is there once.
func TestOverload(t *testing.T) {
	fs := &gatedFS{FS: eventlog.NewMemFS()}
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), LogFS: fs, Clock: inproc.NewClock(time.Unix(1_700_000_000, 0)), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 3 {
		if err := db.Exec(fmt.Sprintf("CREATE STREAM s%d (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts)", i)); err != nil {
			t.Fatal(err)
		}
	}
	p := &producer{api: httpapi.New(db.Session(), httpapi.Options{IngestMax: overloadMax})}
	const posts = 30
	fs.mu.Lock()
	type answer struct {
		n, status int
		retry     string
	}
	answers := make(chan answer, posts)
	for n := range posts {
		go func() {
			status, retry := p.post(n)
			answers <- answer{n, status, retry}
		}()
	}
	// While the disk stands still nobody is acknowledged, and no more than fits the budget can be waiting: the others are
	// answered, 429 all of them.
	var again []int
	for len(again) < posts-overloadMax/2/overloadBody-1 {
		a := <-answers
		seconds, err := strconv.Atoi(a.retry)
		if a.status != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 60 {
			t.Errorf("post %d: status %d, Retry-After %q", a.n, a.status, a.retry)
		}
		again = append(again, a.n)
	}
	fs.mu.Unlock()
	for range posts - len(again) {
		if a := <-answers; a.status == http.StatusTooManyRequests {
			again = append(again, a.n)
		} else if a.status != http.StatusOK {
			t.Errorf("post %d: %d", a.n, a.status)
		}
	}
	for _, n := range again {
		if status, _ := p.post(n); status != http.StatusOK {
			t.Errorf("post %d again: %d", n, status)
		}
	}
	if p.held != 0 || p.peak == 0 || p.peak > overloadMax/2 {
		t.Errorf("%d bytes of bodies are held, at most it were %d, the bound is %d", p.held, p.peak, overloadMax/2)
	}
	for n := range posts {
		rows, err := db.Rows(fmt.Sprintf("SELECT count(*) FROM s%d WHERE n = %d", n%3, n))
		if want := fmt.Sprint(overloadBody / len(overloadLine(n))); err != nil || rows[0][0] != want {
			t.Errorf("post %d: %v rows, want %s (%v)", n, rows, want, err)
		}
	}
}
