package sink

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/tests/certs"
)

// answerer is a target that does as it is told, request by request, and keeps the rows it took.
type answerer struct {
	t  *testing.T
	mu sync.Mutex
	// answers are what happens to the requests, in order; beyond them all goes well.
	answers []func(w http.ResponseWriter, body []byte)
	bad     map[int]bool // rows with these numbers are refused
	asked   []string     // Idempotency-Key of each request
	bodies  []string
	taken   []int
}

type sent struct {
	ID string `json:"_vigil_id"`
	N  int
}

// ServeHTTP implements http.Handler.
func (a *answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	a.asked, a.bodies = append(a.asked, r.Header.Get("Idempotency-Key")), append(a.bodies, string(body))
	var rows []sent
	if err := json.Unmarshal(body, &rows); err != nil {
		a.t.Errorf("%s: %v", body, err)
	}
	if n := len(a.asked) - 1; n < len(a.answers) && a.answers[n] != nil {
		a.answers[n](w, body)
		return
	}
	for _, row := range rows {
		if a.bad[row.N] {
			http.Error(w, "no row "+strconv.Itoa(row.N), http.StatusUnprocessableEntity)
			return
		}
	}
	for _, row := range rows {
		a.taken = append(a.taken, row.N)
	}
}

func sinkRows(from, n int) []connector.SinkRow {
	var rows []connector.SinkRow
	for i := from; i < from+n; i++ {
		id := fmt.Sprintf("7:%d", i)
		rows = append(rows, connector.SinkRow{Offset: int64(i), ID: id, Body: fmt.Appendf(nil, `{"_vigil_id":%q,"n":%d}`, id, i)})
	}
	return rows
}

func webhookTo(t *testing.T, to string, more ...string) connector.Sink {
	t.Helper()
	params := map[string]string{"url": to}
	for i := 0; i < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	d := httpDef()
	s, err := d.New(connector.SinkOptions{Server: "5", Params: params, ContentType: "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), connector.SinkPosition{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func status(code int, header ...string) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// hangUp drops the connection after the body was received: the sender cannot know what became of it.
func hangUp(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) }

// TestHTTPAnswers: what is tried again and what is not, and that what is sent again is the same.
func TestHTTPAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, []byte)
		want   string // of the error; "": none
		after  time.Duration
	}{
		{"ok", status(204), "", 0},
		{"failing", status(500), "answered 500 Internal Server Error", 0},
		{"busy", status(429, "Retry-After", "7"), "answered 429 Too Many Requests", 7 * time.Second},
		{"away", status(503, "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), "answered 503", time.Hour},
		{"not allowed", status(401), "answered 401 Unauthorized", 0},
		{"moved", status(302, "Location", "http://127.0.0.1:1/"), "answered 302 Found", 0},
		{"hangs up", hangUp, "EOF", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &answerer{t: t, answers: []func(http.ResponseWriter, []byte){c.answer}}
			server := httptest.NewServer(a)
			defer server.Close()
			s := webhookTo(t, server.URL+"/secret/path")
			d, err := s.Deliver(t.Context(), sinkRows(0, 3))
			if c.want == "" {
				if err != nil || d.Done != 3 {
					t.Fatal(d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") || d.Done != 0 || len(d.Dead) != 0 {
				t.Fatalf("%+v, %v; want %q", d, err, c.want)
			}
			retry, _ := err.(*connector.Retry)
			if c.after > 0 && (retry == nil || retry.After > c.after || retry.After < c.after-5*time.Second) || c.after == 0 && retry != nil {
				t.Errorf("to be tried again after %+v, want %s", retry, c.after)
			}
			if d, err := s.Deliver(t.Context(), sinkRows(0, 3)); err != nil || d.Done != 3 {
				t.Fatal(d, err)
			}
			if !slices.Equal(a.taken, []int{0, 1, 2}) || a.bodies[0] != a.bodies[1] || a.asked[0] != a.asked[1] || a.asked[0] != "5:7:0-2" {
				t.Errorf("taken %v, keys %q, bodies %q", a.taken, a.asked, a.bodies)
			}
		})
	}
}

// TestHTTPRefused: rows at fault are found among good ones, and none of those is lost, sent without need, or called dead.
func TestHTTPRefused(t *testing.T) {
	a := &answerer{t: t, bad: map[int]bool{13: true, 14: true, 99: true}}
	server := httptest.NewServer(a)
	defer server.Close()
	d, err := webhookTo(t, server.URL).Deliver(t.Context(), sinkRows(0, 100))
	if err != nil || d.Done != 100 {
		t.Fatal(d, err)
	}
	var dead []int
	for _, l := range d.Dead {
		dead = append(dead, l.Row)
		if l.Code != "422" || !strings.Contains(l.Reason, fmt.Sprintf("422 Unprocessable Entity: no row %d", l.Row)) {
			t.Errorf("%+v", l)
		}
	}
	if !slices.Equal(dead, []int{13, 14, 99}) || len(a.taken) != 97 {
		t.Errorf("dead %v, taken %v", dead, a.taken)
	}
	for i := 1; i < len(a.taken); i++ {
		if a.taken[i] <= a.taken[i-1] {
			t.Errorf("%d after %d", a.taken[i], a.taken[i-1])
		}
	}
	if len(a.asked) > 50 {
		t.Errorf("%d requests to find 3 of 100", len(a.asked))
	}
}

// TestHTTPHalfway: when the target fails while rows at fault are looked for, what it has taken and refused by then is done.
func TestHTTPHalfway(t *testing.T) {
	a := &answerer{t: t, bad: map[int]bool{1: true}}
	server := httptest.NewServer(a)
	defer server.Close()
	a.answers = []func(http.ResponseWriter, []byte){nil, nil, nil, nil, status(500)} // 0-3, 0-1, 0, 1, 2-3
	s := webhookTo(t, server.URL)
	d, err := s.Deliver(t.Context(), sinkRows(0, 4))
	if err == nil || d.Done != 2 || len(d.Dead) != 1 || d.Dead[0].Row != 1 {
		t.Fatalf("%+v %v, requests %q", d, err, a.asked)
	}
	if d, err := s.Deliver(t.Context(), sinkRows(2, 2)); err != nil || d.Done != 2 || !slices.Equal(a.taken, []int{0, 2, 3}) {
		t.Fatal(d, err, a.taken)
	}
}

// TestHTTPSigned: headers, and a signature that the receiver can check.
func TestHTTPSigned(t *testing.T) {
	var got http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body) // checked by its signature
	}))
	defer server.Close()
	s := webhookTo(t, server.URL, "secret", "hunter2", "header.x-team", "soc", "body", "lines")
	if _, err := s.Deliver(t.Context(), sinkRows(3, 2)); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("hunter2"))
	mac.Write([]byte(got.Get("Vigil-Timestamp") + "." + string(body)))
	if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); got.Get("Vigil-Signature") != want {
		t.Errorf("signature %s, want %s", got.Get("Vigil-Signature"), want)
	}
	if stamp, err := strconv.ParseInt(got.Get("Vigil-Timestamp"), 10, 64); err != nil || time.Since(time.Unix(stamp, 0)).Abs() > time.Minute {
		t.Errorf("timestamp %q", got.Get("Vigil-Timestamp"))
	}
	want := map[string]string{"X-Team": "soc", "Content-Type": "application/x-ndjson", "Idempotency-Key": "5:7:3-4", "Vigil-Server": "5", "Vigil-First-Id": "7:3", "Vigil-Last-Id": "7:4"}
	for k, v := range want {
		if got.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, got.Get(k), v)
		}
	}
	if string(body) != `{"_vigil_id":"7:3","n":3}`+"\n"+`{"_vigil_id":"7:4","n":4}`+"\n" {
		t.Errorf("body %q", body)
	}
}

