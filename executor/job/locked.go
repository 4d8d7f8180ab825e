package job

import (
	"context"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
)

// locked is the source of a stream whose secrets cannot be opened: it says so, again and again, and the server runs.
type locked struct{ err error }

var (
	_ connector.Source    = locked{}
	_ connector.Historian = locked{}
)

// Open implements connector.Source.
func (l locked) Open(context.Context, connector.Offsets) error { return l.err }

// Poll implements connector.Source.
func (l locked) Poll(_ context.Context, dst []connector.Payload, _ int) ([]connector.Payload, error) {
	return dst, l.err
}

// ReadRange implements connector.Source.
func (l locked) ReadRange(_ context.Context, _ int32, _, _ int64, dst []connector.Payload) ([]connector.Payload, error) {
	return dst, l.err
}

// Beginnings implements connector.Historian.
func (l locked) Beginnings(context.Context, types.EventTime) (connector.Offsets, error) {
	return nil, l.err
}

// Close implements connector.Source.
func (l locked) Close() error { return nil }
