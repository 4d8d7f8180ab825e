package session

import (
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/types"
)

// costRows are the rows of vigil.query_costs: one per query, then what is shared and cannot be told apart - one per stream, for
// decoding it and finding out which rows are for which query, and one for the server. So the CPU times add up to all there was.
func (srv *Server) costRows(add func([]types.Value) error) error {
	costs, snap := srv.eng.Costs(), srv.cat.Snapshot()
	none := types.Null(types.T(types.Int8))
	for _, q := range snap.Queries() {
		c := costs.Queries[q.ID]
		row := append(spentValues(text(q.Name), "query", c.Spent), big(c.RowsIn), big(c.RowsOut), types.NewFloat(c.RowsPerMinute),
			big(c.Withheld), big(c.InputWithheld), big(c.Bytes), big(c.Keys))
		if err := add(row); err != nil {
			return err
		}
	}
	for _, s := range snap.Streams() {
		st, _ := srv.eng.Stream(s.ID)
		row := append(spentValues(text(s.Name), "stream", costs.Streams[s.ID]), big(st.Rows), none, types.Null(types.T(types.Float8)), none, none, none, none)
		if err := add(row); err != nil {
			return err
		}
	}
	return add(append(spentValues(types.Null(types.T(types.Text)), "server", costs.Server), none, none, types.Null(types.T(types.Float8)), none, none, none, none))
}

// spentValues are the columns from name to cpu_share.
func spentValues(name types.Value, kind string, s job.Spent) []types.Value {
	return []types.Value{name, text(kind), types.NewFloat(float64(s.CPU.Microseconds()) / 1e3), types.NewFloat(s.PerSecond),
		types.NewFloat(s.Share)}
}
