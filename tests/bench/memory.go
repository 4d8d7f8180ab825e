package bench

import (
	"bytes"
	"context"
	"io"

	"github.com/vigil-sql/vigil/executor/connector"
)

// memorySource is a connector over bytes in memory, so that the benchmark measures the engine and not a transport.
type memorySource struct {
	data  []byte
	pos   int64
	drain chan struct{} // closed when everything was handed over
	ended bool
}

// Open implements connector.Source.
func (m *memorySource) Open(_ context.Context, from connector.Offsets) error {
	m.pos = from[0]
	return nil
}

// Poll hands over the next whole lines.
func (m *memorySource) Poll(_ context.Context, dst []connector.Payload, most int) ([]connector.Payload, error) {
	if m.pos >= int64(len(m.data)) {
		if !m.ended {
			m.ended = true
			close(m.drain)
		}
		return dst, io.EOF
	}
	rest := m.data[m.pos:]
	if len(rest) > most {
		rest = rest[:bytes.LastIndexByte(rest[:most], '\n')+1]
	}
	to := m.pos + int64(len(rest))
	dst = append(dst, connector.Payload{From: m.pos, To: to, Bytes: rest})
	m.pos = to
	return dst, nil
}

// ReadRange implements connector.Source.
func (m *memorySource) ReadRange(_ context.Context, _ int32, from, to int64, dst []connector.Payload) ([]connector.Payload, error) {
	return append(dst, connector.Payload{From: from, To: to, Bytes: m.data[from:to]}), nil
}

// Close implements connector.Source.
func (m *memorySource) Close() error { return nil }
