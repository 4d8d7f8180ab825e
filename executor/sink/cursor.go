package sink

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/results"
)

// stateVersion is the version of the state of a sink's cursor: docs/formats/kv.md.
const stateVersion = 1

// totals are counted since the sink was created.
type totals struct{ rows, dead, missed int64 }

// appendState makes the state of a cursor.
func appendState(dst []byte, at connector.SinkPosition, t totals) []byte {
	dst = append(dst, stateVersion)
	for _, n := range []uint64{at.Query, uint64(t.rows), uint64(t.dead), uint64(t.missed)} {
		dst = binary.AppendUvarint(dst, n)
	}
	return append(dst, at.State...)
}

// decodeState reads it; it never panics.
func decodeState(c results.Cursor) (at connector.SinkPosition, t totals, err error) {
	if err := kv.CheckVersion("the state of a sink's cursor", c.State, stateVersion); err != nil {
		return at, t, err
	}
	rest := c.State[1:]
	var n [4]uint64
	for i := range n {
		v, size := binary.Uvarint(rest)
		if size <= 0 {
			return at, t, fmt.Errorf("the state of a sink's cursor is cut short: %x", c.State)
		}
		n[i], rest = v, rest[size:]
	}
	at = connector.SinkPosition{Query: n[0], Next: c.Offset}
	if len(rest) > 0 {
		at.State = rest
	}
	return at, totals{int64(n[1]), int64(n[2]), int64(n[3])}, nil
}

// load reads where the sink stands. One that has no cursor yet, or whose query has another in its place, begins at its start.
func (r *runner) load() error {
	c, ok, err := r.set.o.Results.Cursor(cursorName(r.spec.ID))
	if err != nil {
		return err
	}
	if ok {
		if r.at, r.totals, err = decodeState(c); err != nil {
			return err
		}
	}
	if !ok || r.at.Query != r.spec.Query {
		r.at.Query, r.at.Next = r.spec.Query, r.spec.Start
	}
	return nil
}

// deadVersion is the version of dead letters, which are JSON: docs/formats/kv.md.
const deadVersion = 1

// deadBodyMax bounds what is kept of a row, bytes.
const deadBodyMax = 64 << 10

// Dead is a row that a target refused, as stored.
type Dead struct {
	Version int    `json:"version,omitempty"` // absent: 1
	Sink    uint64 `json:"sink"`
	Query   uint64 `json:"query"`
	// At is the clock, microseconds.
	At     int64  `json:"at"`
	ID     string `json:"id"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Body   []byte `json:"body"`
}

// DecodeDead reads a row of vigil.sink_dead_letters.
func DecodeDead(data []byte) (d Dead, err error) {
	var v struct {
		Version int `json:"version"`
	}
	if err = json.Unmarshal(data, &v); err == nil {
		if v.Version != 0 && v.Version != deadVersion {
			return d, sqlerr.New(sqlerr.DataCorrupted, "a dead letter has format version %d, this vigil reads version %d", v.Version, deadVersion).
				WithHint("Use the vigil that wrote it, or a newer one.")
		}
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return d, sqlerr.New(sqlerr.DataCorrupted, "a dead letter cannot be read: %v", err)
	}
	return d, nil
}

// move makes a position durable, with the dead letters on the way to it.
func (r *runner) move(to connector.SinkPosition, t totals, dead []Dead) error {
	s := r.set
	b := s.o.KV.NewBatch()
	s.o.Results.SetCursor(b, cursorName(r.spec.ID), results.Cursor{Offset: to.Next, State: appendState(nil, to, t)})
	if len(dead) > 0 {
		s.deadMu.Lock()
		defer s.deadMu.Unlock()
	}
	for i := range dead {
		data, err := json.Marshal(dead[i])
		if err != nil {
			b.Discard()
			return err
		}
		s.o.Dead.Add(b, dead[i].At, data)
	}
	if err := b.Commit(true); err != nil {
		return fmt.Errorf("note where the sink stands: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.totals = to, t
	return nil
}
