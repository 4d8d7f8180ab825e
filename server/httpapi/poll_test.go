package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/storage/results"
)

// page is an answer to a poll.
type page struct {
	Cursor string
	Rows   []struct {
		N int
		T *string
	}
}

func (p page) numbers() []int {
	list := []int{}
	for _, r := range p.Rows {
		list = append(list, r.N)
	}
	return list
}

// poll asks for a page of q.
func (f *fixture) poll(params string) page {
	f.t.Helper()
	status, body := f.do(request{"GET", "/v1/queries/q/results?" + params, "", ""})
	var p page
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != 200 || p.Rows == nil {
		f.t.Fatalf("%s: %d %s %v", params, status, body, err)
	}
	return p
}

// post adds events.
func (f *fixture) post(numbers ...int) {
	f.t.Helper()
	var b strings.Builder
	for _, n := range numbers {
		b.WriteString(event(n) + "\n")
	}
	if status, body := f.do(request{"POST", "/v1/streams/s/events", "", b.String()}); status != 200 {
		f.t.Fatal(status, body)
	}
}

// trimAll drops all rows.
var trimAll = results.Bounds{BeforeClock: math.MaxInt64, KeepFrom: math.MaxInt64}

// TestPages follows a query by its cursor, across a restart.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	f.sql(objects)
	empty := f.poll("")
	if len(empty.Rows) != 0 || empty.Cursor == "" {
		t.Fatalf("a page before any row: %+v", empty)
	}
	f.post(1, 2, 3, 4, 5)
	a := f.poll("wait=30s&limit=2&after=" + empty.Cursor)
	b := f.poll("limit=2&after=" + a.Cursor)
	if !slices.Equal(a.numbers(), []int{1, 2}) || !slices.Equal(b.numbers(), []int{3, 4}) || a.Rows[0].T != nil {
		t.Errorf("pages %v, %v", a.numbers(), b.numbers())
	}
	f.stop()
	f = start(t, dir)
	c := f.poll("after=" + b.Cursor)
	if !slices.Equal(c.numbers(), []int{5}) {
		t.Errorf("after the restart: %v", c.numbers())
	}
	if d := f.poll("after=" + c.Cursor); len(d.Rows) != 0 || d.Cursor != c.Cursor {
		t.Errorf("nothing new: %+v after %s", d, c.Cursor)
	}
	if all := f.poll(""); !slices.Equal(all.numbers(), []int{1, 2, 3, 4, 5}) {
		t.Errorf("without cursor: %v", all.numbers())
	}
	// Rows that are not kept any more are not left out without a word.
	results, id := f.srv.Session().Engine().Results(), uint64(0)
	for _, q := range f.srv.Session().Catalog().Snapshot().Queries() {
		id = q.ID
	}
	if err := results.Trim(id, trimAll); err != nil {
		t.Fatal(err)
	}
	status, body := f.do(request{"GET", "/v1/queries/q/results?after=" + b.Cursor, "", ""})
	if status != 410 || !strings.Contains(body, `"72000"`) || !strings.Contains(body, "rows 4 to 4 of continuous query") {
		t.Errorf("rows that have gone: %d %s", status, body)
	}
	if d := f.poll("after=" + c.Cursor); len(d.Rows) != 0 || d.Cursor != c.Cursor {
		t.Errorf("behind them: %+v after %s", d, c.Cursor)
	}
	if d := f.poll(""); len(d.Rows) != 0 || d.Cursor != c.Cursor {
		t.Errorf("without cursor: %+v", d)
	}
}

// TestReplaced: a cursor of an earlier query of the same name begins with the new one's first row. Taken as an offset it
// would skip rows.
func TestReplaced(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	f.post(1, 2, 3)
	old := f.poll("wait=30s")
	for len(old.Rows) < 3 {
		old = f.poll("wait=30s")
	}
	f.sql("CREATE OR REPLACE CONTINUOUS QUERY q AS SELECT n + 100 AS n, t FROM s")
	f.post(4)
	if got := f.poll("wait=30s&after=" + old.Cursor); !slices.Equal(got.numbers(), []int{104}) {
		t.Errorf("rows of the new query: %v", got.numbers())
	}
}

