package bind

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// What a stream gets when CREATE STREAM does not say, in microseconds and bytes.
const (
	idleAfterDefault      = int64(30 * time.Second / time.Microsecond)
	maxAheadDefault       = int64(24 * time.Hour / time.Microsecond)
	latenessMax           = int64(366 * 24 * time.Hour / time.Microsecond)
	streamRetention       = int64(24 * time.Hour / time.Microsecond)
	retentionBytesDefault = int64(8 << 30)
)

// columnsMax bounds a stream's columns, as in Postgres.
const columnsMax = 1600

// streamFormats and streamConnectors are those that exist; the executor's registries check their options.
var (
	streamFormats    = slices.Sorted(slices.Values(append([]string{"CEF", "CSV", "EVE", "GROK", "JSON", "KV", "LEEF", "RAW", "SYSLOG", "WINDOWS", "ZEEK"}, flowFormats...)))
	streamConnectors = []string{"capture", "generator", "kafka", "netflow"}
)

// Stream binds CREATE STREAM.
func Stream(env *Env, st *parse.CreateStream, id uint64) (*spec.Stream, error) {
	out := &spec.Stream{
		ID: id, Name: st.Name.Name, TimeCol: -1, IdleAfter: idleAfterDefault, MaxAhead: maxAheadDefault,
		Retention: streamRetention, RetentionBytes: retentionBytesDefault,
		Options: map[string]string{}, FormatOptions: map[string]string{}, Format: "JSON", Created: env.Now,
	}
	b := newBinder(env, nil)
	st = flowStream(st, out)
	if err := b.streamColumns(st, out); err != nil {
		return nil, err
	}
	if err := b.generated(st, out); err != nil {
		return nil, err
	}
	if st.Watermark != nil {
		if err := b.watermark(st.Watermark, out); err != nil {
			return nil, err
		}
	}
	if err := streamOptions(st, out); err != nil {
		return nil, err
	}
	if st.Table && out.Connector == "" {
		return nil, unsupported(st.Name.Pos, "CREATE TABLE without a connector", "CREATE STREAM takes events; CREATE IOC LIST keeps values to look up.")
	}
	if st.Format != "" {
		out.Format = st.Format
	}
	if out.From != nil && out.Format == "CSV" {
		return nil, unsupported(st.Name.Pos, "FROM 'field' of a column of a CSV stream", "Name the columns as the header does, with FORMAT CSV (header = 'match').")
	}
	if !oneOf(out.Format, streamFormats...) {
		return nil, unsupported(st.Name.Pos, "FORMAT "+out.Format, "Known formats: "+strings.Join(streamFormats, ", ")+".")
	}
	for _, o := range st.FormatOptions {
		out.FormatOptions[o.Key] = optionText(o)
	}
	return out, flowConnector(st, out)
}

// optionText is an option's value; a bare option is on.
func optionText(o parse.Option) string {
	if o.Bare {
		return "true"
	}
	return o.Value
}

func (b *binder) streamColumns(st *parse.CreateStream, out *spec.Stream) error {
	if len(st.Columns) == 0 && len(out.Schema.Cols) > 0 {
		return nil
	}
	if len(st.Columns) == 0 {
		return sqlerr.New(sqlerr.InvalidTableDefinition, "stream %q has no columns", st.Name.Name).At(st.Name.Pos).
			WithHint("Name them: CREATE STREAM %s (ts TIMESTAMPTZ NOT NULL, ...).", st.Name.Name)
	}
	if len(st.Columns) > columnsMax {
		return sqlerr.New("54011", "tables can have at most %d columns", columnsMax).At(st.Columns[columnsMax].Pos)
	}
	if len(st.Constraints) > 0 {
		return unsupported(st.Constraints[0].Pos, "a constraint of a stream", "Filter with WHERE in the queries.")
	}
	for _, c := range st.Columns {
		t, err := typeOf(c.Type)
		if err != nil {
			return err
		}
		switch {
		case c.Identity != nil:
			return unsupported(c.Pos, "IDENTITY of a stream's column", "Use vigil_offset of the results, or a timestamp.")
		case c.Default != nil:
			return unsupported(c.Pos, "DEFAULT", "Use coalesce(column, value) in the query.")
		case c.Primary:
			return unsupported(c.Pos, "PRIMARY KEY of a stream", "Leave it out: a stream's rows are events.")
		case t.Kind == types.Unknown || t.Kind == types.Void || t.Kind == types.Record:
			return sqlerr.New(sqlerr.InvalidTableDefinition, "column %q has pseudo-type %s", c.Name, t).At(c.Type.Pos)
		}
		if out.Schema.Index(c.Name) >= 0 {
			return sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c.Name).At(c.Pos)
		}
		out.Schema.Cols = append(out.Schema.Cols, types.Column{Name: c.Name, Type: t, NotNull: c.NotNull})
		if c.From != "" && out.From == nil {
			out.From = make([]string, len(st.Columns))
		}
		if c.From != "" {
			out.From[len(out.Schema.Cols)-1] = c.From
		}
	}
	return nil
}

