package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/server"
	"github.com/vigil-sql/vigil/server/httpapi"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// fixture is a server in process with an HTTP interface whose limits are small.
type fixture struct {
	t    *testing.T
	srv  *server.Server
	url  string
	http *httptest.Server
}

// bodyMax is the limit of a body in these tests, bytes.
const bodyMax = 4 << 10

func start(t *testing.T, dir string) *fixture {
	t.Helper()
	srv, err := server.Start(server.Config{Dir: dir, PG: "127.0.0.1:0", HTTP: "127.0.0.1:0", Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(srv.Session(), httpapi.Options{BodyMax: bodyMax, WaitMax: 30 * time.Second})
	f := &fixture{t: t, srv: srv, http: httptest.NewUnstartedServer(api)}
	f.http.Config = api.Server()
	f.http.Start()
	f.url = f.http.URL
	t.Cleanup(f.stop)
	return f
}

// stop may be called twice.
func (f *fixture) stop() {
	if f.srv == nil {
		return
	}
	f.http.CloseClientConnections()
	f.http.Close()
	if err := f.srv.Stop(); err != nil {
		f.t.Error(err)
	}
	f.srv = nil
}

// sql runs statements and returns the rows of all, fields separated by "|".
func (f *fixture) sql(statements string) []string {
	f.t.Helper()
	c, err := pgwire.Dial(f.srv.PGAddr(), "test")
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	var rows []string
	err = c.Query(statements, func(fields [][]byte) error {
		rows = append(rows, string(bytes.Join(fields, []byte("|"))))
		return nil
	})
	if err != nil {
		f.t.Fatalf("%s\n%v", statements, err)
	}
	return rows
}

// request is one HTTP request; header is "Name: value" lines.
type request struct{ method, path, header, body string }

// do sends a request and returns the status and the body.
func (f *fixture) do(r request) (int, string) {
	f.t.Helper()
	status, body, err := f.try(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return status, body
}

func (f *fixture) try(r request) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, f.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return 0, "", err
	}
	for line := range strings.Lines(r.header) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Set(name, value)
	}
	res, err := f.http.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(body)), err
}

// objects are the stream and the query that most tests use.
const objects = `CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts);
	CREATE CONTINUOUS QUERY q AS SELECT n, t FROM s`

func event(n int) string { return fmt.Sprintf(`{"ts":"2026-01-05T10:00:00Z","n":%d}`, n) }

