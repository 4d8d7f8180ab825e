package connector

import (
	"slices"
	"sort"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Builtins returns the connectors of this package. Those that need a client library are Defs of their sub-packages
// (kafka.Def), because they import this one; whoever builds sources appends them.
func Builtins() []Def { return []Def{generatorDef(), captureDef(), netflowDef()} }

// streamOptions are the options of WITH that belong to every stream and that no connector sees as its own.
var streamOptions = []string{"connector", "retention", "retention_bytes", "allowed_lateness", "late", "format", "normalize"}

// CheckParams refuses options that neither the connector nor every stream has.
func CheckParams(d Def, o Options) error {
	var known, unknown []string
	for _, p := range d.Params {
		known = append(known, p.Name)
	}
	for k := range o.Params {
		if !slices.Contains(known, k) && !slices.Contains(streamOptions, k) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	return sqlerr.New(sqlerr.InvalidParameterValue, `connector %s has no option "%s"`, d.Name, unknown[0]).
		WithHint("options are: %s", strings.Join(known, ", "))
}
