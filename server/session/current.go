package session

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/results"
)

// current collects what a changelog leaves: rows that were inserted and not taken back, in the order in which they came.
type current struct {
	rows [][]byte // nil: taken back
	at   map[string][]int
}

// change applies one row of the changelog. A row that is taken back and not there was trimmed.
func (c *current) change(r results.Row) {
	if c.at == nil {
		c.at = map[string][]int{}
	}
	switch batch.Op(r.Op) {
	case batch.UpdateBefore, batch.Delete:
		places := c.at[string(r.Data)]
		if len(places) == 0 {
			return
		}
		c.rows[places[0]] = nil
		if places = places[1:]; len(places) == 0 {
			delete(c.at, string(r.Data))
			return
		}
		c.at[string(r.Data)] = places
	default:
		data := append([]byte(nil), r.Data...)
		c.at[string(data)] = append(c.at[string(data)], len(c.rows))
		c.rows = append(c.rows, data)
	}
}

// lateStream is the stream whose late rows a relation holds.
func (srv *Server) lateStream(relation string) *catalog.Stream {
	name, ok := strings.CutSuffix(relation, catalog.LateSuffix)
	if !ok {
		return nil
	}
	st, _ := srv.cat.Relation(catalog.Public, name).(*catalog.Stream)
	return st
}

// lateRows gives the late rows of a stream, oldest first.
func (srv *Server) lateRows(st *catalog.Stream, add func([]types.Value) error) error {
	snapshot := srv.cat.Snapshot()
	return srv.eng.LateRows(st.ID, func(l *job.Late, row []types.Value) error {
		name := types.Null(types.T(types.Text))
		if q, ok := snapshot.ByID(l.Query).(*catalog.Query); ok {
			name = types.NewText(q.Name)
		}
		return add(append(row, name, at(l.Watermark), at(l.At), big(int64(l.Epoch))))
	})
}
