package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// regexSets find and split by regular expressions.
func regexSets() []SetDef {
	var out []SetDef
	for _, in := range []args{{tText, tText}, {tText, tText, tText}} {
		out = append(out,
			SetDef{Name: "regexp_matches", Args: in, Cols: oneCol("regexp_matches", tTextArray), Eval: regexpMatches,
				Doc: "The captured texts of the first match, or the whole match; with the flag g of every match."},
			SetDef{Name: "regexp_split_to_table", Args: in, Cols: oneCol("regexp_split_to_table", tText), Eval: regexpSplitRows,
				Doc: "The parts of a text between the matches of a regular expression."})
	}
	out[1].Examples = []SetExample{{`regexp_split_to_table('hello world', '\s+')`, []string{"hello", "world"}}}
	out[2].Examples = []SetExample{{"regexp_matches('foobarbequebazilbarfbonk', 'b[^b]+', 'g')", []string{"{bar}", "{beque}", "{bazil}", "{barf}", "{bonk}"}}}
	return out
}

// rowPattern compiles the pattern of a set; global tells whether the flag g was given.
func rowPattern(ctx *Ctx, a values) (re *compiled, global bool, err error) {
	flags := ""
	if len(a) > 2 {
		global = strings.Contains(a[2].S, "g")
		flags = strings.ReplaceAll(a[2].S, "g", "")
	}
	re, err = ctx.patterns.span(a[1].S, flags)
	return re, global, err
}

func regexpMatches(ctx *Ctx, a values, emit func(values) error) error {
	re, global, err := rowPattern(ctx, a)
	if err != nil {
		return err
	}
	n := 1
	if global {
		n = -1
	}
	for _, m := range re.FindAllStringSubmatchIndex(a[0].S, n) {
		if err := emit(values{captured(a[0].S, m)}); err != nil {
			return err
		}
	}
	return nil
}

func regexpSplitRows(ctx *Ctx, a values, emit func(values) error) error {
	re, global, err := rowPattern(ctx, a)
	if err != nil {
		return err
	}
	if global {
		return sqlerr.New(sqlerr.InvalidParameterValue, "regexp_split_to_table() does not support the \"global\" option")
	}
	s, from := a[0].S, 0
	for _, m := range re.FindAllStringIndex(s, -1) {
		if m[1] == 0 || m[0] == m[1] && (m[0] >= len(s) || m[0] == from) { // an empty match splits between characters only
			continue
		}
		if err := emit(values{types.NewText(s[from:m[0]])}); err != nil {
			return err
		}
		from = m[1]
	}
	return emit(values{types.NewText(s[from:])})
}
