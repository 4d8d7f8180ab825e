package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// listenMax is how many channels a connection may listen to.
const listenMax = 10_000

// listener is what a connection LISTENs to. A channel carries what NOTIFY sends; one that is called as a continuous query
// carries the query's results as well: a goroutine follows the query's changelog, so that a slow client delays nobody.
type listener struct {
	s       *Session
	out     *pgwire.Queue
	mu      sync.Mutex
	cancels map[string]context.CancelFunc // by channel
	wg      sync.WaitGroup
}

func newListener(s *Session) *listener {
	return &listener{s: s, out: pgwire.NewQueue(), cancels: map[string]context.CancelFunc{}}
}

// add starts to listen; a second LISTEN to the same name does nothing, as in Postgres.
func (l *listener) add(channel string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancels[channel] != nil {
		return nil
	}
	if len(l.cancels) >= listenMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot listen to more than %d channels", listenMax)
	}
	l.cancels[channel] = func() {}
	l.s.srv.hub.join(channel, l)
	l.follow(channel)
	return nil
}

// mayRead tells whether the connection's role may read a query's results. Other goroutines ask, so it reads what everybody sees.
func (l *listener) mayRead(q *catalog.Query) bool {
	snap := l.s.srv.cat.Snapshot()
	r := l.s.roleIn(snap, l.s.user())
	have, _ := snap.Held(r, catalog.ClassRelation, q.ID)
	return have&catalog.Select != 0
}

// attach follows a query that has come to be called as a channel.
func (l *listener) attach(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.cancels[channel]; cancel != nil {
		cancel()
		l.follow(channel)
	}
}

// follow starts to deliver the results of the query that is called as the channel, if there is one. The caller holds mu.
func (l *listener) follow(channel string) {
	sub, _, err := l.s.srv.subscribe(&parse.Subscribe{Name: parse.Name{Name: channel}})
	if err != nil || !l.mayRead(sub.q) {
		return // no query of the listener's is called so: it is a channel of NOTIFY alone
	}
	ctx, cancel := context.WithCancel(l.s.ctx)
	l.cancels[channel] = cancel
	l.wg.Go(func() {
		emit := l.deliver(ctx, sub)
		for {
			err := sub.follow(ctx, emit, func() error { return nil })
			if sqlerr.CodeOf(err) != sqlerr.SnapshotTooOld || l.tellGap(ctx, sub) != nil {
				return // the end of the query or of the connection ends the channel; there is nobody to tell
			}
		}
	})
}

// tellGap goes on behind rows that were dropped before the client took them, and tells how many those are.
func (l *listener) tellGap(ctx context.Context, sub *subscription) error {
	from := sub.next
	sub.skip(max(from, l.s.srv.eng.Results().Oldest(sub.q.ID)))
	return l.out.PushWait(ctx, pgwire.Notification{Channel: sub.q.Name, Payload: fmt.Sprintf(`{"vigil_dropped":%d}`, sub.next-from)})
}

// remove stops listening to a name, or to all.
func (l *listener) remove(name string, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, cancel := range l.cancels {
		if all || n == name {
			cancel()
			delete(l.cancels, n)
			l.s.srv.hub.leave(n, l)
		}
	}
}

// channels lists what the connection listens to.
func (l *listener) channels() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.cancels))
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
		buf = codec.AppendJSONRow(buf[:0], cols, vals)
		if len(buf) > notifyMax {
			buf = codec.AppendJSONRow(buf[:0], subscribeColumns[:1], row[:1])
		}
		return l.out.PushWait(ctx, pgwire.Notification{Channel: sub.q.Name, Payload: string(buf)})
	}
}
