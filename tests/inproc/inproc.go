// Package inproc runs a whole vigil - planner, catalogue, engine, stores - in the process of a test, on disks in memory and
// by a clock that the test moves. It speaks SQL text, so what tests prove with it does not depend on how the parts are cut.
package inproc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"os"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/connector/postgres"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sink"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

// Clock is a clock that only the test moves. Safe for concurrent use.
type Clock struct{ now atomic.Int64 }

// NewClock returns a clock that shows a time.
func NewClock(at time.Time) *Clock {
	c := &Clock{}
	c.now.Store(at.UnixMicro())
	return c
}

// Now is what the clock shows.
func (c *Clock) Now() types.EventTime { return types.EventTime(c.now.Load()) }

// Step moves the clock.
func (c *Clock) Step(d time.Duration) { c.now.Add(d.Microseconds()) }

// Disk is what survives a server.
type Disk struct {
	KV *kv.Mem
	FS *eventlog.MemFS
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{KV: kv.NewMem(), FS: eventlog.NewMemFS()} }

// Crash returns the disk as it is found after losing power now: nothing that was not synced, when rnd is nil, else a random part
// of it. The disk itself goes on unharmed.
func (d *Disk) Crash(rnd *rand.Rand) *Disk {
	if rnd == nil {
		return &Disk{KV: d.KV.Crash(0), FS: d.FS.Crash(nil)}
	}
	// The store first: what an epoch names was synced in a log before it, so a log older than the store cannot be.
	k := d.KV.Crash(rnd.Intn(d.KV.Unsynced() + 1))
	return &Disk{KV: k, FS: d.FS.Crash(rnd)}
}

// Options says how a DB runs. Zero values take the engine's defaults.
type Options struct {
	Disk *Disk
	// Dir is job.Config's; "": a name that is of no directory.
	Dir string
	// Store takes the place of Disk.KV; nil: it does not.
	Store kv.Store
	// LogFS takes the place of Disk.FS; nil: it does not.
	LogFS      eventlog.FS
	Clock      *Clock
	Connectors []connector.Def
	Workers    int
	// EpochMin, EpochMax and CheckpointEvery are by the wall clock, as everywhere.
	EpochMin, EpochMax, CheckpointEvery time.Duration
	// CopyAhead is job.Config's.
	CopyAhead int
	// HistoryBytes and JoinWithin are job.Config's.
	HistoryBytes int
	JoinWithin   int64
	// SegmentBytes is job.Config's.
	SegmentBytes int64
	// CostsEvery, CPU and ThreadCPU are job.Config's.
	CostsEvery time.Duration
	CPU        func() time.Duration
	ThreadCPU  func() time.Duration
	// StatementBytes is session.Options'.
	StatementBytes int64
	// Journals is job.Config's.
	Journals meta.Keep
	// Memory, StateDir and MemoryUse are job.Config's.
	Memory    int64
	StateDir  string
	MemoryUse func(state func() int64) (resident, heap int64)
	// ResultBytes and ResultsMax are job.Config's.
	ResultBytes int
	ResultsMax  int64
	// UDF runs JavaScript; nil refuses it.
	UDF job.UDF
	// Alone: queries share no windows.
	Alone bool
	// Room is the disk; nil: there always is room.
	Room job.Room
	// AgainFor is job.Config's.
	AgainFor time.Duration
	// FeedEvery and FeedSilence are session.Options', but that lists are refreshed by RefreshDue alone where FeedEvery is 0.
	FeedEvery, FeedSilence time.Duration
	// Loading: Open returns although the engine may still be loading.
	Loading bool
}

// DB is a running vigil with one connection to it. Exec and Rows are for one goroutine.
type DB struct {
	srv   *session.Server
	conn  pgwire.Session
	clock *Clock
	// Rerun is how many epochs Open ran again.
	Rerun int64
	// notices are those of the last statements.
	notices []string
}

