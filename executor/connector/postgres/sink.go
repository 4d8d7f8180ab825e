// Package postgres puts the results of queries into a table of a PostgreSQL server. See docs/design/0007-sinks.md.
package postgres

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// SinkDef is the sink's registry entry.
func SinkDef() connector.SinkDef {
	d := connector.SinkDef{
		Name: "postgres",
		Doc: "Inserts rows into a table of a PostgreSQL server, in transactions that carry the sink's position, so that each row is there once, whatever " +
			"is killed. The table has a column for each of the query's; a column named as option id says gets the row's id. With a key, the table is kept as " +
			"the query's result is: rows are inserted, updated and deleted. Rows that the table refuses become dead letters.",
		Params: []connector.Param{
			{Name: "url", Doc: "postgres://user:password@host:port/database?sslmode=verify-full"},
			{Name: "table", Doc: "the table's name, with its schema where the search path does not lead to it; it must be there"},
			{Name: "key", Doc: "columns by which rows are told apart, separated by commas; the table must have a unique index on just these"},
			{Name: "positions", Default: positionsDefault, Doc: "the table that keeps the positions of sinks; it is made if it is not there"},
			{Name: "timeout", Default: "30 seconds", Doc: "for a transaction"},
		},
		Secrets: []string{"url"},
		Batch:   1000,
		Check:   func(o connector.SinkOptions) error { _, err := newTable(o); return err },
		Target: func(o connector.SinkOptions) string {
			t, err := newTable(o)
			if err != nil {
				return ""
			}
			return "postgres://" + t.host() + "/" + t.config.Database + " " + t.name
		},
	}
	d.New = func(o connector.SinkOptions) (connector.Sink, error) { return newTable(o) }
	return d
}

const positionsDefault = "vigil_sink_positions"

// opField is the field of a row that names its operation; see package sink.
const opField = "vigil_op"

// connectMax bounds what Open waits for.
const connectMax = 30 * time.Second

// table is the Sink.
type table struct {
	o         connector.SinkOptions
	config    *pgx.ConnConfig
	name      string
	positions string
	keys      []string
	timeout   time.Duration

	conn *pgx.Conn
	sql  statements
	// taken is how often the position was taken over: of an earlier connection no transaction commits any more.
	taken int64
	query uint64
	buf   []byte
	marks map[string]int // scratch of collapse
}

var _ connector.Sink = (*table)(nil)

func newTable(o connector.SinkOptions) (*table, error) {
	v := &connector.Values{Connector: "postgres", Params: o.Params}
	t := &table{o: o, name: v.Needed("table"), positions: v.Text("positions", positionsDefault), timeout: v.Duration("timeout", 30*time.Second, time.Millisecond, time.Hour)}
	text := v.Needed("url")
	if v.Err != nil {
		return nil, v.Err
	}
	if o.ContentType != "" && o.ContentType != "application/json" {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector postgres fills columns and needs FORMAT JSON").WithHint("Leave FORMAT out.")
	}
	for key := range strings.SplitSeq(v.Text("key", ""), ",") {
		if key = strings.TrimSpace(key); key != "" {
			t.keys = append(t.keys, key)
		}
	}
	var err error
	t.config, err = configOf(text)
	return t, err
}

// configOf reads the URL. Nothing but the URL says who vigil is there: not the server's environment, nor files of passwords.
func configOf(text string) (*pgx.ConnConfig, error) {
	wrong := func(why string) error {
		return sqlerr.New(sqlerr.InvalidParameterValue, `option "url" of connector postgres %s`, why).WithHint("Write url = 'postgres://user:password@host:5432/database'.")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		return nil, wrong("must be a URL of postgres")
	case u.Host == "" && !u.Query().Has("host") || u.User.Username() == "":
		return nil, wrong("must name a host and a user")
	}
	for _, p := range []string{"service", "servicefile", "passfile"} {
		if u.Query().Has(p) {
			return nil, wrong("must not have the parameter " + p)
		}
	}
	config, err := pgx.ParseConfig(text)
	if err != nil { // its text has the URL
		return nil, wrong("cannot be read")
	}
	config.Password, _ = u.User.Password()
	config.RuntimeParams["application_name"] = "vigil"
	return config, nil
}

// Close implements connector.Sink.
func (t *table) Close() error {
	if t.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.conn.Close(ctx) // what is not committed is given again
	t.conn = nil
	return nil
}