// watermark reads WATERMARK FOR col AS col - INTERVAL '..'.
func (b *binder) watermark(w *parse.Watermark, out *spec.Stream) error {
	i := out.Schema.Index(w.Column)
	if i < 0 {
		return sqlerr.New(sqlerr.UndefinedColumn, "column %q does not exist", w.Column).At(w.Pos)
	}
	if t := out.Schema.Cols[i].Type; t.Kind != types.TimestampTZ {
		return sqlerr.New(sqlerr.DatatypeMismatch, "the watermark column %q must be of type timestamp with time zone, not %s", w.Column, t).At(w.Pos).
			WithHint("Declare it TIMESTAMPTZ.")
	}
	out.TimeCol = i
	generatedTime(out)
	as := w.As
	if bin, ok := as.(*parse.Binary); ok && bin.Op == "-" {
		var err error
		if out.Delay, err = b.duration(bin.R, "the watermark's delay"); err != nil {
			return err
		}
		if out.Delay < 0 {
			return sqlerr.New(sqlerr.InvalidParameterValue, "the watermark's delay must not be negative").At(start(bin.R))
		}
		as = bin.L
	}
	if id, ok := as.(*parse.Ident); as != nil && (!ok || id.Parts[len(id.Parts)-1] != w.Column) {
		return unsupported(start(as), "this watermark expression", "Write WATERMARK FOR "+w.Column+" AS "+w.Column+" - INTERVAL '5 seconds'.")
	}
	for _, d := range []struct {
		lit  *parse.Interval
		what string
		out  *int64
	}{{w.IdleAfter, "IDLE AFTER", &out.IdleAfter}, {w.MaxAhead, "MAX AHEAD", &out.MaxAhead}} {
		if d.lit == nil {
			continue
		}
		v, err := b.duration(d.lit, d.what)
		if err != nil {
			return err
		}
		if v <= 0 {
			return sqlerr.New(sqlerr.InvalidParameterValue, "%s must be positive", d.what).At(d.lit.Pos)
		}
		*d.out = v
	}
	return nil
}

// streamOptions takes vigil's own options; the rest belongs to the connector.
func streamOptions(st *parse.CreateStream, out *spec.Stream) error {
	for _, o := range st.Options {
		if _, twice := out.Options[o.Key]; twice {
			return sqlerr.New(sqlerr.SyntaxError, "option %q specified more than once", o.Key).At(o.Pos)
		}
		var err error
		switch o.Key {
		case "connector":
			if out.Connector = o.Value; !oneOf(o.Value, streamConnectors...) {
				return unsupported(o.Pos, "connector = '"+o.Value+"'", "Known connectors: "+strings.Join(streamConnectors, ", ")+"; without one, rows come by INSERT, COPY and HTTP.")
			}
		case "format":
			out.Format = strings.ToUpper(o.Value)
			if st.Format != "" && st.Format != out.Format {
				return sqlerr.New(sqlerr.SyntaxError, "the format is %s and %s", st.Format, out.Format).At(o.Pos)
			}
		case "normalize":
			if out.Normalize = o.Value; !oneOf(o.Value, "ecs") {
				return badOption(o, "'ecs'")
			}
		case "retention":
			if out.Retention, err = DurationText(o.Value); err != nil || out.Retention < 0 {
				return badOption(o, "a duration such as '7 days'")
			}
		case "retention_bytes":
			if out.RetentionBytes, err = SizeText(o.Value); err != nil {
				return badOption(o, "a size such as '8GB'")
			}
		case "allowed_lateness":
			if out.AllowedLateness, err = DurationText(o.Value); err != nil || out.AllowedLateness < 0 || out.AllowedLateness > latenessMax {
				return badOption(o, "a duration such as '10 minutes', of at most 366 days")
			}
		case "late":
			if !oneOf(o.Value, "table", "drop") {
				return badOption(o, "'table' or 'drop'")
			}
			out.LateDrop = o.Value == "drop"
		}
		out.Options[o.Key] = optionText(o)
	}
	if out.Connector == "" {
		return unknownStreamOptions(st)
	}
	return nil
}

// unknownStreamOptions refuses connector options of a stream that has no connector.
func unknownStreamOptions(st *parse.CreateStream) error {
	own := []string{"allowed_lateness", "connector", "format", "late", "normalize", "retention", "retention_bytes"}
	for _, o := range st.Options {
		if !oneOf(o.Key, own...) {
			return unknownOption(o, own...)
		}
	}
	return nil
}