// Open starts a vigil on a disk, recovering what is there.
func Open(o Options) (*DB, error) {
	if o.Store == nil {
		o.Store = o.Disk.KV
	}
	if o.LogFS == nil {
		o.LogFS = o.Disk.FS
	}
	m, err := meta.Open(o.Store)
	if err != nil {
		return nil, err
	}
	res, err := results.Open(o.Store)
	if err != nil {
		return nil, err
	}
	db := &DB{clock: o.Clock}
	log := slog.New(&watcher{db})
	srv, err := session.New(session.Options{Logger: log, Version: "inproc", Sinks: append(sink.Builtins(), postgres.SinkDef()), StatementBytes: o.StatementBytes, Job: job.Config{
		Dir: cmp.Or(o.Dir, "inproc"), KV: o.Store, LogFS: o.LogFS, Meta: m, Results: res, Workers: o.Workers, Clock: o.Clock.Now,
		Codecs: codec.Builtins(), Connectors: append(o.Connectors, connector.Builtins()...), Logger: log,
		EpochMin: o.EpochMin, EpochMax: o.EpochMax, CheckpointEvery: o.CheckpointEvery, CostsEvery: o.CostsEvery, CopyAhead: o.CopyAhead,
		HistoryBytes: o.HistoryBytes, JoinWithin: o.JoinWithin, SegmentBytes: o.SegmentBytes, CPU: o.CPU, ThreadCPU: o.ThreadCPU, UDF: o.UDF, Alone: o.Alone,
		Journals: o.Journals, Room: o.Room, AgainFor: o.AgainFor, Memory: o.Memory, StateDir: o.StateDir, MemoryUse: o.MemoryUse,
		ResultBytes: o.ResultBytes, ResultsMax: o.ResultsMax},
		FeedEvery: cmp.Or(o.FeedEvery, -1), FeedSilence: o.FeedSilence})
	if err != nil {
		return nil, err
	}
	db.srv = srv
	if !o.Loading {
		if err := srv.Engine().Loaded(context.Background()); err != nil {
			_ = srv.Close(context.Background()) // it says the same
			return nil, err
		}
	}
	db.conn, err = srv.Connect(context.Background(), pgwire.ConnInfo{User: "test", Database: "vigil"})
	return db, err
}

// watcher reads the engine's log for what it tells of recovery; VIGIL_TEST_LOG shows all of it.
type watcher struct{ db *DB }

// Enabled implements slog.Handler.
func (w *watcher) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (w *watcher) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w *watcher) WithGroup(string) slog.Handler { return w }

// Handle implements slog.Handler.
func (w *watcher) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		if a.Key == "epochs_after_it" {
			w.db.Rerun = a.Value.Int64()
		}
		return true
	})
	if os.Getenv("VIGIL_TEST_LOG") != "" {
		fmt.Fprintln(os.Stderr, line)
	}
	return nil
}

// RefreshDue refreshes the IOC lists whose time has come.
func (db *DB) RefreshDue() { db.srv.RefreshDue() }

// Close stops the server in order.
func (db *DB) Close() error {
	db.conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return db.srv.Close(ctx)
}

// Err is the error that stopped the engine, if one did.
func (db *DB) Err() error { return db.srv.Engine().Err() }

// Session is the server's SQL side, for interfaces beside Postgres.
func (db *DB) Session() *session.Server { return db.srv }

// Engine is the running engine, for its counters.
func (db *DB) Engine() *job.Engine { return db.srv.Engine() }

// Catalog is what there is.
func (db *DB) Catalog() *catalog.Catalog { return db.srv.Catalog() }

// Exec runs statements and drops their rows.
func (db *DB) Exec(sql string) error {
	_, err := db.Rows(sql)
	return err
}

// Rows runs statements and returns the rows of all, each value as text and "NULL" for NULL.
func (db *DB) Rows(sql string) ([][]string, error) {
	out := &output{format: &types.TextFormat{}, in: bytes.NewReader(nil)}
	err := db.statements(sql, out)
	db.notices = out.notices
	return out.rows, err
}

// Notices are those of the last Exec or Rows.
func (db *DB) Notices() []string { return db.notices }

// Copy runs a COPY FROM STDIN that reads in.
func (db *DB) Copy(sql string, in io.Reader) error {
	return db.statements(sql, &output{format: &types.TextFormat{}, in: in})
}

func (db *DB) statements(sql string, out *output) error {
	list, err := db.conn.Split(sql)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := db.run(context.Background(), p, out); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) run(ctx context.Context, p pgwire.Parsed, out *output) error {
	st, err := db.conn.Prepare(ctx, p, nil)
	if err != nil {
		return err
	}
	defer st.Close()
	portal, err := st.Bind(nil)
	if err != nil {
		return err
	}
	defer portal.Close()
	_, _, err = portal.Execute(ctx, 0, out)
	return err
}

