package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vigil-sql/vigil/executor/sink"
	"github.com/vigil-sql/vigil/server/session"
)

// sinkMetrics are the figures of each sink.
type sinkMetrics []sinkMetric

type sinkMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(st sink.Status) float64
}

func newSinkMetrics(desc func(name, help string, labels ...string) *prometheus.Desc) sinkMetrics {
	metric := func(name, help string, kind prometheus.ValueType, of func(st sink.Status) float64) sinkMetric {
		return sinkMetric{desc("sink_"+name, help, "sink"), kind, of}
	}
	return sinkMetrics{
		metric("rows_total", "Rows delivered since the sink was created.", prometheus.CounterValue, func(st sink.Status) float64 { return float64(st.Rows) }),
		metric("lag_rows", "Rows of the query that are not delivered yet.", prometheus.GaugeValue, func(st sink.Status) float64 { return float64(st.Lag) }),
		metric("dead_letters_total", "Rows that the target refused for good, since the sink was created.", prometheus.CounterValue, func(st sink.Status) float64 { return float64(st.Dead) }),
		metric("missed_total", "Rows that the query's retention removed before they were delivered, since the sink was created.", prometheus.CounterValue, func(st sink.Status) float64 { return float64(st.Missed) }),
		metric("errors_total", "Attempts that failed since the server started.", prometheus.CounterValue, func(st sink.Status) float64 { return float64(st.Errors) }),
		metric("running", "1 while the sink delivers, 0 while it is paused or its target fails.", prometheus.GaugeValue, func(st sink.Status) float64 {
			if st.State == sink.Running {
				return 1
			}
			return 0
		}),
	}
}

func (m sinkMetrics) collect(srv *session.Server, ch chan<- prometheus.Metric) {
	for _, k := range srv.Catalog().Snapshot().Sinks() {
		st, ok := srv.SinkStatus(k.ID)
		if !ok {
			continue
		}
		for _, x := range m {
			ch <- prometheus.MustNewConstMetric(x.desc, x.kind, x.of(st), k.Name)
		}
	}
}
