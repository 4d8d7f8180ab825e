package session

import (
	"bytes"
	"context"
	"errors"
	"net/netip"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/results"
)

// pieceMax is the size of the event log records that a long payload is cut into, bytes.
const pieceMax = 1 << 20

// Ingest is a payload for a stream.
type Ingest struct {
	Stream uint64
	// Codec is "" for the stream's format; Columns is the column list of positional codecs.
	Codec   string
	Columns []int
	// Key is an idempotency key: a payload with a key seen before counts once.
	Key string
	// Data is taken over; From is who sent it, for formats where that matters.
	Data []byte
	From netip.Addr
	// Whole payloads must not be cut between lines (binary codecs, JSON arrays).
	Whole bool
	// Cuts are where a whole payload may be cut nevertheless.
	Cuts []int
}

// Append makes a payload durable and waits until it is decoded.
func (srv *Server) Append(ctx context.Context, in Ingest) (job.Outcome, error) {
	entries, err := srv.takeIn(&in)
	if err != nil {
		return job.Outcome{}, err
	}
	if in.Codec != intakeCodec || entries == nil {
		entries = in.entries()
	}
	if len(entries) == 0 {
		return job.Outcome{}, nil
	}
	return srv.eng.Append(ctx, in.Stream, entries)
}

// entries cuts a payload into records of the event log.
func (in *Ingest) entries() []eventlog.Entry {
	var entries []eventlog.Entry
	cuts, at := in.Cuts, 0
	for rest := in.Data; len(rest) > 0; {
		n := len(rest)
		if len(cuts) > 0 {
			n, at, cuts = cuts[0]-at, cuts[0], cuts[1:]
		}
		if n > pieceMax && !in.Whole {
			if n = bytes.LastIndexByte(rest[:pieceMax], '\n') + 1; n == 0 {
				if n = bytes.IndexByte(rest, '\n') + 1; n == 0 {
					n = len(rest)
				}
			}
		}
		entries = append(entries, eventlog.Entry{Codec: in.Codec, Columns: in.Columns, Key: in.Key, Payload: rest[:n]})
		rest = rest[n:]
	}
	return entries
}

// StreamID finds a stream for the HTTP interface; its format is returned too.
func (srv *Server) StreamID(name string) (id uint64, format string, err error) {
	st, err := srv.stream(name)
	if err != nil {
		return 0, "", err
	}
	if st.Connector != "" {
		return 0, "", sqlerr.New(sqlerr.WrongObjectType, "stream %q is fed by its connector %q", name, st.Connector).
			WithHint("Rows can be added to streams without connector only.")
	}
	return st.ID, st.Format, nil
}

// QueryID finds a continuous query for the HTTP interface; no two queries ever have the same number.
func (srv *Server) QueryID(name string) (uint64, error) {
	q, err := srv.query(name)
	if err != nil {
		return 0, err
	}
	return q.ID, nil
}

// ResultsRequest asks for a page of a query's result rows.
type ResultsRequest struct {
	Query string
	// ID, unless 0, is the query's number: if the name stands for another query by now, the request fails.
	ID uint64
	// After is the offset of the first row wanted, negative: the oldest that is kept; Limit bounds the page.
	After int64
	Limit int
	// Wait: when there is no row yet, wait for one until the context ends.
	Wait bool
}

// Results gives result rows as JSON objects, each valid during the call of emit, and returns the offset to ask for next.
func (srv *Server) Results(ctx context.Context, r ResultsRequest, emit func(row []byte)) (int64, error) {
	q, err := srv.query(r.Query)
	if err != nil {
		return 0, err
	}
	if r.ID != 0 && r.ID != q.ID {
		return 0, dropped(r.Query)
	}
	store := srv.eng.Results()
	if n := store.Next(q.ID); r.After > n {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "continuous query %q has %d rows so far, so nobody has read up to %d", q.Name, n, r.After).
			WithHint("Begin with the oldest rows.")
	}
	next, oldest := r.After, store.Oldest(q.ID)
	if next < 0 {
		next = oldest
	}
	if next < oldest {
		return 0, srv.notKept(q, next, oldest)
	}
	if r.Wait && store.Next(q.ID) <= next {
		if err := waited(ctx, q.Name, store.Wait(ctx, q.ID, next)); err != nil {
			return 0, err
		}
	}
	ts := make([]types.Type, len(q.Schema.Cols))
	for i := range ts {
		ts[i] = q.Schema.Cols[i].Type
	}
	var buf []byte
	err = store.Scan(q.ID, next, r.Limit, func(row results.Row) (bool, error) {
		if row.Offset > next { // trimmed since
			return false, srv.notKept(q, next, row.Offset)
		}
		vals, err := codec.DecodeRow(ts, row.Data)
		if err != nil {
			return false, sqlerr.New(sqlerr.DataCorrupted, "result row %d of %q is damaged: %v", row.Offset, q.Name, err)
		}
		cols := q.Schema.Cols
		if q.Changes() {
			cols = append([]types.Column{subscribeColumns[1]}, cols...)
			vals = append([]types.Value{types.NewText(opNames[row.Op])}, vals...)
		}
		buf = codec.AppendJSONRow(buf[:0], cols, vals)
		emit(buf)
		next = row.Offset + 1
		return true, nil
	})
	return next, err
}

func dropped(query string) error {
	return sqlerr.New(sqlerr.UndefinedTable, "continuous query %q was dropped", query).WithHint("SHOW CONTINUOUS QUERIES lists the queries.")
}

// waited tells the end of a wait for results. Time running out is the ordinary one: an empty page.
func waited(ctx context.Context, query string, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
		return nil
	case errors.Is(err, results.ErrDropped):
		return dropped(query)
	case errors.Is(err, results.ErrClosed):
		return sqlerr.New(sqlerr.AdminShutdown, "the server is shutting down")
	}
	return err
}
