// Package connector is where events come from. A Source reads payloads that can be replayed from an offset; what cannot
// be replayed is written to storage/eventlog first and is read from there. One file or sub-package per connector.
package connector

import (
	"context"

	"github.com/vigil-sql/vigil/executor/types"
)

// Payload is undecoded bytes with their place. Bytes belong to the receiver.
type Payload struct {
	// Split is the part of the source that is read in order (a Kafka partition); numbered from 0 within the stream.
	Split int32
	// From and To are offsets within the split: reading again from From gives the same bytes, To is where the next starts.
	From, To int64
	Bytes    []byte
	// Codec names the codec of Bytes; empty means the stream's format.
	Codec string
	// Columns is the column list of positional codecs (COPY); nil: all.
	Columns []int
	// Arrival is when the bytes reached vigil.
	Arrival types.EventTime
}

// Offsets maps split -> the offset to read next.
type Offsets map[int32]int64

// Source reads a stream's payloads. One goroutine calls it; Close is safe after a failed Open and twice.
type Source interface {
	// Open prepares to read everything at and after from; a split not in from starts as the source's options say.
	Open(ctx context.Context, from Offsets) error
	// Poll waits for and returns at least one payload appended to dst, or io.EOF when a bounded source is at its end, or
	// ctx.Err(), or another error (the caller backs off and polls again). At most max payload bytes, roughly.
	Poll(ctx context.Context, dst []Payload, max int) ([]Payload, error)
	// ReadRange returns exactly the payloads of [from, to) of a split again, for re-running an epoch; it may be called
	// between Open and the first Poll. Payload boundaries may differ from the first time.
	ReadRange(ctx context.Context, split int32, from, to int64, dst []Payload) ([]Payload, error)
	// Close frees everything.
	Close() error
}

// Position is how far a split has been read.
type Position struct {
	Split int32
	// Next is the offset to be read next, End the one that the next record of the split will have; -1: not known yet.
	Next, End int64
}

// Lag is how many offsets are left to be read; -1: not known yet.
func (p Position) Lag() int64 {
	if p.End < 0 {
		return -1
	}
	return max(0, p.End-p.Next)
}

// Positioner is a Source that knows how far behind it is. Any goroutine may ask.
type Positioner interface {
	// Positions are those of all splits that are being read, in order.
	Positions() []Position
}

// Historian is a Source that keeps what it delivered, so that ReadRange gives it to those who come later.
type Historian interface {
	// Beginnings are the offsets, by split, of the first of what reached the source at a time or later; for MinTime of all that is left. It is
	// called on a source that may not be open, by the goroutine that owns it.
	Beginnings(ctx context.Context, arrival types.EventTime) (Offsets, error)
}

// Options is what CREATE STREAM says of the connector.
type Options struct {
	Stream string
	Params map[string]string // lower-case keys, from WITH (...)
	Schema *types.Schema
	// Format is the stream's format, upper case.
	Format string
	// Created is when the stream was created, by the epoch's clock; generators start their event time there.
	Created types.EventTime
}

// Def is one connector.
type Def struct {
	Name string // lower case, as in connector = 'kafka'
	Doc  string
	// Params documents the accepted options; an unknown one is an error at CREATE STREAM.
	Params []Param
	// Secrets are the options whose values nobody is shown.
	Secrets []string
	// Check validates options at CREATE STREAM without touching the network.
	Check func(o Options) error
	New   func(o Options) (Source, error)
	// Listen, instead of New, is for what comes by itself: what it receives goes into the stream's event log.
	Listen Listen
}

// Param documents one option of a connector.
type Param struct{ Name, Default, Doc string }
