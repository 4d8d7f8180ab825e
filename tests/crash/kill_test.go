// Package crash kills the real server at random moments and compares what it has in the end with an undisturbed run.
package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// The load: pieces of events, each sent as one request with an idempotency key.
const (
	pieceCount  = 120
	pieceEvents = 800
)

// byCopy: the piece is sent by COPY as CSV, which has no key; the others by HTTP.
func byCopy(i int) bool { return i%5 == 3 && i < pieceCount }

// pieces makes the load: event time goes on, with jitter beyond the watermark's delay now and then, bad rows among good
// ones, a few attacked accounts, and a last row that closes all windows.
func pieces() [][]byte {
	rng := rand.New(rand.NewSource(3))
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	list := make([][]byte, pieceCount)
	n := 0
	for i := range list {
		var b bytes.Buffer
		for range pieceEvents {
			at := start.Add(time.Duration(n)*5*time.Millisecond - time.Duration(rng.Intn(1500))*time.Millisecond)
			if rng.Intn(200) == 0 {
				at = at.Add(-20 * time.Second) // late
			}
			n++
			if rng.Intn(300) == 0 {
				b.WriteString(map[bool]string{false: "{\"ts\": \"not a time\"}\n", true: "not a time,u,d,,granted,1\n"}[byCopy(i)])
			}
			user, action := rng.Intn(300), "granted"
			if rng.Intn(4) == 0 {
				user, action = rng.Intn(5), "denied"
			}
			form := `{"ts":%q,"username":"u%d","dst":"d%d","src_ip":"10.0.%d.%d","action":%q,"bytes":%d}` + "\n"
			if byCopy(i) {
				form = "%s,u%d,d%d,10.0.%d.%d,%s,%d\n"
			}
			fmt.Fprintf(&b, form, at.Format(time.RFC3339Nano), user, rng.Intn(3), rng.Intn(2), rng.Intn(256), action, rng.Intn(1000))
		}
		list[i] = b.Bytes()
	}
	list = append(list, []byte(`{"ts":"2026-03-01T13:30:00Z","username":"closing","action":"mark"}`+"\n"))
	return list
}

var schema = []string{
	`CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, username TEXT, dst TEXT, src_ip INET, action TEXT, bytes BIGINT,
	   WATERMARK FOR ts AS ts - INTERVAL '2 seconds') FORMAT JSON`,
	`CREATE IOC LIST bad TYPE ip`,
	`INSERT INTO bad VALUES ('10.0.1.7'), ('10.0.0.200')`,
	`CREATE CONTINUOUS QUERY brute AS SELECT username, dst, count(*) AS denied, count(DISTINCT src_ip) AS sources, sum(bytes) AS bytes, min(src_ip) AS first_ip
	   FROM auth WHERE action = 'denied' GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 10`,
	`CREATE CONTINUOUS QUERY wide AS SELECT action, avg(bytes) AS mean, max(username) AS last FROM auth GROUP BY action, TUMBLE(ts, INTERVAL '1 hour')`,
	`CREATE CONTINUOUS QUERY contacts AS SELECT ts, username, src_ip FROM auth WHERE src_ip IN IOC bad`,
	`CREATE TABLE hosts (ip INET PRIMARY KEY, owner TEXT, seen INT)`,
	`INSERT INTO hosts SELECT ('10.0.0.' || g)::inet, 'owner ' || g % 7, -1 FROM generate_series(0, 199) AS g`,
	`CREATE CONTINUOUS QUERY seen AS SELECT seen, action, count(*) AS n FROM auth JOIN hosts ON ip = src_ip GROUP BY seen, action, TUMBLE(ts, INTERVAL '1 hour')`,
	`CREATE CONTINUOUS QUERY owners AS SELECT owner, count(*) AS n FROM auth LEFT JOIN hosts FOR SYSTEM_TIME AS OF ts AS h ON ip = src_ip
	   WHERE action = 'denied' AND src_ip NOT IN (SELECT ip FROM hosts WHERE seen = 8) GROUP BY owner, TUMBLE(ts, INTERVAL '1 minute')`,
	`CREATE CONTINUOUS QUERY marks AS SELECT ts FROM auth WHERE action = 'mark'`,
}

// change changes the table before piece i, so that each piece has its version; done again it changes nothing more.
func change(t *testing.T, p *harness.Process, i int) {
	if i%8 != 0 {
		return
	}
	c := p.Connect(t)
	defer c.Close(context.Background())
	settle(t, c)
	harness.Exec(t, c, changes(i)...)
}

