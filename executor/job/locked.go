package job

import (
	"context"

	"github.com/vigil-sql/vigil/executor/connector"
)

// locked is the source of a stream whose secrets cannot be opened: it says so, again and again, and the server runs.
type locked struct{ err error }

var _ connector.Source = locked{}

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

// Close implements connector.Source.
func (l locked) Close() error { return nil }
