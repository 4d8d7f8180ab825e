package fn

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// patternsMax bounds the compiled regular expressions that a Ctx keeps; when full, all are dropped.
const patternsMax = 256

// patternBytes bounds the length of one.
const patternBytes = 32 << 10

type patternKey struct {
	pattern string
	flags   string
}

// patterns caches compiled regular expressions. The zero value is empty.
type patterns struct{ m map[patternKey]*compiled }

// compiled is a regular expression with what is known of it.
type compiled struct {
	*regexp.Regexp
	// mixed: where its matches end cannot be told with Go's rules, only whether there is one.
	mixed bool
}

// span returns a pattern whose matches are asked for, not only whether there is one.
func (p *patterns) span(pattern, flags string) (*compiled, error) {
	re, err := p.get(pattern, flags)
	if err == nil && re.mixed {
		return nil, sqlerr.NotSupported("a regular expression that mixes non-greedy quantifiers with greedy ones or with alternatives, where the match itself is asked for",
			"Make all quantifiers non-greedy, or none.")
	}
	return re, err
}

func (p *patterns) get(pattern, flags string) (*compiled, error) {
	key := patternKey{pattern, flags}
	if re := p.m[key]; re != nil {
		return re, nil
	}
	re, err := compileRegex(pattern, flags)
	if err != nil {
		return nil, err
	}
	if p.m == nil || len(p.m) >= patternsMax {
		p.m = make(map[patternKey]*compiled)
	}
	p.m[patternKey{strings.Clone(pattern), flags}] = re
	return re, nil
}

// regexWords is how Postgres says what Go's compiler finds.
var regexWords = map[syntax.ErrorCode]string{
	syntax.ErrMissingParen: "parentheses () not balanced", syntax.ErrUnexpectedParen: "parentheses () not balanced",
	syntax.ErrMissingBracket: "brackets [] not balanced", syntax.ErrMissingRepeatArgument: "quantifier operand invalid",
	syntax.ErrInvalidRepeatOp: "quantifier operand invalid", syntax.ErrInvalidCharRange: "invalid character range",
	syntax.ErrTrailingBackslash: "invalid escape \\ sequence", syntax.ErrInvalidEscape: "invalid escape \\ sequence",
	syntax.ErrInvalidRepeatSize: "invalid repetition count(s)",
}

func badRegex(what string) error {
	return sqlerr.New(sqlerr.InvalidRegularExpression, "invalid regular expression: %s", what)
}

func regexError(err error) error {
	var se *syntax.Error
	if errors.As(err, &se) {
		if w := regexWords[se.Code]; w != "" {
			return badRegex(w)
		}
		return badRegex(string(se.Code))
	}
	return badRegex(err.Error())
}

// compileRegex translates a POSIX advanced regular expression. flags: i, c, n, p, w, s, x, g (ignored here), q.
func compileRegex(pattern, flags string) (*compiled, error) {
	if len(pattern) > patternBytes {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "regular expression is too long").WithHint("The limit is %d bytes.", patternBytes)
	}
	pattern, flags = embedded(pattern, flags)
	mode := "s"
	for _, f := range flags {
		switch f {
		case 'i':
			mode += "i"
		case 'n', 'm': // newline sensitive: . and [^] stop at a newline, ^ and $ match at lines
			mode = strings.Replace(mode, "s", "", 1) + "m"
		case 'w':
			mode += "m"
		case 'p':
			mode = strings.Replace(mode, "s", "", 1)
		case 'q':
			pattern = regexp.QuoteMeta(pattern)
		case 'x':
			pattern = stripExpanded(pattern)
		case 'c', 's', 't', 'e', 'b', 'g':
		default:
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "invalid regular expression option: \"%c\"", f)
		}
	}
	tr := translator{in: pattern}
	t, err := tr.run()
	if err != nil {
		return nil, err
	}
	if mode != "" {
		t = "(?" + mode + ")" + t
	}
	re, err := regexp.Compile(t)
	if err != nil {
		return nil, regexError(err)
	}
	if !tr.lazy {
		re.Longest() // as Postgres: the longest match of those that begin first
	}
	return &compiled{re, tr.lazy && (tr.greedy || tr.alternatives)}, nil
}

// Pattern is a compiled regular expression of ~ and its like. It is safe for concurrent use.
type Pattern struct{ re *compiled }

// CompilePattern compiles a regular expression as ~ (flags "") and ~* (flags "i") do.
func CompilePattern(pattern, flags string) (*Pattern, error) {
	re, err := compileRegex(pattern, flags)
	if err != nil {
		return nil, err
	}
	return &Pattern{re}, nil
}

