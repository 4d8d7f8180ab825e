package bench

import (
	"bytes"
	"context"
	"errors"

	"github.com/vigil-sql/vigil/executor/connector"
)

// feed is a connector that hands over what it is given, when it is given it: streams and queries can be made first, and what
// they take is measured by itself.
type feed struct {
	in   chan []byte // whole lines
	rest []byte
	at   int64
}

var _ connector.Source = (*feed)(nil)

func newFeed() *feed { return &feed{in: make(chan []byte)} }

// def puts the feed in the place of the connector 'generator', for one stream: SQL knows no other name.
func (f *feed) def() connector.Def {
	return connector.Def{Name: "generator", New: func(connector.Options) (connector.Source, error) { return f, nil }}
}

// Open implements connector.Source.
func (f *feed) Open(context.Context, connector.Offsets) error { return nil }

// Poll implements connector.Source.
func (f *feed) Poll(ctx context.Context, dst []connector.Payload, most int) ([]connector.Payload, error) {
	for len(f.rest) == 0 {
		select {
		case f.rest = <-f.in:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	piece := f.rest
	if len(piece) > most {
		piece = piece[:bytes.LastIndexByte(piece[:most], '\n')+1]
	}
	f.rest = f.rest[len(piece):]
	from := f.at
	f.at += int64(len(piece))
	return append(dst, connector.Payload{From: from, To: f.at, Bytes: piece}), nil
}

// ReadRange implements connector.Source; only a restart would read again.
func (f *feed) ReadRange(context.Context, int32, int64, int64, []connector.Payload) ([]connector.Payload, error) {
	return nil, errors.New("a feed forgets what it handed over")
}

// Close implements connector.Source.
func (f *feed) Close() error { return nil }
