package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

// kinds of kills.
const (
	killNever   = iota
	killDuring  // while a request or a statement is under way
	killBetween // a moment after the answer, while results are on their way to the queries that read them
)

// timeRun sends the load to a server that is killed now and then.
type timeRun struct {
	t       *testing.T
	dir     string
	args    func() []string
	p       *harness.Process
	rng     *rand.Rand
	kills   map[int]int // by step
	step    int
	starts  int
	cut     bool // a recovery began at a checkpoint
	reran   bool // a recovery had epochs to run again
	retried int  // requests that were not answered
}

var recoveredCounts = regexp.MustCompile(`msg=recovered checkpoint=(\d+) epochs_after_it=(\d+)`)

// start starts the server, or starts it again.
func (r *timeRun) start() {
	r.t.Helper()
	r.p = harness.Start(r.t, r.dir, r.args()...)
	if m := recoveredCounts.FindStringSubmatch(r.p.Log()); m != nil && r.starts > 0 {
		checkpoint, _ := strconv.Atoi(m[1]) // digits
		epochs, _ := strconv.Atoi(m[2])
		r.cut, r.reran = r.cut || checkpoint > 0 && epochs > 0, r.reran || epochs > 0
	}
	r.starts++
}

// do runs one step, killing the server as planned; try reports whether the server answered. It is tried until it does.
func (r *timeRun) do(try func() bool) {
	r.t.Helper()
	kind := r.kills[r.step]
	r.step++
	p := r.p
	if kind == killDuring {
		time.AfterFunc(time.Duration(r.rng.Intn(6_000))*time.Microsecond, p.Kill)
	}
	answered := try()
	if kind == killNever {
		if !answered {
			r.t.Fatalf("step %d was not answered\n%s", r.step-1, p.Log())
		}
		return
	}
	if kind == killBetween {
		<-time.After(time.Duration(r.rng.Intn(40_000)) * time.Microsecond)
	}
	p.Kill()
	r.start()
	if !answered {
		r.retried++
		if !try() {
			r.t.Fatalf("step %d was not answered after a restart\n%s", r.step-1, r.p.Log())
		}
	}
}

// post sends events to a stream.
func (r *timeRun) post(stream, key string, body []byte) {
	r.t.Helper()
	r.do(func() bool {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+r.p.HTTP+"/v1/streams/"+stream+"/events", bytes.NewReader(body))
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", key)
		res, err := (&http.Client{Timeout: harness.PatienceMax}).Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		var answer struct{ Accepted, Rejected int64 }
		if json.NewDecoder(res.Body).Decode(&answer) != nil {
			return false
		}
		if res.StatusCode != http.StatusOK || answer.Rejected > 0 {
			r.t.Fatalf("%s %s: status %d, %+v", stream, key, res.StatusCode, answer)
		}
		return true
	})
}

// settle waits until everything sent so far, and what follows from it, is committed.
func (r *timeRun) settle() {
	r.t.Helper()
	c := r.p.Connect(r.t)
	defer c.Close(context.Background())
	harness.WaitRows(r.t, c, "SELECT coalesce(sum(pending_bytes), 0) FROM vigil.streams", func(rows []string) bool { return slices.Equal(rows, []string{"0"}) })
	harness.Exec(r.t, c, "INSERT INTO barrier VALUES (1)")
}

// statements runs statements one by one; those that were not answered are run again.
func (r *timeRun) statements(list ...string) {
	r.t.Helper()
	for _, sql := range list {
		r.do(func() bool {
			c, err := r.p.TryConnect()
			if err != nil {
				return false
			}
			defer c.Close(context.Background())
			_, err = harness.TryRows(c, sql)
			if err != nil && !c.IsClosed() {
				r.t.Fatalf("%s\n%v", sql, err)
			}
			return err == nil
		})
	}
}

// breakFunction sends the event on which the function spins, and waits for the end of its query.
func (r *timeRun) breakFunction() {
	r.t.Helper()
	r.settle()
	r.post("auth", "boom", []byte(`{"ts":"2026-03-01T12:01:36Z","username":"boom","session":-2,"bytes":0,"tardy":false}`+"\n"))
	c := r.p.Connect(r.t)
	defer c.Close(context.Background())
	harness.WaitRows(r.t, c, "SELECT state FROM vigil.queries WHERE name = 'frail'", func(rows []string) bool { return slices.Equal(rows, []string{"deactivated"}) })
	r.settle()
}

