package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// cursorsMax is how many cursors a connection may have, and cursorBytesMax how much of one's rows is kept to go back to.
const (
	cursorsMax     = 1000
	cursorBytesMax = 64 << 20
)

// cursor is a DECLAREd query or subscription. It keeps the rows it has read, so that it can go back; one that was not
// declared SCROLL gives them up when they become too many, and goes forward only from then.
type cursor struct {
	name, text string
	cols       *types.Schema
	hold       bool
	fresh      bool // declared in the open transaction: its rollback closes it, HOLD or not
	live       bool // a subscription: it has no end
	scroll     bool
	forward    bool // it cannot go back
	created    types.EventTime
	pull       rowSource

	rows  [][]types.Value // what was read, unless forward
	bytes int
	// at is the position: 0 before the first row, n on the n-th; behind the last one when ended.
	at    int64
	read  int64 // rows taken from pull
	ended bool  // pull has no more
}

func (c *cursor) close() { c.pull.close() }

// planDeclare plans the cursor's query with the statement, so that it may have parameters; a subscription is planned when
// the cursor is opened.
func (s *Session) planDeclare(st *parse.DeclareCursor, hints []types.Type) (*statement, error) {
	plan := &statement{s: s}
	var query *statement
	if st.Subscribe == nil {
		var err error
		if query, err = s.planSelect(st.Query, hints); err != nil {
			return nil, err
		}
		plan.params = query.params
	}
	plan.do = func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error) {
		return "DECLARE CURSOR", s.declare(ctx, st, query, params)
	}
	return plan, nil
}

// declare opens a cursor for a planned query, or for the statement's subscription.
func (s *Session) declare(ctx context.Context, st *parse.DeclareCursor, plan *statement, params []types.Value) error {
	switch {
	case s.tx == 'I' && !s.several && !st.Hold && st.Subscribe == nil:
		return sqlerr.New(sqlerr.NoActiveTransaction, "DECLARE CURSOR can only be used in transaction blocks")
	case s.cursors[st.Name] != nil:
		return sqlerr.New(sqlerr.DuplicateCursor, "cursor %q already exists", st.Name)
	case len(s.cursors) >= cursorsMax:
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot have more than %d cursors", cursorsMax).WithHint("CLOSE cursors that are not used any more.")
	}
	var err error
	if st.Subscribe != nil {
		if plan, err = s.planSubscribe(st.Subscribe); err != nil {
			return err
		}
	}
	c := &cursor{name: st.Name, text: s.text, cols: plan.cols, hold: st.Hold || st.Subscribe != nil, live: st.Subscribe != nil, fresh: st.Subscribe == nil,
		scroll: st.Scroll, forward: st.NoScroll || st.Subscribe != nil, created: s.srv.clock()}
	if c.pull, err = plan.source(ctx, params, quiet{}); err != nil {
		return err
	}
	s.cursors[st.Name] = c
	return nil
}

// rowFunc takes a row of a cursor; nil drops it.
type rowFunc func([]types.Value) error

// step moves forward by one row; ok is false at the end.
func (c *cursor) step(ctx context.Context) (row []types.Value, ok bool, err error) {
	if c.at < int64(len(c.rows)) && !c.forward {
		c.at++
		return c.rows[c.at-1], true, nil
	}
	if c.ended {
		c.at = c.read + 1
		return nil, false, nil
	}
	row, ok, err = c.pull.next(ctx)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		c.ended, c.at = true, c.read+1
		return nil, false, nil
	}
	c.at++
	c.read++
	return row, true, c.keep(row)
}

// keep remembers a row to go back to.
func (c *cursor) keep(row []types.Value) error {
	if c.forward {
		return nil
	}
	if c.bytes += rowBytes(row); c.bytes <= cursorBytesMax {
		c.rows = append(c.rows, row)
		return nil
	}
	if c.scroll {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "cursor %q has read more than %d bytes of rows, which SCROLL keeps", c.name, cursorBytesMax).
			WithHint("Declare it NO SCROLL, or let the query give fewer rows.")
	}
	c.rows, c.forward = nil, true
	return nil
}

