package fn

import (
	"regexp"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// numberTemplate is a template of to_char for numbers, read.
type numberTemplate struct {
	before, after        string // the digits and group marks before and after the point
	point, fm            bool
	signFirst, signLast  bool // S
	minusFirst, minusEnd bool // MI
	angle                bool // PR
	currency             bool // L, $
}

func readTemplate(f string) (t numberTemplate, err error) {
	sign := func() bool { return t.signFirst || t.signLast }
	minus := func() bool { return t.minusFirst || t.minusEnd }
	clash := func(what string) (numberTemplate, error) {
		return t, sqlerr.New(sqlerr.SyntaxError, "cannot use %s", what)
	}
	for f != "" {
		rest, ok := cutFold(f, "FM")
		if ok {
			t.fm, f = true, rest
			continue
		}
		if rest, ok = cutFold(f, "MI"); ok {
			if sign() {
				return clash(`"S" and "MI" together`)
			}
			t.minusFirst, t.minusEnd = t.before+t.after == "", t.before+t.after != ""
			f = rest
			continue
		}
		if rest, ok = cutFold(f, "PR"); ok {
			if sign() || minus() {
				return clash(`"PR" and "S"/"PL"/"MI"/"SG" together`)
			}
			t.angle, f = true, rest
			continue
		}
		switch c := f[0]; c {
		case '.', 'D', 'd':
			t.point = true
		case 'S', 's':
			if sign() {
				return clash(`"S" twice`)
			}
			if minus() || t.angle {
				return clash(`"S" and "PL"/"MI"/"SG"/"PR" together`)
			}
			t.signFirst, t.signLast = t.before+t.after == "", t.before+t.after != ""
		case 'L', 'l', '$':
			t.currency = true
		default:
			if c == 'G' || c == 'g' {
				c = ','
			}
			if t.point {
				t.after += string(c)
			} else {
				t.before += string(c)
			}
		}
		f = f[1:]
	}
	return t, nil
}

// formatNumber prints a decimal by a template; what does not fit becomes #.
func formatNumber(s, f string) (string, error) {
	if m := rareNumberPatterns.FindString(f); m != "" {
		return "", sqlerr.NotSupported("the pattern "+m+" in a template of to_char for numbers", "The patterns 9 0 . , D G S MI PR L FM are there.")
	}
	t, err := readTemplate(f)
	if err != nil {
		return "", err
	}
	if strings.Count(strings.ToUpper(strings.ReplaceAll(f, ".", "D")), "D") > 1 {
		return "", sqlerr.New(sqlerr.SyntaxError, "multiple decimal points")
	}
	if s == "NaN" || strings.HasSuffix(s, "Infinity") {
		return "", sqlerr.NotSupported("a template of to_char for "+s, "")
	}
	digitsAfter := strings.Count(t.after, "9") + strings.Count(t.after, "0")
	neg := strings.HasPrefix(s, "-")
	r, err := types.NumericRound(strings.TrimPrefix(s, "-"), int32(digitsAfter))
	if err != nil || strings.ContainsAny(r, "Iy") || r == "NaN" {
		r = ""
	}
	whole, frac, _ := strings.Cut(r, ".")
	if neg && strings.Trim(r, "0.") == "" {
		neg = false
	}
	slots := strings.Count(t.before, "9") + strings.Count(t.before, "0")
	whole = strings.TrimLeft(whole, "0")
	over := r == "" || len(whole) > slots || slots == 0
	if t.fm && strings.Trim(r, "0.") == "" && !over {
		whole = "0"
	}
	body, used := t.wholePart(whole, slots, over)
	if t.point {
		body += "." + t.fraction(frac, over)
	}
	return t.signed(body, used, neg), nil
}

// rareNumberPatterns are the patterns that have no meaning here: Roman numbers, exponents, shifts, ordinals, blanks for
// zeros, and text.
var rareNumberPatterns = regexp.MustCompile(`(?i)RN|(^|[^F])M([^I]|$)|EEEE|V|TH|B|SG|PL|"|C|[^-+0-9.,DGSMIPRLF$ ]`)

// wholePart fills the digits before the point. lead is how many blanks stand before the first character printed.
func (t *numberTemplate) wholePart(whole string, slots int, over bool) (out string, lead int) {
	started := false
	pos := slots
	var b strings.Builder
	firstZero := strings.IndexByte(t.before, '0')
	for i := 0; i < len(t.before); i++ {
		c := t.before[i]
		if c != '9' && c != '0' {
			if c == ',' && !started {
				if !t.fm {
					lead++
				}
				continue
			}
			b.WriteByte(c)
			continue
		}
		pos--
		switch {
		case over:
			b.WriteByte('#')
			started = true
		case pos < len(whole):
			b.WriteByte(whole[len(whole)-1-pos])
			started = true
		case firstZero >= 0 && i >= firstZero, pos == 0 && !t.point && whole == "":
			b.WriteByte('0')
			started = true
		default:
			if !t.fm {
				lead++
			}
		}
	}
	return b.String(), lead
}

func (t *numberTemplate) fraction(frac string, over bool) string {
	keep := len(frac)
	if t.fm { // 9s after the point drop trailing zeros
		for keep > 0 && frac[keep-1] == '0' && (keep > len(t.after) || t.after[keep-1] == '9') {
			keep--
		}
	}
	if over {
		return strings.Repeat("#", len(frac)+strings.Count(t.after, "9")*asInt(frac == ""))
	}
	return frac[:keep]
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// signed puts sign, currency and blanks around the digits.
func (t *numberTemplate) signed(body string, lead int, neg bool) string {
	blank := " "
	if t.fm {
		blank = ""
	}
	if t.currency {
		body = "$" + body
	}
	pad := strings.Repeat(" ", lead)
	sign := map[bool]string{false: "+", true: "-"}[neg]
	switch {
	case t.signFirst:
		return pad + sign + body
	case t.signLast:
		return pad + body + sign
	case t.minusFirst:
		return map[bool]string{false: blank, true: "-"}[neg] + pad + body
	case t.minusEnd:
		return pad + body + map[bool]string{false: blank, true: "-"}[neg]
	case t.angle && neg:
		return pad + "<" + body + ">"
	case t.angle:
		return pad + blank + body + blank
	case neg:
		return pad + "-" + body
	}
	return pad + blank + body
}
