package inproc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// feedServer answers with what the test says.
type feedServer struct {
	*httptest.Server
	text  atomic.Pointer[string]
	asked atomic.Int64
	// during runs while a request is under way; nil: nothing does.
	during atomic.Pointer[func()]
}

func newFeedServer(t *testing.T, text string) *feedServer {
	f := &feedServer{}
	f.text.Store(&text)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.asked.Add(1)
		if do := f.during.Load(); do != nil {
			(*do)()
		}
		text := *f.text.Load()
		if text == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(f.Server.Close)
	return f
}

func (f *feedServer) has(lines ...string) {
	text := strings.Join(lines, "\n")
	f.text.Store(&text)
}

const timedState = "SELECT entries, refreshed_at, last_error, next_refresh FROM vigil.ioc_lists WHERE name = 'bad'"

// TestTimedRefresh: a list with a period is refreshed at once, then as the period passes; one that fails stays as it is and is tried again sooner,
// less and less often. What is known of that outlives the server, and a refresh that was due meanwhile comes after the start.
func TestTimedRefresh(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	disk := NewDisk()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	f := newFeedServer(t, "10.0.0.1\n10.0.0.2\n")
	check := func(step time.Duration, asked int64, want string) {
		t.Helper()
		clock.Step(step)
		db.RefreshDue()
		if got := flat(t, db, timedState); got != want || f.asked.Load() != asked {
			t.Fatalf("%s after %d requests, want %s after %d", got, f.asked.Load(), want, asked)
		}
	}
	mustExec(t, db, fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = '%s', refresh = '1 hour')", f.URL))
	check(0, 1, "2 2026-03-01 12:00:00+00 NULL 2026-03-01 13:00:00+00")
	check(59*time.Minute, 1, "2 2026-03-01 12:00:00+00 NULL 2026-03-01 13:00:00+00")
	f.has("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
	check(time.Minute, 2, "4 2026-03-01 13:00:00+00 NULL 2026-03-01 14:00:00+00")

	// It fails: again after 30 s, a minute, two.
	f.has()
	down := "4 2026-03-01 13:00:00+00 the feed cannot be read: the server answers 503 Service Unavailable "
	check(time.Hour, 3, down+"2026-03-01 14:00:30+00")
	check(29*time.Second, 3, down+"2026-03-01 14:00:30+00")
	check(time.Second, 4, down+"2026-03-01 14:01:30+00")
	check(time.Minute, 5, down+"2026-03-01 14:03:30+00")

	// After a crash it is as it was, and what was due is asked for.
	_ = db.Close()
	db = costsDB(t, Options{Disk: disk.Crash(nil), Clock: clock})
	check(0, 5, down+"2026-03-01 14:03:30+00")
	for range 20 {
		clock.Step(time.Hour)
		db.RefreshDue()
	}
	check(0, 25, down+"2026-03-02 10:31:30+00")
	f.has("10.0.0.4")
	lost := `4 2026-03-01 13:00:00+00 the feed of IOC list "bad" has lost 3 of 4 entries 2026-03-02 11:01:30+00`
	check(30*time.Minute, 26, lost)
	mustExec(t, db, "REFRESH IOC LIST bad FORCE")
	check(0, 27, "1 2026-03-02 10:31:30+00 NULL 2026-03-02 11:31:30+00")

	// Another source is asked at once, and what was known is of the old one; RESET ends it.
	g := newFeedServer(t, "10.0.0.4\n10.0.0.5\n")
	mustExec(t, db, fmt.Sprintf("ALTER IOC LIST bad SET (source = '%s')", g.URL))
	check(0, 27, "2 2026-03-02 10:31:30+00 NULL 2026-03-02 11:31:30+00")
	mustExec(t, db, "ALTER IOC LIST bad SET (refresh = '1 day')")
	check(2*time.Hour, 27, "2 2026-03-02 10:31:30+00 NULL 2026-03-03 10:31:30+00")
	mustExec(t, db, "ALTER IOC LIST bad RESET (refresh)")
	check(48*time.Hour, 27, "2 2026-03-02 10:31:30+00 NULL NULL")
	if got, want := flat(t, db, "SHOW CREATE IOC LIST bad"), fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = '%s')", g.URL); !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	_ = db.Close()
}

