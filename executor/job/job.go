// Package job runs continuous queries: it sequences the input of all streams into epochs, drives the front stage and the
// workers, commits each epoch's results with its record, checkpoints keyed state in the background, and recovers.
//
// The flow, each arrow a bounded channel:
//
//	inputs -> sequencer -> front goroutines (decode, filter, route) -> orderer (time) -> workers (keyed state) -> committer
//
// The sequencer fixes the order; fronts work on different items at once; the orderer sees items in order again and is the
// only one to move watermarks; every worker sees all items in order. What an epoch does is a function of the state before
// it and of its record: see docs/design/0001-epochs.md.
package job

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
	store "github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

// Config is what an Engine needs. Zero durations and counts take defaults.
type Config struct {
	// Dir holds the event logs (Dir/log/<stream id>).
	Dir string
	KV  kv.Store
	// Workers is the number of key partitions and of front goroutines; default GOMAXPROCS.
	Workers int
	// Clock is read once per epoch and for arrival times; default the wall clock.
	Clock func() types.EventTime
	// UDF runs JavaScript; nil refuses it.
	UDF UDF
	// Codecs and Connectors are the registries.
	Codecs     []codec.Def
	Connectors []connector.Def
	// EpochMin is the least time between epochs that carry results, EpochMax the longest an epoch stays open.
	EpochMin, EpochMax time.Duration
	// CheckpointEvery is the time between background checkpoints; negative: only at Close.
	CheckpointEvery time.Duration
	// LogFS is where the event logs are; nil: the disk.
	LogFS   eventlog.FS
	Logger  *slog.Logger
	Meta    *meta.Store
	Results *results.Store
	// Alone: queries share no windows. For tests, which compare.
	Alone bool
	// OnState is called when the engine took a query out of service or back into it, after that is durable.
	OnState func(queryID uint64, state, reason string)
	// OnFunction is called when a function went out of service or came back, after that is durable.
	OnFunction func(c FunctionChange, at types.EventTime)
	// CopyAhead is how much changed state a worker copies at a time, ahead of a checkpoint, in entries of up to 128 bytes; it may leave a
	// fourth of that for it. Default 32,768.
	CopyAhead int
	// HistoryBytes is how many bytes of history are read at a time, default 64 KiB; JoinWithin how many may be left for a query to join
	// its streams as the epoch ends, default 256 KiB.
	HistoryBytes int
	JoinWithin   int64
	// SegmentBytes is the size at which an event log begins a new file; 0: eventlog's default.
	SegmentBytes int64
	// Memory is what the process may have in memory, bytes: more state of queries than fits moves to a file in StateDir. 0: as much as there
	// is.
	Memory int64
	// ResultBytes is how much a worker holds of an epoch's results on the Go heap, bytes: more is set aside as state is. Default: a part of
	// Memory, 1 to 16 MiB.
	ResultBytes int
	// ResultsMax is how many bytes of result rows are kept of all queries together: the oldest go first. 0: each query's bounds are all there are.
	ResultsMax int64
	// StateDir is the directory of that file; default Dir.
	StateDir string
	// MemoryUse measures what the process has in memory, and what of that is alive on the Go heap; state tells how much state of
	// queries is in memory. Default: what the system tells.
	MemoryUse func(state func() int64) (resident, heap int64)
	// CostsEvery is the time between two looks at what queries cost; default a second.
	CostsEvery time.Duration
	// Room is the disk; nil: there always is room.
	Room Room
	// Journals bounds vigil.rejected, vigil.query_events and the late rows, each; zero fields: meta.KeepDefault.
	Journals meta.Keep
	// AgainFor is how long opening and copying an event log is tried again while it fails; default 2.5 s.
	AgainFor time.Duration
	// CPU is the CPU time that the process and its JavaScript workers have had; default: what the system tells.
	CPU func() time.Duration
	// ThreadCPU is the CPU time that the calling thread has had, for CheckpointPause; nil: it is not measured.
	ThreadCPU func() time.Duration
}