// Open implements connector.Sink. Taking the position over waits for the end of a transaction that an earlier connection is just
// committing, and has those fail that come later.
func (t *table) Open(ctx context.Context, at connector.SinkPosition) (connector.SinkPosition, error) {
	_ = t.Close()
	ctx, cancel := context.WithTimeout(ctx, connectMax)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.config)
	if err != nil {
		return at, t.failure(err)
	}
	t.conn, t.query = conn, at.Query
	positions, err := t.makePositions(ctx)
	if err != nil {
		return at, t.failure(err)
	}
	if err := t.prepare(ctx, positions); err != nil {
		return at, t.failure(err)
	}
	var query, next int64
	err = conn.QueryRow(ctx, "INSERT INTO "+positions+` AS p (sink, query, next, taken) VALUES ($1, $2, $3, 1)
		ON CONFLICT (sink) DO UPDATE SET taken = p.taken + 1 RETURNING query, next, taken`,
		t.o.Server+"/"+strconv.FormatUint(t.o.ID, 10), int64(at.Query), at.Next).Scan(&query, &next, &t.taken)
	if err != nil {
		return at, t.failure(err)
	}
	if uint64(query) == at.Query {
		at.Next = next
	}
	return at, nil
}

// makePositions makes the table of positions if it is not there, and returns its name in SQL.
func (t *table) makePositions(ctx context.Context) (string, error) {
	name, err := t.regclass(ctx, t.positions)
	if err != nil || name != "" {
		return name, err
	}
	_, err = t.conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+quoted(t.positions)+
		" (sink text PRIMARY KEY, query bigint NOT NULL, next bigint NOT NULL, taken bigint NOT NULL)")
	if err != nil {
		return "", err
	}
	return t.regclass(ctx, t.positions)
}

// quoted is a name, with or without a schema, that SQL reads as the catalogue has it.
func quoted(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// regclass is a table's name as SQL has it; "": there is none.
func (t *table) regclass(ctx context.Context, name string) (string, error) {
	var found *string
	err := t.conn.QueryRow(ctx, "SELECT to_regclass($1)::text", quoted(name)).Scan(&found)
	if err != nil || found == nil {
		return "", err
	}
	return *found, nil
}

// Deliver implements connector.Sink.
func (t *table) Deliver(ctx context.Context, rows []connector.SinkRow) (connector.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	d := connector.Delivery{Done: len(rows)}
	err := pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, t.sql.move, t.o.Server+"/"+strconv.FormatUint(t.o.ID, 10), t.taken, int64(t.query), rows[len(rows)-1].Offset+1)
		switch {
		case err != nil:
			return err
		case tag.RowsAffected() == 0:
			return errTaken
		}
		return t.some(ctx, tx, span{rows, 0}, &d)
	})
	if err != nil {
		return connector.Delivery{}, t.failure(err)
	}
	return d, nil
}

var errTaken = errors.New("the sink's position was taken over by another connection")

// span is some of the rows of a delivery, from one on.
type span struct {
	rows []connector.SinkRow
	from int
}

// some puts rows into the table. When the table refuses them, it tries half of them, and so on, until it is known which are at fault.
func (t *table) some(ctx context.Context, tx pgx.Tx, s span, d *connector.Delivery) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return t.put(ctx, tx, s.rows) })
	refused, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		return nil
	case !ok || !blamesRows(refused.Code):
		return err
	case len(s.rows) == 1:
		d.Dead = append(d.Dead, connector.DeadLetter{Row: s.from, Code: refused.Code, Reason: t.host() + " refused the row: " + refused.Message})
		return nil
	}
	half := len(s.rows) / 2
	if err := t.some(ctx, tx, span{s.rows[:half], s.from}, d); err != nil {
		return err
	}
	return t.some(ctx, tx, span{s.rows[half:], s.from + half}, d)
}

// blamesRows tells whether an error is one of the rows' values: data, constraints, sizes, and what triggers raise.
func blamesRows(code string) bool {
	return slices.Contains([]string{"22", "23", "54", "P0"}, code[:min(2, len(code))])
}

func (t *table) host() string {
	return net.JoinHostPort(t.config.Host, strconv.Itoa(int(t.config.Port)))
}

// failure is an error as vigil.sinks tells it.
func (t *table) failure(err error) error {
	if _, ok := errors.AsType[*sqlerr.Error](err); ok {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		failed := sqlerr.New(sqlerr.ConnectionFailure, "%s answered: %s (SQLSTATE %s)", t.host(), e.Message, e.Code)
		if e.Code == "42P10" {
			return failed.WithHint("Option key needs a unique index on just these columns: CREATE UNIQUE INDEX ON %s (%s).", t.name, quotedColumns(t.keys))
		}
		return failed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return sqlerr.New(sqlerr.ConnectionFailure, "no answer from %s in time", t.host())
	}
	return sqlerr.New(sqlerr.ConnectionFailure, "%s: %v", t.host(), err)
}
