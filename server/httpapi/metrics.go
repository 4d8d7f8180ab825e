package httpapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/vigil-sql/vigil/server/session"
)

// engineMetrics reads the engine's counters when it is scraped.
type engineMetrics struct {
	srv                                               *session.Server
	rows, rejected, late, bytes, lag, pending, alerts *prometheus.Desc
	epoch, ready                                      *prometheus.Desc
}

func registry(srv *session.Server) *prometheus.Registry {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("vigil_"+name, help, labels, nil)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &engineMetrics{
		srv:      srv,
		rows:     desc("stream_rows_total", "Rows decoded since the server started.", "stream"),
		rejected: desc("stream_rejected_total", "Records rejected since the server started.", "stream"),
		late:     desc("stream_late_total", "Rows that came after their windows had closed.", "stream"),
		bytes:    desc("stream_bytes_total", "Payload bytes taken in since the server started.", "stream"),
		lag:      desc("stream_watermark_lag_seconds", "Clock minus watermark.", "stream"),
		pending:  desc("stream_pending_bytes", "Bytes of the event log that wait to be processed.", "stream"),
		alerts:   desc("query_rows_total", "Result rows since the server started.", "query"),
		epoch:    desc("epoch", "Number of the last committed epoch."),
		ready:    desc("ready", "1 while the engine runs."),
	})
	return r
}

// Describe implements prometheus.Collector.
func (m *engineMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.rows, m.rejected, m.late, m.bytes, m.lag, m.pending, m.alerts, m.epoch, m.ready} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *engineMetrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
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
		if st.Watermark > 0 {
			gauge(m.lag, time.Since(time.UnixMicro(st.Watermark)).Seconds(), s.Name)
		}
	}
	for _, q := range snap.Queries() {
		if st, ok := eng.Query(q.ID); ok {
			counter(m.alerts, st.RowsOut, q.Name)
		}
	}
	gauge(m.epoch, float64(eng.Committed()))
	ready := 1.0
	if eng.Err() != nil {
		ready = 0
	}
	gauge(m.ready, ready)
}
