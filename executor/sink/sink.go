// Package sink carries the results of queries to targets outside. A sink is a reader of one changelog with a durable cursor: it
// never slows the query, and goes on where it stopped. What a target is made of belongs to executor/connector and its sub-packages, and
// to the files of this one named after them. See docs/design/0007-sinks.md.
package sink

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

// Spec is a sink as the catalogue has it.
type Spec struct {
	ID   uint64
	Name string
	// Query is the number of the query, QueryName what it is called.
	Query     uint64
	QueryName string
	Connector string
	Options   map[string]string
	// Format is upper case; "" is JSON.
	Format        string
	FormatOptions map[string]string
	// Columns are those of the query's result; Updates: its changelog holds more than inserts.
	Columns []types.Column
	Updates bool
	// Severity is the query's, from 0 to 10.
	Severity int
	// Start is the offset of the first row wanted.
	Start  int64
	Paused bool
}

// Options is what a Set is made of.
type Options struct {
	Results *results.Store
	KV      kv.Store
	Dead    *meta.Journal
	Defs    []connector.SinkDef
	// Server tells this server from others.
	Server string
	Clock  func() types.EventTime
	Logger *slog.Logger
	// Missed tells that rows were removed before a sink could deliver them, for good records. It may wait.
	Missed func(s *Spec, reason string) error
}

// The states of a sink as users see them.
const (
	Running = "running"
	Failing = "failing"
	Paused  = "paused"
)

// Status is what vigil.sinks shows beside the catalogue.
type Status struct {
	State string
	// Next is the offset of the first row that is not delivered; Lag is how many there are from it on.
	Next, Lag int64
	// Rows, Dead and Missed are counted since the sink was created: delivered, refused by the target for good, and removed by the
	// query's retention before they were delivered.
	Rows, Dead, Missed int64
	// Errors is how many attempts failed since the server started.
	Errors int64
	// LastError is the last thing that went wrong since the server started, at ErrorAt; it stays when all is well again. State
	// tells that, since Since. Microseconds.
	LastError      string
	ErrorAt, Since int64
	// Target names the target, without secrets.
	Target string
}

// Set is the sinks of a server. Its methods are safe for concurrent use.
type Set struct {
	o  Options
	wg sync.WaitGroup

	mu      sync.Mutex
	runners map[uint64]*runner
	closed  bool

	// deadMu is held while dead letters are added and committed: one batch at a time.
	deadMu sync.Mutex
}

// New makes a Set without sinks and forgets the cursors of those that are not alive.
func New(o Options, alive func(id uint64) bool) (*Set, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Set{o: o, runners: map[uint64]*runner{}}
	names, err := o.Results.Cursors(cursorPrefix)
	if err != nil {
		return nil, fmt.Errorf("open sinks: %w", err)
	}
	b := o.KV.NewBatch()
	for _, name := range names {
		id, err := strconv.ParseUint(strings.TrimPrefix(name, cursorPrefix), 10, 64)
		if err != nil || !alive(id) {
			o.Results.DropCursor(b, name)
		}
	}
	if err := b.Commit(false); err != nil {
		return nil, fmt.Errorf("open sinks: %w", err)
	}
	return s, nil
}

const cursorPrefix = "sink/"

func cursorName(id uint64) string { return cursorPrefix + strconv.FormatUint(id, 10) }

// Start runs a sink, in the place of the one with its id if there is one: it begins when that has ended.
func (s *Set) Start(spec Spec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	r := &runner{set: s, spec: spec, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	old := s.runners[spec.ID]
	s.runners[spec.ID] = r
	if old != nil {
		r.status = old.current()
		r.totals = totals{r.status.Rows, r.status.Dead, r.status.Missed}
		r.at.Next = r.status.Next
		old.cancel()
	}
	r.status.State, r.status.Since = Running, int64(s.o.Clock())
	if spec.Paused {
		r.status.State = Paused
	}
	s.wg.Go(func() {
		defer close(r.done)
		defer cancel()
		if old != nil {
			<-old.done
		}
		r.run(ctx)
	})
}

// Drop ends a sink and forgets its cursor.
func (s *Set) Drop(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runners[id]
	if r == nil || s.closed {
		return
	}
	delete(s.runners, id)
	r.cancel()
	s.wg.Go(func() {
		<-r.done
		b := s.o.KV.NewBatch()
		s.o.Results.DropCursor(b, cursorName(id))
		if err := b.Commit(false); err != nil {
			s.o.Logger.Error("forget the cursor of a sink", "sink", r.spec.Name, "error", err) // the next start does
		}
	})
}

// Close ends all sinks and waits for them.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	for _, r := range s.runners {
		r.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Status tells how a sink is doing; false when there is none of the id.
func (s *Set) Status(id uint64) (Status, bool) {
	s.mu.Lock()
	r := s.runners[id]
	s.mu.Unlock()
	if r == nil {
		return Status{}, false
	}
	st := r.current()
	st.Lag = max(0, s.o.Results.Next(r.spec.Query)-st.Next)
	return st, true
}
