package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/session"
)

// timeColumns are the names under which logs keep the time of an event, best first.
var timeColumns = []string{"ts", "@timestamp", "timestamp", "time", "TimeCreated", "eventTime", "UtcTime", "EventTime"}

// sampleLines is how many lines the columns are inferred from.
const sampleLines = 500

// column is a column being inferred.
type column struct {
	name string
	kind types.Kind // Unknown until a value was seen
	seen map[string]struct{}
}

// runLog loads a file with rules that suit it.
func (d *demo) runLog(ctx context.Context) error {
	cols, err := inferColumns(d.o.Log)
	if err != nil {
		return fmt.Errorf("%s: %w", d.o.Log, err)
	}
	timeCol := ""
	for _, name := range timeColumns {
		if find(cols, name) != nil && timeCol == "" {
			timeCol = name
		}
	}
	if timeCol == "" {
		return fmt.Errorf("%s: no column holds the time of the event; vigil looks for %s", d.o.Log, strings.Join(timeColumns, ", "))
	}
	find(cols, timeCol).kind = types.TimestampTZ
	d.stream = "log"
	rules, err := logRules(d.o.Format, cols, timeCol, d.logWindow())
	if err != nil {
		return err
	}
	if err := d.exec(createStream(cols, timeCol, d.logWindow())); err != nil {
		return err
	}
	var names []string
	for _, r := range rules {
		if err := d.exec("CREATE CONTINUOUS QUERY " + r.name + " AS\n  " + r.body); err != nil {
			return err
		}
		names = append(names, r.name)
	}
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan error, 1)
	go func() {
		err := d.loadAll(run, names[0])
		if err != nil {
			cancel() // there is nothing to watch
		}
		loaded <- err
	}()
	err = d.watch(run, names)
	cancel()
	if loadErr := <-loaded; ctx.Err() == nil {
		err = errors.Join(err, loadErr)
	}
	return err
}

func (d *demo) logWindow() time.Duration {
	if d.o.LogWindow > 0 {
		return d.o.LogWindow
	}
	return time.Minute
}

// loadAll loads the log and notes when its last window closes.
func (d *demo) loadAll(ctx context.Context, query string) error {
	good, bad, err := d.load(ctx)
	if err != nil {
		return err
	}
	if err := d.srv.Session().Engine().Settle(ctx); err != nil {
		return err
	}
	_, watermark, err := d.processed()
	if err != nil {
		return err
	}
	// The watermark is the largest event time minus the disorder (one window) now, and a window's end at most one later.
	d.logEnd.Store(max(1, watermark+2*d.logWindow().Microseconds()))
	if good == 0 {
		return fmt.Errorf("%s: none of its %d lines is an event; load it with vigil load, and vigil.rejected tells why for each", d.o.Log, bad)
	}
	d.print("loaded %d events (%d rejected); the last windows close by the clock, within %s", good, bad, 2*d.logWindow())
	d.invite(query)
	return nil
}