// TestLongPoll: a poll waits for a row and no longer, ends with an empty page when its time is over, and tells that its
// query was dropped.
func TestLongPoll(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	begun := time.Now()
	if p := f.poll("wait=0.2"); len(p.Rows) != 0 || time.Since(begun) < 200*time.Millisecond {
		t.Errorf("%d rows after %s", len(p.Rows), time.Since(begun))
	}
	ask := func() chan string {
		answer := make(chan string, 1)
		go func() {
			status, body, err := f.try(request{"GET", "/v1/queries/q/results?wait=30s", "", ""})
			answer <- fmt.Sprint(status, " ", body, " ", err)
		}()
		return answer
	}
	dropped := ask()
	f.waitForPolls(1)
	f.sql("DROP CONTINUOUS QUERY q")
	if got := <-dropped; !strings.HasPrefix(got, "404 ") || !strings.Contains(got, "was dropped") {
		t.Errorf("a poll of a query that is dropped meanwhile: %s", got)
	}
	f.sql("CREATE CONTINUOUS QUERY q AS SELECT n, t FROM s")
	woken := ask()
	f.waitForPolls(1)
	begun = time.Now()
	f.post(7)
	if got := <-woken; !strings.Contains(got, `"rows":[{"n":7,"t":null}]`) || time.Since(begun) > 20*time.Second {
		t.Errorf("%s after %s", got, time.Since(begun))
	}
}

// waitForPolls waits until n handlers are in a long poll.
func (f *fixture) waitForPolls(n int) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); countStacks("results.(*Store).Wait(") < n; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatal("the poll does not wait")
		}
	}
}

// countStacks counts the goroutines that are in a function.
func countStacks(function string) int {
	buf := make([]byte, 4<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), function)
}

// TestBadPolls: what cannot be answered.
func TestBadPolls(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	cursor := f.poll("").Cursor
	ahead := cursor[:strings.LastIndexByte(cursor, '-')+1] + "999"
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/v1/queries/nope/results", 404, `continuous query \"nope\" does not exist`},
		{"/v1/queries/s/results", 404, "does not exist"},
		{"/v1/queries/q/results?after=5", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?after=v1-5", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?after=v1-1--5", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?after=v1-1-5x", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?after=v1-01-5", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?after=v1-1-99999999999999999999", 400, "is not one that this server gave"},
		{"/v1/queries/q/results?wait=30s&after=" + ahead, 400, "nobody has read up to 999"},
		{"/v1/queries/q/results?wait=soon", 400, "is not a duration"},
		{"/v1/queries/q/results?wait=-1s", 400, "is not a duration"},
		{"/v1/queries/q/results?wait=NaN", 400, "is not a duration"},
		{"/v1/queries/q/results?wait=1e300", 400, "is not a duration"},
		{"/v1/queries/q/results?limit=0", 400, "is not a positive number"},
		{"/v1/queries/q/results?limit=many", 400, "is not a positive number"},
	} {
		if status, body := f.do(request{"GET", c.path, "", ""}); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.path, status, body, c.status, c.want)
		}
	}
}

// TestGarbage sends what is no HTTP, or none that ends: an answer or a closed connection, and the server goes on.
func TestGarbage(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	for _, noise := range []string{"\x00\xff\xfe\x01\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", strings.Repeat("A", 200<<10),
		"POST /v1/streams/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"ts\":",
		"POST /v1/streams/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /v1/streams/s/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, noise) // the server may close before it has read all
		if err := conn.(*net.TCPConn).CloseWrite(); err == nil {
			if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && res.StatusCode < 400 {
				t.Errorf("%.20q is answered by %s", noise, res.Status)
			}
		}
		_ = conn.Close() // it may be closed already
	}
	if got := f.sql("SELECT count(*) FROM s"); got[0] != "0" {
		t.Errorf("%s rows of garbage", got[0])
	}
	if status, _ := f.do(request{"GET", "/readyz", "", ""}); status != 200 {
		t.Errorf("readyz answers %d", status)
	}
}