// TestRefreshByClock: the server looks at the clock by itself.
func TestRefreshByClock(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Clock: clock, FeedEvery: time.Millisecond})
	f := newFeedServer(t, "10.0.0.1\n")
	mustExec(t, db, fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = '%s', refresh = '1 hour')", f.URL))
	for _, want := range []string{"1", "2"} {
		for flat(t, db, "SELECT entries FROM vigil.ioc_lists") != want { // the test's own time ends it
		}
		f.has("10.0.0.1", "10.0.0.2")
		clock.Step(time.Hour)
	}
}

// TestSilentFeed: a server that sends nothing, or no more, ends the refresh; the list stays, and others are refreshed meanwhile.
func TestSilentFeed(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Clock: clock, FeedSilence: 50 * time.Millisecond})
	gone := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/part" {
			fmt.Fprint(w, "10.0.0.9\n")
			w.(http.Flusher).Flush()
		}
		<-gone
	}))
	defer silent.Close()
	defer close(gone)
	f := newFeedServer(t, "10.0.0.1\n")
	for name, source := range map[string]string{"whole": silent.URL + "/whole", "part": silent.URL + "/part", "good": f.URL} {
		mustExec(t, db, fmt.Sprintf("CREATE IOC LIST %s TYPE ip WITH (source = '%s', refresh = '1 hour')", name, source))
	}
	db.RefreshDue()
	if got, want := flat(t, db, "SELECT name, entries, last_error FROM vigil.ioc_lists ORDER BY name"),
		"good 1 NULL, part 0 the feed cannot be read: nothing has come for 50ms, whole 0 the feed cannot be read: nothing has come for 50ms"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRefreshAmid: what happens to a list while its feed is read.
func TestRefreshAmid(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		sql, state string
		crash      bool
	}{
		"dropped":      {"DROP IOC LIST bad", "", false},
		"made again":   {"DROP IOC LIST bad; CREATE IOC LIST bad TYPE ip", "0 NULL NULL NULL", false},
		"other source": {"ALTER IOC LIST bad SET (source = 'file:///nowhere')", "0 NULL NULL 2026-03-01 12:00:00+00", false},
		"added to":     {"INSERT INTO bad (value) VALUES ('10.0.0.1'), ('10.0.0.7')", "2 2026-03-01 12:00:00+00 NULL 2026-03-01 13:00:00+00", false},
		"crash":        {"", "0 NULL NULL 2026-03-01 12:00:00+00", true},
	} {
		t.Run(name, func(t *testing.T) {
			disk := NewDisk()
			db := costsDB(t, Options{Disk: disk, Clock: clock})
			f := newFeedServer(t, "10.0.0.1\n10.0.0.2\n")
			mustExec(t, db, fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = '%s', refresh = '1 hour')", f.URL))
			var left *Disk
			during := func() {
				if c.crash {
					left = disk.Crash(nil)
				} else if err := db.Exec(c.sql); err != nil {
					t.Error(err)
				}
			}
			f.during.Store(&during)
			db.RefreshDue()
			f.during.Store(nil)
			if c.crash {
				db = costsDB(t, Options{Disk: left, Clock: clock})
			}
			if got := flat(t, db, timedState); got != c.state {
				t.Fatalf("%s, want %s", got, c.state)
			}
			if c.crash { // it is due still
				db.RefreshDue()
				if got, want := flat(t, db, timedState), "2 2026-03-01 12:00:00+00 NULL 2026-03-01 13:00:00+00"; got != want {
					t.Fatalf("%s, want %s", got, want)
				}
			}
		})
	}
}

