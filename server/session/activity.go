package session

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// backends knows all connections. Safe for concurrent use.
type backends struct {
	mu   sync.Mutex
	list map[*Session]struct{}
}

func (b *backends) add(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.list == nil {
		b.list = map[*Session]struct{}{}
	}
	b.list[s] = struct{}{}
}

func (b *backends) remove(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.list, s)
}

// all lists the connections by process id.
func (b *backends) all() []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*Session
	for s := range b.list {
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y *Session) int { return int(x.info.PID) - int(y.info.PID) })
	return list
}

// find is the connection with a process id, nil if there is none.
func (b *backends) find(pid int32) *Session {
	for _, s := range b.all() {
		if s.info.PID == pid && s.info.Control != nil {
			return s
		}
	}
	return nil
}

// signals acts on other connections for one: fn.Backends.
type signals struct{ s *Session }

// Cancel implements fn.Backends.
func (x signals) Cancel(pid int32) (bool, error) {
	other := x.s.srv.backends.find(pid)
	if other == nil {
		return false, nil
	}
	if err := x.may(other, "canceled", "cancel"); err != nil {
		return false, err
	}
	other.info.Control.Cancel()
	return true, nil
}

// Terminate implements fn.Backends.
func (x signals) Terminate(pid int32) (bool, error) {
	other := x.s.srv.backends.find(pid)
	if other == nil {
		return false, nil
	}
	if err := x.may(other, "terminated", "terminate"); err != nil {
		return false, err
	}
	other.info.Control.Terminate()
	return true, nil
}

// may tells whether the connection has the rights of another one's role.
func (x signals) may(other *Session, done, do string) error {
	by, r := x.s.actor(), other.srv.cat.Snapshot().Role(other.info.User)
	switch {
	case by != nil && by.Super:
		return nil
	case r == nil || r.Super:
		return denied("must be a superuser to %s superuser process", do)
	case by == nil || !slices.Contains(x.s.snapshot().ActsAs(by, true), r.Number()):
		return denied("must be a member of the role whose process is being %s or member of pg_signal_backend", done)
	}
	return nil
}

// queryShown is how much of a statement pg_stat_activity shows, bytes: Postgres' track_activity_query_size.
const queryShown = 1023

// activity is what others may see of a connection. The connection's goroutine writes it, others read.
type activity struct {
	mu                                     sync.Mutex
	state, query, application              string
	start, xactStart, queryStart, changeAt types.EventTime
	warnings                               []*sqlerr.Error
	broken                                 map[uint64]*sqlerr.Error // functions that broke a limit in the statement under way, by id
	warned                                 atomic.Bool              // warnings is not empty
}

// begin notes that a statement starts.
func (s *Session) begin(query string) {
	application, _ := s.settings.get("application_name")
	now := s.srv.clock()
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != "active" {
		a.state, a.changeAt = "active", now
		if s.tx == 'I' {
			a.xactStart = now
		}
	}
	a.query, a.queryStart, a.application = strings.ToValidUTF8(query[:min(len(query), queryShown)], ""), now, application
}

// rest notes that the connection waits for its client.
func (s *Session) rest() {
	application, _ := s.settings.get("application_name")
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	a.application, a.changeAt = application, s.srv.clock()
	switch s.tx {
	case 'T':
		a.state = "idle in transaction"
	case 'E':
		a.state = "idle in transaction (aborted)"
	default:
		a.state, a.xactStart = "idle", 0
	}
}

// IdleLimit implements pgwire.IdleLimiter.
func (s *Session) IdleLimit() (time.Duration, *sqlerr.Error) {
	if s.tx == 'I' {
		return s.settings.duration("idle_session_timeout"), sqlerr.New(sqlerr.IdleSessionTimeout, "terminating connection due to idle-session timeout")
	}
	return s.settings.duration("idle_in_transaction_session_timeout"),
		sqlerr.New(sqlerr.IdleInTransactionTimeout, "terminating connection due to idle-in-transaction timeout")
}

// warn keeps a warning of a function until the statement ends; more than a few are not worth telling.
func (s *Session) warn(err *sqlerr.Error) {
	const warningsMax = 1000
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.warnings) < warningsMax {
		a.warnings = append(a.warnings, err)
		a.warned.Store(true)
	}
}

// sendWarnings tells the client what functions warned of.
func (s *Session) sendWarnings(out pgwire.Output) {
	a := &s.activity
	if !a.warned.Load() {
		return
	}
	a.mu.Lock()
	list := a.warnings
	a.warnings = nil
	a.warned.Store(false)
	a.mu.Unlock()
	for _, w := range list {
		out.Notice(pgwire.Notice{Severity: "WARNING", Err: w})
	}
}

// backend is the connection's row of pg_stat_activity.
func (s *Session) backend() pgcatalog.Backend {
	a := &s.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	b := pgcatalog.Backend{PID: s.info.PID, User: s.info.User, Application: a.application, Started: a.start, XactStart: a.xactStart,
		QueryStart: a.queryStart, StateChange: a.changeAt, State: a.state, Query: a.query}
	if addr, err := netip.ParseAddrPort(s.info.Remote); err == nil {
		b.Client = addr
	}
	return b
}

// Backends implements pgcatalog.Activity.
func (s source) Backends(context.Context) []pgcatalog.Backend {
	var list []pgcatalog.Backend
	for _, c := range s.srv.backends.all() {
		list = append(list, c.backend())
	}
	return list
}

// Backends implements pgcatalog.Activity: what others run is shown to those who have the rights of their role.
func (s sessionSource) Backends(ctx context.Context) []pgcatalog.Backend {
	list := s.source.Backends(ctx)
	by := s.s.actor()
	if by != nil && by.Super {
		return list
	}
	snap := s.s.snapshot()
	for i := range list {
		r := snap.Role(list[i].User)
		if by != nil && r != nil && slices.Contains(snap.ActsAs(by, true), r.Number()) {
			continue
		}
		b := &list[i]
		*b = pgcatalog.Backend{PID: b.PID, User: b.User, Query: "<insufficient privilege>"}
	}
	return list
}

var _ pgcatalog.Activity = source{}
