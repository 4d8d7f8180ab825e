// Package demo is `vigil demo`: a server in process, a simulated network under attack (or a log file), the alerts as they
// come, and a server that stays for a look around.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/server"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/server/session"
)

// Options of a demonstration.
type Options struct {
	// Dir is the data directory; empty: a temporary one that goes at the end.
	Dir string
	// PG and HTTP are the wanted addresses; when they are taken, free ports are used instead.
	PG, HTTP string
	// Events bounds the simulation, 0: without end. Rate is in events/s; 0: as fast as possible.
	Events, Rate int64
	// Log is a file to use instead of the simulation, Format one of json, evtx, zeek.
	Log, Format string
	// LogWindow is the size of the windows over a log, and the disorder that it may have; 0: a minute.
	LogWindow time.Duration
	// Once ends the demonstration when all events are processed and all windows closed. Over a log that takes up to two
	// LogWindows more, because the last windows close by the clock.
	Once bool
	// Out takes the alerts, Progress the live line (nil: none); Terminal says that Progress is one.
	Out, Progress io.Writer
	Terminal      bool
	// Server overrides parts of the server's configuration; for tests.
	Server server.Config
}

// demo is one run.
type demo struct {
	o      Options
	srv    *server.Server
	client *pgwire.Client
	stream string
	alerts int64
	// logEnd is the watermark (microseconds) that closes the last window of a log; 0 until the log is loaded.
	logEnd atomic.Int64
	// mu guards out and alerts: every query has a printer.
	mu sync.Mutex
}

// Run shows the demonstration until ctx ends, or until it is done when Once is set.
func Run(ctx context.Context, o Options) (err error) {
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "vigil-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Dir)
	}
	d := &demo{o: o, stream: "auth"}
	if err := d.start(); err != nil {
		return err
	}
	defer func() {
		_ = d.client.Close() // the server ends it anyway
		err = errors.Join(err, d.srv.Stop())
	}()
	if o.Log != "" {
		return d.runLog(ctx)
	}
	return d.runNetwork(ctx)
}

// start runs the server, on the wanted ports or on free ones.
func (d *demo) start() error {
	cfg := d.o.Server
	cfg.Dir, cfg.PG, cfg.HTTP = d.o.Dir, d.freeAddress(d.o.PG), d.freeAddress(d.o.HTTP)
	var err error
	if d.srv, err = server.Start(cfg); err != nil {
		return err
	}
	if d.client, err = pgwire.Dial(d.srv.PGAddr(), "demo"); err != nil {
		return errors.Join(err, d.srv.Stop())
	}
	return nil
}

// freeAddress returns addr if nobody listens there, and the same host with a free port otherwise.
func (d *demo) freeAddress(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close() // it was only a question
		return addr
	}
	host, port, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		return addr // Start will say what is wrong with it
	}
	d.print("port %s is taken, using a free one", port)
	return net.JoinHostPort(host, "0")
}

func (d *demo) print(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.o.Terminal && d.o.Progress != nil {
		fmt.Fprint(d.o.Progress, "\r\033[K")
	}
	fmt.Fprintf(d.o.Out, format+"\n", args...)
}

// exec runs a statement and shows it.
func (d *demo) exec(sql string) error {
	d.print("%s;\n", sql)
	if err := d.client.Query(sql, nil); err != nil {
		return fmt.Errorf("%s: %w", strings.SplitN(sql, "\n", 2)[0], err)
	}
	return nil
}

// networkScript makes the objects of the simulation; the stream comes last, because its events begin at once.
func (d *demo) networkScript() (before []string, stream string, after []string) {
	// Attacks begin at multiples of five seconds after the start, so that each falls into one window.
	start := time.Now().UTC().Truncate(5 * time.Second).Format(time.RFC3339)
	values := "('" + strings.Join(connector.GeneratorIndicators(), "'), ('") + "')"
	before = []string{
		"CREATE IOC LIST bad_ips TYPE ip",
		"INSERT INTO bad_ips (value) VALUES " + values,
		"CREATE FUNCTION is_exfiltration(port TEXT, bytes BIGINT) RETURNS BOOLEAN LANGUAGE javascript AS $$\n" +
			"  return port === '25' && bytes > 1195000n;   // a megabyte of mail in one go\n$$",
	}
	stream = fmt.Sprintf("CREATE STREAM auth (\n  ts TIMESTAMPTZ NOT NULL, host TEXT, username TEXT, src_ip INET, dst TEXT, action TEXT, bytes BIGINT, detail JSONB,\n"+
		"  WATERMARK FOR ts AS ts - INTERVAL '1 second'\n) WITH (connector = 'generator', seed = '7', rate = '%d', events = '%d',\n  delay = '1000', start = '%s') FORMAT JSON", d.o.Rate, d.o.Events, start)
	after = []string{
		"CREATE CONTINUOUS QUERY brute_force WITH (severity = 'high', tags = 'attack.t1110') AS\n" +
			"  SELECT username, dst, count(*) AS denied FROM auth WHERE action = 'denied'\n" +
			"  GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 10",
		"CREATE CONTINUOUS QUERY smb_scan WITH (severity = 'medium', tags = 'attack.t1046') AS\n" +
			"  SELECT src_ip, count(DISTINCT dst) AS targets FROM auth WHERE action = 'connect' AND detail->>'port' = '445'\n" +
			"  GROUP BY src_ip, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(DISTINCT dst) > 50",
		"CREATE CONTINUOUS QUERY ioc_contact WITH (severity = 'high') AS\n" +
			"  SELECT ts, host, username, dst FROM auth WHERE action = 'connect' AND dst IN IOC bad_ips",
		"CREATE CONTINUOUS QUERY exfiltration WITH (severity = 'low') AS\n" +
			"  SELECT ts, host, dst, bytes FROM auth WHERE action = 'connect' AND bytes > 1000000 AND is_exfiltration(detail->>'port', bytes)",
	}
	return before, stream, after
}

