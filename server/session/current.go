package session

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// lateStream is the stream whose late rows a relation holds.
func (srv *Server) lateStream(relation string) *catalog.Stream {
	name, ok := strings.CutSuffix(relation, catalog.LateSuffix)
	if !ok {
		return nil
	}
	st, _ := srv.cat.Snapshot().Named(name).(*catalog.Stream)
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
