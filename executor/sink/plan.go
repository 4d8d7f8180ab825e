package sink

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/seal"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Limits of what is given to a target at a time.
const (
	batchRowsMax  = 100_000
	batchBytesMax = 1 << 20 // of rows, unless one alone is larger
	lingerMax     = time.Hour
)

// common are the options that every sink has.
var common = []connector.Param{
	{Name: "start", Default: "earliest", Doc: "earliest: all rows of the query that are kept; now: those that come"},
	{Name: "batch", Doc: "rows that are given to the target at a time, at most"},
	{Name: "linger", Default: "none", Doc: "how long a batch that is not full waits for more rows"},
	{Name: "id", Default: idField, Doc: "name of the field that holds the row's id; none: there is none"},
}

// idField is the field of a row's id.
const idField = "_vigil_id"

// plan is a sink's options, read.
type plan struct {
	def     *connector.SinkDef
	options connector.SinkOptions
	batch   int
	linger  time.Duration
	encode  encoder
}

// makePlan reads the options of a sink.
func makePlan(defs []connector.SinkDef, server string, s *Spec) (*plan, error) {
	at := slices.IndexFunc(defs, func(d connector.SinkDef) bool { return d.Name == s.Connector })
	if at < 0 {
		return nil, noConnector(defs, s.Connector)
	}
	p := &plan{def: &defs[at]}
	if err := seal.Locked(s.Options); err != nil {
		return nil, err
	}
	own := maps.Clone(s.Options)
	for _, c := range common {
		delete(own, c.Name)
	}
	v := &connector.Values{Connector: s.Connector, Params: s.Options}
	v.OneOf("start", "earliest", "now")
	p.batch = int(v.Int("batch", int64(p.def.Batch), 1, batchRowsMax))
	p.linger = v.Duration("linger", 0, 0, lingerMax)
	if v.Err != nil {
		return nil, v.Err
	}
	if err := connector.CheckSinkParams(p.def, own); err != nil {
		return nil, err
	}
	var err error
	if p.encode, err = newEncoder(s, v.Text("id", idField)); err != nil {
		return nil, err
	}
	p.options = connector.SinkOptions{Name: s.Name, ID: s.ID, Server: server, Params: own, ContentType: p.encode.contentType(), Query: s.QueryName,
		Columns: s.Columns, Updates: s.Updates, IDField: v.Text("id", idField)}
	return p, p.def.Check(p.options)
}

// later are the targets that people will try next.
var later = map[string]string{
	"jdbc": "Use the connector postgres, kafka or http.",
	"s3":   "Write files, with connector = 'file', and copy them when they are rotated.",
}

func noConnector(defs []connector.SinkDef, name string) error {
	var names []string
	for _, d := range defs {
		names = append(names, d.Name)
	}
	if name == "" {
		return sqlerr.New(sqlerr.InvalidParameterValue, "a sink needs the option connector").WithHint("vigil has: %s.", strings.Join(names, ", "))
	}
	if hint, ok := later[name]; ok {
		return sqlerr.NotSupported("a sink with connector "+name, hint)
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "connector %q does not exist", name).WithHint("For sinks vigil has: %s.", strings.Join(names, ", "))
}

// Check validates a sink without touching anything outside.
func (s *Set) Check(spec *Spec) error {
	_, err := makePlan(s.o.Defs, s.o.Server, spec)
	return err
}

// Probe looks at the target of a new sink.
func (s *Set) Probe(spec *Spec) error {
	p, err := makePlan(s.o.Defs, s.o.Server, spec)
	if err != nil || p.def.Probe == nil {
		return err
	}
	return p.def.Probe(p.options)
}

// Target names a sink's target without secrets, and tells whether it must be the only one there; "" when the options say none.
func (s *Set) Target(spec *Spec) (name string, exclusive bool) {
	p, err := makePlan(s.o.Defs, s.o.Server, spec)
	if err != nil {
		return "", false
	}
	return p.def.Target(p.options), p.def.Exclusive
}