func zip(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// counted is how many rows there are. It reads n, because a value that nobody reads is not converted, and so not rejected.
const counted = "SELECT (SELECT count(*) FROM s WHERE n IS DISTINCT FROM -1) + (SELECT count(*) FROM c WHERE n IS DISTINCT FROM -1)"

// TestIngest sends good and bad bodies; after each the stream holds exactly the rows that were acknowledged.
func TestIngest(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	f.sql("CREATE STREAM gen (ts TIMESTAMPTZ NOT NULL, WATERMARK FOR ts AS ts) WITH (connector = 'generator')")
	f.sql("CREATE STREAM c (ts TIMESTAMPTZ NOT NULL, n INT, t TEXT, WATERMARK FOR ts AS ts) FORMAT CSV (header = true)")
	const path = "/v1/streams/s/events"
	packed := zip(t, event(1)+"\n"+event(2)+"\n")
	bomb := zip(t, strings.Repeat("\n", 1<<20))
	flipped := []byte(packed)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for _, c := range []struct {
		name, path, header, body string
		status                   int
		want                     string // all of a good answer, part of an error
	}{
		{"two lines", path, "", event(1) + "\n" + event(2), 200, `{"accepted":2,"rejected":0}`},
		{"one broken of three", path, "", event(1) + "\n{oops\n" + event(2) + "\n", 200, `{"accepted":2,"rejected":1}`},
		{"no event time", path, "", `{"n":1}`, 200, `{"accepted":0,"rejected":1}`},
		{"wrong type", path, "", `{"ts":"2026-01-05T10:00:00Z","n":"x"}`, 200, `{"accepted":0,"rejected":1}`},
		{"nothing", path, "", "", 200, `{"accepted":0,"rejected":0}`},
		{"blank lines", path, "", "\n\n", 200, `{"accepted":0,"rejected":0}`},
		{"array", path, "Content-Type: application/json", "[" + event(1) + ",\n" + event(2) + ",\n" + event(3) + "]", 200, `{"accepted":3,"rejected":0}`},
		{"array with a broken element", path, "", " [" + event(1) + ", 7]", 200, `{"accepted":1,"rejected":1}`},
		{"csv by content type", path, "Content-Type: text/csv; charset=utf-8", "2026-01-05 10:00:00Z,4,\"a\nb\"\n2026-01-05 10:00:00Z,5\n", 200, `{"accepted":1,"rejected":1}`},
		{"csv stream", "/v1/streams/c/events", "Content-Type: text/csv", "ts,n,t\n2026-01-05 10:00:00Z,4,x\n", 200, `{"accepted":1,"rejected":0}`},
		{"csv stream, json", "/v1/streams/c/events", "Content-Type: application/x-ndjson", event(1), 200, `{"accepted":1,"rejected":0}`},
		{"what curl says", path, "Content-Type: application/x-www-form-urlencoded", event(1), 200, `{"accepted":1,"rejected":0}`},
		{"gzip", path, "Content-Encoding: gzip", packed, 200, `{"accepted":2,"rejected":0}`},
		{"not gzip", path, "Content-Encoding: gzip", event(1), 400, "the body is not gzip"},
		{"gzip cut short", path, "Content-Encoding: gzip", packed[:len(packed)-5], 400, "could not be read to its end"},
		{"gzip damaged", path, "Content-Encoding: gzip", string(flipped), 400, "could not be read to its end"},
		{"gzip bomb", path, "Content-Encoding: gzip", zip(t, strings.Repeat("\n", bodyMax+1)), 413, `"code":"54000"`},
		// Whoever reads on beyond the limit finds that it is damaged.
		{"gzip bomb, cut short", path, "Content-Encoding: gzip", bomb[:len(bomb)-5], 413, `"code":"54000"`},
		{"too large", path, "", strings.Repeat("\n", bodyMax+1), 413, "Send the events in smaller pieces"},
		{"at the limit", path, "", event(1) + strings.Repeat("\n", bodyMax-len(event(1))), 200, `{"accepted":1,"rejected":0}`},
		{"other encoding", path, "Content-Encoding: br", "x", 501, "Send gzip or plain octets"},
		{"broken content type", path, "Content-Type: ;;", event(1), 400, "cannot be read"},
		{"no stream", "/v1/streams/nope/events", "", event(1), 404, `stream \"nope\" does not exist`},
		{"a query", "/v1/streams/q/events", "", event(1), 404, "does not exist"},
		{"fed by a connector", "/v1/streams/gen/events", "", event(1), 400, "is fed by its connector"},
		{"long key", path, "Idempotency-Key: " + strings.Repeat("k", 256), event(1), 400, "longer than 255 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.sql(counted)
			status, body := f.do(request{"POST", c.path, c.header, c.body})
			if status != c.status || c.status == 200 && body != c.want || !strings.Contains(body, c.want) {
				t.Fatalf("%d %s\nwant %d %s", status, body, c.status, c.want)
			}
			var answer struct {
				Accepted int
				Error    struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if (answer.Error.Code == "") != (status == 200) || (answer.Error.Message == "") != (status == 200) {
				t.Errorf("an error needs code and message: %s", body)
			}
			after := f.sql(fmt.Sprintf("%s - %d", counted, answer.Accepted))
			if !slices.Equal(before, after) {
				t.Errorf("%v rows before, %v after, without the accepted ones", before, after)
			}
		})
	}
}

// TestLargeArray: an array is not cut, though what is stored is cut between lines where there are lines.
func TestLargeArray(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	f.url = "http://" + f.srv.HTTPAddr() // with the ordinary limits
	const n = 3000
	line := strings.TrimSuffix(event(1), "}") + `,"t":"` + strings.Repeat("x", 500) + `"}`
	want := fmt.Sprintf(`{"accepted":%d,"rejected":0}`, n)
	for name, body := range map[string]string{"lines": strings.Repeat(line+"\n", n), "array": "[" + strings.Repeat(line+",\n", n-1) + line + "]"} {
		if status, got := f.do(request{"POST", "/v1/streams/s/events", "", body}); status != 200 || got != want {
			t.Errorf("%s of %d bytes: %d %s", name, len(body), status, got)
		}
	}
}

// TestIdempotency: a key counts once, also after a restart; other keys and streams are not concerned.
func TestIdempotency(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	f.sql(objects)
	post := func(key string, n int) string {
		t.Helper()
		status, body := f.do(request{"POST", "/v1/streams/s/events", "Idempotency-Key: " + key, event(n) + "\n{bad\n" + event(n)})
		if status != 200 {
			t.Fatal(status, body)
		}
		return body
	}
	const first, again = `{"accepted":2,"rejected":1}`, `{"accepted":2,"rejected":1,"duplicate":true}`
	for i, c := range []struct{ key, want string }{{"a", first}, {"a", again}, {"b", first}, {"a", again}} {
		if got := post(c.key, i); got != c.want {
			t.Errorf("request %d: %s, want %s", i, got, c.want)
		}
	}
	if got := f.sql("SELECT n FROM s ORDER BY n"); !slices.Equal(got, []string{"0", "0", "2", "2"}) {
		t.Errorf("rows %v", got)
	}
	f.stop()
	f = start(t, dir)
	if got := post("b", 9); !strings.Contains(got, `"duplicate":true`) {
		t.Errorf("after a restart: %s", got)
	}
	// A block id is a key, and so is that of INSERT and COPY.
	for i, want := range []string{`{"accepted":1,"rejected":0}`, `{"accepted":1,"rejected":0,"duplicate":true}`} {
		if _, body := f.do(request{"POST", "/v1/streams/s/events", "Block-Id: block 7", event(1)}); body != want {
			t.Errorf("block, time %d: %s", i, body)
		}
	}
	f.sql("SET vigil.idempotency_key = 'b'; INSERT INTO s (ts, n) VALUES ('2026-03-01 12:00:00Z', 5)")
	f.sql("INSERT INTO s (ts, n) VALUES ('2026-03-01 12:00:00Z', 6)")
	if got := f.sql("SELECT n FROM s ORDER BY n"); !slices.Equal(got, []string{"0", "0", "1", "2", "2", "6"}) {
		t.Errorf("rows after the restart: %v", got)
	}
}

// TestOther: health, metrics, and requests that no path takes.
func TestOther(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	f.do(request{"POST", "/v1/streams/s/events", "", event(1) + "\n{bad"})
	f.poll("wait=30s") // the row's result is out
	for _, c := range []struct {
		r      request
		status int
		want   string
	}{
		{request{"GET", "/healthz", "", ""}, 200, "ok"},
		{request{"GET", "/readyz", "", ""}, 200, "ready"},
		{request{"GET", "/metrics", "", ""}, 200, `vigil_stream_rows_total{stream="s"} 1`},
		{request{"GET", "/v1/streams/s/events", "", ""}, 405, "Method Not Allowed"},
		{request{"PUT", "/v1/streams/s/events", "", event(1)}, 405, "Method Not Allowed"},
		{request{"POST", "/v1/queries/q/results", "", ""}, 405, "Method Not Allowed"},
		{request{"POST", "/healthz", "", ""}, 405, "Method Not Allowed"},
		{request{"GET", "/", "", ""}, 404, "not found"},
		{request{"GET", "/v1/streams/s", "", ""}, 404, "not found"},
		{request{"GET", "/healthz", "X-Long: " + strings.Repeat("x", 80<<10), ""}, 431, ""},
	} {
		if status, body := f.do(c.r); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %.300s, want %d %s", c.r.method, c.r.path, status, body, c.status, c.want)
		}
	}
	_, metrics := f.do(request{"GET", "/metrics", "", ""})
	for _, name := range []string{`stream_rejected_total{stream="s"} 1`, `stream_late_total{stream="s"} 0`, `stream_bytes_total{stream="s"}`,
		`stream_watermark_lag_seconds{stream="s"}`, `stream_pending_bytes{stream="s"} 0`, `query_rows_total{query="q"} 1`, `query_cpu_seconds_total{query="q"}`, `stream_cpu_seconds_total{stream="s"}`,
		"other_cpu_seconds_total", `query_input_rows_total{query="q"}`, `query_state_bytes{query="q"} 0`, `query_state_keys{query="q"} 0`, "condition_index_panics_total 0", "epoch ", "ready 1", `journal_rows{journal="rejected"} 1`, `journal_rows{journal="late"} 0`, `journal_bytes{journal="rejected"} `,
		`queue_items{queue="inbox"} 0`, `queue_max_items{queue="commits"} 4`, "subscriptions 0", "checkpoint_failures_total 0"} {
		if !strings.Contains(metrics, "\nvigil_"+name) {
			t.Errorf("no metric vigil_%s", name)
		}
	}
}

// TestMetricsAreDocumented: the page lists the metrics that are served, no fewer and no more.
func TestMetricsAreDocumented(t *testing.T) {
	f := start(t, t.TempDir())
	f.sql(objects)
	f.sql("CREATE STREAM k (n INT) WITH (connector = 'kafka', brokers = '127.0.0.1:1', topic = 't')")
	f.sql("CREATE SINK out FROM q WITH (connector = 'http', url = 'http://127.0.0.1:1/')")
	f.do(request{"POST", "/v1/streams/s/events", "", event(1)})
	f.poll("wait=30s") // the row's result is out
	_, served := f.do(request{"GET", "/metrics", "", ""})
	names := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (vigil_\w+) (\w+)$`).FindAllStringSubmatch(served, -1) {
		names[m[1]] = m[2]
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(vigil_\\w+)`[^|]*\\| (\\w+) \\|").FindAllStringSubmatch(string(page), -1) {
		if kind := names[m[1]]; kind != m[2] {
			t.Errorf("docs/metrics.md has %s as %s, served is %q", m[1], m[2], kind)
		}
		delete(names, m[1])
	}
	for name, kind := range names {
		t.Errorf("%s (%s) is not in docs/metrics.md", name, kind)
	}
}
