package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// backup runs BACKUP TO: the server writes a directory that another one can be started on.
func (s *Session) backup(ctx context.Context, st *parse.Backup, out pgwire.Output) error {
	if !s.superuser() {
		return denied("permission denied to write a backup").WithHint("Only superusers can: it holds everything, and is written as the server.")
	}
	if s.tx != 'I' || s.several || s.block != nil {
		return sqlerr.New(sqlerr.ActiveTransaction, "BACKUP cannot run inside a transaction block")
	}
	epoch, err := s.srv.eng.Backup(ctx, st.Dir)
	if sqlerr.CodeOf(err) == sqlerr.InvalidParameterValue || sqlerr.CodeOf(err) == sqlerr.DuplicateFile {
		return sqlerr.As(err).At(st.Pos)
	}
	if keys := s.srv.secrets.keys; err == nil && keys.Exists() {
		out.Notice(notice("00000", "secrets of streams and sinks in the backup are sealed; the key is not in it: keep a copy of %s elsewhere", keys.Path()))
	}
	if err == nil {
		out.Notice(notice("00000", "the backup holds all up to epoch %d; to restore it: vigil serve --data %s", epoch, st.Dir))
	}
	return err
}
