package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// cursor is a DECLAREd query or subscription.
type cursor struct {
	cols *types.Schema
	hold bool
	live bool // a subscription: it has no end
	pull *puller
}

func (c *cursor) close() { c.pull.close() }

// declare opens a cursor.
func (s *Session) declare(st *parse.DeclareCursor) error {
	if s.cursors[st.Name] != nil {
		return sqlerr.New(sqlerr.DuplicateCursor, "cursor %q already exists", st.Name)
	}
	if s.tx == 'I' && !st.Hold && st.Subscribe == nil {
		return sqlerr.New(sqlerr.NoActiveTransaction, "DECLARE CURSOR can only be used in transaction blocks")
	}
	var plan *statement
	var err error
	if st.Subscribe != nil {
		plan, err = s.planSubscribe(st.Subscribe)
	} else {
		plan, err = s.planSelect(st.Query, nil)
	}
	if err != nil {
		return err
	}
	c := &cursor{cols: plan.cols, hold: st.Hold || st.Subscribe != nil, live: st.Subscribe != nil}
	c.pull = newPuller(s.ctx, func(ctx context.Context, emit func([]types.Value) error) error {
		return plan.rows(ctx, nil, emit, quiet{})
	})
	s.cursors[st.Name] = c
	return nil
}

// planFetch plans FETCH and MOVE, forward only.
func (s *Session) planFetch(st *parse.Fetch) (*statement, error) {
	c := s.cursors[st.Cursor]
	if c == nil {
		return nil, sqlerr.New(sqlerr.InvalidCursorName, "cursor %q does not exist", st.Cursor)
	}
	wait, err := fetchTimeout(st.Options, c.live)
	if err != nil {
		return nil, err
	}
	count := st.Count
	switch st.Direction {
	case "NEXT":
		count = 1
	case "ALL", "FORWARD ALL":
		count = -1
	case "FORWARD", "":
	default:
		return nil, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "cursor can only scan forward").WithHint("Use FETCH FORWARD n or FETCH ALL.")
	}
	verb := "FETCH"
	if st.Move {
		verb = "MOVE"
	}
	plan := &statement{s: s, cols: c.cols, tag: func(n int64) string { return fmt.Sprintf("%s %d", verb, n) }}
	plan.rows = func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		for n := int64(0); count < 0 || n < count; n++ {
			row, ok, err := c.pull.next(ctx)
			if errors.Is(err, context.DeadlineExceeded) || err == nil && !ok {
				return nil
			}
			if err != nil {
				return err
			}
			if err := emit(row); err != nil {
				return err
			}
		}
		return nil
	}
	return plan, nil
}

// fetchTimeout is how long FETCH waits for rows: for ever, unless WITH (timeout = '1s') says otherwise; FETCH from a
// subscription without it waits for nothing that is not there within a moment.
func fetchTimeout(options []parse.Option, live bool) (time.Duration, error) {
	wait := farFuture
	if live {
		wait = 100 * time.Millisecond
	}
	for _, o := range options {
		d, ok := milliseconds(o.Value)
		if o.Key != "timeout" || !ok {
			return 0, sqlerr.New(sqlerr.InvalidParameterValue, "FETCH option %q = %q not recognized", o.Key, o.Value).At(o.Pos).
				WithHint("Write WITH (timeout = '1s').")
		}
		wait = d
	}
	return wait, nil
}

func (s *Session) closeCursor(st *parse.CloseCursor) error {
	if st.All {
		for name, c := range s.cursors {
			c.close()
			delete(s.cursors, name)
		}
		return nil
	}
	c := s.cursors[st.Name]
	if c == nil {
		return sqlerr.New(sqlerr.InvalidCursorName, "cursor %q does not exist", st.Name)
	}
	c.close()
	delete(s.cursors, st.Name)
	return nil
}

// closeCursors ends the cursors of a transaction.
func (s *Session) closeCursors() {
	for name, c := range s.cursors {
		if !c.hold {
			c.close()
			delete(s.cursors, name)
		}
	}
}

// sqlPrepared is a statement of SQL-level PREPARE.
type sqlPrepared struct{ plan *statement }

func (s *Session) prepareSQL(st *parse.Prepare) error {
	if s.prepared[st.Name] != nil {
		return sqlerr.New(sqlerr.DuplicatePreparedStatement, "prepared statement %q already exists", st.Name)
	}
	var hints []types.Type
	for _, t := range st.Types {
		k, ok := types.KindByName(t.Name)
		if !ok {
			return sqlerr.New(sqlerr.UndefinedObject, "type %q does not exist", t.Name).At(t.Pos)
		}
		hints = append(hints, types.T(k))
	}
	plan, err := s.plan(s.ctx, st.Stmt, hints)
	if err != nil {
		return err
	}
	s.prepared[st.Name] = &sqlPrepared{plan: plan}
	return nil
}

// planExecute binds the arguments of EXECUTE.
func (s *Session) planExecute(st *parse.Execute) (*statement, error) {
	p := s.prepared[st.Name]
	if p == nil {
		return nil, sqlerr.New(sqlerr.InvalidStatementName, "prepared statement %q does not exist", st.Name)
	}
	if len(st.Args) != len(p.plan.params) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "wrong number of parameters for prepared statement %q", st.Name).
			WithDetail("Expected %d parameters but got %d.", len(p.plan.params), len(st.Args))
	}
	args, err := s.values(st.Args, p.plan.params)
	if err != nil {
		return nil, err
	}
	plan := *p.plan
	plan.params = nil
	if plan.rows != nil {
		rows := p.plan.rows
		plan.rows = func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
			return rows(ctx, args, emit, out)
		}
		return &plan, nil
	}
	do := p.plan.do
	plan.do = func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		return do(ctx, args, out)
	}
	return &plan, nil
}

func (s *Session) deallocate(st *parse.Deallocate) error {
	if st.All {
		clear(s.prepared)
		return nil
	}
	if s.prepared[st.Name] == nil {
		return sqlerr.New(sqlerr.InvalidStatementName, "prepared statement %q does not exist", st.Name)
	}
	delete(s.prepared, st.Name)
	return nil
}

// discard runs DISCARD: ALL resets the connection, TEMP drops its temporary tables, the rest has nothing to do here.
func (s *Session) discard(st *parse.Discard) error {
	if st.What == "ALL" && s.tx != 'I' {
		return sqlerr.New(sqlerr.ActiveTransaction, "DISCARD ALL cannot run inside a transaction block")
	}
	if st.What == "ALL" || st.What == "TEMP" {
		names := &parse.Drop{Kind: "TABLE"}
		for _, t := range s.temp.list {
			names.Names = append(names.Names, parse.Name{Name: t.Name})
		}
		s.dropTemp(names)
	}
	if st.What != "ALL" {
		return nil
	}
	clear(s.prepared)
	for name, c := range s.cursors {
		c.close()
		delete(s.cursors, name)
	}
	s.listen.remove("", true)
	for name, value := range s.settings.defaults {
		if !readOnlySettings[name] {
			_ = s.settings.set(name, value) // a default was valid once
		}
	}
	return nil
}
