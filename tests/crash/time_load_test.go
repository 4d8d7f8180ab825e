package crash

import (
	"bytes"
	"fmt"
	"math/rand"
	"time"
)

// timeEvent is one event of the load for everything that has to do with time; its stream is auth, slow or conn.
type timeEvent struct {
	at      int64 // microseconds after timeStart
	user    int
	dst     int
	session int
	denied  bool
	bytes   int
	// tardy: far behind its stream's watermark. Queries over several inputs leave such rows out: whether they are late there
	// depends on how far the other inputs have come.
	tardy bool
}

const (
	timePieces   = 44
	timePerPiece = 200
	second       = int64(1_000_000)
)

var timeStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// timeLoad is the load by piece: each is a request to every stream.
type timeLoad struct {
	auth, conn []timeEvent // in order of arrival
	pieces     []map[string][]byte
}

// timeStreams is the order in which a piece goes to the streams.
var timeStreams = []string{"auth", "slow", "conn"}

func (e *timeEvent) json(b *bytes.Buffer) {
	action := "granted"
	if e.denied {
		action = "denied"
	}
	fmt.Fprintf(b, `{"ts":%q,"username":"u%d","dst":"d%d","session":%d,"action":%q,"bytes":%d,"tardy":%v}`+"\n",
		timeStart.Add(time.Duration(e.at)*time.Microsecond).Format(time.RFC3339Nano), e.user, e.dst, e.session, action, e.bytes, e.tardy)
}

// newTimeLoad makes 4 seconds of event time per piece; rows of auth and conn come within the watermark's delay or much too late,
// those of slow within the lateness that it allows or, a few, later. The last piece closes everything.
func newTimeLoad() *timeLoad {
	rng := rand.New(rand.NewSource(11))
	l := &timeLoad{}
	for i := range timePieces {
		piece := map[string][]byte{}
		for _, stream := range timeStreams {
			var b bytes.Buffer
			for k := range timePerPiece {
				e := timeEvent{at: int64(i*timePerPiece+k)*20_000 - rng.Int63n(1_500_000), user: rng.Intn(12), dst: rng.Intn(3),
					session: rng.Intn(60), denied: rng.Intn(3) == 0, bytes: rng.Intn(1000)}
				if i > 8 && rng.Intn(60) == 0 {
					e.at, e.tardy = e.at-22*second, true
				} else if stream == "slow" && rng.Intn(4) == 0 {
					e.at -= rng.Int63n(14 * second)
				}
				e.json(&b)
				switch stream {
				case "auth":
					l.auth = append(l.auth, e)
				case "conn":
					l.conn = append(l.conn, e)
				}
			}
			piece[stream] = b.Bytes()
		}
		l.pieces = append(l.pieces, piece)
	}
	last := timeEvent{at: 3600 * second, user: 99, session: -1}
	var b bytes.Buffer
	last.json(&b)
	l.pieces = append(l.pieces, map[string][]byte{"auth": b.Bytes(), "slow": b.Bytes(), "conn": b.Bytes()})
	l.auth, l.conn = append(l.auth, last), append(l.conn, last)
	return l
}

const timeColumns = ` (ts TIMESTAMPTZ NOT NULL, username TEXT, dst TEXT, session BIGINT, action TEXT, bytes BIGINT, tardy BOOLEAN,
	big BOOLEAN GENERATED ALWAYS AS (bytes >= 500), minute TIMESTAMPTZ GENERATED ALWAYS AS (date_trunc('minute', ts)),
	WATERMARK FOR ts AS ts - INTERVAL '2 seconds' IDLE AFTER INTERVAL '1 hour') `

