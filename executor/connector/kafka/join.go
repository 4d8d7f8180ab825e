package kafka

import (
	"bytes"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
)

// joiner packs the values of one partition's records into payloads. Each payload covers [From, To) without gaps to its
// neighbours, whatever offsets transactions, compaction or null values left out.
type joiner struct {
	*config
	split   int32
	next    int64 // the first offset that no payload covers yet
	arrival types.EventTime
	from    int64 // where the payload under way begins
	buf     []byte
	dst     []connector.Payload
}

// add appends the value of the record at an offset.
func (j *joiner) add(value []byte, offset int64) {
	alone := j.json && startsArray(value)
	if alone || len(j.buf) > 0 && len(j.buf)+len(value) > payloadMax {
		j.flush()
	}
	if j.buf == nil {
		j.from = j.next
		j.buf = make([]byte, 0, max(len(value)+1, payloadMax/8))
	}
	j.next = offset + 1
	if len(value) == 0 {
		return
	}
	start := len(j.buf)
	j.buf = append(j.buf, value...)
	if alone {
		j.flush()
		return
	}
	if !j.lines {
		return
	}
	if j.json {
		oneLine(j.buf[start:])
	}
	if j.buf[len(j.buf)-1] != '\n' {
		j.buf = append(j.buf, '\n')
	}
}

// skip passes over an offset that has no record for us.
func (j *joiner) skip(offset int64) { j.add(nil, offset) }

// oneLine replaces line breaks, which a JSON text has only between tokens, so that a pretty-printed object is one record.
// Those between a closing and an opening brace stay: the value holds several records.
func oneLine(value []byte) {
	for i := bytes.IndexByte(value, '\n'); i >= 0; {
		before, after := bytes.TrimRight(value[:i], " \t\r\n"), bytes.TrimLeft(value[i:], " \t\r\n")
		if len(before) == 0 || len(after) == 0 || before[len(before)-1] != '}' || after[0] != '{' {
			value[i] = ' '
		}
		n := bytes.IndexByte(value[i+1:], '\n')
		if n < 0 {
			return
		}
		i += n + 1
	}
}

// startsArray: a payload that starts with a bracket is one array, so such a value is a payload of its own.
func startsArray(value []byte) bool {
	for _, c := range value {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c == '['
		}
	}
	return false
}

// flush ends the payload under way. One without bytes is kept when it moves the position: it covers skipped offsets.
func (j *joiner) flush() {
	if j.buf == nil {
		return
	}
	j.dst = append(j.dst, connector.Payload{Split: j.split, From: j.from, To: j.next, Bytes: j.buf, Arrival: j.arrival})
	j.buf = nil
}

func (j *joiner) finish() []connector.Payload {
	j.flush()
	return j.dst
}
