package codec

import (
	"sort"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Builtins returns the formats that vigil knows.
func Builtins() []Def {
	return []Def{jsonDef, csvDef, copyDef, rowsDef, syslogDef, cefDef, leefDef, kvDef, zeekDef, eveDef, windowsDef, rawDef, grokDef}
}

// onlyParams refuses format options other than the known ones.
func onlyParams(format string, params map[string]string, known ...string) error {
	var unknown []string
next:
	for k := range params {
		for _, ok := range known {
			if k == ok {
				continue next
			}
		}
		unknown = append(unknown, k)
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	hint := "the format has no options"
	if len(known) > 0 {
		hint = "options are: " + strings.Join(known, ", ")
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, `format %s has no option "%s"`, format, unknown[0]).WithHint("%s", hint)
}