// ahead moves forward by up to n rows (negative: all) and returns how many there were.
func (c *cursor) ahead(ctx context.Context, n int64, emit rowFunc) (int64, error) {
	var count int64
	for n < 0 || count < n {
		row, ok, err := c.step(ctx)
		if err != nil || !ok {
			return count, err
		}
		count++
		if emit != nil {
			if err := emit(row); err != nil {
				return count, err
			}
		}
	}
	return count, nil
}

// errForward is why a cursor does not go back.
func errForward() error {
	return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "cursor can only scan forward").
		WithHint("Declare it with SCROLL option to enable backward scan.")
}

// back moves backward by up to n rows (negative: all) and returns how many there were.
func (c *cursor) back(n int64, emit rowFunc) (int64, error) {
	if c.forward {
		return 0, errForward()
	}
	var count int64
	for n < 0 || count < n {
		if c.at <= 1 {
			c.at = 0
			return count, nil
		}
		c.at--
		count++
		if emit != nil {
			if err := emit(c.rows[c.at-1]); err != nil {
				return count, err
			}
		}
	}
	return count, nil
}

// onRow reports whether the cursor stands on a row.
func (c *cursor) onRow() bool { return c.at > 0 && c.at <= c.read }

// again gives the row that the cursor stands on; MOVE only counts it.
func (c *cursor) again(emit rowFunc) (int64, error) {
	if !c.onRow() {
		return 0, nil
	}
	if emit == nil {
		return 1, nil
	}
	if c.forward {
		return 0, errForward()
	}
	return 1, emit(c.rows[c.at-1])
}

// absolute goes to the n-th row, from the end when n is negative, and gives it.
func (c *cursor) absolute(ctx context.Context, n int64, emit rowFunc) (int64, error) {
	switch {
	case n < 0:
		if _, err := c.ahead(ctx, -1, nil); err != nil {
			return 0, err
		}
		if n < -1 {
			if _, err := c.back(-n-1, nil); err != nil {
				return 0, err
			}
		}
		return c.back(1, emit)
	case n <= c.at && c.at > 0:
		if _, err := c.back(c.at-n+1, nil); err != nil {
			return 0, err
		}
	case n > c.at+1:
		if _, err := c.ahead(ctx, n-c.at-1, nil); err != nil {
			return 0, err
		}
	}
	if n == 0 {
		return 0, nil
	}
	return c.ahead(ctx, 1, emit)
}

// relative moves by n rows and gives the one that it comes to.
func (c *cursor) relative(ctx context.Context, n int64, emit rowFunc) (int64, error) {
	switch {
	case n > 0:
		if _, err := c.ahead(ctx, n-1, nil); err != nil {
			return 0, err
		}
		return c.ahead(ctx, 1, emit)
	case n < 0:
		if _, err := c.back(-n-1, nil); err != nil {
			return 0, err
		}
		return c.back(1, emit)
	}
	return c.again(emit)
}

// move runs FETCH (emit takes the rows) and MOVE (emit is nil) and returns how many rows it was about.
func (c *cursor) move(ctx context.Context, st *parse.Fetch, emit rowFunc) (int64, error) {
	n := st.Count
	switch st.Direction {
	case "NEXT":
		n = 1
	case "PRIOR":
		return c.back(1, emit)
	case "FIRST":
		return c.absolute(ctx, 1, emit)
	case "LAST":
		return c.absolute(ctx, -1, emit)
	case "ABSOLUTE":
		return c.absolute(ctx, n, emit)
	case "RELATIVE":
		return c.relative(ctx, n, emit)
	case "BACKWARD":
		if n == 0 {
			return c.again(emit)
		}
		return c.back(n, emit)
	case "ALL":
		n = -1
	}
	if n == 0 {
		return c.again(emit)
	}
	return c.ahead(ctx, n, emit)
}

// cursorOf finds a cursor.
func (s *Session) cursorOf(name string) (*cursor, error) {
	if c := s.cursors[name]; c != nil {
		return c, nil
	}
	return nil, sqlerr.New(sqlerr.InvalidCursorName, "cursor %q does not exist", name)
}