// Append adds a payload in the stream's own format and waits until it is decoded. It returns how many rows were rejected.
func (db *DB) Append(stream string, data []byte) (rejected int64, err error) {
	id, _, err := db.srv.StreamID(stream)
	if err != nil {
		return 0, err
	}
	res, err := db.srv.Append(context.Background(), session.Ingest{Stream: id, Data: data})
	return res.Rejected, err
}

// StreamID is the id of a stream, with a connector or without.
func (db *DB) StreamID(stream string) (uint64, error) {
	s, ok := db.srv.Catalog().Relation("", stream).(*catalog.Stream)
	if !ok {
		return 0, fmt.Errorf("there is no stream %q", stream)
	}
	return s.ID, nil
}

// Settle waits until everything that came in is committed.
func (db *DB) Settle() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return db.srv.Engine().Settle(ctx)
}

// Pass moves the clock and lets time pass in the engine: streams that are silent follow it.
func (db *DB) Pass(d time.Duration) error {
	db.clock.Step(d)
	// One epoch reads the clock; what that closes is committed with it; a query that reads a query sees it in a later one.
	for range 4 {
		if err := db.Settle(); err != nil {
			return err
		}
	}
	return nil
}

// Change is one row of a query's changelog.
type Change struct {
	Op   byte // job.OpInsert, ...
	Text string
}

// Changes is how many changes a query's changelog has.
func (db *DB) Changes(query string) (int, error) {
	q, ok := db.srv.Catalog().Relation("", query).(*catalog.Query)
	if !ok {
		return 0, fmt.Errorf("there is no query %q", query)
	}
	n := 0
	err := db.srv.Engine().Results().Scan(q.ID, 0, 0, func(results.Row) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}

// Changelog reads all changes of a query, oldest first; a row's values are joined by "|".
func (db *DB) Changelog(query string) ([]Change, error) {
	q, ok := db.srv.Catalog().Relation("", query).(*catalog.Query)
	if !ok {
		return nil, fmt.Errorf("there is no query %q", query)
	}
	ts := make([]types.Type, len(q.Schema.Cols))
	for i := range ts {
		ts[i] = q.Schema.Cols[i].Type
	}
	var list []Change
	err := db.srv.Engine().Results().Scan(q.ID, 0, 0, func(r results.Row) (bool, error) {
		row, err := codec.DecodeRow(ts, r.Data)
		if err != nil {
			return false, err
		}
		var text []byte
		for i, v := range row {
			if i > 0 {
				text = append(text, '|')
			}
			text = appendValue(text, v)
		}
		list = append(list, Change{r.Op, string(text)})
		return true, nil
	})
	return list, err
}

func appendValue(dst []byte, v types.Value) []byte {
	if v.Null {
		return append(dst, "NULL"...)
	}
	return types.AppendText(dst, v, &types.TextFormat{})
}

// output collects rows.
type output struct {
	format *types.TextFormat
	rows   [][]string
	in     io.Reader
	// notices are what was said beside the rows.
	notices []string
}

var _ pgwire.Output = (*output)(nil)

// Row implements pgwire.Output.
func (o *output) Row(row []types.Value) error {
	texts := make([]string, len(row))
	for i, v := range row {
		texts[i] = string(appendValue(nil, v))
	}
	o.rows = append(o.rows, texts)
	return nil
}

// Notice implements pgwire.Output.
func (o *output) Notice(n pgwire.Notice) { o.notices = append(o.notices, n.Err.Error()) }

// ParameterStatus implements pgwire.Output.
func (o *output) ParameterStatus(string, string) {}

// CopyOut implements pgwire.Output.
func (o *output) CopyOut(int, int16) (pgwire.CopyWriter, error) {
	return nil, errors.New("inproc: no COPY")
}

// CopyIn implements pgwire.Output.
func (o *output) CopyIn(int, int16) (io.Reader, error) { return o.in, nil }

// Flush implements pgwire.Output.
func (o *output) Flush() error { return nil }

// Random is a source of randomness for Crash.
func Random(seed uint64) *rand.Rand { return rand.New(rand.NewSource(int64(seed))) }

// Late is how many rows were late for a query since the server started; 0 when it does not run.
func (db *DB) Late(query string) int64 {
	q, ok := db.srv.Catalog().Relation("", query).(*catalog.Query)
	if !ok {
		return 0
	}
	st, _ := db.srv.Engine().Query(q.ID)
	return st.Late
}