var timeSchema = []string{
	`CREATE STREAM barrier (n INT) FORMAT JSON`,
	`CREATE STREAM auth` + timeColumns + `FORMAT JSON`,
	`CREATE STREAM slow` + timeColumns + `WITH (allowed_lateness = '10 seconds') FORMAT JSON`,
	`CREATE STREAM conn` + timeColumns + `FORMAT JSON`,
	`CREATE FUNCTION weigh(s TEXT) RETURNS INT LANGUAGE javascript AS $$ if (s === 'boom') for (;;); return s.length $$ WITH (timeout = '20ms')`,
	`CREATE CONTINUOUS QUERY hops AS SELECT window_start, username, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY username, HOP(ts, INTERVAL '2 seconds', INTERVAL '6 seconds')`,
	`CREATE CONTINUOUS QUERY sess AS SELECT window_start, window_end, username, count(*) AS n FROM auth WHERE NOT tardy AND action = 'denied' GROUP BY username, SESSION(ts, INTERVAL '1 second')`,
	`CREATE CONTINUOUS QUERY sess_late AS SELECT username, count(*) AS n FROM auth WHERE action = 'denied' GROUP BY username, SESSION(ts, INTERVAL '1 second')`,
	`CREATE CONTINUOUS QUERY cumu AS SELECT username, max(bytes) AS most, count(*) AS n FROM auth GROUP BY username, CUMULATE(ts, INTERVAL '5 seconds', INTERVAL '15 seconds')`,
	`CREATE CONTINUOUS QUERY slides AS SELECT username, count(*) AS n FROM auth GROUP BY username, SLIDE(ts, INTERVAL '1 second') HAVING count(*) >= 8`,
	`CREATE CONTINUOUS QUERY counts AS SELECT username, sum(bytes) AS bytes, min(ts) AS first FROM auth GROUP BY username, COUNT_WINDOW(7)`,
	`CREATE CONTINUOUS QUERY firsts AS SELECT username, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '10 seconds') HAVING count(*) >= 20 EMIT FIRST`,
	`CREATE CONTINUOUS QUERY updates AS SELECT username, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '10 seconds') EMIT ON UPDATE`,
	`CREATE CONTINUOUS QUERY corrected AS SELECT username, dst, count(*) AS n, sum(bytes) AS bytes FROM slow GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds')`,
	`CREATE CONTINUOUS QUERY totals AS SELECT username, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY username`,
	`CREATE CONTINUOUS QUERY joined AS SELECT a.session, a.bytes AS x, c.bytes AS y FROM auth a JOIN conn c ON a.session = c.session AND c.ts BETWEEN a.ts - INTERVAL '1 second' AND a.ts + INTERVAL '1 second' WHERE NOT a.tardy AND NOT c.tardy`,
	`CREATE CONTINUOUS QUERY lefts AS SELECT a.session, a.bytes AS x, c.bytes AS y FROM (SELECT * FROM auth WHERE NOT tardy) a LEFT JOIN (SELECT * FROM conn WHERE NOT tardy) c ON a.session = c.session AND c.ts BETWEEN a.ts AND a.ts + INTERVAL '1 second'`,
	`CREATE CONTINUOUS QUERY missing AS SELECT session, bytes FROM auth WHERE NOT tardy AND NOT EXISTS (SELECT 1 FROM conn c WHERE c.session = auth.session AND NOT c.tardy AND c.ts BETWEEN auth.ts - INTERVAL '1 second' AND auth.ts + INTERVAL '1 second')`,
	`CREATE CONTINUOUS QUERY bysession AS SELECT session, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY session, TUMBLE(ts, INTERVAL '3 seconds')`,
	`CREATE CONTINUOUS QUERY asof AS SELECT c.ts, c.session, b.n, b.bytes FROM conn c LEFT JOIN bysession FOR SYSTEM_TIME AS OF c.ts AS b ON b.session = c.session WHERE NOT c.tardy`,
	`CREATE CONTINUOUS QUERY per5 AS SELECT username, dst, count(*) AS n, sum(bytes) AS bytes FROM auth GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds')`,
	`CREATE CONTINUOUS QUERY per20 AS SELECT username, sum(n)::bigint AS n, sum(bytes)::bigint AS bytes FROM per5 GROUP BY username, TUMBLE(INTERVAL '20 seconds')`,
	`CREATE CONTINUOUS QUERY per60 AS SELECT sum(n)::bigint AS n, sum(bytes)::bigint AS bytes FROM per20 GROUP BY TUMBLE(INTERVAL '1 minute')`,
	`CREATE CONTINUOUS QUERY staged AS SELECT username, count(*) AS groups, max(n) AS most FROM (SELECT username, dst, count(*) AS n FROM auth GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds')) x GROUP BY username, TUMBLE(INTERVAL '20 seconds')`,
	`CREATE CONTINUOUS QUERY pattern AS SELECT m.username, failures, at FROM auth MATCH_RECOGNIZE (PARTITION BY username ORDER BY ts MEASURES count(f.ts) AS failures, s.ts AS at ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (f{3,} s) WITHIN INTERVAL '5 seconds' DEFINE f AS action = 'denied', s AS action = 'granted') m`,
	`CREATE CONTINUOUS QUERY overs AS SELECT ts, username, row_number() OVER w AS n, sum(bytes) OVER (w RANGE BETWEEN INTERVAL '1 second' PRECEDING AND CURRENT ROW) AS lately FROM auth WINDOW w AS (PARTITION BY username ORDER BY ts)`,
	`CREATE CONTINUOUS QUERY fresh AS SELECT ts, username, session FROM auth WHERE FIRST_SEEN(username, session, INTERVAL '20 seconds')`,
	`CREATE CONTINUOUS QUERY quiet AS SELECT ts, username, bytes FROM auth WHERE bytes > 900 SUPPRESS FOR INTERVAL '5 seconds' BY (username)`,
	`CREATE CONTINUOUS QUERY unite AS SELECT username, count(*) AS n FROM (SELECT ts, username FROM auth WHERE NOT tardy UNION ALL SELECT ts, username FROM conn WHERE NOT tardy) x GROUP BY username, TUMBLE(ts, INTERVAL '10 seconds')`,
	`CREATE CONTINUOUS QUERY generated AS SELECT big, minute, count(*) AS n FROM auth GROUP BY big, minute, TUMBLE(ts, INTERVAL '30 seconds')`,
	`CREATE CONTINUOUS QUERY frail AS SELECT weigh(username) AS w, count(*) AS n, min(bytes) AS least FROM auth GROUP BY weigh(username), TUMBLE(ts, INTERVAL '3 seconds')`,
	`CREATE CONTINUOUS QUERY over_frail AS SELECT w, sum(n)::bigint AS n FROM frail GROUP BY w, TUMBLE(INTERVAL '15 seconds')`,
}