// resumeFunction puts the query back to work, unless that was done before a kill.
func (r *timeRun) resumeFunction() {
	r.t.Helper()
	r.settle()
	r.do(func() bool {
		c, err := r.p.TryConnect()
		if err != nil {
			return false
		}
		defer c.Close(context.Background())
		state, err := harness.TryRows(c, "SELECT state FROM vigil.queries WHERE name = 'frail'")
		if err != nil || slices.Equal(state, []string{"running"}) {
			return err == nil
		}
		_, err = harness.TryRows(c, "RESUME CONTINUOUS QUERY frail")
		return err == nil
	})
}

func (r *timeRun) run(l *timeLoad) map[string][]string {
	r.t.Helper()
	r.start()
	harness.Exec(r.t, r.p.Connect(r.t), timeSchema...)
	for i, piece := range l.pieces {
		if list := timeDDL[i]; list != nil {
			r.settle()
			r.statements(list...)
		}
		switch i {
		case timeBoom:
			r.breakFunction()
		case timeResume:
			r.resumeFunction()
		}
		for _, stream := range timeStreams {
			r.post(stream, fmt.Sprint("piece-", i), piece[stream])
		}
	}
	r.settle()
	out := map[string][]string{}
	c := r.p.Connect(r.t)
	for _, name := range timeOutcome {
		out[name] = harness.Rows(r.t, c, "SELECT * FROM "+name)
	}
	out["late rows"] = harness.Rows(r.t, c, "SELECT ts, username, bytes, late_query, late_watermark FROM auth$late UNION ALL SELECT ts, username, bytes, late_query, late_watermark FROM slow$late")
	out["states"] = harness.Rows(r.t, c, "SELECT name, state FROM vigil.queries")
	for _, rows := range out {
		slices.Sort(rows)
	}
	return out
}

// stepsBefore is how many steps lie before a piece and what changes with it, without that of the function.
func stepsBefore(piece int) int {
	n := piece * len(timeStreams)
	for at, list := range timeDDL {
		if at <= piece {
			n += len(list)
		}
	}
	return n
}

// timeSteps is about how many steps a run has: requests and statements.
const timeSteps = timePieces*3 + 10

// TestTimeKilled runs all that depends on time undisturbed and with kill -9 on the way, and compares what is there in the
// end; what is simple is also computed here.
func TestTimeKilled(t *testing.T) {
	l := newTimeLoad()
	calm := &timeRun{t: t, dir: t.TempDir(), args: func() []string { return nil }}
	want := calm.run(l)
	calm.p.Kill()
	for name, rows := range want {
		if len(rows) == 0 {
			t.Errorf("%s has no rows: comparing it shows nothing", name)
		}
	}
	compareModel(t, l, want)
	const kills = 36
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	r := &timeRun{t: t, dir: t.TempDir(), rng: rng, kills: map[int]int{}, args: func() []string {
		return []string{"--workers", fmt.Sprint(1 + rng.Intn(4)), "--checkpoint-every", fmt.Sprint(2+rng.Intn(150), "ms")}
	}}
	// Always about the moment at which the function breaks its limit, and when its query is resumed.
	for _, step := range []int{stepsBefore(timeBoom), stepsBefore(timeResume) + 1} {
		r.kills[step] = killDuring + rng.Intn(2)
	}
	for len(r.kills) < kills {
		r.kills[rng.Intn(timeSteps)] = killDuring + rng.Intn(2)
	}
	got := r.run(l)
	for name := range want {
		compare(t, name, got[name], want[name])
	}
	if r.starts-1 != kills || !r.cut || !r.reran {
		t.Errorf("%d recoveries of %d; one met a checkpoint and epochs after it: %v, one met epochs: %v", r.starts-1, kills, r.cut, r.reran)
	}
	t.Logf("%d kills, %d requests sent again", kills, r.retried)
	if code := r.p.Stop(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, r.p.Log())
	}
}
