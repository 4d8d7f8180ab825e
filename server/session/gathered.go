package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// Rows of one statement that take effect together are held until it ends, so they are bounded: by statementBytes in memory, and for a
// stream by streamBytesMax as the event log has them, where they are one unit.
const (
	statementBytes = 1 << 30
	streamBytesMax = 120 << 20
	// valueBytes is what a value takes beside its text.
	valueBytes = 64
)

// holding counts the memory of rows.
type holding struct{ bytes, max int64 }

func (s *Session) newHolding() holding { return holding{max: s.srv.statementBytes} }

// add counts a row, before it is kept.
func (h *holding) add(row []types.Value) error {
	h.bytes += int64(valueBytes * len(row))
	for i := range row {
		h.bytes += int64(len(row[i].S))
	}
	return h.take(h.bytes)
}

// take notes what is held in all.
func (h *holding) take(bytes int64) error {
	if h.bytes = bytes; h.bytes > h.max {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "the rows of one statement may take at most %d MB of memory", h.max>>20).
			WithDetail("They take effect together, so all of them are held until the last one is there.").WithHint("Send them in several statements.")
	}
	return nil
}

// gathered are the rows of an INSERT, or of a COPY in the binary format, on their way into a relation. Those for a stream are
// encoded at once, which takes a fraction of the memory.
type gathered struct {
	t    *target
	held holding
	n    int
	// rows are those for a table or a list.
	rows [][]types.Value
	// data are those for a stream; cuts are the ends of the records of the event log that they become.
	data []byte
	cuts []int
}

// add takes over a full row.
func (g *gathered) add(row []types.Value) error {
	g.n++
	if g.t.stream == nil {
		if err := g.held.add(row); err != nil {
			return err
		}
		g.rows = append(g.rows, row)
		return nil
	}
	st := g.t.stream
	for i, v := range row {
		if col := g.t.schema.Cols[i]; v.Null && (col.NotNull || i == st.TimeCol) && !g.t.generated(i) {
			return sqlerr.New(sqlerr.NotNullViolation, "null value in column %q of relation %q violates not-null constraint", col.Name, st.Name)
		}
	}
	from := 0
	if len(g.cuts) > 0 {
		from = g.cuts[len(g.cuts)-1]
	}
	end := len(g.data)
	g.data = codec.AppendRow(g.data, row)
	if most := min(streamBytesMax, g.held.max); int64(len(g.data)) > most {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "one statement can bring at most %d MB of rows for a stream", most>>20).
			WithDetail("All of them count or none, so the event log writes them at once.").
			WithHint("Send them in several statements, or with COPY in the text, CSV or JSON format, which has no bound: its rows count as they come.")
	}
	if end > from && len(g.data)-from > pieceMax {
		g.cuts = append(g.cuts, end)
	}
	return nil
}

// insertGathered puts the rows into a stream or an IOC list, and returns how many.
func (s *Session) insertGathered(ctx context.Context, g *gathered, key string, out pgwire.Output) (int, error) {
	switch {
	case g.n == 0:
		return 0, nil
	case g.t.list != nil:
		return s.insertIOC(ctx, g.t.list, g.rows)
	}
	res, err := s.append(ctx, g.t.stream, Ingest{Stream: g.t.stream.ID, Codec: "ROWS", Key: key, Data: g.data, Whole: true, Cuts: g.cuts})
	if err != nil {
		return 0, err
	}
	if res.Duplicate {
		out.Notice(duplicateNotice(key))
		return 0, nil
	}
	if res.Rejected > 0 {
		out.Notice(rejectedNotice(res.Rejected))
	}
	return g.n, s.settle(ctx)
}
