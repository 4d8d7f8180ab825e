package bind

import (
	"sort"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Continuous binds the body of a continuous query and tells what it depends on.
func Continuous(env *Env, q *parse.CreateQuery, id uint64) (*logical.Query, Deps, error) {
	utc := *env
	utc.TimeZone = time.UTC
	b := newBinder(&utc, nil)
	b.continuous, b.defining = true, q.Name.Name
	node, err := b.continuousBody(q)
	if err != nil {
		return nil, Deps{}, err
	}
	if len(b.params) > 0 {
		return nil, Deps{}, sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $1").
			WithHint("A continuous query outlives the statement that creates it: write the value itself.")
	}
	root := &logical.Node{Op: &logical.Result{QueryID: id, Name: q.Name.Name}, In: []*logical.Node{node}, Schema: node.Schema}
	out := b.finish(root)
	out.Continuous = true
	return out, b.deps, nil
}

// continuousBody binds and checks everything between AS and the end.
func (b *binder) continuousBody(q *parse.CreateQuery) (*logical.Node, error) {
	body := q.Query
	if body.Core != nil && len(body.Core.From) == 0 {
		return nil, unsupported(body.Core.Pos, "a continuous query without FROM", "Name a stream in FROM.")
	}
	node, err := b.query(body, nil, nil)
	if err != nil {
		return nil, err
	}
	if node, err = b.settleColumns(node); err != nil {
		return nil, err
	}
	if err := b.refuseTables(node); err != nil {
		return nil, err
	}
	if err := b.bindEmit(q, node); err != nil {
		return nil, err
	}
	node = withWindow(node)
	seen := make(map[string]bool, len(node.Schema.Cols))
	for i, c := range node.Schema.Cols {
		if seen[c.Name] {
			return nil, sqlerr.New(sqlerr.DuplicateColumn, "column %q specified more than once", c.Name).At(itemPos(body, i)).
				WithHint("Give the columns of a continuous query different names with AS.")
		}
		seen[c.Name] = true
	}
	return b.suppress(q, node)
}

// windowed finds the grouping of the query itself, below its projection and HAVING; those of subqueries are not meant.
func windowed(n *logical.Node) *logical.Aggregate {
	if _, ok := n.Op.(*logical.Project); !ok {
		return nil
	}
	n = n.In[0]
	if _, ok := n.Op.(*logical.ProjectSet); ok { // it passes the group's columns on
		n = n.In[0]
	}
	for {
		if _, ok := n.Op.(*logical.Over); !ok {
			break
		}
		n = n.In[0]
	}
	if _, ok := n.Op.(*logical.Filter); ok {
		n = n.In[0]
	}
	a, _ := n.Op.(*logical.Aggregate)
	return a
}

// withWindow puts window_start and window_end first where a windowed query does not select them itself.
func withWindow(n *logical.Node) *logical.Node {
	agg := windowed(n)
	if agg == nil || agg.Window == nil {
		return n
	}
	proj := n.Op.(*logical.Project)
	for _, e := range proj.Exprs {
		if c, ok := e.(*expr.Column); ok && c.Index < 2 {
			return n
		}
	}
	ts := types.T(types.TimestampTZ)
	exprs := []expr.Expr{&expr.Column{Index: 0, Name: "window_start", Typ: ts}, &expr.Column{Index: 1, Name: "window_end", Typ: ts}}
	cols := []types.Column{{Name: "window_start", Type: ts}, {Name: "window_end", Type: ts}}
	return &logical.Node{
		Op:     &logical.Project{Exprs: append(exprs, proj.Exprs...)},
		In:     n.In,
		Schema: types.Schema{Cols: append(cols, n.Schema.Cols...)},
	}
}

// laterOptions are the options that wait for what they need.
var laterOptions = []string{"engine", "checkpoint_interval"}

// QueryOptions is what WITH (...) of a continuous query says. Retention is in microseconds.
type QueryOptions struct {
	All            map[string]string
	Retention      int64
	RetentionBytes int64
	Limits         spec.Limits
	Start          *spec.Start
}

// startOf reads the option start; nil is the next event.
func startOf(o parse.Option) (*spec.Start, error) {
	switch strings.ToLower(o.Value) {
	case "now", "latest":
		return nil, nil
	case "earliest":
		return &spec.Start{At: types.MinTime, Text: o.Value}, nil
	}
	v, err := types.ParseText(types.T(types.TimestampTZ), o.Value, &types.TextFormat{})
	if err != nil || v.I == int64(types.MinTime) || v.I == int64(types.MaxTime) {
		return nil, badOption(o, "'now' (or 'latest'), 'earliest', or a time such as '2026-03-01 00:00Z': the query reads what arrived from then on")
	}
	return &spec.Start{At: types.EventTime(v.I), Text: o.Value}, nil
}

// retentionDefault is how long result rows are kept.
const retentionDefault = int64(30 * 24 * time.Hour / time.Microsecond)

// Options checks the WITH options of a continuous query.
func Options(list []parse.Option) (QueryOptions, error) {
	out := QueryOptions{All: map[string]string{}, Retention: retentionDefault, RetentionBytes: retentionBytesDefault}
	for _, o := range list {
		if _, twice := out.All[o.Key]; twice {
			return out, sqlerr.New(sqlerr.SyntaxError, "option %q specified more than once", o.Key).At(o.Pos)
		}
		switch o.Key {
		case "severity":
			if !oneOf(o.Value, "info", "low", "medium", "high", "critical") {
				return out, sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for option \"severity\": %q", o.Value).At(o.Pos).
					WithHint("Known values: info, low, medium, high, critical.")
			}
		case "tags":
		case "start":
			start, err := startOf(o)
			if err != nil {
				return out, err
			}
			out.Start = start
		case "retention":
			v, err := DurationText(o.Value)
			if err != nil || v <= 0 {
				return out, badOption(o, "a positive duration such as '30 days'")
			}
			out.Retention = v
		case "retention_bytes":
			v, err := SizeText(o.Value)
			if err != nil || v <= 0 {
				return out, badOption(o, "a size such as '1GB'")
			}
			out.RetentionBytes = v
		default:
			if oneOf(o.Key, laterOptions...) {
				return out, unsupported(o.Pos, "option \""+o.Key+"\"", "Leave it out.")
			}
			known, err := limit(&out.Limits, o)
			if err != nil {
				return out, err
			}
			if !known {
				return out, unknownOption(o, append([]string{"retention", "retention_bytes", "severity", "start", "tags"}, limitOptions...)...)
			}
		}
		out.All[o.Key] = o.Value
	}
	return out, nil
}

func oneOf(s string, list ...string) bool {
	for _, x := range list {
		if s == x {
			return true
		}
	}
	return false
}

// unknownOption is the error for an option nobody knows.
func unknownOption(o parse.Option, known ...string) error {
	sort.Strings(known)
	return sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized option %q", o.Key).At(o.Pos).
		WithHint("Known options: %s.", strings.Join(known, ", "))
}

// badOption is the error for an option's value.
func badOption(o parse.Option, want string) error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for option %q: %q", o.Key, o.Value).At(o.Pos).
		WithHint("Expected %s.", want)
}
