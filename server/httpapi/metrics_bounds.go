package httpapi

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/server/session"
)

// figure is a metric that is read from the server when it is scraped; labels names its labels, with a blank in between.
type figure struct {
	name, help, labels string
	kind               prometheus.ValueType
	read               func(srv *session.Server, emit func(v float64, label ...string))
}

const (
	gaugeKind   = prometheus.GaugeValue
	counterKind = prometheus.CounterValue
)

// figures is the table of the metrics of what is bounded: journals, queues, checkpoints, subscriptions.
func figures() []figure {
	one := func(read func(srv *session.Server) float64) func(*session.Server, func(float64, ...string)) {
		return func(srv *session.Server, emit func(float64, ...string)) { emit(read(srv)) }
	}
	return append([]figure{
		{"checkpoints_total", "Checkpoints of keyed state since the server started.", "", counterKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Checkpoints().Done) })},
		{"checkpoint_failures_total", "Checkpoints that could not be written.", "", counterKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Checkpoints().Failed) })},
		{"checkpoint_bytes_total", "State that checkpoints have written.", "", counterKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Checkpoints().Bytes) })},
		{"checkpoint_last_bytes", "State that the newest checkpoint has written.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Checkpoints().LastBytes) })},
		{"checkpoint_last_seconds", "How long the newest checkpoint took to be written.", "", gaugeKind,
			one(func(s *session.Server) float64 { return s.Engine().Checkpoints().Last.Seconds() })},
		{"checkpoint_age_seconds", "Time since the newest checkpoint was complete, or the server started.", "", gaugeKind,
			one(func(s *session.Server) float64 { return time.Since(s.Engine().Checkpoints().Ended).Seconds() })},
		{"checkpoint_pause_max_seconds", "Longest time that a worker stood still for a checkpoint.", "", gaugeKind,
			one(func(s *session.Server) float64 { return s.Engine().Checkpoints().Pause.Seconds() })},
		{"subscriptions", "Subscriptions that follow a query.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().Live) })},
		{"subscription_behind_max_rows", "Rows that the slowest subscription has not read.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().BehindMax) })},
		{"notification_queue", "Notifications that wait for clients that LISTEN.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().Notifications) })},
		{"notification_queue_bytes", "Their payload.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().NotificationBytes) })},
		{"fed_rows", "Committed rows that wait for queries that read other queries.", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().FedRows()) })},
		{"subscription_overtaken_total", "Times that a reader of results came to rows that had been dropped.", "", counterKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().Overtaken) })},
		{"subscription_missed_rows_total", "How many rows those were.", "", counterKind,
			one(func(s *session.Server) float64 { return float64(s.Subscriptions().Missed) })},
		{"journal_max_rows", "Rows that each journal may keep (--journal-rows).", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Meta().JournalBounds().Rows) })},
		{"journal_max_bytes", "Size that each journal may have (--journal-mb).", "", gaugeKind,
			one(func(s *session.Server) float64 { return float64(s.Engine().Meta().JournalBounds().Bytes) })},
	}, append(listFigures(), trimFigures()...)...)
}

// listFigures are those with a label.
func listFigures() []figure {
	return []figure{
		{"queue_items", "What waits in a queue of the engine.", "queue", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, q := range srv.Engine().Queues() {
				emit(float64(q.Waiting), q.Name)
			}
		}},
		{"queue_max_items", "What may wait in a queue of the engine.", "queue", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, q := range srv.Engine().Queues() {
				emit(float64(q.Max), q.Name)
			}
		}},
		{"stream_lag_records", "Records that brokers have and the stream has not read.", "stream", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, s := range srv.Catalog().Snapshot().Streams() {
				switch st, ok := srv.Engine().Stream(s.ID); {
				case !ok || s.Connector == "":
				case st.Lag < 0:
					emit(math.NaN(), s.Name)
				default:
					emit(float64(st.Lag), s.Name)
				}
			}
		}},
		{"query_result_bytes", "What is kept of the query's result.", "query", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, q := range srv.Catalog().Snapshot().Queries() {
				emit(float64(srv.Engine().ResultBytes(q.ID)), q.Name)
			}
		}},
		{"journal_rows", "Rows kept of what was rejected, came late, or happened to queries.", "journal", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for name, f := range srv.Engine().Meta().Journals() {
				emit(float64(f.Rows), name)
			}
		}},
		{"journal_bytes", "Size of what is kept.", "journal", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for name, f := range srv.Engine().Meta().Journals() {
				emit(float64(f.Bytes), name)
			}
		}},
	}
}

