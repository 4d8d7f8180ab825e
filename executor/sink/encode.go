package sink

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// encoded is a row to be written out.
type encoded struct {
	id   string
	op   byte
	vals []types.Value
}

// encoder writes rows in a format. What it writes depends on the row alone, so that a row that is given again is the same.
type encoder interface {
	row(dst []byte, e encoded) []byte
	// key appends the text of the key columns, nothing without them.
	key(dst []byte, vals []types.Value) []byte
	contentType() string
}

// opNames are the operations of changelogs as everybody outside reads them.
var opNames = map[byte]string{byte(batch.Insert): "+I", byte(batch.UpdateBefore): "-U", byte(batch.UpdateAfter): "+U", byte(batch.Delete): "-D"}

// newEncoder makes the encoder of a sink's format.
func newEncoder(s *Spec, id string) (encoder, error) {
	keys, err := keyColumns(s)
	if err != nil {
		return nil, err
	}
	switch s.Format {
	case "", "JSON":
		for k := range s.FormatOptions {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "FORMAT JSON of a sink has no option %q", k)
		}
		return newJSON(s, id, keys), nil
	case "CEF":
		return newCEF(s, id, keys)
	}
	return nil, sqlerr.NotSupported("FORMAT "+s.Format+" for a sink", "Sinks write JSON and CEF.")
}

// SeverityOf is a query's option severity as a number from 0 to 10.
func SeverityOf(severity string) int {
	switch severity {
	case "info":
		return 1
	case "low":
		return 3
	case "high":
		return 8
	case "critical":
		return 10
	}
	return 5
}

// keyColumns finds the columns that option key names.
func keyColumns(s *Spec) ([]int, error) {
	text, ok := s.Options["key"]
	if !ok {
		return nil, nil
	}
	var keys []int
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		at := -1
		for i, c := range s.Columns {
			if c.Name == name {
				at = i
			}
		}
		if at < 0 {
			return nil, sqlerr.New(sqlerr.UndefinedColumn, "option \"key\": query %q has no column %q", s.QueryName, name)
		}
		keys = append(keys, at)
	}
	return keys, nil
}

// jsonEncoder writes JSON objects.
type jsonEncoder struct {
	id      string // the field's name, in quotes and with a colon; "" : none
	cols    []types.Column
	keys    []int
	updates bool
	scratch bytes.Buffer
}

var _ encoder = (*jsonEncoder)(nil)

func newJSON(s *Spec, id string, keys []int) *jsonEncoder {
	e := &jsonEncoder{cols: s.Columns, keys: keys, updates: s.Updates}
	if id != "none" && id != "" {
		e.id = string(append(codec.AppendJSONText(nil, id), ':'))
	}
	return e
}

func (e *jsonEncoder) contentType() string { return "application/json" }

// row implements encoder. The operation is there where a changelog may hold others than inserts, and where it is another.
func (e *jsonEncoder) row(dst []byte, r encoded) []byte {
	start := len(dst)
	dst = append(dst, '{')
	if e.id != "" {
		dst = append(append(append(append(dst, e.id...), '"'), r.id...), '"', ',')
	}
	if e.updates || batch.Op(r.op) != batch.Insert {
		dst = append(append(append(dst, `"vigil_op":"`...), opNames[r.op]...), '"', ',')
	}
	at := len(dst)
	dst = codec.AppendJSONRow(dst, e.cols, r.vals)
	dst = append(dst[:at], dst[at+1:]...)        // the object goes on
	if bytes.IndexByte(dst[start:], '\n') >= 0 { // a json column may hold any white space
		e.scratch.Reset()
		if err := json.Compact(&e.scratch, dst[start:]); err == nil {
			dst = append(dst[:start], e.scratch.Bytes()...)
		}
	}
	return dst
}

// key implements encoder: the text of one column, a JSON array of several.
func (e *jsonEncoder) key(dst []byte, vals []types.Value) []byte { return appendKey(dst, e.keys, vals) }

func appendKey(dst []byte, keys []int, vals []types.Value) []byte {
	if len(keys) == 1 && !vals[keys[0]].Null {
		return types.AppendText(dst, vals[keys[0]], nil)
	}
	if len(keys) < 2 {
		return dst
	}
	for i, k := range keys {
		dst = append(dst, "[,"[min(i, 1)])
		dst = codec.AppendJSONValue(dst, vals[k])
	}
	return append(dst, ']')
}
