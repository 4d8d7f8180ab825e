package seeds

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// logonStream has the columns of the Windows logon events that the rule needs, out of some thirty in each event.
const logonStream = `CREATE STREAM logons ("TimeCreated" TIMESTAMPTZ NOT NULL, "EventID" INT, "TargetUserName" TEXT, "IpAddress" INET, "WorkstationName" TEXT,
	WATERMARK FOR "TimeCreated" AS "TimeCreated" - INTERVAL '5 seconds') FORMAT JSON`

// guessing is the demonstration rule on them: more than 10 failed logons of a user from an address within 5 seconds.
const guessing = `CREATE CONTINUOUS QUERY guessing AS SELECT "TargetUserName" AS username, "IpAddress" AS src, count(*) AS denied,
	count(DISTINCT "WorkstationName") AS stations FROM logons WHERE "EventID" = 4625
	GROUP BY "TargetUserName", "IpAddress", TUMBLE("TimeCreated", INTERVAL '5 seconds') HAVING count(*) > 10`

// closing is a row long after the log that closes its last window.
const closing = `{"TimeCreated":"2016-09-21T00:00:00Z","EventID":1}` + "\n"

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(need.Shared(t, path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	return data
}

// guessesByHand is the rule as a loop over the file.
func guessesByHand(t *testing.T, data []byte) []string {
	type key struct {
		window    int64
		user, src string
	}
	counts, stations := map[key]int{}, map[key]map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			TimeCreated                                time.Time
			EventID                                    int
			TargetUserName, IpAddress, WorkstationName string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.EventID != 4625 {
			continue
		}
		k := key{e.TimeCreated.Unix() / 5 * 5, e.TargetUserName, e.IpAddress}
		counts[k]++
		if stations[k] == nil {
			stations[k] = map[string]bool{}
		}
		stations[k][e.WorkstationName] = true
	}
	var out []string
	for k, n := range counts {
		if n > 10 {
			out = append(out, fmt.Sprintf("%s|%s|%s|%d|%d", time.Unix(k.window, 0).UTC().Format("2006-01-02 15:04:05+00"), k.user, k.src, n, len(stations[k])))
		}
	}
	slices.Sort(out)
	return out
}

// TestPasswordGuessing runs the demonstration rule over 3,561 real failed logons, loaded by COPY and by HTTP.
func TestPasswordGuessing(t *testing.T) {
	data := gunzip(t, "data/events/evtx-json/DeepBlueCLI__smb-password-guessing-security.jsonl.gz")
	if n := bytes.Count(data, []byte("\n")); n != 3561 {
		t.Fatalf("the log has %d events", n)
	}
	want := guessesByHand(t, data)
	if len(want) < 5 {
		t.Fatalf("%d alerts by hand: the log shows nothing", len(want))
	}
	load := append(slices.Clone(data), closing...)
	for name, put := range map[string]func(*testing.T, *harness.Process, *pgx.Conn, string, []byte) int64{"copy": byCopy, "http": byHTTP} {
		t.Run(name, func(t *testing.T) {
			p := harness.Start(t, t.TempDir())
			c := p.Connect(t)
			harness.Exec(t, c, logonStream, guessing)
			if n := put(t, p, c, "logons", load); n != 3562 {
				t.Fatalf("%d events accepted", n)
			}
			got := harness.WaitRows(t, c, "SELECT window_start, username, src, denied, stations FROM guessing", func(rows []string) bool { return len(rows) >= len(want) })
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if late := harness.Rows(t, c, "SELECT late, rejected FROM vigil.streams"); late[0] != "0|0" {
				t.Errorf("late|rejected is %s", late[0])
			}
		})
	}
}

func byCopy(t *testing.T, _ *harness.Process, c *pgx.Conn, stream string, data []byte) int64 {
	tag, err := c.PgConn().CopyFrom(context.Background(), bytes.NewReader(data), "COPY "+stream+" FROM STDIN (FORMAT json)")
	if err != nil {
		t.Fatal(err)
	}
	return tag.RowsAffected()
}

func byHTTP(t *testing.T, p *harness.Process, _ *pgx.Conn, stream string, data []byte) int64 {
	res, err := http.Post("http://"+p.HTTP+"/v1/streams/"+stream+"/events", "application/x-ndjson", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Accepted, Rejected int64 }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Accepted
}