// runNetwork is the simulation.
func (d *demo) runNetwork(ctx context.Context) error {
	before, stream, after := d.networkScript()
	for _, sql := range append(append(before, stream), after...) {
		if err := d.exec(sql); err != nil {
			return err
		}
	}
	d.invite("brute_force")
	return d.watch(ctx, []string{"brute_force", "smb_scan", "ioc_contact", "exfiltration"})
}

// invite tells how to look around.
func (d *demo) invite(query string) {
	host, port, _ := net.SplitHostPort(d.srv.PGAddr())
	d.print("Look around from another terminal:\n  psql -h %s -p %s -U demo vigil\n  curl 'http://%s/v1/queries/%s/results?wait=30s'\n",
		host, port, d.srv.HTTPAddr(), query)
}

// watch prints alerts and progress until ctx ends, or until all events are through.
func (d *demo) watch(ctx context.Context, queries []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, q := range queries {
		wg.Go(func() { d.follow(ctx, q) })
	}
	err := d.progress(ctx)
	cancel()
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.o.Out, "%d alerts\n", d.alerts)
	return err
}

// follow prints a query's result rows as they come.
func (d *demo) follow(ctx context.Context, query string) {
	sess := d.srv.Session()
	for next := int64(0); ctx.Err() == nil; {
		at, err := sess.Results(ctx, session.ResultsRequest{Query: query, After: next, Limit: 1000, Wait: true}, func(row []byte) {
			d.alert(query, row)
		})
		if err != nil {
			return // the query is gone, or the server ends
		}
		next = at
	}
}

// alert prints one result row: time, query, then its columns.
func (d *demo) alert(query string, row []byte) {
	var line strings.Builder
	at := ""
	dec := json.NewDecoder(strings.NewReader(string(row)))
	dec.UseNumber()
	for {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		key, ok := tok.(string)
		if !ok {
			continue
		}
		var v any
		if dec.Decode(&v) != nil {
			break
		}
		switch key {
		case "ts", "window_start":
			at = strings.TrimSuffix(strings.Replace(fmt.Sprint(v), "T", " ", 1), "Z")
		case "window_end":
		default:
			fmt.Fprintf(&line, " %s=%v", key, v)
		}
	}
	d.print("ALERT %-19.19s  %-14s%s", at, query, line.String())
	d.mu.Lock()
	d.alerts++
	d.mu.Unlock()
}

// progress redraws the live line and returns when the demonstration is over.
func (d *demo) progress(ctx context.Context) error {
	every := time.Second
	if d.o.Terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before int64
	last := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		rows, watermark, err := d.processed()
		if err != nil {
			return err
		}
		if d.o.Once && d.complete(rows, watermark) {
			return d.settle(ctx)
		}
		rate := float64(rows-before) / time.Since(last).Seconds()
		before, last = rows, time.Now()
		if d.o.Progress != nil && (d.o.Terminal || n%10 == 9) {
			d.drawProgress(rows, rate)
		}
	}
}

func (d *demo) drawProgress(rows int64, rate float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	end := "\n"
	if d.o.Terminal {
		fmt.Fprint(d.o.Progress, "\r\033[K")
		end = ""
	}
	fmt.Fprintf(d.o.Progress, "%d events, %.0f events/s, %d alerts%s", rows, rate, d.alerts, end)
}

// complete tells whether there is nothing more to come.
func (d *demo) complete(rows, watermark int64) bool {
	if d.o.Log == "" {
		return d.o.Events > 0 && rows >= d.o.Events
	}
	end := d.logEnd.Load()
	return end != 0 && watermark >= end
}

// processed is how many records of the stream have been decoded, good or bad, and how far event time has come.
func (d *demo) processed() (rows, watermark int64, err error) {
	if err := d.srv.Session().Engine().Err(); err != nil {
		return 0, 0, err
	}
	id := d.srv.Session().Catalog().Relation("public", d.stream)
	if id == nil {
		return 0, 0, nil
	}
	st, _ := d.srv.Session().Engine().Stream(id.RelID())
	return st.Rows + st.Rejected, st.Watermark, nil
}

// settle waits a moment for the last epoch's alerts to be printed.
func (d *demo) settle(ctx context.Context) error {
	select {
	case <-time.After(1500 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}
