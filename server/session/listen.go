package session

import (
	"context"
	"sync"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// notifyMax is Postgres' limit of a notification's payload, bytes.
const notifyMax = 7999

// listener delivers the results of queries that the connection LISTENs to: one goroutine per channel, each with a cursor
// in the query's changelog, so that a slow client delays nobody.
type listener struct {
	s       *Session
	out     chan pgwire.Notification
	mu      sync.Mutex
	cancels map[string]context.CancelFunc
	wg      sync.WaitGroup
}

func newListener(s *Session) *listener {
	return &listener{s: s, out: make(chan pgwire.Notification, 64), cancels: map[string]context.CancelFunc{}}
}

// add starts to listen; a second LISTEN to the same name does nothing, as in Postgres.
func (l *listener) add(name parse.Name) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancels[name.Name] != nil {
		return nil
	}
	sub, _, err := l.s.subscription(&parse.Subscribe{Name: name})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.s.ctx)
	l.cancels[name.Name] = cancel
	l.wg.Go(func() {
		// The end of the query or of the connection ends the channel; there is nobody to tell.
		_ = sub.follow(ctx, l.deliver(ctx, sub), func() error { return nil })
	})
	return nil
}

// remove stops listening to a name, or to all.
func (l *listener) remove(name string, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, cancel := range l.cancels {
		if all || n == name {
			cancel()
			delete(l.cancels, n)
		}
	}
}

func (l *listener) close() {
	l.remove("", true)
	l.wg.Wait()
}

// deliver sends rows as JSON; a row over the payload limit comes as its offset alone, to be read with SELECT or SUBSCRIBE.
func (l *listener) deliver(ctx context.Context, sub *subscription) func(row []types.Value) error {
	cols := sub.q.Schema.Cols
	var buf []byte
	return func(row []types.Value) error {
		cols, vals := cols, row[len(subscribeColumns):]
		if sub.q.Changes() {
			if row[1].S == opNames[job.OpUpdateBefore] {
				return nil // its other half follows
			}
			cols = append([]types.Column{subscribeColumns[1]}, cols...)
			vals = append([]types.Value{row[1]}, vals...)
		}
		buf = AppendJSONRow(buf[:0], cols, vals)
		if len(buf) > notifyMax {
			buf = AppendJSONRow(buf[:0], subscribeColumns[:1], row[:1])
		}
		select {
		case l.out <- pgwire.Notification{Channel: sub.q.Name, Payload: string(buf)}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