// What the definition of a function may be.
const (
	stateDefault = int64(64 << 10)
	stateMax     = int64(1 << 20)
	bodyMax      = 64 << 10
	paramMax     = 100
)

// Function binds CREATE FUNCTION. A function is IMMUTABLE unless it says otherwise: the sandbox has neither a clock nor
// anything else to depend on.
func Function(env *Env, st *parse.CreateFunction, id uint64) (*spec.Function, error) {
	pos := st.Name.Pos
	switch {
	case st.Aggregate && registry().aggs[st.Name.Name] != nil:
		return nil, sqlerr.New(sqlerr.DuplicateFunction, "aggregate %q is built in", st.Name.Name).At(pos).WithHint("Give yours another name.")
	case st.Language != "javascript" && st.Language != "js":
		if st.Language == "" {
			return nil, sqlerr.New(sqlerr.InvalidFunctionDefinition, "no language specified").At(pos).WithHint("LANGUAGE javascript.")
		}
		return nil, sqlerr.New(sqlerr.UndefinedObject, "language %q does not exist", st.Language).At(pos).WithHint("LANGUAGE javascript.")
	case st.ReturnTable != nil:
		return nil, unsupported(pos, "RETURNS TABLE", "Return a single value.")
	case st.Returns == nil:
		return nil, sqlerr.New(sqlerr.InvalidFunctionDefinition, "function result type must be specified").At(pos)
	case len(st.Body) > bodyMax:
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "the body of function %q is longer than %d bytes", st.Name.Name, bodyMax).At(pos)
	case len(st.Params) > paramMax:
		return nil, sqlerr.New("54023", "functions cannot have more than %d arguments", paramMax).At(pos)
	}
	out := &spec.Function{ID: id, Name: st.Name.Name, Body: st.Body, Strict: st.Strict, Volatility: st.Volatility, Aggregate: st.Aggregate}
	if out.Volatility == "" {
		out.Volatility = "IMMUTABLE"
	}
	seen := map[string]bool{}
	for _, p := range st.Params {
		t, err := typeOf(p.Type)
		if err != nil {
			return nil, err
		}
		if p.Name == "" {
			return nil, sqlerr.New(sqlerr.InvalidFunctionDefinition, "parameters of a JavaScript function need names").At(p.Type.Pos)
		}
		if seen[p.Name] {
			return nil, sqlerr.New(sqlerr.InvalidFunctionDefinition, "parameter name %q used more than once", p.Name).At(p.Type.Pos)
		}
		seen[p.Name] = true
		out.Params = append(out.Params, types.Column{Name: p.Name, Type: t})
	}
	var err error
	if out.Ret, err = typeOf(*st.Returns); err != nil {
		return nil, err
	}
	if err := rowParams(out, pos); err != nil {
		return nil, err
	}
	options := st.Options
	if st.Aggregate {
		if out.StateBytes, options, err = stateLimit(options); err != nil {
			return nil, err
		}
	}
	out.Limits, err = functionLimits(env, options)
	return out, err
}

// stateLimit takes the option max_state, which only aggregates have, out of a list.
func stateLimit(list []parse.Option) (bytes int64, rest []parse.Option, err error) {
	bytes = stateDefault
	for _, o := range list {
		if o.Key != "max_state" {
			rest = append(rest, o)
			continue
		}
		if bytes, err = SizeText(o.Value); err != nil || bytes < 1 || bytes > stateMax {
			return 0, nil, badOption(o, "a size up to '1MB'")
		}
	}
	return bytes, rest, nil
}

// DurationText reads '50ms', '1 hour', '30 days' or any interval without months as microseconds.
func DurationText(s string) (int64, error) {
	if d, err := time.ParseDuration(strings.ReplaceAll(s, " ", "")); err == nil {
		return int64(d / time.Microsecond), nil
	}
	v, err := types.ParseText(types.T(types.Interval), s, nil)
	if err != nil {
		return 0, err
	}
	return spanOf(v, "a duration")
}

// SizeText reads '16MB', '8 GiB', '1024' as bytes; units are powers of 1,024, as in Postgres.
func SizeText(s string) (int64, error) {
	t := strings.TrimSpace(s)
	digits := strings.TrimRight(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToLower(strings.TrimSpace(t[len(digits):]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	shift, ok := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<62>>shift {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "invalid size: %q", s).WithHint("For example '16MB'.")
	}
	return n << shift, nil
}

// Pseudo expressions are expressions while a query is bound.
var _ = []expr.Expr{(*aggRef)(nil), (*setRef)(nil), (*windowBound)(nil)}
