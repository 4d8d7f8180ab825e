package pgcatalog

import (
	"context"
	"net/netip"

	"github.com/vigil-sql/vigil/executor/types"
)

// Activity is implemented by sources that know the connections, for pg_stat_activity.
type Activity interface {
	Backends(ctx context.Context) []Backend
}

// Backend is one connection. Times that are zero and an invalid Client are NULL.
type Backend struct {
	PID                     int32
	User, Application       string
	Client                  netip.AddrPort
	Started, XactStart      types.EventTime
	QueryStart, StateChange types.EventTime
	State, Query            string // State as Postgres spells it: "active", "idle", "idle in transaction", ..
}

func (c *Catalog) pgStatActivity(ctx context.Context, w *writer) error {
	src, ok := c.src.(Activity)
	if !ok {
		return nil
	}
	for _, b := range src.Backends(ctx) {
		f := fields{"datid": databaseOID, "datname": databaseName, "pid": b.PID, "usesysid": OwnerOID, "usename": b.User,
			"application_name": b.Application, "backend_start": b.Started, "state": b.State, "query": b.Query,
			"backend_type": "client backend"}
		if r := c.src.Snapshot().Role(b.User); r != nil {
			f["usesysid"] = roleOID(r.Number())
		}
		if b.Client.IsValid() {
			addr, err := types.ParseText(types.T(types.Inet), b.Client.Addr().Unmap().WithZone("").String(), nil)
			if err != nil {
				return err
			}
			f["client_addr"], f["client_port"] = addr, int(b.Client.Port())
		}
		for name, at := range map[string]types.EventTime{"xact_start": b.XactStart, "query_start": b.QueryStart, "state_change": b.StateChange} {
			if at != 0 {
				f[name] = at
			}
		}
		if b.State != "active" {
			f["wait_event_type"], f["wait_event"] = "Client", "ClientRead"
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// Connection is what pg_cursors and pg_prepared_statements show of the connection that asks. It travels in the context:
// see WithConnection.
type Connection interface {
	Cursors() []Cursor
	Prepared() []Prepared
}

// Cursor is a row of pg_cursors.
type Cursor struct {
	Name, Text   string
	Hold, Scroll bool
	At           types.EventTime
}

// Prepared is a row of pg_prepared_statements; SQL: by PREPARE, not by a message of the protocol.
type Prepared struct {
	Name, Text string
	At         types.EventTime
	Params     []types.Type
	SQL        bool
}

type connectionKey struct{}

// WithConnection gives Rows the connection that asks.
func WithConnection(ctx context.Context, c Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

func (c *Catalog) pgCursors(ctx context.Context, w *writer) error {
	conn, ok := ctx.Value(connectionKey{}).(Connection)
	if !ok {
		return nil
	}
	for _, x := range conn.Cursors() {
		err := w.add(fields{"name": x.Name, "statement": x.Text, "is_holdable": x.Hold, "is_binary": false, "is_scrollable": x.Scroll, "creation_time": x.At})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgPreparedStatements(ctx context.Context, w *writer) error {
	conn, ok := ctx.Value(connectionKey{}).(Connection)
	if !ok {
		return nil
	}
	for _, x := range conn.Prepared() {
		oids := make([]int64, len(x.Params))
		for i, t := range x.Params {
			oids[i] = int64(t.OID())
		}
		err := w.add(fields{"name": x.Name, "statement": x.Text, "prepare_time": x.At, "parameter_types": oids, "from_sql": x.SQL, "generic_plans": 0, "custom_plans": 0})
		if err != nil {
			return err
		}
	}
	return nil
}