// TestRefreshAsOwner: lists of those who are superusers no more are not refreshed.
func TestRefreshAsOwner(t *testing.T) {
	db := costsDB(t, Options{Clock: NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))})
	f := newFeedServer(t, "10.0.0.1\n")
	mustExec(t, db, "CREATE ROLE eve SUPERUSER", "GRANT CREATE ON SCHEMA public TO eve", "SET ROLE eve",
		fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = '%s', refresh = '1 hour')", f.URL), "RESET ROLE", "ALTER ROLE eve NOSUPERUSER")
	db.RefreshDue()
	if got, want := flat(t, db, timedState), "0 NULL the owner of IOC list bad is not a superuser 2026-03-01 12:00:30+00"; got != want || f.asked.Load() != 0 {
		t.Errorf("%s after %d requests, want %s", got, f.asked.Load(), want)
	}
	mustExec(t, db, "SET ROLE eve", "ALTER IOC LIST bad RESET (refresh, source)")
	if err := db.Exec("ALTER IOC LIST bad SET (source = 'file:///x')"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
}

// TestRedirects: a feed may not lead to what only the server reaches.
func TestRedirects(t *testing.T) {
	inside := newFeedServer(t, "10.0.0.1\n")
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := strings.Replace(inside.URL, "127.0.0.1", r.URL.Query().Get("host"), 1)
		if r.URL.Path != "/" {
			to = "file:///etc/passwd"
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer outside.Close()
	db := costsDB(t, Options{})
	for path, message := range map[string]string{"/?host=127.0.0.2": "127.0.0.2, which is not a public address", "/?host=localhost": "which is not a public address",
		"/?host=[::ffff:127.0.0.1]": "127.0.0.1, which is not a public address", "/file": "unsupported protocol scheme"} {
		mustExec(t, db, fmt.Sprintf("CREATE IOC LIST l TYPE ip WITH (source = '%s%s')", outside.URL, path))
		if err := db.Exec("REFRESH IOC LIST l"); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", path, err)
		}
		mustExec(t, db, "DROP IOC LIST l")
	}
	if n := inside.asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	mustExec(t, db, fmt.Sprintf("CREATE IOC LIST l TYPE ip WITH (source = '%s/?host=127.0.0.1')", outside.URL), "REFRESH IOC LIST l")
}

