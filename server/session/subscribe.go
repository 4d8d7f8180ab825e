package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/results"
)

// subscription is a reader of a query's changelog.
type subscription struct {
	srv      *Server
	q        *catalog.Query
	types    []types.Type
	next     int64
	progress bool
	// snapshot: it begins with all that is left of the result.
	snapshot bool
	// any: it begins with what is kept, from next on. It misses nothing it was promised before it has read that.
	any bool
	// reached is next for those who look from outside.
	reached atomic.Int64
}

// subscribeColumns lead every subscription.
var subscribeColumns = []types.Column{{Name: "vigil_offset", Type: types.T(types.Int8)}, {Name: "vigil_op", Type: types.T(types.Text)},
	{Name: "vigil_progress", Type: types.T(types.Bool)}}

// opNames are the changelog operations as subscribers read them.
var opNames = map[byte]string{job.OpInsert: "+I", job.OpUpdateBefore: "-U", job.OpUpdateAfter: "+U", job.OpDelete: "-D"}

// progressEvery is the time between progress rows of a silent subscription.
const progressEvery = time.Second

// subscription finds what SUBSCRIBE names by search_path.
func (s *Session) subscription(st *parse.Subscribe) (*subscription, *types.Schema, error) {
	x := *st
	if st.Query == nil {
		x.Name = s.resolve(st.Name)
	}
	sub, cols, err := s.srv.subscribe(&x)
	if err == nil {
		err = s.allow(sub.q, catalog.Select)
	}
	return sub, cols, err
}

func (srv *Server) subscribe(st *parse.Subscribe) (*subscription, *types.Schema, error) {
	if st.Query != nil {
		return nil, nil, sqlerr.NotSupported("SUBSCRIBE to a SELECT", "CREATE CONTINUOUS QUERY first, then SUBSCRIBE to its name.").At(st.Pos)
	}
	q, err := srv.query(display(st.Name))
	if err != nil {
		return nil, nil, sqlerr.As(err).At(st.Name.Pos)
	}
	sub := &subscription{srv: srv, q: q, next: srv.eng.Results().Next(q.ID)}
	for _, c := range q.Schema.Cols {
		sub.types = append(sub.types, c.Type)
	}
	for _, o := range st.Options {
		switch o.Key {
		case "snapshot":
			sub.next, sub.snapshot = 0, true
		case "progress":
			sub.progress = true
		default:
			return nil, nil, sqlerr.New(sqlerr.InvalidParameterValue, "SUBSCRIBE option %q not recognized", o.Key).At(o.Pos).
				WithHint("The options are SNAPSHOT and PROGRESS.")
		}
	}
	if st.Cursor != nil {
		sub.next, sub.snapshot = *st.Cursor, false
	}
	if st.Since != nil {
		sub.any, sub.snapshot = true, false
		if sub.next, err = srv.offsetSince(q.ID, st.Since); err != nil {
			return nil, nil, err
		}
	}
	cols := append(append([]types.Column(nil), subscribeColumns...), q.Schema.Cols...)
	return sub, &types.Schema{Cols: cols}, nil
}

// offsetSince finds the first row of the last span of time.
func (srv *Server) offsetSince(id uint64, span *parse.Interval) (int64, error) {
	back, err := spanOf(span)
	if err != nil {
		return 0, err
	}
	since := int64(srv.clock()) - back
	at := srv.eng.Results().Next(id)
	err = srv.eng.Results().ScanBack(id, at, 0, func(r results.Row) (bool, error) {
		if r.Clock < since {
			return false, nil
		}
		at = r.Offset
		return true, nil
	})
	return at, err
}

// read gives all rows that are there, from the subscription's position. Rows have no gaps in their numbers, but where retention dropped
// them before they were read.
func (s *subscription) read(emit func(row []types.Value) error) error {
	store := s.srv.eng.Results()
	err := store.Scan(s.q.ID, s.next, 0, func(r results.Row) (bool, error) {
		if r.Offset > s.next && !s.any {
			return false, s.srv.notKept(s.q, s.next, r.Offset)
		}
		s.any = false
		row, err := s.row(r)
		if err != nil {
			return false, err
		}
		s.skip(r.Offset + 1)
		return true, emit(row)
	})
	if oldest := store.Oldest(s.q.ID); err == nil && s.next < oldest { // not even one is left
		if !s.any {
			return s.srv.notKept(s.q, s.next, oldest)
		}
		s.skip(oldest)
	}
	s.any = false
	return err
}

