package crash

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigil-sql/vigil/tests/harness"
)

// holds reports the files below a directory that have a text in them.
func holds(t *testing.T, dir, text string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestSecrets: passwords and tokens of streams and sinks are nowhere in a data directory and in a backup, and what has them works over
// restarts, and on a backup that gets the key. Without, the server runs, and says what is missing.
func TestSecrets(t *testing.T) {
	var got atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer hunter2token" {
			got.Add(1)
		}
	}))
	defer target.Close()
	dir, copied, away := t.TempDir(), filepath.Join(t.TempDir(), "backup"), t.TempDir()
	p := harness.Start(t, dir)
	c := p.Connect(t)
	harness.Exec(t, c, "CREATE STREAM s (n BIGINT)",
		"CREATE STREAM k (n BIGINT) WITH (connector = 'kafka', brokers = '127.0.0.1:1', topic = 't', sasl_mechanism = 'PLAIN', sasl_username = 'me', sasl_password = 'hunter2password')",
		"CREATE CONTINUOUS QUERY q AS SELECT n FROM s", "CREATE CONTINUOUS QUERY of_k AS SELECT n FROM k",
		"CREATE SINK out FROM q WITH (connector = 'http', url = '"+target.URL+"/hunter2path', header.authorization = 'Bearer hunter2token', secret = 'hunter2secret')",
		"INSERT INTO s VALUES (1)")
	delivered := func(p *harness.Process) {
		t.Helper()
		harness.WaitRows(t, p.Connect(t), "SELECT state, lag_rows, last_error FROM vigil.sinks", func(rows []string) bool { return strings.HasPrefix(rows[0], "running|0|") })
	}
	delivered(p)
	for _, sql := range []string{"SHOW CREATE SINK out", "SHOW CREATE STREAM k"} {
		if text := harness.Rows(t, c, sql)[0]; strings.Contains(text, "hunter2") || strings.Contains(text, "sealed") || !strings.Contains(text, "'********'") {
			t.Errorf("%s: %s", sql, text)
		}
	}
	if _, err := c.Exec(t.Context(), "ALTER SINK out SET (secret = 'vigil-sealed-1:x:y')"); err == nil || !strings.Contains(err.Error(), "vigil makes") {
		t.Error(err)
	}
	harness.Exec(t, c, "ALTER SINK out SET (timeout = '5 seconds')", "ALTER CONTINUOUS QUERY q RENAME TO p", "ALTER SINK out RENAME TO soar", "BACKUP TO '"+copied+"'")
	p.Kill()
	p = harness.Start(t, dir)
	harness.Exec(t, p.Connect(t), "INSERT INTO s VALUES (2)")
	delivered(p)
	if p.Stop(t); got.Load() < 2 {
		t.Errorf("%d requests with the token", got.Load())
	}
	for _, d := range []string{dir, copied} {
		if list := holds(t, d, "hunter2"); len(list) > 0 {
			t.Errorf("a secret lies in %v", list)
		}
	}
	if list := holds(t, copied, "vigil secret key"); len(list) > 0 {
		t.Errorf("the key lies in the backup, in %v", list)
	}

	// The backup alone: everything but the sink and the stream works, and those say what they need.
	p = harness.Start(t, copied)
	c = p.Connect(t)
	harness.Exec(t, c, "INSERT INTO s VALUES (3)")
	harness.WaitRows(t, c, "SELECT n FROM p WHERE n = 3", func(rows []string) bool { return len(rows) == 1 })
	harness.WaitRows(t, c, "SELECT last_error FROM vigil.sinks", func(rows []string) bool {
		return strings.Contains(rows[0], "sealed with key") && strings.Contains(rows[0], "secret.key") // what, and what to do
	})
	harness.WaitRows(t, c, "SELECT last_error FROM vigil.sources WHERE stream = 'k'", func(rows []string) bool {
		return len(rows) == 1 && strings.Contains(rows[0], `option "sasl_password" is sealed with key`)
	})
	_, err := c.Exec(t.Context(), "CREATE CONTINUOUS QUERY late WITH (start = 'earliest') AS SELECT n FROM k")
	if e, ok := err.(*pgconn.PgError); !ok || !strings.Contains(e.Message, `option "sasl_password" is sealed with key`) || !strings.Contains(e.Hint, "secret.key") {
		t.Error(err)
	}
	p.Stop(t)

	// With the key, in a place of its own.
	key := filepath.Join(away, "key")
	data, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err == nil {
		err = os.WriteFile(key, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := got.Load()
	p = harness.Start(t, copied, "--secret-key", key)
	delivered(p)
	if got.Load() == before {
		t.Error("nothing arrived")
	}
	p.Stop(t)
}

// TestSecretsAnew: who has lost the key gives the options of a sink again.
func TestSecretsAnew(t *testing.T) {
	var got atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.Add(int64(len(r.Header["X-Token"]))) }))
	defer target.Close()
	dir := t.TempDir()
	p := harness.Start(t, dir)
	harness.Exec(t, p.Connect(t), "CREATE STREAM s (n BIGINT)", "CREATE CONTINUOUS QUERY q AS SELECT n FROM s",
		"CREATE SINK out FROM q WITH (connector = 'http', url = '"+target.URL+"', \"header.x-token\" = 'hunter2')")
	p.Stop(t)
	if err := os.Remove(filepath.Join(dir, "secret.key")); err != nil {
		t.Fatal(err)
	}
	p = harness.Start(t, dir)
	c := p.Connect(t)
	harness.Exec(t, c, "INSERT INTO s VALUES (1)")
	harness.WaitRows(t, c, "SELECT last_error FROM vigil.sinks", func(rows []string) bool { return strings.Contains(rows[0], "sealed with key") })
	_, err := c.Exec(t.Context(), "ALTER SINK out SET (url = '"+target.URL+"')")
	if e, ok := err.(*pgconn.PgError); !ok || !strings.Contains(e.Message, `option "header.x-token" is sealed`) || e.Hint == "" {
		t.Error(err)
	}
	harness.Exec(t, c, "ALTER SINK out SET (url = '"+target.URL+"', \"header.x-token\" = 'other')")
	harness.WaitRows(t, c, "SELECT state, lag_rows FROM vigil.sinks", func(rows []string) bool { return rows[0] == "running|0" })
	if got.Load() != 1 {
		t.Errorf("%d requests with a token", got.Load())
	}
	p.Stop(t)
}
