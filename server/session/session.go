package session

import (
	"context"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// Session is one connection. The connection's goroutine calls it; only listeners run beside it.
type Session struct {
	srv      *Server
	info     pgwire.ConnInfo
	login    login
	ctx      context.Context
	settings *settings
	tx       byte // 'I', 'T' or 'E'
	// block holds what the open transaction changed, nil while that is nothing. grouped: statements up to the next Sync belong
	// together, though no BEGIN was said.
	block   *block
	grouped bool
	temp    *tempTables
	given   given // by sequences
	// changedRows are those of the statement whose RETURNING is being evaluated.
	changedRows [][]types.Value
	prepared    map[string]*sqlPrepared
	// trace takes down how the statement that EXPLAIN plans at the moment is planned; nil otherwise.
	trace   *planner.Trace
	cursors map[string]*cursor
	listen  *listener
	// pg is the system catalogue as this connection sees it.
	pg    *pgcatalog.Catalog
	names preparedNames
	// several: the query string has more statements than one, which are one transaction.
	several bool
	text    string // of the statement that runs
	notes   notes
	// running ends with the statement that the connection's goroutine runs.
	running  context.Context
	activity activity
	// marks are the states at the savepoints of the open block.
	marks []mark
}

var (
	_ pgwire.Engine        = (*Server)(nil)
	_ pgwire.Session       = (*Session)(nil)
	_ pgwire.TextFormatter = (*Session)(nil)
	_ pgwire.Syncer        = (*Session)(nil)
	_ pgwire.Grouper       = (*Session)(nil)
	_ pgwire.Reporter      = (*Session)(nil)
	_ pgwire.IdleLimiter   = (*Session)(nil)
)

// Connect implements pgwire.Engine.
func (s *Server) Connect(ctx context.Context, c pgwire.ConnInfo) (pgwire.Session, error) {
	sess := &Session{srv: s, info: c, ctx: ctx, running: ctx, tx: 'I', settings: newSettings(s.version),
		prepared: map[string]*sqlPrepared{}, cursors: map[string]*cursor{}, temp: newTempTables()}
	sess.pg = pgcatalog.New(sessionSource{source{s}, sess})
	sess.listen = newListener(sess)
	sess.settings.apply("session_authorization", c.User)
	if err := sess.logIn(); err != nil {
		return nil, err
	}
	if err := sess.startupOptions(c.Params["options"]); err != nil {
		return nil, err
	}
	for name, value := range c.Params {
		if name == "options" || name == "replication" {
			continue
		}
		if err := sess.change(strings.ToLower(name), value, false); err != nil {
			return nil, err
		}
	}
	sess.settings.keepDefaults()
	sess.activity.start = s.clock()
	sess.rest()
	s.backends.add(sess)
	return sess, nil
}

// parsed is one statement of a query string.
type parsed struct{ parse.Parsed }

// Tag implements pgwire.Parsed.
func (p parsed) Tag() string { return firstWords(p.Text) }

// Split implements pgwire.Session.
func (s *Session) Split(sql string) ([]pgwire.Parsed, error) {
	read := parse.Parse
	if s.replicating() {
		read = parse.ParseReplication
	}
	list, err := read(sql)
	if err != nil {
		return nil, err
	}
	out := make([]pgwire.Parsed, 0, len(list))
	for _, p := range list {
		if _, empty := p.Stmt.(*parse.Empty); !empty {
			out = append(out, parsed{p})
		}
	}
	s.several = len(out) > 1
	return out, nil
}

// Parameters implements pgwire.Session.
func (s *Session) Parameters() map[string]string { return s.settings.reported() }

// TextFormat implements pgwire.TextFormatter.
func (s *Session) TextFormat() *types.TextFormat {
	return &types.TextFormat{TimeZone: s.settings.location(), RegName: s.pg.RegName, RegLookup: s.pg.RegLookup}
}

// TxStatus implements pgwire.Session.
func (s *Session) TxStatus() byte { return s.tx }

// Fail implements pgwire.Session.
func (s *Session) Fail() {
	if s.tx == 'T' {
		s.tx = 'E'
		s.settings.abort()
	}
	if s.tx == 'I' {
		s.rollback()
		s.endState(false)
	}
}

// Group implements pgwire.Grouper.
func (s *Session) Group() { s.grouped = true }

// Sync implements pgwire.Syncer: what was grouped takes effect.
func (s *Session) Sync() error {
	defer s.rest()
	s.grouped, s.several = false, false
	if s.tx != 'I' {
		return nil
	}
	if s.block == nil {
		s.endState(true)
		return s.commitNotes()
	}
	return s.commitAll(s.ctx)
}

// Notifications implements pgwire.Session.
func (s *Session) Notifications() *pgwire.Queue { return s.listen.out }

// Close implements pgwire.Session.
func (s *Session) Close() {
	s.srv.backends.remove(s)
	s.listen.close()
	for _, c := range s.cursors {
		c.close()
	}
}

func (s *Session) env() *planner.Env {
	return &planner.Env{Catalog: s.snapshot(), User: s.user(), Database: databaseName, Schema: "public",
		SearchPath: s.path(), Now: s.srv.clock(), TimeZone: s.settings.location(), Trace: s.trace, Permit: permit{s}, Aggregates: s.srv.aggregates()}
}

// withTimeout applies statement_timeout.
func (s *Session) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := s.settings.duration("statement_timeout"); d > 0 {
		return context.WithTimeoutCause(ctx, d, sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to statement timeout"))
	}
	return context.WithCancel(ctx)
}

// cause turns the end of a context into the error that a client expects.
func cause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if c := context.Cause(ctx); sqlerr.CodeOf(c) != sqlerr.InternalError {
		return c
	}
	return sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request")
}

func firstWords(text string) string {
	end := 0
	for words := 0; end < len(text) && end < 40; end++ {
		if text[end] == ' ' {
			if words++; words == 2 {
				break
			}
		}
		if text[end] == '(' || text[end] == '\n' {
			break
		}
	}
	return text[:end]
}

// farFuture is a wait without bound.
const farFuture = 100 * 365 * 24 * time.Hour
