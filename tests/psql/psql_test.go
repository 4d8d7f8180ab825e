// Package psql drives the real psql against the real server.
package psql

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// psql runs a script and returns what it prints, errors included.
func psql(t *testing.T, p *harness.Process, script string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.PG)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, need.Psql(t), "-X", "-h", host, "-p", port, "-U", "analyst", "vigil")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PSQL_PAGER=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return string(out)
}

const schema = `CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, username TEXT, src_ip INET, WATERMARK FOR ts AS ts) FORMAT JSON;
CREATE CONTINUOUS QUERY busy AS SELECT username, count(*) AS n FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 minute');
CREATE IOC LIST bad TYPE ip;
CREATE FUNCTION odd(n BIGINT) RETURNS BOOLEAN LANGUAGE javascript AS $$ return n % 2n === 1n $$;
`

func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("psql does not print %q:\n%s", w, out)
		}
	}
}

func TestDescribe(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	contains(t, psql(t, p, schema), "CREATE STREAM", "CREATE CONTINUOUS QUERY", "CREATE IOC LIST", "CREATE FUNCTION")
	contains(t, psql(t, p, "\\d\n"), "List of relations", " public | auth ", "| table ", " public | busy ", "materialized view", " public | bad ", "(3 rows)")
	contains(t, psql(t, p, "\\dt\n"), " public | auth | table ", " public | bad  | table ", "(2 rows)")
	contains(t, psql(t, p, "\\d auth\n"), `Table "public.auth"`, " ts       | timestamp with time zone |           | not null |", " src_ip   | inet ")
	contains(t, psql(t, p, "\\d busy\n"), `Materialized view "public.busy"`, " window_start | timestamp with time zone ", " n            | bigint ")
	contains(t, psql(t, p, "\\dm\n"), " public | busy | materialized view ")
	contains(t, psql(t, p, "\\df\n"), " public | odd  | boolean          | n bigint ")
	contains(t, psql(t, p, "\\l\n"), " vigil ")
	contains(t, psql(t, p, "\\dn\n"), " public ")
	contains(t, psql(t, p, "\\du\n"), "Superuser")
}

func TestErrorsAndCopy(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	out := psql(t, p, schema+"SELECT usernam FROM auth;\nSELECT 1 +;\nSELECT 'still here' AS x;\n")
	contains(t, out, "ERROR:  column \"usernam\" does not exist\nLINE 1: SELECT usernam FROM auth;\n               ^\n",
		"HINT:  Perhaps you meant to reference the column \"auth.username\".", "ERROR:  syntax error at or near \";\"", "still here")
	out = psql(t, p, "COPY auth (ts, username) FROM STDIN;\n2026-01-01 00:00:00Z\tann\nnonsense\tx\n2026-01-01 00:02:00Z\tbob\n\\.\nSELECT username, n FROM busy;\n")
	contains(t, out, "COPY 2", "NOTICE:  1 row was rejected", " ann      | 1\n(1 row)")
}

func TestLiveAlerts(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	psql(t, p, schema)
	out := psql(t, p, "LISTEN busy;\nINSERT INTO auth VALUES ('2026-01-01 00:00:00Z', 'ann', NULL), ('2026-01-01 00:01:00Z', 'bob', NULL);\nSELECT 1;\nSELECT 2;\n")
	contains(t, out, `Asynchronous notification "busy" with payload "{"window_start":"2026-01-01T00:00:00.000000Z","window_end":"2026-01-01T00:01:00.000000Z","username":"ann","n":1}"`)

	// COPY (SUBSCRIBE) prints alerts as they come, until it is cancelled.
	host, port, err := net.SplitHostPort(p.PG)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Psql(t), "-X", "-h", host, "-p", port, "-U", "analyst", "vigil", "-c", "COPY (SUBSCRIBE busy WITH (SNAPSHOT)) TO STDOUT")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := p.Connect(t)
	harness.WaitRows(t, c, "SELECT count(*) FROM busy", func(rows []string) bool { return rows[0] == "1" })
	harness.Exec(t, c, "INSERT INTO auth VALUES ('2026-01-01 00:02:00Z', 'cid', NULL)")
	// psql writes its buffer when the copy ends: the cancel request of an interrupt ends it.
	<-time.After(500 * time.Millisecond)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // a cancelled command is an error to psql
	got, err := os.ReadFile(stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(got), "0\t+I\tf\t2026-01-01 00:00:00+00\t2026-01-01 00:01:00+00\tann\t1\n", "1\t+I\tf\t2026-01-01 00:01:00+00\t2026-01-01 00:02:00+00\tbob\t1\n")
	contains(t, stderr.String(), "canceling statement due to user request")
}