// settle waits until all events have found their place: one that a kill took out of its epoch would meet a later version.
func settle(t *testing.T, c *pgx.Conn) {
	harness.WaitRows(t, c, "SELECT pending_bytes FROM vigil.streams WHERE name = 'auth'", func(rows []string) bool { return slices.Equal(rows, []string{"0"}) })
}

// changeKilled is change with kill -9 in the middle of it.
func changeKilled(t *testing.T, p *harness.Process, i int, delay time.Duration) {
	c := p.Connect(t)
	defer c.Close(context.Background())
	settle(t, c)
	go func() {
		<-time.After(delay)
		p.Kill()
	}()
	for _, sql := range changes(i) {
		if _, err := harness.TryRows(c, sql); err != nil {
			break // it was killed; what of the changes is done is done again
		}
	}
	p.Kill()
}

func changes(i int) []string {
	return []string{fmt.Sprintf("UPDATE hosts SET seen = %d WHERE ip <> '10.0.0.%d'", i, i), fmt.Sprintf("DELETE FROM hosts WHERE ip = '10.0.0.%d'", 100+i/8),
		fmt.Sprintf("INSERT INTO hosts VALUES ('10.0.1.%d', 'new', %d) ON CONFLICT (ip) DO UPDATE SET owner = EXCLUDED.owner", i, i)}
}

// outcome is everything a user can see in the end, as sorted text.
func outcome(t *testing.T, p *harness.Process) map[string][]string {
	c := p.Connect(t)
	harness.WaitRows(t, c, "SELECT ts FROM marks", func(rows []string) bool { return len(rows) > 0 })
	out := map[string][]string{}
	for _, q := range []string{"SELECT * FROM brute", "SELECT * FROM wide", "SELECT * FROM contacts", "SELECT * FROM marks", "SELECT * FROM seen", "SELECT * FROM owners", "SELECT * FROM hosts",
		"SELECT code, raw FROM vigil.rejected", "SELECT count(*), count(DISTINCT username), sum(bytes) FROM auth"} {
		rows := harness.Rows(t, c, q)
		slices.Sort(rows)
		out[q] = rows
	}
	return out
}

// send sends a piece; false means that no answer came.
func send(p *harness.Process, i int, body []byte) (bool, error) {
	if !byCopy(i) {
		return post(p, i, body)
	}
	c, err := p.TryConnect()
	if err != nil {
		return false, nil
	}
	defer c.Close(context.Background())
	_, err = c.PgConn().CopyFrom(context.Background(), bytes.NewReader(body), "COPY auth FROM STDIN (FORMAT csv)")
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && !strings.HasPrefix(pe.Code, "57P") {
		return false, err
	}
	return err == nil, nil
}

// taken tells, of a piece that was sent by COPY and not answered, whether the stream has it: all of it or nothing.
func taken(t *testing.T, p *harness.Process, i int) bool {
	t.Helper()
	c := p.Connect(t)
	defer c.Close(context.Background())
	settle(t, c)
	switch got := harness.Rows(t, c, "SELECT count(*) FROM auth WHERE ts IS NOT NULL")[0]; got {
	case fmt.Sprint(i * pieceEvents):
		return false
	case fmt.Sprint((i + 1) * pieceEvents):
		return true
	default:
		t.Fatalf("piece %d was sent by COPY and not answered; the stream has %s rows, each piece %d", i, got, pieceEvents)
	}
	return false
}

// post sends a piece by HTTP; false means that no answer came.
func post(p *harness.Process, i int, body []byte) (bool, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+p.HTTP+"/v1/streams/auth/events", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Idempotency-Key", fmt.Sprint("piece-", i))
	client := http.Client{Timeout: harness.PatienceMax}
	res, err := client.Do(req)
	if err != nil {
		return false, nil
	}
	defer res.Body.Close()
	var answer struct{ Accepted, Rejected int64 }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return false, nil
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("piece %d: status %d", i, res.StatusCode)
	}
	return true, nil
}

var killsWanted = flag.Int("kills", 0, "TestKillAnywhere goes on, load after load, until it has killed the server so many times")