// planFetch plans FETCH and MOVE. The cursor is found again when they run: a prepared FETCH goes on with another cursor
// of the name, as long as it has the same columns.
func (s *Session) planFetch(st *parse.Fetch) (*statement, error) {
	c, err := s.cursorOf(st.Cursor)
	if err != nil && st.Move {
		return s.movePortal(st, err), nil
	}
	if err != nil {
		return nil, err
	}
	wait, err := fetchTimeout(st.Options, c.live)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, emit rowFunc) (int64, error) {
		now, err := s.cursorOf(st.Cursor)
		if err != nil {
			return 0, err
		}
		if !sameColumns(now.cols, c.cols) && emit != nil {
			return 0, errResultChanged()
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		n, err := now.move(ctx, st, emit)
		if errors.Is(err, context.DeadlineExceeded) && now.live {
			err = nil
		}
		return n, err
	}
	if st.Move {
		return &statement{s: s, do: func(ctx context.Context, _ []types.Value, _ pgwire.Output) (string, error) {
			n, err := run(ctx, nil)
			return fmt.Sprintf("MOVE %d", n), err
		}}, nil
	}
	plan := &statement{s: s, cols: c.cols, tag: func(n int64) string { return fmt.Sprintf("FETCH %d", n) }}
	plan.rows = func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
		_, err := run(ctx, emit)
		return err
	}
	return plan, nil
}

// movePortal is MOVE forward in a portal that was bound by message; missing is the error when there is none.
func (s *Session) movePortal(st *parse.Fetch, missing error) *statement {
	return &statement{s: s, do: func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		finder, ok := out.(pgwire.PortalFinder)
		if !ok {
			return "", missing
		}
		p, ok := finder.Portal(st.Cursor).(*portal)
		if !ok || p.st.do != nil {
			return "", missing
		}
		count := st.Count
		switch {
		case st.Direction == "ALL", st.Direction == "FORWARD" && count < 0:
			count = math.MaxInt64
		case st.Direction != "FORWARD" && st.Direction != "NEXT" && st.Direction != "RELATIVE" || count < 0:
			return "", sqlerr.New(sqlerr.ObjectNotInPrerequisite, "cursor can only scan forward").WithHint("Declare it with SCROLL option to enable backward scan.")
		}
		n, err := p.skip(ctx, count, out)
		return fmt.Sprintf("MOVE %d", n), err
	}}
}

// skip passes over rows.
func (p *portal) skip(ctx context.Context, count int64, out pgwire.Output) (n int64, err error) {
	if p.pull == nil {
		if p.pull, err = p.st.source(ctx, p.params, out); err != nil {
			return 0, err
		}
	}
	for n < count {
		_, ok, err := p.pull.next(ctx)
		if err != nil || !ok {
			return n, err
		}
		n++
	}
	return n, nil
}

// fetchTimeout is how long FETCH waits for rows: for ever, unless WITH (timeout = '1s') says otherwise; FETCH from a
// subscription without it waits for nothing that is not there within a moment.
func fetchTimeout(options []parse.Option, live bool) (time.Duration, error) {
	wait := farFuture
	if live {
		wait = 100 * time.Millisecond
	}
	for _, o := range options {
		d, err := (&settingDef{name: o.Key, unit: "ms", max: math.MaxInt32}).quantity(o.Value)
		if o.Key != "timeout" || err != nil {
			return 0, sqlerr.New(sqlerr.InvalidParameterValue, "FETCH option %q = %q not recognized", o.Key, o.Value).At(o.Pos).
				WithHint("Write WITH (timeout = '1s').")
		}
		wait = time.Duration(d) * time.Millisecond
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
	c, err := s.cursorOf(st.Name)
	if err != nil {
		return err
	}
	c.close()
	delete(s.cursors, st.Name)
	return nil
}

// closeCursors ends the cursors of a transaction: HOLD keeps those that were declared in one that commits.
func (s *Session) closeCursors(commit bool) {
	for name, c := range s.cursors {
		if c.hold && (commit || !c.fresh) {
			c.fresh = false
			continue
		}
		c.close()
		delete(s.cursors, name)
	}
}
