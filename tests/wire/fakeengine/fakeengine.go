// Package fakeengine is a pgwire.Engine for tests of the protocol: it knows a handful of statements by their text and
// answers them as Postgres does, so that one script can run against it, against vigil and against Postgres. It is no SQL.
package fakeengine

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// Engine is the fake. Its zero value is ready.
type Engine struct {
	mu        sync.Mutex
	listeners map[string][]*session
	tables    map[string][]string // lines of COPY
	// Sleeping receives one value when a statement starts that only its context ends; nil: nobody wants to know.
	Sleeping chan struct{}
	// Release ends one statement WAIT, which has told Sleeping.
	Release chan struct{}
}

var _ pgwire.Engine = (*Engine)(nil)

// Connect implements pgwire.Engine. The user "nobody" is refused.
func (e *Engine) Connect(ctx context.Context, c pgwire.ConnInfo) (pgwire.Session, error) {
	if c.User == "panic" {
		panic("connect")
	}
	if c.User == "nobody" {
		return nil, sqlerr.New(sqlerr.InvalidAuthorization, "role %q is not permitted to log in", c.User)
	}
	return &session{engine: e, notifications: pgwire.NewQueue(), status: 'I'}, nil
}

// Notify sends to the sessions that listen.
func (e *Engine) Notify(channel, payload string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.listeners[channel] {
		s.notifications.Push(pgwire.Notification{Channel: channel, Payload: payload})
	}
}

// Lines returns what was copied into a table.
func (e *Engine) Lines(table string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.tables[table]...)
}

type session struct {
	engine        *Engine
	notifications *pgwire.Queue
	status        byte
}

var (
	_ pgwire.Session = (*session)(nil)
	_ pgwire.Syncer  = (*session)(nil)
)

type parsed string

// Tag implements pgwire.Parsed.
func (p parsed) Tag() string {
	verb, _, _ := strings.Cut(string(p), " ")
	return strings.ToUpper(verb)
}

// Split cuts at semicolons, wherever they are.
func (s *session) Split(sql string) ([]pgwire.Parsed, error) {
	var list []pgwire.Parsed
	for part := range strings.SplitSeq(sql, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if word, _, _ := strings.Cut(part, " "); word == "SELEC" {
			return nil, sqlerr.New(sqlerr.SyntaxError, "syntax error at or near %q", word).At(strings.Index(sql, "SELEC ") + 1)
		}
		list = append(list, parsed(part))
	}
	return list, nil
}

// Prepare finds the statement's behaviour.
func (s *session) Prepare(_ context.Context, p pgwire.Parsed, _ []uint32) (pgwire.Statement, error) {
	sql := string(p.(parsed))
	if s.status == 'E' && p.Tag() != "ROLLBACK" && p.Tag() != "COMMIT" {
		return nil, sqlerr.New(sqlerr.InFailedTransaction,
			"current transaction is aborted, commands ignored until end of transaction block")
	}
	st, err := s.lookup(sql)
	if err != nil {
		return nil, err
	}
	st.session = s
	return st, nil
}

func (s *session) Parameters() map[string]string {
	return map[string]string{
		"server_version": "15.0", "client_encoding": "UTF8", "TimeZone": "UTC", "standard_conforming_strings": "on",
	}
}

func (s *session) TxStatus() byte { return s.status }

func (s *session) Fail() {
	if s.status == 'T' {
		s.status = 'E'
	}
}

func (s *session) Sync() error { return nil }

func (s *session) Notifications() *pgwire.Queue { return s.notifications }

func (s *session) Close() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	for channel, list := range s.engine.listeners {
		kept := list[:0]
		for _, l := range list {
			if l != s {
				kept = append(kept, l)
			}
		}
		s.engine.listeners[channel] = kept
	}
}

// statement runs through run, or through next for rows that may be suspended.
type statement struct {
	session *session
	params  []types.Type
	cols    *types.Schema
	bindErr error
	run     func(ctx context.Context, params []types.Value, out pgwire.Output) (tag string, err error)
	rows    int // of generate_series
	closed  bool
}

func (st *statement) Params() []types.Type   { return st.params }
func (st *statement) Columns() *types.Schema { return st.cols }
func (st *statement) Close()                 { st.closed = true }

func (st *statement) Bind(params []types.Value) (pgwire.Portal, error) {
	if st.bindErr != nil {
		return nil, st.bindErr
	}
	return &portal{st: st, params: params}, nil
}

type portal struct {
	st     *statement
	params []types.Value
	sent   int
}

func (p *portal) Close() {}

func (p *portal) Execute(ctx context.Context, limit int, out pgwire.Output) (bool, string, error) {
	if p.st.closed {
		panic("a portal runs after its statement was closed")
	}
	if p.st.run != nil {
		tag, err := p.st.run(ctx, p.params, out)
		return false, tag, err
	}
	row := make([]types.Value, 1)
	n := 0
	for ; p.sent < p.st.rows; p.sent++ {
		if limit > 0 && n == limit {
			return true, "", nil
		}
		row[0] = types.NewInt(types.Int4, int64(p.sent+1))
		if err := out.Row(row); err != nil {
			return false, "", err
		}
		n++
	}
	if limit > 0 && n == limit {
		return true, "", nil
	}
	return false, selected(n), nil
}

// copyLines reads lines up to the end of the copy or "\.".
func copyLines(table string, r io.Reader) ([]string, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		at := strings.Count(string(b), "\n") + 1
		return nil, sqlerr.As(err).WithWhere("COPY %s, line %d", table, at)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line == `\.` {
			break
		}
		lines = append(lines, line)
	}
	return lines, nil
}
