package seeds

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// answer is a question of expected-windows.json with what a brute-force script answered.
type answer struct {
	ID     string
	Rows   []map[string]any
	Count  int
	Sha256 string `json:"sha256_of_sorted_pairs"`
	// Distinct is a list of values, or how many there are.
	Distinct      any
	DistinctCount int `json:"distinct_count"`
}

func readAnswers(t *testing.T) map[string]answer {
	text, err := os.ReadFile(need.Shared(t, "data/events/expected-windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []answer
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]answer{}
	for _, a := range list {
		out[a.ID] = a
	}
	return out
}

// zeek are the logs that the questions are about. Their rows are out of order, by up to the time that a connection lasts.
var zeek = []struct{ file, ddl string }{
	{"rdp", `CREATE STREAM rdp (ts TIMESTAMPTZ NOT NULL, uid TEXT, "id.orig_h" INET, "id.resp_h" INET,
		WATERMARK FOR ts AS ts - INTERVAL '30 minutes') WITH (retention = '36500 days') FORMAT JSON`},
	{"ntlm", `CREATE STREAM ntlm (ts TIMESTAMPTZ NOT NULL, uid TEXT, "id.orig_h" INET, "id.resp_h" INET,
		WATERMARK FOR ts AS ts - INTERVAL '30 minutes') WITH (retention = '36500 days') FORMAT JSON`},
	{"dns", `CREATE STREAM dns (ts TIMESTAMPTZ NOT NULL, "id.orig_h" INET, query TEXT, rcode_name TEXT, answers JSONB,
		WATERMARK FOR ts AS ts - INTERVAL '30 minutes') WITH (retention = '36500 days') FORMAT JSON`},
}

// questions are the windowed and joining ones: the query, and how a row of the answer prints.
var questions = []struct {
	id, query string
	print     func(r map[string]any) string
}{
	{"rdp_tumble_1m", `SELECT window_start, "id.orig_h" AS orig_h, count(*) AS n, count(DISTINCT "id.resp_h") AS targets
		FROM rdp GROUP BY "id.orig_h", TUMBLE(ts, INTERVAL '1 minute') HAVING count(*) >= 50`, fields("window_start", "orig_h", "n", "targets")},
	{"rdp_hop_5m_1m_distinct", `SELECT window_start, "id.orig_h" AS orig_h, count(*) AS n, count(DISTINCT "id.resp_h") AS targets
		FROM rdp GROUP BY "id.orig_h", HOP(ts, INTERVAL '1 minute', INTERVAL '5 minutes') HAVING count(DISTINCT "id.resp_h") >= 8`,
		fields("window_start", "orig_h", "n", "targets")},
	{"rdp_session_30s", `SELECT "id.orig_h" AS orig_h, "id.resp_h" AS resp_h, window_start, window_end - INTERVAL '30 seconds' AS last_event, count(*) AS n
		FROM rdp GROUP BY "id.orig_h", "id.resp_h", SESSION(ts, INTERVAL '30 seconds') HAVING count(*) >= 20`,
		fields("orig_h", "resp_h", "session_start", "last_event", "n")},
	{"dns_nxdomain_tumble_1m", `SELECT window_start, "id.orig_h" AS orig_h, count(*) AS n, count(DISTINCT query) AS queries
		FROM dns WHERE rcode_name = 'NXDOMAIN' GROUP BY "id.orig_h", TUMBLE(ts, INTERVAL '1 minute') HAVING count(*) >= 20`,
		fields("window_start", "orig_h", "n", "queries")},
	{"join_rdp_ntlm_1m", joinQuestion("1 minute"), nil},
	{"join_rdp_ntlm_20m", joinQuestion("20 minutes"), nil},
}

func joinQuestion(span string) string {
	return `SELECT r.uid AS rdp, n.uid AS ntlm FROM rdp r JOIN ntlm n ON r."id.orig_h" = n."id.orig_h" AND r."id.resp_h" = n."id.resp_h"
		AND n.ts BETWEEN r.ts AND r.ts + INTERVAL '` + span + `'`
}

// fields prints columns of an answer as the server does.
func fields(names ...string) func(map[string]any) string {
	return func(r map[string]any) string {
		parts := make([]string, len(names))
		for i, n := range names {
			parts[i] = fmt.Sprint(r[n])
			if at, err := time.Parse(time.RFC3339Nano, parts[i]); err == nil {
				parts[i] = at.UTC().Format("2006-01-02 15:04:05.999999+00")
			}
		}
		return strings.Join(parts, "|")
	}
}

// lacking tells whether the server says that it does not have something.
func lacking(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "0A000"
}

// TestQuestions asks the questions of expected-windows.json, all at once on one server, as continuous queries that run while the
// logs are loaded.
func TestQuestions(t *testing.T) {
	answers := readAnswers(t)
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	for _, z := range zeek {
		harness.Exec(t, c, z.ddl)
	}
	refused := map[string]error{}
	for _, q := range questions {
		_, err := c.Exec(context.Background(), "CREATE CONTINUOUS QUERY "+q.id+" WITH (retention = '36500 days') AS "+q.query)
		if lacking(err) {
			refused[q.id] = err
		} else if err != nil {
			t.Fatalf("%s: %v", q.query, err)
		}
	}
	for _, z := range zeek {
		data := append(gunzip(t, "data/events/zeek-json/"+z.file+".json.gz"), `{"ts":"2018-03-25T00:00:00Z"}`+"\n"...)
		if n := byCopy(t, p, c, z.file, data); n != int64(bytes.Count(data, []byte("\n"))) {
			t.Fatalf("%d events accepted", n)
		}
	}
	for _, q := range questions {
		t.Run(q.id, func(t *testing.T) {
			if err := refused[q.id]; err != nil {
				t.Skip(err)
			}
			a := answers[q.id]
			want := []string{}
			for _, r := range a.Rows {
				want = append(want, q.print(r))
			}
			slices.Sort(want)
			got := harness.WaitRows(t, c, "SELECT * FROM "+q.id, func(rows []string) bool { return len(rows) >= max(1, len(want), a.Count) })
			slices.Sort(got)
			if a.Sha256 == "" {
				if len(want) == 0 || !slices.Equal(got, want) {
					t.Fatalf("got  %q\nwant %q", got, want)
				}
				return
			}
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], "|", ",")
			}
			slices.Sort(got)
			sum := sha256.Sum256([]byte(strings.Join(got, "\n")))
			if len(got) != a.Count || hex.EncodeToString(sum[:]) != a.Sha256 {
				t.Fatalf("%d pairs, want %d; or other ones", len(got), a.Count)
			}
		})
	}
	if late := harness.Rows(t, c, "SELECT sum(late), sum(rejected) FROM vigil.streams"); late[0] != "0|0" {
		t.Errorf("late|rejected is %s", late[0])
	}
	t.Run("iocs", func(t *testing.T) { askIOCs(t, c, answers) })
}

