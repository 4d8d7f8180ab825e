package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// replicating reports a connection that was opened with replication=database: it takes SQL, and commands of replication,
// of which there are those that tell about the server.
func (s *Session) replicating() bool { return s.info.Replication }

// planReplication plans a command of a replication connection.
func (s *Session) planReplication(st *parse.Replication) (*statement, error) {
	switch st.Command {
	case "SHOW":
		return s.planShow(&parse.Show{Name: st.Setting})
	case "IDENTIFY_SYSTEM":
		text := types.T(types.Text)
		return &statement{s: s, tag: func(int64) string { return "IDENTIFY_SYSTEM" },
			cols: &types.Schema{Cols: []types.Column{{Name: "systemid", Type: text}, {Name: "timeline", Type: types.T(types.Int4)},
				{Name: "xlogpos", Type: text}, {Name: "dbname", Type: text}}},
			rows: func(_ context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
				// There is no write-ahead log to follow: it is at its beginning.
				return emit([]types.Value{types.NewText(s.srv.identity), types.NewInt(types.Int4, 1), types.NewText("0/0"), types.NewText(s.info.Database)})
			}}, nil
	}
	return nil, sqlerr.NotSupported(st.Command, "vigil has no write-ahead log to follow: SUBSCRIBE follows a query's results.")
}