// TestHTTPSlow: a target that does not answer in time is one that failed, and the wait ends with the sink.
func TestHTTPSlow(t *testing.T) {
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	defer close(hold)
	if d, err := webhookTo(t, server.URL, "timeout", "20 milliseconds").Deliver(t.Context(), sinkRows(0, 1)); err == nil || d.Done != 0 {
		t.Fatal(d, err)
	}
}

// TestHTTPSecrets: what a target answers may quote what it was sent.
func TestHTTPSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad token "+r.Header.Get("Authorization")+" for "+r.URL.RequestURI(), http.StatusForbidden)
	}))
	defer server.Close()
	_, err := webhookTo(t, server.URL+"/hooks/hunter2?key=hunter2", "header.authorization", "Bearer hunter2").Deliver(t.Context(), sinkRows(0, 1))
	if err == nil || !strings.Contains(err.Error(), "bad token ********") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	_, err = webhookTo(t, "http://127.0.0.1:1/hunter2").Deliver(t.Context(), sinkRows(0, 1))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	d := httpDef()
	if u, err := url.Parse(d.Target(connector.SinkOptions{Params: map[string]string{"url": "https://u:hunter2@host:8443/hunter2"}})); err != nil || u.String() != "https://host:8443" {
		t.Error(u, err)
	}
}

// TestHTTPTLS: the target is who an authority of our own says, and it is told who the server is. Who is not vouched for gets no row.
func TestHTTPTLS(t *testing.T) {
	ca, stranger := certs.New(t), certs.New(t)
	a := &answerer{t: t}
	server := httptest.NewUnstartedServer(a)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Sign("target").TLS}, ClientCAs: ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	own, other := ca.Sign("vigil"), stranger.Sign("vigil")
	for _, c := range []struct {
		options []string
		want    string
	}{
		{nil, "unknown authority"},
		{[]string{"tls_ca", stranger.File, "tls_cert", own.Cert, "tls_key", own.Key}, "unknown authority"},
		{[]string{"tls_ca", ca.File}, "certificate required"},
		{[]string{"tls_ca", ca.File, "tls_cert", other.Cert, "tls_key", other.Key}, "tls:"},
		{[]string{"tls_ca", ca.File, "tls_cert", own.Cert, "tls_key", own.Key}, ""},
	} {
		d, err := webhookTo(t, server.URL, c.options...).Deliver(t.Context(), sinkRows(0, 3))
		if c.want == "" && (err != nil || d.Done != 3 || !slices.Equal(a.taken, []int{0, 1, 2})) {
			t.Errorf("%v: %+v %v, taken %v", c.options, d, err, a.taken)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || d.Done != 0 || len(a.taken) > 0) {
			t.Errorf("%v: %+v %v, want %q", c.options, d, err, c.want)
		}
	}
	for want, options := range map[string]map[string]string{
		"both tls_cert and tls_key": {"url": server.URL, "tls_cert": own.Cert},
		"with a URL of https only":  {"url": "http://127.0.0.1/", "tls_ca": ca.File},
	} {
		d := httpDef()
		if err := d.Check(connector.SinkOptions{Params: options, ContentType: "application/json"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", options, err, want)
		}
	}
	for _, options := range []map[string]string{{"tls_ca": own.Key}, {"tls_ca": "/nowhere"}, {"tls_cert": own.Key, "tls_key": own.Cert}} {
		options["url"] = server.URL
		d := httpDef()
		s, err := d.New(connector.SinkOptions{Params: options, ContentType: "application/json"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), connector.SinkPosition{}); err == nil || !strings.Contains(err.Error(), "option") {
			t.Errorf("%v: %v", options, err)
		}
	}
}
