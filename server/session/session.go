package session

import (
	"context"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// Session is one connection. The connection's goroutine calls it; only listeners run beside it.
type Session struct {
	srv      *Server
	info     pgwire.ConnInfo
	ctx      context.Context
	settings *settings
	tx       byte // 'I', 'T' or 'E'
	// changed: a table was changed in the open transaction block; that is not undone.
	changed  bool
	prepared map[string]*sqlPrepared
	cursors  map[string]*cursor
	listen   *listener
}

var (
	_ pgwire.Engine        = (*Server)(nil)
	_ pgwire.Session       = (*Session)(nil)
	_ pgwire.TextFormatter = (*Session)(nil)
)

// Connect implements pgwire.Engine.
func (s *Server) Connect(ctx context.Context, c pgwire.ConnInfo) (pgwire.Session, error) {
	sess := &Session{srv: s, info: c, ctx: ctx, tx: 'I', settings: newSettings(s.version),
		prepared: map[string]*sqlPrepared{}, cursors: map[string]*cursor{}}
	sess.listen = newListener(sess)
	for name, value := range c.Params {
		if name == "options" || name == "replication" {
			continue
		}
		if err := sess.settings.set(name, value); err != nil {
			return nil, err
		}
	}
	sess.settings.keepDefaults()
	return sess, nil
}

// parsed is one statement of a query string.
type parsed struct{ parse.Parsed }

// Tag implements pgwire.Parsed.
func (p parsed) Tag() string { return firstWords(p.Text) }

// Split implements pgwire.Session.
func (s *Session) Split(sql string) ([]pgwire.Parsed, error) {
	list, err := parse.Parse(sql)
	if err != nil {
		return nil, err
	}
	out := make([]pgwire.Parsed, 0, len(list))
	for _, p := range list {
		if _, empty := p.Stmt.(*parse.Empty); !empty {
			out = append(out, parsed{p})
		}
	}
	return out, nil
}

// Parameters implements pgwire.Session.
func (s *Session) Parameters() map[string]string { return s.settings.reported() }

// TextFormat implements pgwire.TextFormatter.
func (s *Session) TextFormat() *types.TextFormat {
	return &types.TextFormat{TimeZone: s.settings.zone, RegName: s.srv.pg.RegName}
}

// TxStatus implements pgwire.Session.
func (s *Session) TxStatus() byte { return s.tx }

// Fail implements pgwire.Session.
func (s *Session) Fail() {
	if s.tx == 'T' {
		s.tx = 'E'
	}
}

// Notifications implements pgwire.Session.
func (s *Session) Notifications() <-chan pgwire.Notification { return s.listen.out }

// Close implements pgwire.Session.
func (s *Session) Close() {
	s.listen.close()
	for _, c := range s.cursors {
		c.close()
	}
}

func (s *Session) env() *planner.Env {
	return &planner.Env{Catalog: s.srv.cat, User: s.info.User, Database: "vigil", Schema: "public",
		SearchPath: []string{"public"}, Now: s.srv.clock(), TimeZone: s.settings.zone}
}

// transaction runs BEGIN, COMMIT and ROLLBACK. Statements take effect one by one; a block only groups what clients send.
func (s *Session) transaction(st *parse.Transaction, out pgwire.Output) (string, error) {
	warn := func(severity string, code sqlerr.Code, text string) {
		out.Notice(pgwire.Notice{Severity: severity, Err: sqlerr.New(code, "%s", text)})
	}
	switch st.Op {
	case "BEGIN", "START TRANSACTION":
		if s.tx == 'T' {
			warn("WARNING", sqlerr.InvalidTransactionState, "there is already a transaction in progress")
		}
		s.tx = 'T'
		return st.Op, nil
	case "COMMIT", "ROLLBACK":
		tag := st.Op
		switch s.tx {
		case 'I':
			warn("WARNING", sqlerr.NoActiveTransaction, "there is no transaction in progress")
		case 'E':
			tag = "ROLLBACK"
		}
		if tag == "ROLLBACK" && s.changed {
			warn("WARNING", sqlerr.FeatureNotSupported, "what statements of the transaction changed in tables is not undone: each took effect by itself")
		}
		s.tx, s.changed = 'I', false
		s.closeCursors()
		return tag, nil
	}
	if s.tx == 'I' {
		return "", sqlerr.New(sqlerr.NoActiveTransaction, "%s can only be used in transaction blocks", st.Op)
	}
	if st.Op == "ROLLBACK TO" || st.Op == "ROLLBACK TO SAVEPOINT" {
		s.tx = 'T'
		return "ROLLBACK", nil
	}
	return st.Op, nil
}

// withTimeout applies statement_timeout.
func (s *Session) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if d := s.settings.timeout; d > 0 {
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
