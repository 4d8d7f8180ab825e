package fn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// textMax bounds the bytes that a text function makes, so that repeat and lpad cannot eat the memory.
const textMax = 64 << 20

func tooLong() error {
	return sqlerr.New(sqlerr.ProgramLimitExceeded, "requested length too large").
		WithHint("Text values may have %d bytes.", textMax)
}

func textDefs() []Def {
	t1 := args{tText}
	count := func(_ *Ctx, a values) (value, error) { return int4(int64(utf8.RuneCountInString(a[0].S))) }
	return []Def{
		def("lower", t1, tText, text1(strings.ToLower)).vector(vectorCase('A', 'a', strings.ToLower)).about("Lower case.", "lower('TOM')", "tom"),
		def("upper", t1, tText, text1(strings.ToUpper)).vector(vectorCase('a', 'A', strings.ToUpper)).about("Upper case.", "upper('tom')", "TOM"),
		def("initcap", t1, tText, text1(initcap)).about("First letter of each word upper case, the rest lower.", "initcap('hi THOMAS')", "Hi Thomas"),
		def("length", t1, tInt4, count).vector(vectorLength).about("Number of characters.", "length('jose')", "4", "length('né')", "2"),
		def("char_length", t1, tInt4, count).vector(vectorLength).about("Number of characters.", "char_length('josé')", "4"),
		def("character_length", t1, tInt4, count).vector(vectorLength).about("Number of characters."),
		def("octet_length", t1, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(len(a[0].S))) }).
			about("Number of bytes.", "octet_length('josé')", "5"),
		def("bit_length", t1, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(8 * len(a[0].S))) }).
			about("Number of bits.", "bit_length('jose')", "32"),
		def("reverse", t1, tText, text1(reverse)).about("Characters in reverse order.", "reverse('abcde')", "edcba"),
		def("repeat", args{tText, tInt4}, tText, func(_ *Ctx, a values) (value, error) {
			if a[1].I > 0 && int64(len(a[0].S)) > textMax/a[1].I {
				return value{}, tooLong()
			}
			return text(strings.Repeat(a[0].S, int(max(a[1].I, 0))))
		}).about("Repeats the text.", "repeat('Pg', 4)", "PgPgPgPg"),
		def("ascii", t1, tInt4, func(_ *Ctx, a values) (value, error) {
			if a[0].S == "" {
				return int4(0)
			}
			r, _ := utf8.DecodeRuneInString(a[0].S)
			return int4(int64(r))
		}).about("Code of the first character.", "ascii('x')", "120"),
		def("chr", args{tInt4}, tText, chr).about("The character with a code.", "chr(65)", "A"),
		def("translate", args{tText, tText, tText}, tText, func(_ *Ctx, a values) (value, error) {
			return text(translate(a[0].S, a[1].S, a[2].S))
		}).about("Replaces characters one by one, or drops them.", "translate('12345', '143', 'ax')", "a2x5"),
		def("to_hex", args{tInt4}, tText, toHex(32)).about("Hexadecimal digits.", "to_hex(255)", "ff", "to_hex(-1)", "ffffffff"),
		def("to_hex", args{tInt8}, tText, toHex(64)).about("Hexadecimal digits.", "to_hex(2147483647)", "7fffffff"),
		def("lpad", args{tText, tInt4}, tText, padLeft).about("Fills up on the left with spaces, or cuts.", "lpad('hi', 5)", "   hi"),
		def("lpad", args{tText, tInt4, tText}, tText, padLeft).about("Fills up on the left, or cuts.", "lpad('hi', 5, 'xy')", "xyxhi"),
		def("rpad", args{tText, tInt4}, tText, padRight).about("Fills up on the right with spaces, or cuts.", "rpad('hi', 4) || '|'", "hi  |"),
		def("rpad", args{tText, tInt4, tText}, tText, padRight).about("Fills up on the right, or cuts.", "rpad('hi', 5, 'xy')", "hixyx"),
	}
}

