package session

import (
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

var _ pgwire.CursorDescriber = (*Session)(nil)

// CursorColumns implements pgwire.CursorDescriber: in Postgres a cursor is a portal, and drivers ask for its columns so.
func (s *Session) CursorColumns(name string) *types.Schema {
	if c := s.cursors[name]; c != nil {
		return c.cols
	}
	return nil
}
