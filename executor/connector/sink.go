package connector

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// SinkRow is one change of a query's result, written out in the sink's format.
type SinkRow struct {
	// Offset is the row's place in the changelog.
	Offset int64
	// Clock is that of the row's epoch, microseconds.
	Clock int64
	// ID tells the row from all others, for ever: the number of the query, a colon, the offset.
	ID string
	// Key is the text of the columns that option key names; nil: it names none, or they are all NULL.
	Key []byte
	// Body is the row in the sink's format, without a line's end.
	Body []byte
	// Severity is from 0 to 10, for formats and targets that have such a thing.
	Severity int
	// Op is what the change is.
	Op batch.Op
}

// SinkPosition is where a sink stands: all rows of the query before Next are with the target.
type SinkPosition struct {
	Query uint64
	Next  int64
	// State is what the connector itself has to know to go on; nil at first.
	State []byte
}

// Delivery is what became of rows.
type Delivery struct {
	// Done is how many of the rows, from the first on, need not be given again: with the target, or among Dead.
	Done int
	// State is the connector's state after those.
	State []byte
	// Dead are the rows that the target refuses for good.
	Dead []DeadLetter
}

// DeadLetter is a row that a target refuses for good, and why.
type DeadLetter struct {
	Row    int // which of the rows given
	Code   string
	Reason string
}

// Sink puts rows into a target outside. One goroutine calls it; Close is safe after a failed Open and twice.
type Sink interface {
	// Open gets ready to go on from at, which is what was made durable here, and returns where the target stands: a target that keeps
	// the position itself knows better.
	Open(ctx context.Context, at SinkPosition) (SinkPosition, error)
	// Deliver returns when the rows are durable with the target. After an error the caller closes the sink and opens it again, with the
	// position after Delivery.Done rows; rows that are given again have the same ID and the same Body.
	Deliver(ctx context.Context, rows []SinkRow) (Delivery, error)
	Close() error
}

// Retry is an error of a Sink that says when to try again.
type Retry struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (r *Retry) Error() string { return r.Err.Error() }

// Unwrap is the error itself.
func (r *Retry) Unwrap() error { return r.Err }

// Moved is an error of a Sink's Open that only tells: what is at the target is not what was left there, and the sink goes on all the same.
type Moved struct{ What string }

// Error implements error.
func (m *Moved) Error() string { return m.What }

// SinkOptions is what CREATE SINK says of the connector.
type SinkOptions struct {
	Name string
	ID   uint64
	// Server tells this server from others.
	Server string
	Params map[string]string
	// ContentType is that of a row.
	ContentType string
	// Query is the name of the sink's query, Columns are those of its result, and Updates: its changelog holds more than inserts.
	Query   string
	Columns []types.Column
	Updates bool
	// IDField is the name of the field that holds a row's id, as option id has it.
	IDField string
}

// SinkDef is one connector to a target.
type SinkDef struct {
	Name   string // lower case, as in connector = 'file'
	Doc    string
	Params []Param
	// Secrets are the options whose values nobody is shown; one that ends with a dot stands for all that begin so.
	Secrets []string
	// Exclusive: no two sinks have the same target.
	Exclusive bool
	// Batch is the number of rows that are given at a time, unless option batch says otherwise.
	Batch int
	// Check validates options without touching anything outside; Probe, unless it is nil, looks at the target of a new sink.
	Check func(o SinkOptions) error
	Probe func(o SinkOptions) error
	// Target names the target, without secrets.
	Target func(o SinkOptions) string
	New    func(o SinkOptions) (Sink, error)
}

// Secret tells whether an option's value must not be shown.
func (d *SinkDef) Secret(option string) bool {
	return slices.ContainsFunc(d.Secrets, func(s string) bool {
		return s == option || strings.HasSuffix(s, ".") && strings.HasPrefix(option, s)
	})
}

// CheckSinkParams refuses options that the connector does not have. One whose documented name ends with a dot is a family of options.
func CheckSinkParams(d *SinkDef, params map[string]string) error {
	var known, unknown []string
	for _, p := range d.Params {
		known = append(known, p.Name)
	}
	for k := range params {
		if !slices.ContainsFunc(known, func(n string) bool {
			return n == k || strings.HasSuffix(n, ".") && len(k) > len(n) && strings.HasPrefix(k, n)
		}) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	return sqlerr.New(sqlerr.InvalidParameterValue, `connector %s has no option "%s" for sinks`, d.Name, unknown[0]).
		WithHint("options are: %s", strings.Join(known, ", "))
}

// Values reads options and keeps the first error, so that a connector reads all of its own in a row.
type Values struct {
	Connector string
	Params    map[string]string
	Err       error
}

func (v *Values) wrong(name, must string) {
	if v.Err == nil {
		v.Err = sqlerr.New(sqlerr.InvalidParameterValue, `option "%s" of connector %s must be %s`, name, v.Connector, must)
	}
}

// Text is an option, or def without it.
func (v *Values) Text(name, def string) string {
	if s, ok := v.Params[name]; ok {
		return s
	}
	return def
}

// Needed is an option that must be there.
func (v *Values) Needed(name string) string {
	s := v.Params[name]
	if s == "" && v.Err == nil {
		v.Err = sqlerr.New(sqlerr.InvalidParameterValue, "connector %s needs the option %s", v.Connector, name)
	}
	return s
}

// OneOf is an option with a few values, the first of which it has by default.
func (v *Values) OneOf(name string, values ...string) string {
	s := v.Text(name, values[0])
	if !slices.Contains(values, s) {
		v.wrong(name, strings.Join(values, " or ")+", not \""+s+"\"")
		return values[0]
	}
	return s
}

// Int is a number from low to high.
func (v *Values) Int(name string, def, low, high int64) int64 {
	s, ok := v.Params[name]
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < low || n > high {
		v.wrong(name, "a number from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10)+", not \""+s+"\"")
		return def
	}
	return n
}

// Duration is a span of time as an interval's text; none is 0.
func (v *Values) Duration(name string, def, low, high time.Duration) time.Duration {
	s, ok := v.Params[name]
	if !ok {
		return def
	}
	if s == "none" && low == 0 {
		return 0
	}
	iv, err := types.ParseText(types.T(types.Interval), s, nil)
	if err == nil {
		var span types.IntervalValue
		if span, err = types.DecodeInterval(iv.S); err == nil {
			days := int64(span.Days) + 30*int64(span.Months)
			if d := time.Duration(span.Micros)*time.Microsecond + time.Duration(days)*24*time.Hour; days < 100_000 && d >= low && d <= high {
				return d
			}
		}
	}
	v.wrong(name, "a span of time from "+low.String()+" to "+high.String()+", as '10 seconds', not \""+s+"\"")
	return def
}

// sizeUnits are powers of 1,024, as everywhere in SQL.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"tb", 1 << 40}, {"b", 1}, {"", 1}}

// Size is a number of bytes, with a unit of kB, MB, GB or without; none is 0.
func (v *Values) Size(name string, def, low int64) int64 {
	s, ok := v.Params[name]
	if !ok {
		return def
	}
	if s == "none" {
		return 0
	}
	text := strings.ToLower(strings.TrimSpace(s))
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil || n < 0 || n > 1<<50/u.bytes || n*u.bytes < low {
				break
			}
			return n * u.bytes
		}
	}
	v.wrong(name, "a size of "+strconv.FormatInt(low, 10)+" bytes or more, as '100MB', or none, not \""+s+"\"")
	return def
}