// What broke a bound, in the label "by".
const (
	bySize     = "size"
	byAge      = "age"
	byTogether = "together" // all results take too much
	byBurst    = "burst"    // too many at a time
)

// trimFigures are of what was dropped, by what bound, and of bounds that each stream and query has of its own.
func trimFigures() []figure {
	return []figure{
		{"journal_dropped_total", "Rows that went because of the bounds, or were too many at a time to be kept.", "journal by", counterKind, func(srv *session.Server, emit func(float64, ...string)) {
			for name, f := range srv.Engine().Meta().Journals() {
				emit(float64(f.Large), name, bySize)
				emit(float64(f.Old), name, byAge)
				emit(float64(f.Skipped), name, byBurst)
			}
		}},
		{"eventlog_max_bytes", "What the event log may take (retention_bytes); 0 where there is no bound.", "stream", gaugeKind, eachLog(func(st *job.StreamStatus, emit func(float64, ...string)) {
			emit(float64(st.LogMax))
		})},
		{"eventlog_dropped_bytes_total", "Records of the event log that went because of its bounds.", "stream by", counterKind, eachLog(func(st *job.StreamStatus, emit func(float64, ...string)) {
			emit(float64(st.Log.TrimmedLarge), bySize)
			emit(float64(st.Log.TrimmedOld), byAge)
		})},
		{"query_result_max_bytes", "What may be kept of the query's result (retention_bytes); 0 where there is no bound.", "query", gaugeKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, q := range srv.Catalog().Snapshot().Queries() {
				if st, ok := srv.Engine().Query(q.ID); ok {
					emit(float64(st.ResultMax), q.Name)
				}
			}
		}},
		{"query_result_dropped_rows_total", "Rows of the query's result that went because of the bounds.", "query by", counterKind, func(srv *session.Server, emit func(float64, ...string)) {
			for _, q := range srv.Catalog().Snapshot().Queries() {
				t := srv.Engine().Results().Trimmed(q.ID)
				emit(float64(t.Large), q.Name, bySize)
				emit(float64(t.Old), q.Name, byAge)
				emit(float64(t.Together), q.Name, byTogether)
			}
		}},
	}
}

// eachLog calls read for each stream with an event log; the first label is its name.
func eachLog(read func(st *job.StreamStatus, emit func(float64, ...string))) func(*session.Server, func(float64, ...string)) {
	return func(srv *session.Server, emit func(float64, ...string)) {
		for _, s := range srv.Catalog().Snapshot().Streams() {
			if st, ok := srv.Engine().Stream(s.ID); ok && s.Connector == "" {
				read(&st, func(v float64, labels ...string) { emit(v, append([]string{s.Name}, labels...)...) })
			}
		}
	}
}

// figureMetrics is the collector of figures.
type figureMetrics struct {
	srv   *session.Server
	list  []figure
	descs []*prometheus.Desc
}

func newFigureMetrics(srv *session.Server) *figureMetrics {
	m := &figureMetrics{srv: srv, list: figures()}
	for _, f := range m.list {
		m.descs = append(m.descs, prometheus.NewDesc("vigil_"+f.name, f.help, strings.Fields(f.labels), nil))
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *figureMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *figureMetrics) Collect(ch chan<- prometheus.Metric) {
	for i, f := range m.list {
		f.read(m.srv, func(v float64, label ...string) { ch <- prometheus.MustNewConstMetric(m.descs[i], f.kind, v, label...) })
	}
}
