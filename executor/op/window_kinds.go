package op

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// NewWindow builds the operator of a kind of window; schema is the output schema: window_start, window_end, keys, aggregates.
func NewWindow(s *spec.WindowAgg, schema *types.Schema) (Operator, error) {
	switch s.Window.Kind {
	case window.Session:
		return NewSessionAgg(s, schema)
	case window.Slide:
		return NewSlideAgg(s, schema)
	case window.Count:
		return NewCountAgg(s, schema)
	}
	return NewWindowAgg(s, schema)
}