// Match reports whether b contains a match.
func (p *Pattern) Match(b []byte) bool { return p.re.Match(b) }

// Syntax is the pattern in the syntax of Go's package regexp, which can be taken apart.
func (p *Pattern) Syntax() string { return p.re.String() }

// embedded takes the director and options at the start of a pattern: ***=literal, (?i)...
func embedded(pattern, flags string) (string, string) {
	if s, ok := strings.CutPrefix(pattern, "***="); ok {
		return s, flags + "q"
	}
	pattern = strings.TrimPrefix(pattern, "***:")
	if strings.HasPrefix(pattern, "(?") {
		if end := strings.IndexByte(pattern, ')'); end > 2 && strings.Trim(pattern[2:end], "bceimnpqstwx") == "" {
			return pattern[end+1:], flags + pattern[2:end]
		}
	}
	return pattern, flags
}

func stripExpanded(p string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			b.WriteString(p[i : i+2])
			i++
		case c == '[':
			class = true
			b.WriteByte(c)
		case c == ']':
			class = false
			b.WriteByte(c)
		case !class && strings.IndexByte(" \t\n\r", c) >= 0:
		case !class && c == '#':
			for i < len(p) && p[i] != '\n' {
				i++
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errBrackets = badRegex("brackets [] not balanced")

func regexDefs() []Def {
	t2, t3 := args{tText, tText}, args{tText, tText, tText}
	match := func(flags string, want bool) eval {
		return func(ctx *Ctx, a values) (value, error) {
			re, err := ctx.patterns.get(a[1].S, flags)
			if err != nil {
				return value{}, err
			}
			return boolean(re.MatchString(a[0].S) == want)
		}
	}
	return []Def{
		def("~", t2, tBool, match("", true)).about("Matches a regular expression.", "'thomas' ~ 't.*ma'", "t"),
		def("~*", t2, tBool, match("i", true)).about("Matches, whatever the case.", "'thomas' ~* 'T.*ma'", "t"),
		def("!~", t2, tBool, match("", false)).about("Does not match.", "'thomas' !~ 't.*max'", "t"),
		def("!~*", t2, tBool, match("i", false)).about("Does not match, whatever the case.", "'thomas' !~* 'T.*ma'", "f"),
		def("similar_to_escape", args{tText}, tText, similarToRegex).about("The regular expression that a pattern of SIMILAR TO means.", "similar_to_escape('a%')", "^(?:a.*)$"),
		def("similar_to_escape", t2, tText, similarToRegex).about("The same with an escape character.", "'50%' SIMILAR TO '50!%' ESCAPE '!'", "t"),
		def("regexp_like", t2, tBool, match("", true)).about("Whether a regular expression matches.", "regexp_like('Hello World', 'world$')", "f"),
		def("regexp_like", t3, tBool, func(ctx *Ctx, a values) (value, error) {
			if err := noGlobal("regexp_like", a[2].S); err != nil {
				return value{}, err
			}
			re, err := ctx.patterns.get(a[1].S, a[2].S)
			if err != nil {
				return value{}, err
			}
			return boolean(re.MatchString(a[0].S))
		}).about("The same with flags.", "regexp_like('Hello World', 'world$', 'i')", "t"),
		def("regexp_match", t2, tTextArray, regexpMatch).about("The captured texts of the first match, or the whole match.",
			"regexp_match('foobarbequebaz', '(bar)(beque)')", "{bar,beque}"),
		def("regexp_match", t3, tTextArray, regexpMatch).about("The same with flags.", "regexp_match('FOO', 'o+', 'i')", "{OO}"),
		def("regexp_replace", t3, tText, regexpReplace).about("Replaces the first match; \\1 to \\9 and \\& in the replacement are what was captured.",
			`regexp_replace('foobarbaz', 'b(..)', 'X\1Y')`, "fooXarYbaz"),
		def("regexp_replace", args{tText, tText, tText, tText}, tText, regexpReplace).about("With flags; g replaces every match.",
			`regexp_replace('foobarbaz', 'b..', 'X', 'g')`, "fooXX"),
		def("regexp_substr", t2, tText, regexpSubstr).about("The text that matches first.", "regexp_substr('ABCDEF', 'C.')", "CD"),
		def("substring", t2, tText, regexpSubstr1).about("The text that matches first, or its first captured part.", "substring('Thomas' from '...$')", "mas"),
		def("substring", t3, tText, similarSubstring).onNull().about("The part of a match of SQL's pattern that escape and a double quote enclose.", `substring('Thomas' similar '%#"o_a#"_' escape '#')`, "oma"),
		def("regexp_count", t2, tInt4, func(ctx *Ctx, a values) (value, error) {
			re, err := ctx.patterns.span(a[1].S, "")
			if err != nil {
				return value{}, err
			}
			return int4(int64(len(re.FindAllStringIndex(a[0].S, -1))))
		}).about("Number of matches.", "regexp_count('123456789012', '\\d\\d\\d')", "4"),
		def("regexp_split_to_array", t2, tTextArray, regexpSplit).about("Splits at the matches.", "regexp_split_to_array('hello world', '\\s+')", "{hello,world}"),
	}
}

// noGlobal refuses the option g where it has no meaning.
func noGlobal(name, flags string) error {
	if strings.Contains(flags, "g") {
		return sqlerr.New(sqlerr.InvalidParameterValue, "%s() does not support the \"global\" option", name)
	}
	return nil
}

func regexpMatch(ctx *Ctx, a values) (value, error) {
	flags := ""
	if len(a) > 2 {
		if flags = a[2].S; strings.Contains(flags, "g") {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "regexp_match() does not support the \"global\" option").
				WithHint("Use the regexp_matches function instead.")
		}
	}
	re, err := ctx.patterns.span(a[1].S, flags)
	if err != nil {
		return value{}, err
	}
	m := re.FindStringSubmatchIndex(a[0].S)
	if m == nil {
		return null(tTextArray)
	}
	return captured(a[0].S, m), nil
}

// captured is the array of what the groups of a match took, or of the match where it has no group.
func captured(s string, m []int) value {
	if len(m) > 2 {
		m = m[2:]
	}
	var out values
	for i := 0; i < len(m); i += 2 {
		if m[i] < 0 {
			out = append(out, types.Null(tText))
		} else {
			out = append(out, types.NewText(s[m[i]:m[i+1]]))
		}
	}
	return types.NewArray(types.Text, out)
}

func regexpSubstr(ctx *Ctx, a values) (value, error) {
	re, err := ctx.patterns.span(a[1].S, "")
	if err != nil {
		return value{}, err
	}
	m := re.FindStringIndex(a[0].S)
	if m == nil {
		return null(tText)
	}
	return text(a[0].S[m[0]:m[1]])
}

func regexpSubstr1(ctx *Ctx, a values) (value, error) {
	v, err := regexpMatch(ctx, a)
	if err != nil || v.Null {
		return types.Null(tText), err
	}
	elems, err := types.DecodeArray(types.Text, v.S)
	if err != nil || len(elems) == 0 {
		return types.Null(tText), err
	}
	return elems[0], nil
}

func regexpReplace(ctx *Ctx, a values) (value, error) {
	flags := ""
	if len(a) > 3 {
		flags = a[3].S
	}
	re, err := ctx.patterns.span(a[1].S, flags)
	if err != nil {
		return value{}, err
	}
	s := a[0].S
	limit := 1
	if strings.Contains(flags, "g") {
		limit = -1
	}
	matches := re.FindAllStringSubmatchIndex(s, limit)
	var out []byte
	last := 0
	for _, m := range matches {
		out = append(out, s[last:m[0]]...)
		out = expand(out, a[2].S, s, m)
		last = m[1]
		if len(out) > textMax {
			return value{}, tooLong()
		}
	}
	return text(string(append(out, s[last:]...)))
}

// expand appends a replacement: \1 to \9 are captured texts, \& the match, \\ a backslash.
func expand(out []byte, repl, s string, m []int) []byte {
	for i := 0; i < len(repl); i++ {
		if repl[i] != '\\' || i+1 >= len(repl) {
			out = append(out, repl[i])
			continue
		}
		i++
		switch c := repl[i]; {
		case c == '&':
			out = append(out, s[m[0]:m[1]]...)
		case c >= '1' && c <= '9':
			if g, _ := strconv.Atoi(string(c)); 2*g+1 < len(m) && m[2*g] >= 0 {
				out = append(out, s[m[2*g]:m[2*g+1]]...)
			}
		case c == '\\':
			out = append(out, '\\')
		default:
			out = append(out, '\\', c)
		}
	}
	return out
}

func regexpSplit(ctx *Ctx, a values) (value, error) {
	re, err := ctx.patterns.span(a[1].S, "")
	if err != nil {
		return value{}, err
	}
	var out values
	for _, p := range re.Split(a[0].S, -1) {
		out = append(out, types.NewText(p))
	}
	return types.NewArray(types.Text, out), nil
}
