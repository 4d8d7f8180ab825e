package job

import (
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/kv"
)

// NextID gives a new object its id, which is never given again.
func (e *Engine) NextID() (uint64, error) {
	b := e.kv.NewBatch()
	id := e.meta.NextID(b)
	return id, b.Commit(false)
}

// StreamStatus is what vigil.streams shows.
type StreamStatus struct {
	Rows, Rejected, Late, Bytes int64
	// Watermark is event time in microseconds; types.MinTime before the first row.
	Watermark int64
	// Pending is how many bytes of the log wait to be processed.
	Pending int64
	// Log are the figures of the event log, zero for a stream that has none, and LogMax what it may take, bytes; 0: there is no bound.
	Log    eventlog.Metrics
	LogMax int64
	// Positions are those of a connector's splits, of one that knows them; Lag is their sum, -1 when it is not known.
	Positions []connector.Position
	Lag       int64
	LastError string
	Status    string
}

// Stream reports a stream's counters; ok is false when there is no such stream.
func (e *Engine) Stream(id uint64) (st StreamStatus, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := e.streams[id]
	if s == nil {
		return st, false
	}
	st = StreamStatus{Rows: s.stats.Rows.Load(), Rejected: s.stats.Rejected.Load(), Late: s.stats.Late.Load(), Bytes: s.stats.Bytes.Load(),
		Watermark: s.stats.Watermark.Load(), Status: "running"}
	if p := s.stats.LastError.Load(); p != nil {
		st.LastError, st.Status = *p, "failing"
	}
	switch x, ok := s.src.(statuser); {
	case e.NotLoaded() != nil:
		st.Status = StateLoading
	case s.stop == nil:
		st.Status = "waiting for the first query"
	case ok && st.LastError == "":
		st.Status = x.Status()
	}
	st.Lag = -1
	if x, ok := s.src.(connector.Positioner); ok {
		st.Positions = x.Positions()
		st.Lag = lagOf(st.Positions)
	}
	if s.log != nil {
		s.progress.mu.Lock()
		st.Pending = max(0, s.log.End()-max(s.progress.upTo, s.log.Start()))
		s.progress.mu.Unlock()
		st.Log, st.LogMax = s.log.Metrics(), s.spec.RetentionBytes
	}
	return st, true
}

// lagOf sums lags up; -1: some are not known, or there is no split yet.
func lagOf(list []connector.Position) (sum int64) {
	for _, p := range list {
		lag := p.Lag()
		if lag < 0 {
			return -1
		}
		sum += lag
	}
	if len(list) == 0 {
		return -1
	}
	return sum
}

// StorageStatus is what the stores beside the event logs take.
type StorageStatus struct {
	kv.Metrics
	// ResultTails is the memory of result rows that are not in blocks yet.
	ResultTails int64
	// Results are the bytes of all result rows that are kept, ResultsMax what they may take; 0: there is no bound.
	Results, ResultsMax int64
}

// Storage reports what the stores take.
func (e *Engine) Storage() StorageStatus {
	return StorageStatus{Metrics: e.kv.Metrics(), ResultTails: e.cfg.Results.TailBytes(),
		Results: e.results.Total(), ResultsMax: e.cfg.ResultsMax}
}

// QueryStatus is what vigil.queries shows beside the catalogue.
type QueryStatus struct {
	RowsOut, Late int64
	// ResultMax is what the rows of its result may take, bytes; 0: there is no bound of its own.
	ResultMax int64
	// Throttled tells why rows are held back, or not taken; "" when they are not.
	Throttled string
	// Backfill is how far the query has come with the history of its streams; nil: it read none since the server started.
	Backfill *Backfill
}

// Query reports a query's counters; ok is false when it does not run.
func (e *Engine) Query(id uint64) (st QueryStatus, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	q := e.queries[id]
	if q == nil {
		return st, false
	}
	st = QueryStatus{RowsOut: q.stats.RowsOut.Load(), Late: q.stats.Late.Load(), ResultMax: q.spec.RetentionBytes, Backfill: q.progress()}
	for _, p := range []*string{q.throttledBy.Load(), q.shutReason.Load()} {
		if p != nil {
			st.Throttled = *p
		}
	}
	return st, true
}

// ResultBytes is what is kept of a query's result, those of its stages included, as it is stored before compression.
func (e *Engine) ResultBytes(id uint64) int64 {
	n := e.results.Size(id)
	e.mu.RLock()
	defer e.mu.RUnlock()
	if q := e.queries[id]; q != nil {
		for _, stage := range q.stages {
			n += e.results.Size(stage.spec.ID)
		}
	}
	return n
}

// Epochs lists the epoch records that are kept, oldest first: number, clock, how many input runs, whether the server had
// been down before.
func (e *Engine) Epochs(fn func(n uint64, clock types.EventTime, inputs int, restarted bool) error) error {
	return e.meta.Epochs(0, func(n uint64, data []byte) (bool, error) {
		rec, err := decodeEpoch(data)
		if err != nil {
			return false, err
		}
		return true, fn(n, rec.clock, len(rec.runs), rec.restarted)
	})
}
