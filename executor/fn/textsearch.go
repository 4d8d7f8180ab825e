package fn

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func textSearchDefs() []Def {
	t2 := args{tText, tText}
	pos := func(_ *Ctx, a values) (value, error) { return int4(position(a[0].S, a[1].S)) }
	out := []Def{
		def("substring", args{tText, tInt4}, tText, substr).about("From a position on, counted from 1.", "substring('Thomas', 3)", "omas"),
		def("substring", args{tText, tInt4, tInt4}, tText, substr).about("So many characters from a position on.", "substring('Thomas', 2, 3)", "hom"),
		def("substr", args{tText, tInt4}, tText, substr).about("From a position on, counted from 1.", "substr('alphabet', 3)", "phabet"),
		def("substr", args{tText, tInt4, tInt4}, tText, substr).about("So many characters from a position on.", "substr('alphabet', 3, 2)", "ph"),
		def("left", args{tText, tInt4}, tText, func(_ *Ctx, a values) (value, error) {
			n := a[1].I
			if n < 0 {
				n += int64(utf8.RuneCountInString(a[0].S))
			}
			return text(prefix(a[0].S, int(max(n, 0))))
		}).about("The first n characters; negative: all but the last n.", "left('abcde', 2)", "ab", "left('abcde', -2)", "abc"),
		def("right", args{tText, tInt4}, tText, func(_ *Ctx, a values) (value, error) {
			have, n := int64(utf8.RuneCountInString(a[0].S)), a[1].I
			if n < 0 {
				n = max(have+n, 0)
			}
			if n = min(n, have); a[1].I == math.MinInt32 { // which has no positive: nothing is left out
				n = have
			}
			return text(a[0].S[len(prefix(a[0].S, int(have-n))):])
		}).about("The last n characters; negative: all but the first n.", "right('abcde', 2)", "de"),
		def("strpos", t2, tInt4, pos).about("Position of the second text in the first, 0 if it is not there.", "strpos('high', 'ig')", "2"),
		def("position", t2, tInt4, pos).about("As strpos; what POSITION(b IN a) calls with (a, b).", "position('om' IN 'Thomas')", "3"),
		def("replace", args{tText, tText, tText}, tText, func(_ *Ctx, a values) (value, error) {
			if a[1].S == "" {
				return a[0], nil
			}
			if n := strings.Count(a[0].S, a[1].S); n*(len(a[2].S)-len(a[1].S)) > textMax {
				return value{}, tooLong()
			}
			return text(strings.ReplaceAll(a[0].S, a[1].S, a[2].S))
		}).about("Replaces every occurrence.", "replace('abcdefabcdef', 'cd', 'XX')", "abXXefabXXef"),
		def("split_part", args{tText, tText, tInt4}, tText, splitPart).
			about("The n-th field between separators; negative counts from the end.", "split_part('a~@~b~@~c', '~@~', 2)", "b"),
		def("starts_with", t2, tBool, func(_ *Ctx, a values) (value, error) { return boolean(strings.HasPrefix(a[0].S, a[1].S)) }).
			about("Whether the first text begins with the second.", "starts_with('alphabet', 'alph')", "t"),
		def("^@", t2, tBool, func(_ *Ctx, a values) (value, error) { return boolean(strings.HasPrefix(a[0].S, a[1].S)) }).
			about("Whether the first text begins with the second.", "'alphabet' ^@ 'alph'", "t"),
		def("string_to_array", t2, tTextArray, stringToArray).onNull().
			about("Splits at a separator; NULL splits into characters.", "string_to_array('a,b,c', ',')", "{a,b,c}"),
		def("string_to_array", args{tText, tText, tText}, tTextArray, stringToArray).onNull().
			about("Splits; fields equal to the third argument become NULL.", "string_to_array('xx~~yy~~zz', '~~', 'yy')", "{xx,NULL,zz}"),
	}
	return append(out, trimDefs()...)
}

func trimDefs() []Def {
	var out []Def
	for _, d := range []struct {
		name string
		cut  func(s, set string) string
		doc  string
		want string
	}{
		{"btrim", strings.Trim, "Drops characters of a set at both ends.", "trim"},
		{"ltrim", strings.TrimLeft, "Drops characters of a set at the start.", "trimyx"},
		{"rtrim", strings.TrimRight, "Drops characters of a set at the end.", "xyxtrim"},
	} {
		cut := d.cut
		f := func(_ *Ctx, a values) (value, error) {
			set := " "
			if len(a) > 1 {
				set = a[1].S
			}
			return text(cut(a[0].S, set))
		}
		out = append(out, def(d.name, args{tText}, tText, f).about(d.doc),
			def(d.name, args{tText, tText}, tText, f).about(d.doc, d.name+"('xyxtrimyx', 'xyz')", d.want))
	}
	trim := func(_ *Ctx, a values) (value, error) {
		set := " "
		if len(a) > 1 {
			set = a[1].S
		}
		return text(strings.Trim(a[0].S, set))
	}
	return append(out, def("trim", args{tText}, tText, trim).about("Drops spaces at both ends.", "trim('  a ')", "a"),
		def("trim", args{tText, tText}, tText, trim).about("Drops characters of a set at both ends."))
}

func position(s, sub string) int64 {
	i := strings.Index(s, sub)
	if i < 0 {
		return 0
	}
	return int64(utf8.RuneCountInString(s[:i])) + 1
}

func substr(_ *Ctx, a values) (value, error) {
	start, end := a[1].I, int64(math.MaxInt64)
	if len(a) > 2 {
		if a[2].I < 0 {
			return value{}, sqlerr.New("22011", "negative substring length not allowed")
		}
		end = start + a[2].I
	}
	s := a[0].S
	if start > 1 {
		s = s[len(prefix(s, int(start-1))):]
	}
	n := end - max(start, 1)
	if n <= 0 {
		return text("")
	}
	return text(prefix(s, int(min(n, int64(len(s))))))
}

func splitPart(_ *Ctx, a values) (value, error) {
	n := a[2].I
	if n == 0 {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "field position must not be zero")
	}
	parts := []string{a[0].S}
	if a[1].S != "" {
		parts = strings.Split(a[0].S, a[1].S)
	}
	if n < 0 {
		n += int64(len(parts)) + 1
	}
	if n < 1 || n > int64(len(parts)) {
		return text("")
	}
	return text(parts[n-1])
}

func stringToArray(_ *Ctx, a values) (value, error) {
	if a[0].Null {
		return null(tTextArray)
	}
	var parts []string
	switch {
	case a[0].S == "":
	case a[1].Null:
		for _, r := range a[0].S {
			parts = append(parts, string(r))
		}
	case a[1].S == "":
		parts = []string{a[0].S}
	default:
		parts = strings.Split(a[0].S, a[1].S)
	}
	elems := make(values, len(parts))
	for i, p := range parts {
		elems[i] = types.NewText(p)
		if len(a) > 2 && !a[2].Null && p == a[2].S {
			elems[i] = types.Null(tText)
		}
	}
	return types.NewArray(types.Text, elems), nil
}