// vectorCase changes the case of a whole vector when it is all ASCII; other text goes row by row.
func vectorCase(from, to byte, slow func(string) string) func(*Ctx, []*batch.Vec, int, *batch.Vec) error {
	return func(_ *Ctx, in []*batch.Vec, n int, out *batch.Vec) error {
		v := in[0]
		for _, c := range v.Buf[:v.Off[n]] {
			if c >= utf8.RuneSelf {
				return caseRows(v, n, out, slow)
			}
			if c-from < 26 {
				c += to - from
			}
			out.Buf = append(out.Buf, c)
		}
		out.Off = append(out.Off[:0], v.Off[:n+1]...)
		out.N = n
		mergeNulls(in, n, out)
		return nil
	}
}

func caseRows(v *batch.Vec, n int, out *batch.Vec, slow func(string) string) error {
	out.Reset(out.Type)
	for i := 0; i < n; i++ {
		if v.IsNull(i) {
			out.AppendNull()
		} else {
			out.AppendString(slow(string(v.Bytes(i))))
		}
	}
	return nil
}

func vectorLength(_ *Ctx, in []*batch.Vec, n int, out *batch.Vec) error {
	for i := 0; i < n; i++ {
		out.I64 = append(out.I64, int64(utf8.RuneCount(in[0].Bytes(i))))
	}
	out.N = n
	mergeNulls(in, n, out)
	return nil
}

func initcap(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r) || unicode.IsDigit(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func reverse(s string) string {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		_, w := utf8.DecodeLastRuneInString(s)
		out = append(out, s[len(s)-w:]...)
		s = s[:len(s)-w]
	}
	return string(out)
}

func chr(_ *Ctx, a values) (value, error) {
	switch i := a[0].I; {
	case i == 0:
		return value{}, sqlerr.New(sqlerr.ProgramLimitExceeded, "null character not permitted")
	case i < 0:
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "character number must be positive")
	case i > utf8.MaxRune || i >= 0xd800 && i < 0xe000:
		return value{}, sqlerr.New(sqlerr.ProgramLimitExceeded, "requested character too large for encoding: %d", i)
	}
	return text(string(rune(a[0].I)))
}

func translate(s, from, to string) string {
	f, t := []rune(from), []rune(to)
	return strings.Map(func(r rune) rune {
		for i, x := range f {
			if x == r {
				if i < len(t) {
					return t[i]
				}
				return -1
			}
		}
		return r
	}, s)
}

func toHex(width int) eval {
	return func(_ *Ctx, a values) (value, error) {
		u := uint64(a[0].I)
		if width == 32 {
			u = uint64(uint32(u))
		}
		var b [16]byte
		i := len(b)
		for ok := true; ok; ok = u != 0 {
			i--
			b[i] = "0123456789abcdef"[u&15]
			u >>= 4
		}
		return text(string(b[i:]))
	}
}

func padLeft(_ *Ctx, a values) (value, error) {
	s, fill, err := padding(a)
	return types.NewText(fill + s), err
}

func padRight(_ *Ctx, a values) (value, error) {
	s, fill, err := padding(a)
	return types.NewText(s + fill), err
}

// padding cuts the text to the wanted length and returns what it lacks.
func padding(a values) (s, fill string, err error) {
	with := " "
	if len(a) > 2 {
		with = a[2].S
	}
	if a[1].I > textMax/4 {
		return "", "", tooLong()
	}
	want, have := int(max(a[1].I, 0)), utf8.RuneCountInString(a[0].S)
	if have >= want {
		return prefix(a[0].S, want), "", nil
	}
	if with == "" {
		return a[0].S, "", nil
	}
	fill = strings.Repeat(with, (want-have)/utf8.RuneCountInString(with)+1)
	return a[0].S, prefix(fill, want-have), nil
}

// prefix returns the first n characters.
func prefix(s string, n int) string {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	return s[:i]
}
