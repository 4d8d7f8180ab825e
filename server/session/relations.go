package session

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// sysRelation is one relation of schema vigil.
type sysRelation struct {
	name string
	cols string // "name type, ..."
	rows func(srv *Server, add func([]types.Value) error) error
}

// sysRelations is the table of the system relations.
func sysRelations() []sysRelation {
	return []sysRelation{
		{"streams", "name text, connector text, format text, rows bigint, rejected bigint, late bigint, bytes bigint, watermark timestamptz, " +
			"pending_bytes bigint, lag bigint, status text, last_error text, created_at timestamptz", (*Server).streamRows},
		{"sources", "stream text, connector text, status text, last_error text, rows bigint, bytes bigint, " +
			"rows_per_s float8, partitions integer, lag bigint", (*Server).sourceRows},
		{"queries", "name text, state text, reason text, severity text, tags text, rows_out bigint, late_rows bigint, next_offset bigint, result_bytes bigint, " +
			"created_at timestamptz, sql text, progress float8", (*Server).queryRows},
		{"query_events", "at timestamptz, query text, what text, code text, reason text, detail text, epoch bigint, function text", (*Server).eventRows},
		{"ioc_lists", "name text, type text, entries bigint, version bigint, filter_bytes bigint, source text, refreshed_at timestamptz, last_error text, next_refresh timestamptz", (*Server).listRows},
		{"functions", "name text, arguments text, returns text, language text, state text, reason text, sql text, " +
			"detail text, deactivated_at timestamptz, volatility text, timeout_ms float8, memory bigint, stack integer, max_output bigint, on_error text, " +
			"calls bigint, rows bigint, errors bigint, violations bigint", (*Server).functionRows},
		{"rejected", "at timestamptz, stream text, query text, code text, reason text, raw text, epoch bigint", (*Server).rejectedRows},
		{"epochs", "epoch bigint, clock timestamptz, inputs integer, restarted boolean", (*Server).epochRows},
		{"tables", "name text, key text, rows bigint, sql text", (*Server).tableRows},
		{"query_costs", "name text, kind text, cpu_ms float8, cpu_ms_per_s float8, cpu_share float8, rows_in bigint, " +
			"rows_out bigint, rows_per_min float8, rows_withheld bigint, input_withheld bigint, state_bytes bigint, keys bigint", (*Server).costRows},
		{"source_partitions", "stream text, partition integer, position bigint, high_watermark bigint, lag bigint", (*Server).partitionRows},
		{"sinks", "name text, query text, connector text, target text, state text, cursor text, next_offset bigint, lag_rows bigint, rows bigint, " +
			"dead_letters bigint, missed_rows bigint, last_error text, last_error_at timestamptz, since timestamptz, created_at timestamptz, comment text", (*Server).sinkRows},
		{"sink_dead_letters", "at timestamptz, sink text, id text, code text, reason text, body text", (*Server).deadRows},
		{"udf_log", "at timestamptz, function text, line text", (*Server).logRows},
	}
}

// vigilIDs is where the ids of the system relations begin: above those of users' objects, below the oid limit.
const vigilIDs = 1 << 30

// vigilRelations are the system relations as the catalogue knows them.
func vigilRelations() []*catalog.Virtual {
	var list []*catalog.Virtual
	for i, r := range sysRelations() {
		v := &catalog.Virtual{SchemaName: "vigil", Name: r.name, ID: vigilIDs + uint64(i)}
		for _, c := range strings.Split(r.cols, ", ") {
			name, typ, _ := strings.Cut(c, " ")
			k, _ := types.KindByName(typ)
			v.Columns.Cols = append(v.Columns.Cols, types.Column{Name: name, Type: types.T(k)})
		}
		list = append(list, v)
	}
	return list
}

// vigilRows produces the rows of a system relation.
func (srv *Server) vigilRows(name string, add func([]types.Value) error) error {
	for _, r := range sysRelations() {
		if r.name == name {
			return r.rows(srv, add)
		}
	}
	return sqlerr.New(sqlerr.UndefinedTable, "relation \"vigil.%s\" does not exist", name)
}

func text(s string) types.Value { return types.NewText(s) }

// textOrNull is NULL for "".
func textOrNull(s string) types.Value {
	if s == "" {
		return types.Null(types.T(types.Text))
	}
	return types.NewText(s)
}

func big(i int64) types.Value { return types.NewInt(types.Int8, i) }

// bigOrNull is NULL for what is not known, -1.
func bigOrNull(i int64) types.Value {
	if i < 0 {
		return types.Null(types.T(types.Int8))
	}
	return big(i)
}

func at(micros int64) types.Value { return types.NewTime(types.EventTime(micros)) }

func (srv *Server) streamRows(add func([]types.Value) error) error {
	for _, s := range srv.cat.Snapshot().Streams() {
		st, _ := srv.eng.Stream(s.ID)
		wm := at(st.Watermark)
		if s.TimeCol < 0 || st.Watermark == 0 || st.Watermark == int64(types.MinTime) {
			wm = types.Null(types.T(types.TimestampTZ))
		}
		if err := add([]types.Value{text(s.Name), textOrNull(s.Connector), text(s.Format), big(st.Rows), big(st.Rejected), big(st.Late),
			big(st.Bytes), wm, big(st.Pending), bigOrNull(st.Lag), text(st.Status), textOrNull(st.LastError), at(int64(s.Created))}); err != nil {
			return err
		}
	}
	return nil
}

