package session

import (
	"context"
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// replayColumns are what REPLAY LATE tells of each query.
var replayColumns = types.Schema{Cols: []types.Column{
	{Name: "query", Type: types.T(types.Text)}, {Name: "updated", Type: types.T(types.Int8)}, {Name: "added", Type: types.T(types.Int8)},
	{Name: "removed", Type: types.T(types.Int8)}, {Name: "skipped", Type: types.T(types.Text)},
}}

// replaySinceDefault is how far back REPLAY LATE looks where it does not say.
const replaySinceDefault = 24 * time.Hour

// planReplay plans REPLAY LATE: late rows are correlated again with the retained history, and results that come out otherwise
// are corrected.
func (s *Session) planReplay(st *parse.ReplayLate) (*statement, error) {
	stream, err := s.srv.stream(st.Stream.Name)
	if err != nil {
		return nil, err
	}
	if !s.snapshot().Owns(s.actor(), stream.ID) {
		return nil, denied("must be owner of stream %s", stream.RelName())
	}
	span := int64(replaySinceDefault / time.Microsecond)
	if st.Since != nil {
		if span, err = spanOf(st.Since); err != nil {
			return nil, err
		}
	}
	return &statement{s: s, cols: &replayColumns, tag: func(n int64) string { return fmt.Sprintf("REPLAY LATE %d", n) },
		rows: func(ctx context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
			return s.srv.replayLate(ctx, stream, span, emit)
		}}, nil
}

func (s *Server) replayLate(ctx context.Context, stream *catalog.Stream, span int64, emit func([]types.Value) error) error {
	if err := s.eng.Loaded(ctx); err != nil {
		return err
	}
	s.ddl.Lock()
	defer s.ddl.Unlock()
	if err := s.eng.Settle(ctx); err != nil {
		return err
	}
	names, timeCols := map[uint64]string{}, map[uint64]int{}
	for _, q := range s.cat.Snapshot().Queries() {
		names[q.ID], timeCols[q.ID] = q.Name, resultTime(q)
	}
	list, err := s.eng.ReplayLate(ctx, stream.ID, s.clock()-types.EventTime(span), timeCols)
	if err != nil {
		return err
	}
	if err := s.eng.Apply(ctx, job.Change{Corrections: list}); err != nil {
		return err
	}
	for _, c := range list {
		if c.Added+c.Removed+c.Updated > 0 {
			s.corrected(c.QueryID)
		}
		row := []types.Value{text(names[c.QueryID]), big(int64(c.Updated)), big(int64(c.Added)), big(int64(c.Removed)), textOrNull(c.Skipped)}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// resultTime is the column that tells when a result row was due, -1 when there is none.
func resultTime(q *catalog.Query) int {
	for i, d := range q.Times {
		if d >= 0 {
			return i
		}
	}
	return -1
}

// corrected notes in the catalogue that a query's changelog holds corrections.
func (s *Server) corrected(id uint64) {
	q, ok := s.cat.Snapshot().ByID(id).(*catalog.Query)
	if !ok || q.Corrected {
		return
	}
	c := *q
	c.Corrected = true
	if err := s.cat.Replace(&c); err != nil {
		s.log.Error("note corrections", "query", q.Name, "error", err)
	}
}

// spanOf is a literal interval in microseconds, months having 30 days.
func spanOf(span *parse.Interval) (int64, error) {
	v, err := types.ParseText(types.T(types.Interval), span.Text+" "+span.Unit, nil)
	if err != nil {
		return 0, err
	}
	iv, err := types.DecodeInterval(v.S)
	if err != nil {
		return 0, err
	}
	return iv.Micros + (int64(iv.Days)+30*int64(iv.Months))*int64(24*time.Hour/time.Microsecond), nil
}
