package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/server/pgcatalog"
)

// source is what pgcatalog shows.
type source struct{ srv *Server }

var _ pgcatalog.Source = source{}

// Snapshot implements pgcatalog.Source.
func (s source) Snapshot() *catalog.Snapshot { return s.srv.cat.Snapshot() }

// SearchPath implements pgcatalog.Source.
func (s source) SearchPath() []string { return defaultPath }

// SequenceLast implements pgcatalog.Sequencer.
func (s source) SequenceLast(q *catalog.Sequence) (int64, bool) {
	st, err := s.srv.eng.SequenceState(&q.SequenceDef)
	return st.Last, err == nil && st.Called
}

// sessionSource is what pgcatalog shows to one connection.
type sessionSource struct {
	source
	s *Session
}

var _ pgcatalog.Source = sessionSource{}

// SearchPath implements pgcatalog.Source.
func (s sessionSource) SearchPath() []string { return s.s.path() }

// Snapshot implements pgcatalog.Source.
func (s sessionSource) Snapshot() *catalog.Snapshot { return s.s.snapshot() }

// Actor implements pgcatalog.Actor.
func (s sessionSource) Actor() *catalog.Role { return s.s.actor() }

var _ pgcatalog.Actor = sessionSource{}

// settingsKey is the context key under which a session's settings travel to the catalogue.
type settingsKey struct{}

// Settings implements pgcatalog.Source.
func (s source) Settings(ctx context.Context) []pgcatalog.Setting {
	set, ok := ctx.Value(settingsKey{}).(*settings)
	if !ok {
		return nil
	}
	var list []pgcatalog.Setting
	for _, name := range set.names() {
		value, _ := set.get(name)
		list = append(list, pgcatalog.Setting{Name: name, Value: value, Default: set.resetValue(name), Type: "string"})
	}
	return list
}

// Started implements pgcatalog.Source.
func (s source) Started() types.EventTime { return types.EventTime(s.srv.started.UnixMicro()) }