// open reads a file, decompressed.
func open(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil || !strings.HasSuffix(name, ".gz") {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// load appends the file to the stream.
func (d *demo) load(ctx context.Context) (good, bad int64, err error) {
	f, err := open(d.o.Log)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	srv := d.srv.Session()
	id, _, err := srv.StreamID(d.stream)
	if err != nil {
		return 0, 0, err
	}
	lines := bufio.NewReaderSize(f, 1<<20)
	var piece []byte
	for {
		line, err := lines.ReadBytes('\n')
		piece = append(piece, line...)
		if len(piece) > 1<<20 || err != nil && len(piece) > 0 {
			out, err := srv.Append(ctx, session.Ingest{Stream: id, Data: piece})
			if err != nil {
				return good, bad, err
			}
			good, bad = good+out.Accepted, bad+out.Rejected
			piece = nil
		}
		if errors.Is(err, io.EOF) {
			return good, bad, nil
		}
		if err != nil {
			return good, bad, err
		}
	}
}

func find(cols []*column, name string) *column {
	for _, c := range cols {
		if c.name == name {
			return c
		}
	}
	return nil
}

// inferColumns reads the first lines: flat keys in the order they appear, each with the narrowest type that holds all its
// values.
func inferColumns(name string) ([]*column, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var cols []*column
	byName := map[string]*column{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for n := 0; n < sampleLines && lines.Scan(); n++ {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
			continue
		}
		for dec.More() {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			key, _ := tok.(string)
			var v any
			if err := dec.Decode(&v); err != nil {
				break
			}
			c := byName[key]
			if c == nil {
				c = &column{name: key, seen: map[string]struct{}{}}
				byName[key], cols = c, append(cols, c)
			}
			c.add(v)
		}
	}
	if len(cols) == 0 {
		return nil, sqlerr.New(sqlerr.InvalidTextRepresentation, "the first lines are not JSON objects").
			WithHint("vigil demo reads files with one JSON object a line.")
	}
	return cols, lines.Err()
}

// add widens the column's type to hold v.
func (c *column) add(v any) {
	if v == nil {
		return
	}
	kind := kindOf(v)
	if len(c.seen) < sampleLines {
		c.seen[fmt.Sprint(v)] = struct{}{}
	}
	switch {
	case c.kind == types.Unknown || c.kind == kind:
		c.kind = kind
	case c.kind == types.Int8 && kind == types.Float8, c.kind == types.Float8 && kind == types.Int8:
		c.kind = types.Float8
	default:
		c.kind = types.Text
	}
}

func kindOf(v any) types.Kind {
	switch x := v.(type) {
	case bool:
		return types.Bool
	case json.Number:
		if _, err := x.Int64(); err == nil {
			return types.Int8
		}
		return types.Float8
	case string:
		if _, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return types.TimestampTZ
		}
		if _, err := netip.ParseAddr(x); err == nil {
			return types.Inet
		}
		return types.Text
	}
	return types.JSONB
}

func createStream(cols []*column, timeCol string, disorder time.Duration) string {
	var b strings.Builder
	b.WriteString("CREATE STREAM log (\n")
	for _, c := range cols {
		kind := c.kind
		if kind == types.Unknown {
			kind = types.Text
		}
		fmt.Fprintf(&b, "  %s %s", parse.QuoteIdent(c.name), strings.ToUpper(types.T(kind).String()))
		if c.name == timeCol {
			b.WriteString(" NOT NULL")
		}
		b.WriteString(",\n")
	}
	t := parse.QuoteIdent(timeCol)
	fmt.Fprintf(&b, "  WATERMARK FOR %s AS %s - %s IDLE AFTER INTERVAL '2 seconds'\n) FORMAT JSON", t, t, interval(disorder))
	return b.String()
}

func interval(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("INTERVAL '%d minutes'", d/time.Minute)
	}
	return fmt.Sprintf("INTERVAL '%d milliseconds'", d.Milliseconds())
}

// rule is a continuous query for a log.
type rule struct{ name, body string }

// logRules picks rules for a format; a rule whose columns are missing is an error that names them.
func logRules(format string, cols []*column, timeCol string, size time.Duration) ([]rule, error) {
	window := "TUMBLE(" + parse.QuoteIdent(timeCol) + ", " + interval(size) + ")"
	need := func(names ...string) error {
		for _, n := range names {
			if find(cols, n) == nil {
				return fmt.Errorf("the file has no column %q, which STREAM_FORMAT=%s needs; try STREAM_FORMAT=json", n, format)
			}
		}
		return nil
	}
	switch format {
	case "evtx":
		id := "4625"
		if c := find(cols, "EventID"); c != nil && c.kind == types.Text {
			id = "'4625'"
		}
		if err := need("EventID", "IpAddress", "TargetUserName"); err != nil {
			return nil, err
		}
		return []rule{{"failed_logons", `SELECT "IpAddress", count(*) AS failures, count(DISTINCT "TargetUserName") AS users FROM log WHERE "EventID" = ` + id +
			"\n  GROUP BY \"IpAddress\", " + window + " HAVING count(*) > 10"}}, nil
	case "zeek":
		return []rule{{"many_connections", `SELECT "id.orig_h", count(*) AS n, count(DISTINCT "id.resp_h") AS targets FROM log` +
			"\n  GROUP BY \"id.orig_h\", " + window + " HAVING count(*) >= 50"}}, need("id.orig_h", "id.resp_h")
	case "", "json":
		key := parse.QuoteIdent(keyColumn(cols, timeCol))
		return []rule{{"bursts", "SELECT " + key + ", count(*) AS n FROM log\n  GROUP BY " + key + ", " + window + " HAVING count(*) >= 50"}}, nil
	}
	return nil, fmt.Errorf("STREAM_FORMAT=%s is not known; json, evtx and zeek are", format)
}

// keyColumn picks what to count by: an address, user or host column with several values, else any text.
func keyColumn(cols []*column, timeCol string) string {
	best, score := cols[0].name, -1
	for _, c := range cols {
		if c.name == timeCol || c.kind != types.Text && c.kind != types.Inet {
			continue
		}
		s := min(len(c.seen), 20)
		name := strings.ToLower(c.name)
		for _, word := range []string{"src", "orig", "ip", "user", "host", "client"} {
			if strings.Contains(name, word) {
				s += 30
			}
		}
		if s > score {
			best, score = c.name, s
		}
	}
	return best
}
