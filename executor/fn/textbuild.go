package fn

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func textBuildDefs() []Def {
	join := func(ctx *Ctx, a values) (value, error) { return text(textOfCat(ctx, a[0]) + textOfCat(ctx, a[1])) }
	return []Def{
		def("||", args{tText, tText}, tText, join).about("Joins two texts; NULL if one is.", "'Post' || 'gres'", "Postgres"),
		def("||", args{tText, tAny}, tText, join).nonArray().about("Joins a text and any value that is no array.", "'Value: ' || 42", "Value: 42"),
		def("||", args{tAny, tText}, tText, join).nonArray().about("Joins any value that is no array and a text.", "42 || ' is'", "42 is"),
		def("||", args{tBytea, tBytea}, tBytea, func(_ *Ctx, a values) (value, error) {
			return stored(types.Bytea, a[0].S+a[1].S), nil
		}).about("Joins octets.", `'\x12'::bytea || '\x34'::bytea`, `\x1234`),
		def("concat", args{tAny}, tText, func(ctx *Ctx, a values) (value, error) {
			var b strings.Builder
			for _, v := range a {
				if !v.Null {
					b.WriteString(textOf(ctx, v))
				}
			}
			return text(b.String())
		}).onNull().variadic().stable().about("Joins all arguments, of any types, leaving NULL out.", "concat('a', 2, NULL, 'b')", "a2b"),
		def("concat_ws", args{tText, tAny}, tText, concatWS).onNull().variadic().stable().
			about("Joins all but the first argument with the first between them, leaving NULL out.", "concat_ws(',', 'a', NULL, 2)", "a,2"),
		def("format", args{tText, tAny}, tText, format).onNull().variadic().stable().
			about("Fills %s, %I (identifier) and %L (literal).", "format('Hello %s, %1$s %%', 'World')", "Hello World, World %"),
		def("format", args{tText}, tText, format).onNull().about("A format without arguments."),
	}
}

// textOfCat prints as a cast to text does, which || uses: booleans as words, addresses with their prefix length.
func textOfCat(ctx *Ctx, v value) string {
	switch v.Type.Kind {
	case types.Bool:
		return strconv.FormatBool(v.I != 0)
	case types.Inet:
		v.Type = tCIDR
	}
	return textOf(ctx, v)
}

func concatWS(ctx *Ctx, a values) (value, error) {
	if a[0].Null {
		return null(tText)
	}
	var parts []string
	for _, v := range a[1:] {
		if !v.Null {
			parts = append(parts, textOf(ctx, v))
		}
	}
	return text(strings.Join(parts, a[0].S))
}

// formatSpec is one %[n$][-][width]type.
type formatSpec struct {
	arg      int // 1-based position, 0: the next one
	left     bool
	width    int
	star     bool // width is the next argument
	verb     byte
	consumed int
}

func format(ctx *Ctx, a values) (value, error) {
	if a[0].Null {
		return null(tText)
	}
	var out []byte
	f, next := a[0].S, 1
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			out = append(out, f[i])
			continue
		}
		if i+1 < len(f) && f[i+1] == '%' {
			out = append(out, '%')
			i++
			continue
		}
		s, err := readFormatSpec(f[i+1:])
		if err != nil {
			return value{}, err
		}
		i += s.consumed
		if s.star {
			if next >= len(a) {
				return value{}, errFormatArgs
			}
			s.setWidth(a[next])
			next++
		}
		if s.arg == 0 {
			s.arg = next
		}
		if s.arg >= len(a) {
			return value{}, errFormatArgs
		}
		next = s.arg + 1
		t, err := s.text(ctx, a[s.arg])
		if err != nil {
			return value{}, err
		}
		if out = s.pad(out, t); len(out) > textMax {
			return value{}, tooLong()
		}
	}
	return text(string(out))
}

var errFormatArgs = sqlerr.New(sqlerr.InvalidParameterValue, "too few arguments for format()")

func readFormatSpec(s string) (formatSpec, error) {
	var f formatSpec
	i := 0
	number := func() int {
		n := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && n < textMax {
			n = n*10 + int(s[i]-'0')
			i++
		}
		return n
	}
	start := i
	if n := number(); i > start && i < len(s) && s[i] == '$' {
		if i++; n == 0 {
			return f, sqlerr.New(sqlerr.InvalidParameterValue, "format specifies argument 0, but arguments are numbered from 1")
		}
		f.arg = n
	} else {
		i = start
	}
	if i < len(s) && s[i] == '-' {
		f.left = true
		i++
	}
	if i < len(s) && s[i] == '*' {
		f.star = true
		i++
	} else {
		f.width = number()
	}
	if i >= len(s) {
		return f, sqlerr.New(sqlerr.InvalidParameterValue, "unterminated format() type specifier").
			WithHint("For a single \"%%\" use \"%%%%\".")
	}
	f.verb, f.consumed = s[i], i+1
	return f, nil
}

func (f *formatSpec) setWidth(v value) {
	f.width = int(max(min(v.I, textMax), -textMax))
	if f.width < 0 {
		f.left, f.width = true, -f.width
	}
}

func (f *formatSpec) text(ctx *Ctx, v value) (string, error) {
	switch f.verb {
	case 's':
		if v.Null {
			return "", nil
		}
		return textOf(ctx, v), nil
	case 'I':
		if v.Null {
			return "", sqlerr.New(sqlerr.NullValueNotAllowed, "null values cannot be formatted as an SQL identifier")
		}
		return quoteIdent(textOf(ctx, v)), nil
	case 'L':
		if v.Null {
			return "NULL", nil
		}
		return quoteLiteral(textOf(ctx, v)), nil
	}
	return "", sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized format() type specifier \"%c\"", f.verb).
		WithHint("For a single \"%%\" use \"%%%%\".")
}

func (f *formatSpec) pad(out []byte, t string) []byte {
	lack := min(f.width-utf8.RuneCountInString(t), textMax)
	if lack <= 0 {
		return append(out, t...)
	}
	if f.left {
		return append(append(out, t...), strings.Repeat(" ", lack)...)
	}
	return append(append(out, strings.Repeat(" ", lack)...), t...)
}