// TestFailedLogons is the question about the Windows log.
func TestFailedLogons(t *testing.T) {
	a := readAnswers(t)["evtx_4625_tumble_5m"]
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	harness.Exec(t, c, logonStream, `CREATE CONTINUOUS QUERY q AS SELECT window_start, "IpAddress" AS ip, count(*) AS n, count(DISTINCT "TargetUserName") AS users
		FROM logons WHERE "EventID" = 4625 GROUP BY "IpAddress", TUMBLE("TimeCreated", INTERVAL '5 minutes')`)
	data := append(gunzip(t, "data/events/evtx-json/DeepBlueCLI__smb-password-guessing-security.jsonl.gz"), closing...)
	byCopy(t, p, c, "logons", data)
	want := fields("window_start", "IpAddress", "n", "users")(a.Rows[0])
	if got := harness.Rows(t, c, "SELECT * FROM q"); len(got) != 1 || got[0] != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// askIOCs asks the questions about indicators, of what the streams retain.
func askIOCs(t *testing.T, c *pgx.Conn, answers map[string]answer) {
	loadList(t, c, "maltrail", "text", firstFields(t, "data/ioc/maltrail-domain.tsv.gz"))
	loadList(t, c, "tranco", "text", warninglist(t, "tranco10k"))
	loadList(t, c, "tranco_domains", "domain", warninglist(t, "tranco10k"))
	loadList(t, c, "ipsum", "ip", firstFields(t, "data/ioc/ipsum-ip-score.tsv.gz"))
	loadList(t, c, "aws", "cidr", warninglist(t, "amazon-aws"))
	answered := `FROM dns, jsonb_array_elements_text(answers) AS a(ip) WHERE ip ~ '^[0-9.]+$' AND ip IN IOC `
	for _, q := range []struct{ id, list, from string }{
		{"dns_query_in_maltrail_domain_exact", "query", "FROM dns WHERE query IN IOC maltrail"},
		{"dns_query_in_tranco10k_exact", "query", "FROM dns WHERE query IN IOC tranco"},
		{"dns_query_in_tranco10k_suffix", "", "FROM dns WHERE query IN IOC tranco_domains"},
		{"dns_answer_ip_in_ipsum", "ip", answered + "ipsum"},
		{"dns_answer_ip_in_amazon_aws_cidr", "ip", answered + "aws"},
	} {
		t.Run(q.id, func(t *testing.T) {
			a, ok := answers[q.id]
			if !ok {
				t.Fatal("no such question")
			}
			if got := harness.Rows(t, c, "SELECT count(*) "+q.from); got[0] != fmt.Sprint(a.Count) {
				t.Errorf("got %s, want %d", got[0], a.Count)
			}
			if q.list == "" {
				return
			}
			got := harness.Rows(t, c, "SELECT DISTINCT "+q.list+" "+q.from+" ORDER BY 1")
			switch d := a.Distinct.(type) {
			case []any:
				want := []string{}
				for _, v := range d {
					want = append(want, fmt.Sprint(v))
				}
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			case float64:
				if len(got) != int(d) {
					t.Errorf("%d values, want %v", len(got), d)
				}
			default:
				if len(got) != a.DistinctCount {
					t.Errorf("%d values, want %d", len(got), a.DistinctCount)
				}
			}
		})
	}
}

func loadList(t *testing.T, c *pgx.Conn, name, kind string, values []string) {
	t.Helper()
	harness.Exec(t, c, "CREATE IOC LIST "+name+" TYPE "+kind)
	slices.Sort(values)
	values = slices.Compact(values)
	if _, err := c.PgConn().CopyFrom(context.Background(), strings.NewReader(strings.Join(values, "\n")+"\n"), "COPY "+name+" (value) FROM STDIN"); err != nil {
		t.Fatal(name, err)
	}
}

// firstFields are the first fields of a tab-separated file.
func firstFields(t *testing.T, path string) []string {
	var out []string
	for line := range strings.Lines(string(gunzip(t, path))) {
		v, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		out = append(out, strings.ReplaceAll(v, `\`, `\\`))
	}
	return out
}

func warninglist(t *testing.T, name string) []string {
	var w struct{ List []string }
	if err := json.Unmarshal(gunzip(t, "data/ioc/warninglists/"+name+".json.gz"), &w); err != nil {
		t.Fatal(err)
	}
	return w.List
}
