// Package codec turns payloads (undecoded bytes) into rows, one file per format. Decoders read only the columns that
// somebody wants, never panic on hostile bytes, and never lose a good row because of a bad neighbour.
package codec

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// Reject is one record that could not become a row.
type Reject struct {
	// Raw is the record's bytes, at most RawMax; it aliases the payload, copy it to keep it.
	Raw []byte
	// Err says why (*sqlerr.Error, position unused; the message names the column and shows the value's beginning).
	Err error
}

// RawMax bounds the bytes of a rejected record that are kept.
const RawMax = 16 << 10

// Decoder turns payloads of one format into rows of one schema. It keeps scratch space: one goroutine per instance.
type Decoder interface {
	// Decode appends rows to b and rejects to rej until payload is used up or b holds max rows, and returns the number of
	// payload bytes consumed: call again with the rest. payload holds whole records (a missing final newline is fine). The
	// absent columns of b are skipped as cheaply as the format allows. A record that fails leaves no trace in b. Decode also
	// returns after RejectsMax rejects, with rows or without. The rest must be the same memory, not a copy: some formats
	// (JSON arrays, CSV with a header) know by its address that it is a rest and not a new payload.
	Decode(payload []byte, b *batch.Batch, max int, rej *[]Reject) (consumed int)
}

// Binary is a decoder whose records are no text: white space at their ends is part of them.
type Binary interface{ Binary() }

// Options tell a decoder what the stream's definition says.
type Options struct {
	Schema *types.Schema
	// NotNull columns missing or null in a record reject it. TimeCol (-1: none) is always required.
	TimeCol int
	// Format options of CREATE STREAM ... FORMAT x (k = v), lower-case keys.
	Params map[string]string
	// Columns maps the fields of positional formats (CSV, COPY) to schema columns; nil: all in order.
	Columns []int
	// From is what FROM '..' says, by schema column: a path into the record (JSON) or a field's name (formats with named
	// fields), RestPath for the column of all other fields, "" for the column's own name. nil: none says anything.
	From []string
	// Normalize is "ecs" when columns are also found by the names of the Elastic Common Schema.
	Normalize string
}

// Timed is a decoder for which it matters when a payload came.
type Timed interface {
	// At says when the payload of the next calls reached vigil, and the clock of the epoch that decodes it.
	At(arrival, clock types.EventTime)
}

// Def is one format.
type Def struct {
	Name string // upper case, as in FORMAT JSON
	Doc  string
	New  func(o Options) (Decoder, error)
}