// TestExpireAfter: entries of which nothing is said go after their list's time, counted from when a statement or the feed had them last.
func TestExpireAfter(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	disk := NewDisk()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	f := newFeedServer(t, "value,expires_at\nfed.example,\nshort.example,2026-03-03\n")
	check := func(step time.Duration, want string) {
		t.Helper()
		clock.Step(step)
		db.RefreshDue()
		if got := flat(t, db, "SELECT value, expires_at, value IN IOC bad FROM bad ORDER BY value"); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	mustExec(t, db, fmt.Sprintf("CREATE IOC LIST bad TYPE domain WITH (source = '%s', format = 'csv', expire_after = '8 days')", f.URL), "REFRESH IOC LIST bad",
		"INSERT INTO bad (value) VALUES ('put.example')", "ALTER IOC LIST bad ADD ('added.example')")
	if err := db.Copy("COPY bad (value, expires_at) FROM STDIN (FORMAT csv)", strings.NewReader("copied.example,\ncopied2.example,2026-03-02 13:00:00+00\n")); err != nil {
		t.Fatal(err)
	}
	check(0, "added.example 2026-03-09 12:00:00+00 t, copied.example 2026-03-09 12:00:00+00 t, copied2.example 2026-03-02 13:00:00+00 t, fed.example 2026-03-09 12:00:00+00 t, put.example 2026-03-09 12:00:00+00 t, short.example 2026-03-03 00:00:00+00 t")
	check(36*time.Hour, "added.example 2026-03-09 12:00:00+00 t, copied.example 2026-03-09 12:00:00+00 t, fed.example 2026-03-09 12:00:00+00 t, put.example 2026-03-09 12:00:00+00 t")

	// Given again they are valid for longer; what the feed has still is written again only when that is worth it.
	mustExec(t, db, "INSERT INTO bad (value) VALUES ('put.example')", "REFRESH IOC LIST bad FORCE")
	check(0, "fed.example 2026-03-11 00:00:00+00 t")
	clock.Step(23 * time.Hour)
	mustExec(t, db, "REFRESH IOC LIST bad", "INSERT INTO bad (value) VALUES ('put.example')")
	check(0, "fed.example 2026-03-11 00:00:00+00 t, put.example 2026-03-11 23:00:00+00 t")

	// Over a restart, and to the microsecond.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = costsDB(t, Options{Disk: disk, Clock: clock})
	check(7*24*time.Hour+time.Hour-time.Microsecond, "fed.example 2026-03-11 00:00:00+00 t, put.example 2026-03-11 23:00:00+00 t")
	check(time.Microsecond, "put.example 2026-03-11 23:00:00+00 t")
	mustExec(t, db, "ALTER IOC LIST bad RESET (expire_after)", "INSERT INTO bad (value) VALUES ('stays.example')")
	check(0, "put.example 2026-03-11 23:00:00+00 t, stays.example NULL t")
}

// TestListVersionInAlerts: alerts name the version of the list that they saw, also those that are made again after a crash, and the number goes on from there.
func TestListVersionInAlerts(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	disk := NewDisk()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	mustExec(t, db, "CREATE IOC LIST bad TYPE ip; CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, a INET, WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY hits AS SELECT a, ioc_version('bad') AS v FROM s WHERE a IN IOC bad",
		"CREATE CONTINUOUS QUERY ups AS SELECT a, max(ioc_version('bad')) AS v, count(*) AS n FROM s WHERE a IN IOC bad GROUP BY a, TUMBLE(ts, INTERVAL '1 hour')",
		"INSERT INTO bad (value) VALUES ('10.0.0.1')", "INSERT INTO s VALUES ('2026-03-01 12:00Z', '10.0.0.1')",
		"INSERT INTO bad (value) VALUES ('10.0.0.2')", "INSERT INTO bad (value) VALUES ('10.0.0.3')", "INSERT INTO s VALUES ('2026-03-01 12:01Z', '10.0.0.1')")
	check := func(sql, want string) {
		t.Helper()
		if got := flat(t, db, sql); got != want {
			t.Fatalf("%s: %s, want %s", sql, got, want)
		}
	}
	check("SELECT * FROM hits ORDER BY v", "10.0.0.1 2, 10.0.0.1 4")
	check("SELECT ioc_version('bad'), version FROM vigil.ioc_lists", "4 4")
	left := disk.Crash(nil)
	_ = db.Close()
	db = costsDB(t, Options{Disk: left, Clock: clock})
	if db.Rerun == 0 {
		t.Error("nothing was run again")
	}
	mustExec(t, db, "INSERT INTO bad (value) VALUES ('10.0.0.4')", "INSERT INTO s VALUES ('2026-03-01 12:02Z', '10.0.0.4'), ('2026-03-01 13:30Z', '10.0.0.9')")
	check("SELECT * FROM hits ORDER BY v", "10.0.0.1 2, 10.0.0.1 4, 10.0.0.4 5")
	check("SELECT a, v, n FROM ups ORDER BY v", "10.0.0.1 4 2, 10.0.0.4 5 1")
	check("SELECT ioc_version('bad'), version FROM vigil.ioc_lists", "5 5")
	if err := db.Exec("SELECT ioc_version('bad', a) FROM s"); err == nil || !strings.Contains(err.Error(), "ioc_version takes the name of an IOC list") {
		t.Errorf("%v", err)
	}
}