// TestKillAnywhere sends the load undisturbed, and with kill -9 at random moments of it. What was answered must count, what was
// not is sent again, and the outcome must be equal row by row.
func TestKillAnywhere(t *testing.T) {
	load := pieces()
	calm := harness.Start(t, t.TempDir())
	harness.Exec(t, calm.Connect(t), schema...)
	for i, b := range load {
		change(t, calm, i)
		if ok, err := send(calm, i, b); !ok {
			t.Fatal("undisturbed run:", err)
		}
	}
	want := outcome(t, calm)
	calm.Kill()
	for q, rows := range want {
		if len(rows) == 0 {
			t.Fatalf("the load gives no rows of %q: the comparison would show nothing", q)
		}
	}
	if len(want["SELECT * FROM seen"]) < 20 {
		t.Fatalf("events met few versions of the table: %q", want["SELECT * FROM seen"])
	}
	kills, cut, reran := 0, false, false
	for kills < max(2, *killsWanted) {
		r := &killRun{t: t, dir: t.TempDir(), load: load}
		r.run(time.Now().UnixNano(), want)
		if t.Failed() {
			return
		}
		kills, cut, reran = kills+r.kills, cut || r.cut, reran || r.reran
		t.Logf("%d kills in all", kills)
	}
	if !cut || !reran {
		t.Errorf("recovery met a checkpoint: %v, epochs to run again: %v; both must occur", cut, reran)
	}
}

// killRun is one load with kills in it.
type killRun struct {
	t    *testing.T
	dir  string
	load [][]byte
	rng  *rand.Rand
	p    *harness.Process
	// kills while pieces were sent, unanswered of them before the answer, copies of those by COPY; interrupted changes of the table.
	kills, unanswered, copies, interrupted int
	// cut: a recovery began at a checkpoint; reran: one had epochs to run again.
	cut, reran bool
}

func (r *killRun) run(seed int64, want map[string][]string) {
	t := r.t
	t.Logf("seed %d", seed)
	r.rng = rand.New(rand.NewSource(seed))
	r.p = harness.Start(t, r.dir, "--workers", "3", "--checkpoint-every", "5ms")
	harness.Exec(t, r.p.Connect(t), schema...)
	for i := 0; i < len(r.load); {
		if i%8 == 0 && r.rng.Intn(4) == 0 {
			changeKilled(t, r.p, i, time.Duration(r.rng.Intn(12000))*time.Microsecond)
			r.interrupted++
			r.restart()
		}
		change(t, r.p, i)
		if r.rng.Intn(12) == 0 {
			if r.sendKilled(i) {
				i++
			}
			continue
		}
		if ok, err := send(r.p, i, r.load[i]); err != nil || !ok {
			t.Fatalf("piece %d: %v\n%s", i, err, r.p.Log())
		}
		i++
	}
	got := outcome(t, r.p)
	for q := range want {
		compare(t, q, got[q], want[q])
	}
	t.Logf("%d kills, %d of them before the answer (%d by COPY), %d more while a table changed", r.kills, r.unanswered, r.copies, r.interrupted)
	if code := r.p.Stop(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, r.p.Log())
	}
}

// sendKilled sends a piece and kills the server while that is under way, or just after it; it tells whether the piece is in.
func (r *killRun) sendKilled(i int) bool {
	delay := time.Duration(r.rng.Intn(8000)) * time.Microsecond
	done := make(chan struct{})
	go func(p *harness.Process) {
		defer close(done)
		<-time.After(delay)
		p.Kill()
	}(r.p)
	ok, err := send(r.p, i, r.load[i])
	if err != nil {
		r.t.Fatal(err)
	}
	<-done
	r.kills++
	r.restart()
	if ok {
		return true
	}
	r.unanswered++
	if !byCopy(i) {
		return false // sent again with its key
	}
	r.copies++
	return taken(r.t, r.p, i)
}

func (r *killRun) restart() {
	r.p = harness.Start(r.t, r.dir, "--workers", fmt.Sprint(1+r.rng.Intn(3)), "--checkpoint-every", fmt.Sprint(1+r.rng.Intn(40), "ms"))
	r.cut = r.cut || recoveredLine.MatchString(r.p.Log()) && !strings.Contains(r.p.Log(), "checkpoint=0 ")
	r.reran = r.reran || !strings.Contains(r.p.Log(), "epochs_after_it=0 ")
}

var recoveredLine = regexp.MustCompile(`msg=recovered`)

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: %d rows, undisturbed %d", what, len(got), len(want))
	for i := 0; i < max(len(got), len(want)); i++ {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("first difference at row %d:\n got %q\nwant %q", i, at(got, i), at(want, i))
			return
		}
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "(none)"
}
