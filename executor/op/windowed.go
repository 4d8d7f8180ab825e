package op

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// NewWindowed makes the operator of a windowed grouping, by its kind of window and when results come.
func NewWindowed(s *spec.WindowAgg, schema *types.Schema) (Operator, error) {
	switch s.Window.Kind {
	case window.Tumble:
		if s.Emit.Mode == spec.EmitFinal && s.Lateness == 0 {
			return NewWindowAgg(s, schema)
		}
		return NewPaneAgg(s, schema)
	case window.Hop, window.Cumulate:
		return NewPaneAgg(s, schema)
	case window.Session:
		return NewSessionAgg(s, schema)
	case window.Slide:
		return NewSlideAgg(s, schema)
	case window.Count:
		return NewCountAgg(s, schema)
	}
	return nil, sqlerr.NotSupported("this kind of window", "Use TUMBLE(time, INTERVAL '...').")
}
