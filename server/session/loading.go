package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// whenLoaded has a command wait until the engine is loaded, before it takes the lock of the catalogue.
func (srv *Server) whenLoaded(do doFunc) doFunc {
	return func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error) {
		if err := srv.loaded(ctx, out); err != nil {
			return "", err
		}
		return do(ctx, params, out)
	}
}

// loaded waits until the engine takes changes and events, and tells a client that does not expect it.
func (srv *Server) loaded(ctx context.Context, out pgwire.Output) error {
	if l, loading := srv.eng.Loading(); loading {
		out.Notice(notice(sqlerr.CannotConnectNow, "the statement waits until the server has loaded its state: %s", l))
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return srv.eng.Loaded(ctx)
}