// row is a row as subscribers get it.
func (s *subscription) row(r results.Row) ([]types.Value, error) {
	row := make([]types.Value, 0, len(subscribeColumns)+len(s.types))
	row = append(row, types.NewInt(types.Int8, r.Offset), types.NewText(opNames[r.Op]), types.NewBool(false))
	vals, err := codec.DecodeRow(s.types, r.Data)
	if err != nil {
		return nil, sqlerr.New(sqlerr.DataCorrupted, "result row %d of %q is damaged: %v", r.Offset, s.q.Name, err)
	}
	return append(row, vals...), nil
}

// readBase gives what the rows that are not kept any more have left of the result, as inserts; what is kept follows.
func (s *subscription) readBase(emit func(row []types.Value) error) error {
	rows, next, err := s.srv.eng.Results().Base(s.q.ID)
	for i := 0; i < len(rows) && err == nil; i++ {
		var row []types.Value
		if row, err = s.row(rows[i]); err == nil {
			err = emit(row)
		}
	}
	s.skip(next)
	return err
}

// skip goes on with the row at an offset.
func (s *subscription) skip(to int64) {
	s.next = to
	s.reached.Store(to)
}

// notKept is the error of a reader whose rows are not there any more; it is counted.
func (srv *Server) notKept(q *catalog.Query, next, oldest int64) error {
	srv.subs.overtaken.Add(1)
	srv.subs.missed.Add(oldest - next)
	return sqlerr.New(sqlerr.SnapshotTooOld, "rows %d to %d of continuous query %q are not kept any more", next, oldest-1, q.Name).
		WithDetail("They were dropped by the query's retention or retention_bytes before they were read.").
		WithHint("Begin with the oldest row that is kept: AS OF CURSOR %d, or without after= over HTTP.", oldest)
}

// follow reads for ever: what is there, then what comes. idle is called whenever there is nothing more for now.
func (s *subscription) follow(ctx context.Context, emit func(row []types.Value) error, idle func() error) error {
	s.reached.Store(s.next)
	s.srv.subs.add(s)
	defer s.srv.subs.remove(s)
	if s.snapshot {
		if err := s.readBase(emit); err != nil {
			return err
		}
	}
	for {
		if err := s.read(emit); err != nil {
			return err
		}
		if err := idle(); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, progressEvery)
		err := s.srv.eng.Results().Wait(wait, s.q.ID, s.next)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			continue
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if !s.alive() {
			return sqlerr.New(sqlerr.UndefinedTable, "continuous query %q was dropped", s.q.Name)
		}
		if s.progress {
			if err := emit(s.progressRow()); err != nil {
				return err
			}
		}
	}
}

func (s *subscription) alive() bool {
	q, ok := s.srv.cat.Snapshot().Named(s.q.Name).(*catalog.Query)
	return ok && q.ID == s.q.ID
}

func (s *subscription) progressRow() []types.Value {
	row := []types.Value{types.NewInt(types.Int8, s.next), types.Null(types.T(types.Text)), types.NewBool(true)}
	for _, t := range s.types {
		row = append(row, types.Null(t))
	}
	return row
}

// planSubscribe plans a SUBSCRIBE whose rows come as an endless result.
func (s *Session) planSubscribe(st *parse.Subscribe) (*statement, error) {
	_, cols, err := s.subscription(st)
	if err != nil {
		return nil, err
	}
	named := *st
	named.Name = s.resolve(st.Name)
	return &statement{s: s, cols: cols, live: true, tag: func(int64) string { return "SUBSCRIBE" },
		rows: func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
			sub, _, err := s.srv.subscribe(&named)
			if err != nil {
				return err
			}
			return sub.follow(ctx, emit, out.Flush)
		}}, nil
}