// UDF is the pool of JavaScript workers as the engine uses it.
type UDF interface {
	expr.UDFCaller
	Define(f *spec.Function) error
	Remove(id uint64)
}

func (c *Config) defaults() {
	if c.Workers <= 0 {
		c.Workers = defaultWorkers()
	}
	if c.Clock == nil {
		c.Clock = func() types.EventTime { return types.EventTime(time.Now().UnixMicro()) }
	}
	if c.EpochMin <= 0 {
		c.EpochMin = 10 * time.Millisecond
	}
	if c.EpochMax <= 0 {
		c.EpochMax = time.Second
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 10 * time.Second
	}
	if c.CopyAhead <= 0 {
		c.CopyAhead = copyAheadDefault
	}
	c.Journals = c.Journals.OrDefault()
	if c.HistoryBytes <= 0 {
		c.HistoryBytes = historyBytesDefault
	}
	if c.JoinWithin <= 0 {
		c.JoinWithin = joinWithinDefault
	}
	if c.StateDir == "" {
		c.StateDir = c.Dir
	}
	if c.AgainFor <= 0 {
		c.AgainFor = againFor
	}
	if c.CostsEvery <= 0 {
		c.CostsEvery = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Engine is the running dataflow of all streams and queries. Its methods are safe for concurrent use.
type Engine struct {
	cfg     Config
	kv      kv.Store
	meta    *meta.Store
	results *results.Store
	ckpt    *checkpoints
	log     *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	inbox   chan *item // inputs -> sequencer
	history chan *item // histories -> sequencer
	// pastSlots holds one for each item of history that is under way.
	pastSlots chan struct{}
	changes   chan *change  // DDL -> sequencer
	settles   chan settle   // those who wait for what they appended to be committed
	fronts    chan *item    // sequencer -> front goroutines
	ordered   chan *item    // sequencer -> orderer, same items in order
	commits   chan *epoch   // sequencer -> committer, in order
	wake      chan struct{} // a result waits (capacity 1)
	built     chan built    // segments of rules that were built beside their stream

	workers []*worker
	// frontList are the front goroutines; set before they run.
	frontList []*front
	items     sync.Pool
	rowLists  sync.Pool // of *rowList, for items
	chunks    sync.Pool // of *chunk, for fronts
	warmed    uint64    // the committer's: where warm leaves what it read, so that the reads stay

	mu      sync.RWMutex
	streams map[uint64]*stream
	queries map[uint64]*query
	slots   slots
	// listed is the streams as a list; nil when it must be made anew.
	listed []*stream
	// committed is the last epoch on disk.
	committed atomic.Uint64
	// fed is what was committed for queries to read, and waits for the sequencer.
	fed feedQueue
	// putting is how many queries had results in the last epoch that was committed.
	putting atomic.Int64
	// setAside are the bytes of results that were too many for the Go heap.
	setAside atomic.Int64
	grouper  grouper
	// changed is how many units of state had changed and were not copied, at the end of the last epoch that counted: counted.
	changed atomic.Int64
	counted atomic.Uint64
	copied  atomic.Int64
	pauses  pauses
	// cutBytes is the most that a worker copied while it stood still for a cut.
	cutBytes atomic.Int64
	// sampled: some stream has a sample.
	sampled atomic.Bool
	fatal   atomic.Pointer[error]
	failed  chan struct{}
	// ioc has the entries of IOC lists. iocNow is the newest version of the lists, iocDone that of the last epoch on disk.
	ioc     *store.Store
	iocNow  atomic.Pointer[ioc.Set]
	iocDone atomic.Pointer[ioc.Set]
	tables  *table.Set
	// functions is nil where there is no JavaScript.
	functions *Functions
	sequences sequences
	files     backups
	room      room
	budget    budget
	load      loading
	closing   chan struct{}
	closed    sync.Once
	seq       sequencer
	shares    shares
	// groupOps numbers the states that queries share in checkpoints.
	groupOps atomic.Uint64
	// listMu is held by who writes a change of lists, from before it is written until it is on its way to the sequencer. changeMu orders changes; lists is the newest version of the IOC lists, which the sequencer may not have reached.
	listMu        sync.Mutex
	sweeps        sync.WaitGroup
	sweeping      atomic.Bool
	changeMu      sync.Mutex
	lists         *ioc.Set
	costs         costs
	failMu        sync.Mutex
	failedQueries []outage
	indexPanics   atomic.Int64
	gates         []gate
}

// stream is a stream's runtime. The sequencer owns next and plan; the orderer owns tracker.
type stream struct {
	spec *spec.Stream
	log  *eventlog.Log    // nil when the connector replays by itself
	src  connector.Source // nil for log-fed streams
	stop context.CancelFunc
	done chan struct{} // input goroutine ended

	next map[int32]int64 // split -> offset after the last sequenced payload
	// past: the stream is history of another one, for one query. placed is next of a log, for those who read history; followers are
	// they, the sequencer's.
	past      *past
	placed    atomic.Int64
	followers []*query
	plan      *plan    // what the front does, as of the epoch being sequenced
	attached  []reader // the inputs of queries that read the stream, in order of creation
	planned   bool     // the plan shares the memory of attached
	wanted    []int    // by column, how many of attached read it
	opened    bool     // src is open already, for re-running epochs

	// removals counts the readers that left.
	removals int
	// rules are the predicates of the queries that read the stream; of results, which few read, nil.
	rules *ruleset
	// sample is rows for the rules' estimates, from a front goroutine to the sequencer.
	sample atomic.Pointer[batch.Batch]

	// isResult: the stream is a query's changelog; result is that query, nil while it is out of service. The sequencer's.
	isResult bool
	result   *query

	order   orderState
	batches sync.Pool
	stats   StreamStats
	// progress remembers how recent payloads were decoded, for those who wait for the outcome.
	progress progress
	// cpu is what the stream has cost since the server started, nanoseconds; guarded by the mutex of costs.
	cpu      int64
	spending spending
	// counted are its rows as of the last sweep, arrived those that came in the last ones; guarded by the mutex of costs.
	counted int64
	arrived ring
}

// StreamStats are counters since the server started.
type StreamStats struct {
	Rows, Rejected, Late, Bytes atomic.Int64
	Watermark                   atomic.Int64
	// busy are the nanoseconds of the fronts and workers that no query is charged with, since the last sweep.
	busy      atomic.Int64
	LastError atomic.Pointer[string]
}

// plan is what the front stage does for a stream: immutable, replaced when a query comes or goes.
type plan struct {
	stream *stream
	// readers are the inputs that read a result; those of other streams are in segments.
	readers  []reader
	segments []planSegment
	want     []bool
	// removals is how many readers had left.
	removals int
}

// frontPart is how an input of a query begins: with a predicate, which the index of the stream evaluates, and the nodes of its
// front stage that the predicate stands for.
type frontPart struct {
	predicate *predindex.Predicate
	nodes     int
}

// reader is one input of a query.
type reader struct {
	q     *query
	input int
}

// query is a continuous query's runtime, or a stage's. Its parts are immutable.
type query struct {
	// What the committer needs of each query with results comes first. owner is the query of the catalogue: itself, unless this is a stage.
	owner *query
	// log is where results go, fedIn the last epoch of which others read them. The committer's.
	log   *results.Changelog
	fedIn uint64
	// deadFrom is the epoch in which the query broke, 0 while it is well; its outputs are dropped from that epoch on.
	deadFrom atomic.Uint64
	// cost and spending are of a query of the catalogue; held, by worker, of each part. See costs.
	cost *queryCost
	// slot is a small number that no other query in service has.
	slot uint32
	// updates is that of spec, rowsLimited: limits bounds the results.
	updates     bool
	rowsLimited atomic.Bool
	stats       QueryStats
	spending    spending

	spec   *spec.Query
	parts  *task.Parts
	stages []*query
	// endless: the result is of groups without a window, which stay however old they are.
	endless bool
	// fronts are the beginnings of the inputs; zero for results.
	fronts []frontPart
	// gathered and into are the committer's while it sorts an epoch's rows by query.
	gathered int
	into     []outRow
	// readFrom is how much of each input came by before the query began. The orderer's.
	readFrom []readCount
	// gone: the query was detached. The sequencer sets it.
	gone atomic.Bool
	// ops is the number of operators of the keyed half; idle: they have nothing to do before a row comes.
	ops  int
	idle bool
	// share is common to the queries that may share windows; nil: it shares with none.
	share *shareKey
	// outDelay is how far behind its inputs' watermark the result may lie, microseconds.
	outDelay int64
	// handed is the newest watermark that was handed to the queries that read this one. The orderer's.
	handed types.EventTime
	// back is of a query of the catalogue. What the inputs read, by id: begun when the query was attached, reads as the sequencer has it,
	// timed as the orderer has it.
	back                backfill
	begun, reads, timed []uint64
	// from tells where the results that it reads begin, by query id; of a query that recovery attaches.
	from map[uint64]int64
	// since is the clock when it was attached. The sequencer's.
	since types.EventTime
	// dropped: detached for good, its results go too.
	dropped bool
	held    []held
	// limits are of a query of the catalogue. ALTER changes them while it runs.
	limits atomic.Pointer[spec.Limits]
	// taken: it is recorded as out of service. The committer's.
	taken bool
	rows  rowLimit
	// judged is the last epoch after which the committer looked at the state held.
	judged uint64
	// throttledBy tells why rows are held back; nil: they are not.
	throttledBy atomic.Pointer[string]
	// intake is the committer's; shutReason tells why it is shut, nil: it is not. apart: it shares windows no more, the sequencer's.
	intake     intake
	shutReason atomic.Pointer[string]
	apart      bool
	// inService is the epoch since which the query runs; of one that recovery attaches.
	inService uint64
}

// all are the query's stages and the query itself, in the order in which rows pass them.
func (q *query) all() []*query { return append(q.stages[:len(q.stages):len(q.stages)], q) }

func (q *query) dead() bool { return q.owner.deadFrom.Load() != 0 }

// fail takes the query, and the one it is a stage of, out of service from an epoch on; an earlier epoch wins.
func (q *query) fail(epoch uint64) {
	q = q.owner
	for {
		old := q.deadFrom.Load()
		if old != 0 && old <= epoch || q.deadFrom.CompareAndSwap(old, epoch) {
			return
		}
	}
}

// QueryStats are counters since the server started.
type QueryStats struct {
	RowsOut, RowsIn, Late, Groups atomic.Int64
}

// Object is a catalogue object as the engine and storage/meta know it. Def is *spec.Stream, *spec.Query, *spec.Function,
// *spec.IOCList, *spec.Table or *spec.SequenceDef.
type Object struct {
	Meta meta.Object
	Def  any
}

func (e *Engine) logDir(id uint64) string {
	return filepath.Join(e.cfg.Dir, "log", fmt.Sprint(id))
}

// fail stops the engine: something durable failed, and going on would break promises.
func (e *Engine) fail(err error) {
	var told error = sqlerr.New(sqlerr.IOError, "the server cannot go on: %v", err).
		WithHint("Nothing that was acknowledged is lost: start the server again, it recovers.")
	if !e.fatal.CompareAndSwap(nil, &told) {
		return
	}
	e.log.Error("engine stopped", "error", err)
	e.cancel()
	for _, s := range e.streamList() {
		s.progress.end()
	}
	close(e.failed)
}

// Failed is closed when the engine has stopped because something durable failed; Err tells what. It does not run again: what was committed is found by
// one that is opened anew.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// Err is the error that stopped the engine, nil while it runs.
func (e *Engine) Err() error {
	if p := e.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// Results gives readers the changelogs.
func (e *Engine) Results() *results.Store { return e.results }

// Meta gives read access to rejected rows, events and epochs.
func (e *Engine) Meta() *meta.Store { return e.meta }

// Committed is the number of the last epoch that is on disk.
func (e *Engine) Committed() uint64 { return e.committed.Load() }

// IOC is the newest version of the lists.
func (e *Engine) IOC() *ioc.Set { return e.iocNow.Load() }