func (srv *Server) sourceRows(add func([]types.Value) error) error {
	rates := srv.eng.Costs().RowsPerSecond
	for _, s := range srv.cat.Snapshot().Streams() {
		if s.Connector == "" {
			continue
		}
		st, _ := srv.eng.Stream(s.ID)
		if err := add([]types.Value{text(s.Name), text(s.Connector), text(st.Status), textOrNull(st.LastError), big(st.Rows), big(st.Bytes),
			types.NewFloat(rates[s.ID]), types.NewInt(types.Int4, int64(len(st.Positions))), bigOrNull(st.Lag)}); err != nil {
			return err
		}
	}
	return nil
}

// partitionRows tell how far each partition of a connector's stream has been read.
func (srv *Server) partitionRows(add func([]types.Value) error) error {
	for _, s := range srv.cat.Snapshot().Streams() {
		st, _ := srv.eng.Stream(s.ID)
		for _, p := range st.Positions {
			if err := add([]types.Value{text(s.Name), types.NewInt(types.Int4, int64(p.Split)), big(p.Next), bigOrNull(p.End), bigOrNull(p.Lag())}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (srv *Server) queryRows(add func([]types.Value) error) error {
	l, loading := srv.eng.Loading()
	for _, q := range srv.cat.Snapshot().Queries() {
		st, _ := srv.eng.Query(q.ID)
		state, progress := string(q.State), types.Null(types.T(types.Float8))
		if loading && q.State == catalog.Running {
			state, progress = job.StateLoading, types.NewFloat(l.Fraction())
		} else if b := st.Backfill; b != nil && !b.Ended && q.State == catalog.Running {
			state, progress = job.StateBackfilling, types.NewFloat(float64(b.Done)/float64(max(b.Total, 1)))
		}
		if err := add([]types.Value{text(q.Name), text(state), textOrNull(cmp.Or(q.Reason, st.Throttled)), textOrNull(q.Options["severity"]),
			textOrNull(q.Options["tags"]), big(st.RowsOut), big(st.Late), big(srv.eng.Results().Next(q.ID)), big(srv.eng.ResultBytes(q.ID)), at(int64(q.Created)), text(q.SQL), progress}); err != nil {
			return err
		}
	}
	return nil
}

func (srv *Server) eventRows(add func([]types.Value) error) error {
	return srv.meta.Events.Scan(0, func(_ uint64, data []byte) (bool, error) {
		e, err := job.DecodeEvent(data)
		if err != nil {
			return false, err
		}
		return true, add([]types.Value{at(e.At), textOrNull(e.Name), text(e.What), textOrNull(e.Code), textOrNull(e.Reason), textOrNull(e.Detail),
			big(int64(e.Epoch)), textOrNull(e.Function)})
	})
}

func (srv *Server) listRows(add func([]types.Value) error) error {
	set := srv.eng.IOC()
	for _, l := range srv.cat.Snapshot().Lists() {
		last, refreshedAt := srv.feeds.of(l.ID), types.Null(types.T(types.TimestampTZ))
		if last.at != 0 {
			refreshedAt = types.NewTime(last.at)
		}
		next := types.Null(types.T(types.TimestampTZ))
		if l.Refresh != 0 {
			next = types.NewTime(max(last.due(l.Refresh), srv.clock()))
		}
		if err := add([]types.Value{text(l.Name), text(l.Type), big(int64(set.Len(l.Name))), big(int64(set.Version(l.Name))),
			big(set.FilterBytes(l.Name)), textOrNull(l.Options["source"]), refreshedAt, textOrNull(last.failed), next}); err != nil {
			return err
		}
	}
	return nil
}

func (srv *Server) rejectedRows(add func([]types.Value) error) error {
	snap := srv.cat.Snapshot()
	name := func(id uint64) types.Value {
		if r := snap.ByID(id); id != 0 && r != nil {
			return text(r.RelName())
		}
		return types.Null(types.T(types.Text))
	}
	return srv.meta.Rejected.Scan(0, func(_ uint64, data []byte) (bool, error) {
		r, err := job.DecodeRejected(data)
		if err != nil {
			return false, err
		}
		return true, add([]types.Value{at(r.At), name(r.Stream), name(r.Query), text(r.Code), text(r.Reason), text(printable(r.Raw)), big(int64(r.Epoch))})
	})
}

// printable is bytes as text that Postgres clients take.
func printable(b []byte) string {
	raw := strings.ReplaceAll(string(b), "\x00", `\x00`)
	if !utf8.ValidString(raw) {
		raw = strings.ToValidUTF8(raw, "\uFFFD")
	}
	return raw
}

func (srv *Server) epochRows(add func([]types.Value) error) error {
	return srv.eng.Epochs(func(n uint64, clock types.EventTime, inputs int, restarted bool) error {
		return add([]types.Value{big(int64(n)), at(int64(clock)), types.NewInt(types.Int4, int64(inputs)), types.NewBool(restarted)})
	})
}
