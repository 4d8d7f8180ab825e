package inproc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TestRefresh brings a list to what its feed has: from a file, from a web server; a feed that fails, or loses more than half, leaves the
// list as it is and says so.
func TestRefresh(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	disk := NewDisk()
	db := costsDB(t, Options{Disk: disk, Clock: clock})
	path := filepath.Join(t.TempDir(), "feed.csv")
	write := func(lines ...string) {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(sql, message string, code sqlerr.Code) {
		t.Helper()
		if err := db.Exec(sql); sqlerr.CodeOf(err) != code || !strings.Contains(err.Error(), message) {
			t.Fatalf("%s: %v, want %s %s", sql, err, code, message)
		}
	}
	mustExec(t, db, fmt.Sprintf("CREATE IOC LIST bad TYPE ip WITH (source = 'file://%s', format = 'csv')", path))
	refused("REFRESH IOC LIST bad", "the feed cannot be opened", sqlerr.IOError)
	write("value,tags,confidence,expires_at", "10.0.0.1,a;b,80,", "10.0.0.2,,,2026-03-01", "10.0.0.3,,,2026-03-02", "10.0.0.4,,,", "nonsense,,,", "10.0.0.5,,200,")
	mustExec(t, db, "REFRESH IOC LIST bad")
	if n := fmt.Sprint(db.Notices()); !strings.Contains(n, "2 rows were rejected") || !strings.Contains(n, "0 of another type, 0 revoked or not for detection, 1 expired") {
		t.Errorf("notices %s", n)
	}
	state := "SELECT l.version, l.entries, l.refreshed_at, l.last_error FROM vigil.ioc_lists l WHERE name = 'bad'"
	all := "SELECT value, source, confidence, tags, expires_at, added_at FROM bad ORDER BY value"
	want := "10.0.0.1 bad 80 {a,b} NULL 2026-03-01 12:00:00+00, 10.0.0.3 bad NULL NULL 2026-03-02 00:00:00+00 2026-03-01 12:00:00+00, 10.0.0.4 bad NULL NULL NULL 2026-03-01 12:00:00+00"
	check := func(sql, want string) {
		t.Helper()
		if got := flat(t, db, sql); got != want {
			t.Fatalf("%s:\n%s\nwant\n%s", sql, got, want)
		}
	}
	check(all, want)
	check(state, "2 3 2026-03-01 12:00:00+00 NULL")
	check("SELECT reason, raw FROM vigil.rejected ORDER BY reason", `line 6: invalid indicator of type ip: "nonsense" (Expected an IPv4 or IPv6 address.) nonsense, line 7: invalid confidence: "200" (Expected a number from 0 to 100.) 10.0.0.5,,200,`)

	// The same feed again changes nothing; one that lost two of three needs FORCE; a header without values, an unknown file.
	clock.Step(time.Minute)
	write("value,tags,confidence,expires_at", "10.0.0.1,a;b,80,", "10.0.0.3,,,2026-03-02", "10.0.0.4,,,")
	mustExec(t, db, "REFRESH IOC LIST bad")
	check(all, want)
	check(state, "2 3 2026-03-01 12:01:00+00 NULL")
	clock.Step(time.Minute)
	write("value", "10.0.0.1", "10.0.0.9")
	refused("REFRESH IOC LIST bad", `the feed of IOC list "bad" has lost 2 of 3 entries`, sqlerr.ObjectNotInPrerequisite)
	write("nothing", "10.0.0.1")
	refused("REFRESH IOC LIST bad", "the feed's header has no column for the values: nothing", sqlerr.UndefinedColumn)
	check(all, want)
	check(state, "2 3 2026-03-01 12:01:00+00 the feed's header has no column for the values: nothing")
	write("value", "10.0.0.1", "10.0.0.9")
	mustExec(t, db, "REFRESH IOC LIST bad FORCE")
	check(all, "10.0.0.1 bad NULL NULL NULL 2026-03-01 12:00:00+00, 10.0.0.9 bad NULL NULL NULL 2026-03-01 12:02:00+00")
	check(state, "3 2 2026-03-01 12:02:00+00 NULL")
	refused("BEGIN; REFRESH IOC LIST bad", "cannot run inside a transaction block", sqlerr.ActiveTransaction)
	mustExec(t, db, "ROLLBACK")
	refused("CREATE IOC LIST none TYPE ip; REFRESH IOC LIST none", "has no source", sqlerr.ObjectNotInPrerequisite)
	refused("REFRESH IOC LIST nope", "does not exist", sqlerr.UndefinedObject)

	// After a restart the list is there, and its source is known.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = costsDB(t, Options{Disk: disk, Clock: clock})
	write("value", "10.0.0.1", "10.0.0.9", "10.0.0.10")
	mustExec(t, db, "REFRESH IOC LIST bad")
	check("SELECT value, '10.0.0.10'::inet IN IOC bad FROM bad ORDER BY value", "10.0.0.1 t, 10.0.0.10 t, 10.0.0.9 t")
}

func TestRefreshOverHTTP(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	db := costsDB(t, Options{Disk: NewDisk(), Clock: clock})
	status, text := http.StatusOK, "evil.example\nB.example # x\n"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/feed", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, text)
		default:
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}))
	defer srv.Close()
	for _, p := range []string{"feed", "moved", "circle", "cut"} {
		mustExec(t, db, fmt.Sprintf("CREATE IOC LIST %s TYPE domain WITH (source = '%s/%s')", p, srv.URL, p))
	}
	mustExec(t, db, "REFRESH IOC LIST feed", "REFRESH IOC LIST moved")
	for list, message := range map[string]string{"circle": "it is redirected to", "cut": "unexpected EOF"} {
		if err := db.Exec("REFRESH IOC LIST " + list); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", list, err)
		}
	}
	status, text = http.StatusNotFound, "other.example\n"
	if err := db.Exec("REFRESH IOC LIST feed"); err == nil || !strings.Contains(err.Error(), "the server answers 404 Not Found") {
		t.Errorf("404: %v", err)
	}
	if got, want := flat(t, db, "SELECT name, entries, last_error IS NULL FROM vigil.ioc_lists ORDER BY name"), "circle 0 f, cut 0 f, feed 2 f, moved 2 t"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFeedOptions: what cannot be a feed is refused when the list is made.
func TestFeedOptions(t *testing.T) {
	db := costsDB(t, Options{Disk: NewDisk(), Clock: NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))})
	for opts, message := range map[string]string{
		"source = 'feed.txt'": "neither a file nor a web address", "source = 'ftp://h/x'": "neither a file nor a web address", "source = 'file://host/x'": "neither a file nor a web address",
		"source = 'https://u:p@h/x'": "cannot hold a user or a password", "source = 'https://h/x', format = 'xml'": `invalid value for option "format"`,
		"format = 'csv'": `option "format" of an IOC list without a source`, "source = 'https://h/x', delimiter = 'ab'": `invalid value for option "delimiter"`,
		"source = 'https://h/x', refresh = '1 second'": `invalid value for option "refresh"`, "refresh = '1 hour'": `option "refresh" of an IOC list without a source`, "expire_after = '1 second'": `invalid value for option "expire_after"`, "x = 'y'": `unrecognized option "x"`,
	} {
		if err := db.Exec("CREATE IOC LIST l TYPE ip WITH (" + opts + ")"); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v, want %s", opts, err, message)
		}
	}
}
