package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/server/session"
)

// engineMetrics reads the engine's counters when it is scraped.
type engineMetrics struct {
	srv                                                         *session.Server
	rows, rejected, late, bytes, lag, pending, alerts, backfill *prometheus.Desc
	panics, epoch, ready, free                                  *prometheus.Desc
	queryCPU, streamCPU, serverCPU, rowsIn, state, keys         *prometheus.Desc
	logBytes, logSegments, logCorrupt, logQueue                 *prometheus.Desc
	storeDisk, storeMem, storeCache, tails                      *prometheus.Desc
	sinks                                                       sinkMetrics
	logFailures, logSyncs, logSyncTime                          *prometheus.Desc
	storeRetries, storeSyncs, storeSlow, storeSyncTime          *prometheus.Desc
	budget, resident, outside, onDisk, aside                    *prometheus.Desc
	results, resultsMax                                         *prometheus.Desc
}

func registry(srv *session.Server, ingest *budget, conns func() Connections) *prometheus.Registry {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("vigil_"+name, help, labels, nil)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vigil_connections", Help: "Postgres sessions that are open."},
			func() float64 { return float64(conns().Open) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vigil_connections_refused_total", Help: "Postgres connections that got no session."},
			func() float64 { return float64(conns().Refused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vigil_connections_slow_total", Help: "Postgres connections that were closed because the client read too slowly."},
			func() float64 { return float64(conns().Slow) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vigil_http_ingest_bytes", Help: "Memory that bodies of ingest requests hold."},
			func() float64 { held, _ := ingest.figures(); return float64(held) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vigil_http_ingest_max_bytes", Help: "What they may hold (--http-ingest-mb)."},
			func() float64 { return float64(ingest.max) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vigil_http_refused_total", Help: "Ingest requests that were answered 429."},
			func() float64 { _, refused := ingest.figures(); return float64(refused) }),
	)
	r.MustRegister(newFigureMetrics(srv))
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &engineMetrics{
		srv:       srv,
		rows:      desc("stream_rows_total", "Rows decoded since the server started.", "stream"),
		rejected:  desc("stream_rejected_total", "Records rejected since the server started.", "stream"),
		late:      desc("stream_late_total", "Rows that came after their windows had closed.", "stream"),
		bytes:     desc("stream_bytes_total", "Payload bytes taken in since the server started.", "stream"),
		lag:       desc("stream_watermark_lag_seconds", "Clock minus watermark.", "stream"),
		pending:   desc("stream_pending_bytes", "Bytes of the event log that wait to be processed.", "stream"),
		alerts:    desc("query_rows_total", "Result rows since the server started.", "query"),
		backfill:  desc("query_backfill_bytes", "Bytes of history that the query has yet to read before it joins its streams.", "query"),
		queryCPU:  desc("query_cpu_seconds_total", "CPU time of the query since the server started.", "query"),
		streamCPU: desc("stream_cpu_seconds_total", "CPU time of decoding the stream and telling which rows are for which query.", "stream"),
		serverCPU: desc("other_cpu_seconds_total", "CPU time that is no query's and no stream's."),
		rowsIn:    desc("query_input_rows_total", "Rows that passed the filters of the query's inputs.", "query"),
		state:     desc("query_state_bytes", "Keyed state of the query.", "query"),
		keys:      desc("query_state_keys", "Keys in the query's state.", "query"),
		panics:    desc("condition_index_panics_total", "Times that the index of the conditions over a stream broke; its queries are evaluated one by one since."),
		epoch:     desc("epoch", "Number of the last committed epoch."),
		free:      desc("disk_free_bytes", "What can be written to the disk of the data directory."),
		ready:     desc("ready", "1 while the engine runs and has room on its disk."),

		logBytes:    desc("eventlog_bytes", "Size of the event log.", "stream"),
		logSegments: desc("eventlog_segments", "Files of the event log.", "stream"),
		logCorrupt:  desc("eventlog_corrupt_total", "Damaged places met in the event log since the server started.", "stream"),
		logQueue:    desc("eventlog_queue_bytes", "Payloads that wait to be written to the event log.", "stream"),
		logFailures: desc("eventlog_failures_total", "Writes to the event log that failed and were answered with an error.", "stream"),
		logSyncs:    desc("eventlog_syncs_total", "Writes to the event log that were synced.", "stream"),
		logSyncTime: desc("eventlog_sync_seconds_total", "Time that those took.", "stream"),
		storeDisk:   desc("store_disk_bytes", "Size of the store on disk."),
		storeMem:    desc("store_memory_bytes", "Memory of the store for what is not in its files yet."),
		storeCache:  desc("store_cache_bytes", "Memory of the store for blocks of its files."),
		budget:      desc("memory_budget_bytes", "What the process may have in memory (--memory)."),
		resident:    desc("memory_resident_bytes", "What the process has in memory."),
		outside:     desc("memory_state_bytes", "State of queries that can leave memory."),
		onDisk:      desc("memory_state_disk_bytes", "The part of it that has a place on disk."),
		aside:       desc("results_set_aside_bytes_total", "Results that were too many to be held in memory until their epoch's commit."),
		results:     desc("results_bytes", "Size of the results of all queries, as stored before compression."),
		resultsMax:  desc("results_max_bytes", "What they may take (--results-retention-bytes)."),
		tails:       desc("result_tail_bytes", "Memory of result rows that are not in blocks yet."),

		sinks:         newSinkMetrics(desc),
		storeRetries:  desc("store_retries_total", "Calls of the store to its disk that were made again after an error."),
		storeSyncs:    desc("store_syncs_total", "Syncs of the store's files."),
		storeSlow:     desc("store_slow_syncs_total", "Syncs of the store's files that took longer than a second."),
		storeSyncTime: desc("store_sync_seconds_total", "Time that syncs of the store's files took."),
	})
	return r
}

// Describe implements prometheus.Collector.
func (m *engineMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.rows, m.rejected, m.late, m.bytes, m.lag, m.pending, m.alerts, m.panics, m.epoch, m.ready, m.free,
		m.queryCPU, m.streamCPU, m.serverCPU, m.rowsIn, m.state, m.keys, m.backfill,
		m.logBytes, m.logSegments, m.logCorrupt, m.logQueue, m.storeDisk, m.storeMem, m.storeCache, m.tails,
		m.logFailures, m.logSyncs, m.logSyncTime, m.storeRetries, m.storeSyncs, m.storeSlow, m.storeSyncTime,
		m.budget, m.resident, m.outside, m.onDisk, m.aside, m.results, m.resultsMax} {
		ch <- d
	}
	for _, d := range m.sinks {
		ch <- d.desc
	}
}

// collectMemory tells what lies in memory, and what of that may leave it.
func (m *engineMetrics) collectMemory(memory job.Memory, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64, ...string)) {
	gauge(m.budget, float64(memory.Budget))
	gauge(m.resident, float64(memory.Resident))
	gauge(m.outside, float64(memory.State))
	gauge(m.onDisk, float64(memory.OnDisk))
	counter(m.aside, memory.SetAside)
}

// Collect implements prometheus.Collector.
func (m *engineMetrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	seconds := func(d *prometheus.Desc, v time.Duration, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v.Seconds(), labels...)
	}
	eng, snap := m.srv.Engine(), m.srv.Catalog().Snapshot()
	for _, s := range snap.Streams() {
		st, ok := eng.Stream(s.ID)
		if !ok {
			continue
		}
		counter(m.rows, st.Rows, s.Name)
		counter(m.rejected, st.Rejected, s.Name)
		counter(m.late, st.Late, s.Name)
		counter(m.bytes, st.Bytes, s.Name)
		gauge(m.pending, float64(st.Pending), s.Name)
		if s.Connector == "" {
			gauge(m.logBytes, float64(st.Log.SizeBytes), s.Name)
			gauge(m.logSegments, float64(st.Log.Segments), s.Name)
			gauge(m.logQueue, float64(st.Log.QueueBytes), s.Name)
			counter(m.logCorrupt, st.Log.Corrupt, s.Name)
			counter(m.logFailures, st.Log.Failures, s.Name)
			counter(m.logSyncs, st.Log.Syncs, s.Name)
			seconds(m.logSyncTime, time.Duration(st.Log.SyncMicros)*time.Microsecond, s.Name)
		}
		if st.Watermark > 0 {
			gauge(m.lag, time.Since(time.UnixMicro(st.Watermark)).Seconds(), s.Name)
		}
	}
	for _, q := range snap.Queries() {
		if st, ok := eng.Query(q.ID); ok {
			counter(m.alerts, st.RowsOut, q.Name)
			left := int64(0)
			if b := st.Backfill; b != nil {
				left = b.Total - b.Done
			}
			gauge(m.backfill, float64(left), q.Name)
		}
	}
	m.collectCosts(ch)
	m.sinks.collect(m.srv, ch)
	storage := eng.Storage()
	gauge(m.storeDisk, float64(storage.DiskBytes))
	gauge(m.storeMem, float64(storage.MemBytes))
	gauge(m.storeCache, float64(storage.CacheBytes))
	gauge(m.tails, float64(storage.ResultTails))
	gauge(m.results, float64(storage.Results))
	gauge(m.resultsMax, float64(storage.ResultsMax))
	counter(m.storeRetries, storage.Retries)
	counter(m.storeSyncs, storage.Syncs)
	counter(m.storeSlow, storage.SlowSyncs)
	seconds(m.storeSyncTime, storage.SyncTime)
	m.collectMemory(eng.Memory(), gauge, counter)
	counter(m.panics, eng.IndexPanics())
	gauge(m.epoch, float64(eng.Committed()))
	ready := 1.0
	if eng.Ready() != nil {
		ready = 0
	}
	gauge(m.ready, ready)
	if free, ok := eng.FreeBytes(); ok {
		gauge(m.free, float64(free))
	}
}

// collectCosts tells what queries and streams cost.
func (m *engineMetrics) collectCosts(ch chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	costs, snap := m.srv.Engine().Costs(), m.srv.Catalog().Snapshot()
	for _, q := range snap.Queries() {
		c := costs.Queries[q.ID]
		tell(m.queryCPU, prometheus.CounterValue, c.CPU.Seconds(), q.Name)
		tell(m.rowsIn, prometheus.CounterValue, float64(c.RowsIn), q.Name)
		tell(m.state, prometheus.GaugeValue, float64(c.Bytes), q.Name)
		tell(m.keys, prometheus.GaugeValue, float64(c.Keys), q.Name)
	}
	for _, s := range snap.Streams() {
		tell(m.streamCPU, prometheus.CounterValue, costs.Streams[s.ID].CPU.Seconds(), s.Name)
	}
	tell(m.serverCPU, prometheus.CounterValue, costs.Server.CPU.Seconds())
}