// timeDDL is what changes before a piece; run again, it changes nothing more as long as no event came in between.
var timeDDL = map[int][]string{
	6: {`CREATE CONTINUOUS QUERY IF NOT EXISTS later AS SELECT username, count(*) AS n FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '5 seconds')`,
		`CREATE CONTINUOUS QUERY IF NOT EXISTS later_over AS SELECT username, sum(n)::bigint AS n FROM per5 GROUP BY username, TUMBLE(INTERVAL '10 seconds')`,
		`CREATE CONTINUOUS QUERY IF NOT EXISTS later_join AS SELECT a.bytes AS x, c.bytes AS y FROM auth a LEFT JOIN conn c ON a.session = c.session AND a.ts = c.ts WHERE NOT a.tardy`},
	10: {`CREATE CONTINUOUS QUERY IF NOT EXISTS gone_a AS SELECT username, count(*) AS n FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '1 second')`,
		`CREATE CONTINUOUS QUERY IF NOT EXISTS gone_b AS SELECT username, dst, max(n) AS most FROM (SELECT username, 'x' AS dst, n, window_start, window_end FROM gone_a) z GROUP BY username, dst, TUMBLE(INTERVAL '3 seconds')`},
	15: {`CREATE OR REPLACE CONTINUOUS QUERY later AS SELECT username, dst, sum(bytes) AS bytes FROM auth GROUP BY username, dst, HOP(ts, INTERVAL '5 seconds', INTERVAL '10 seconds')`,
		`CREATE OR REPLACE CONTINUOUS QUERY later_over AS SELECT dst, sum(bytes)::bigint AS bytes FROM per5 GROUP BY dst, TUMBLE(INTERVAL '20 seconds')`,
		`CREATE OR REPLACE CONTINUOUS QUERY staged AS SELECT dst, count(*) AS groups, max(n) AS most FROM (SELECT username, dst, count(*) AS n FROM auth GROUP BY username, dst, TUMBLE(ts, INTERVAL '4 seconds')) x GROUP BY dst, TUMBLE(INTERVAL '20 seconds')`},
	20: {`DROP CONTINUOUS QUERY IF EXISTS gone_a CASCADE`},
}

// timeBoom is the piece before which the function breaks its limit, timeResume the one before which its query is resumed.
const timeBoom, timeResume = 24, 30

// timeOutcome are the relations whose content must not depend on kills.
var timeOutcome = []string{"hops", "sess", "sess_late", "cumu", "slides", "counts", "firsts", "updates", "corrected", "totals", "joined", "lefts", "missing", "bysession", "asof",
	"per5", "per20", "per60", "staged", "pattern", "overs", "fresh", "quiet", "unite", "generated", "frail", "over_frail", "later", "later_over", "later_join"}
