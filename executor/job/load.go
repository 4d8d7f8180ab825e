package job

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// loading is the recovery of an engine that can be read already.
type loading struct {
	// ctx ends when the engine stops before it is loaded.
	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when the engine takes changes and events, or when it never will: err, set before, tells why.
	done chan struct{}
	err  error
	// stopped is closed when the engine is closed before it is loaded.
	stopped chan struct{}
	stop    sync.Once
	// What Loading tells.
	queries, queriesTotal, stateBytes, epochs, epochsTotal atomic.Int64
}

// Loading tells how far an engine has come with what is stored.
type Loading struct {
	// Queries are in service with their state, of QueriesTotal; StateBytes of it have been read, by all workers together.
	Queries, QueriesTotal, StateBytes int64
	// Epochs have run again, of EpochsTotal that came after the checkpoint.
	Epochs, EpochsTotal int64
}

// String is what people read.
func (l Loading) String() string {
	return fmt.Sprintf("%d of %d queries (%d MiB of state read), %d of %d epochs", l.Queries, l.QueriesTotal, l.StateBytes>>20, l.Epochs, l.EpochsTotal)
}

// Fraction is about how much of the loading is done, 0 to 1: a query with its state counts as much as an epoch that runs again.
func (l Loading) Fraction() float64 {
	return float64(l.Queries+l.Epochs) / float64(max(l.QueriesTotal+l.EpochsTotal, 1))
}

// restore loads the state of queries and lets the engine run.
func (e *Engine) restore(r *recovery) {
	defer close(e.load.done)
	err := guard(r.run)
	if err == nil && e.load.ctx.Err() == nil {
		e.begin()
		return
	}
	if err == nil { // it is told to stop in the last moment
		e.cancel()
		e.stopPipeline()
	}
	if e.load.err = e.Err(); e.load.err != nil { // an epoch that ran again broke
		return
	}
	select {
	case <-e.load.stopped:
		e.load.err = shuttingDown()
		return
	default:
	}
	e.load.err = fmt.Errorf("load what is stored: %w", err)
	e.fatal.Store(&e.load.err)
	e.log.Error("the engine could not be loaded", "error", err)
	e.cancel()
	close(e.failed)
}

// Loaded waits until the engine takes changes and events. Until then what was committed can be read, and nothing else.
func (e *Engine) Loaded(ctx context.Context) error {
	select {
	case <-e.load.done:
		return e.load.err
	default:
	}
	select {
	case <-e.load.done:
		return e.load.err
	case <-e.load.stopped:
		return shuttingDown()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Loading reports how far the engine has come; ok is false when it is loaded, or never will be.
func (e *Engine) Loading() (l Loading, ok bool) {
	select {
	case <-e.load.done:
		return l, false
	default:
		p := &e.load
		return Loading{Queries: p.queries.Load(), QueriesTotal: p.queriesTotal.Load(), StateBytes: p.stateBytes.Load(),
			Epochs: p.epochs.Load(), EpochsTotal: p.epochsTotal.Load()}, true
	}
}

// NotLoaded is the error of what cannot wait until the engine is loaded; nil when it is.
func (e *Engine) NotLoaded() error {
	l, loading := e.Loading()
	if !loading {
		return nil
	}
	return sqlerr.New(sqlerr.CannotConnectNow, "the server is loading: %s", l).
		WithHint("Results, history and catalogue can be read meanwhile; send events and changes again in a moment.")
}

func shuttingDown() error { return sqlerr.New(sqlerr.AdminShutdown, "the server is shutting down") }

// StopLoading ends a recovery that is under way. Nothing was written.
func (e *Engine) StopLoading() {
	e.load.stop.Do(func() {
		close(e.load.stopped)
		e.load.cancel()
	})
	<-e.load.done
}
