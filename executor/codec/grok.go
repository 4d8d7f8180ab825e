package codec

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

var rawDef = Def{
	Name: "RAW",
	Doc: "A line is a row: field message. Options: pattern, pattern_2 .. pattern_9 (regular expressions of RE2 with named groups (?<name>..) and " +
		"grok's %{PATTERN:name}; the first that matches gives fields by its groups), mismatch (reject; keep: a line that none matches is a row, too), header " +
		"(none; syslog: fields of a syslog header come first, and the patterns see the message), timezone and year for timestamps without them.",
	New: newRaw,
}

var grokDef = Def{
	Name: "GROK",
	Doc:  "RAW with at least one pattern.",
	New: func(o Options) (Decoder, error) {
		d, err := newRaw(o)
		if err == nil && len(d.(*rawDecoder).patterns) == 0 {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "format GROK needs the option pattern").
				WithHint("For example FORMAT GROK (pattern = '%%{IP:src} %%{WORD:action}').")
		}
		return d, err
	},
}

// Bounds of patterns: how many there are, and their length in bytes when all names are resolved.
const (
	patternsMax     = 9
	patternBytesMax = 64 << 10
	grokDepthMax    = 16
)

// rawDecoder reads lines, and fields out of them by patterns.
type rawDecoder struct {
	named
	patterns []rawPattern
	keep     bool // a line that no pattern matches is a row
	syslog   bool
	header   syslogHeader
	message  int32
}

// rawPattern is a pattern with the columns of its groups.
type rawPattern struct {
	re     *regexp.Regexp
	groups []rawGroup
}

type rawGroup struct {
	index int // of the group
	name  string
	entry int32
}

func newRaw(o Options) (Decoder, error) {
	known := []string{"header", "mismatch", "pattern"}
	for i := 2; i <= patternsMax; i++ {
		known = append(known, "pattern_"+strconv.Itoa(i))
	}
	if err := onlyParams("RAW", o.Params, knownParams(known...)...); err != nil {
		return nil, err
	}
	d := &rawDecoder{}
	for _, name := range known[2:] {
		text, ok := o.Params[name]
		if !ok {
			continue
		}
		p, err := compileGrok(text)
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "option %s: %v", name, err)
		}
		d.patterns = append(d.patterns, p)
	}
	switch m := o.Params["mismatch"]; m {
	case "", "reject":
	case "keep":
		d.keep = true
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "option mismatch must be reject or keep, not %q", m)
	}
	var own func(string) []string
	switch h := o.Params["header"]; h {
	case "", "none":
	case "syslog":
		d.syslog, own = true, syslogAlias
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "option header must be none or syslog, not %q", h)
	}
	var err error
	d.named, err = newNamed(o, "RAW", own)
	return d, err
}

// Decode implements Decoder.
func (d *rawDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if d.prepare(b, limit) {
		d.header.locate(&d.named)
		d.message = d.field("message")
		for i := range d.patterns {
			for k := range d.patterns[i].groups {
				g := &d.patterns[i].groups[k]
				g.entry = d.resolve([]byte(g.name))
			}
		}
	}
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		var text []byte
		if text, i = line(payload, i); len(text) == 0 {
			continue
		}
		d.begin(b.N)
		d.end(b, text, d.record(text), rej)
	}
	d.remember(b)
	return i
}

func (d *rawDecoder) record(text []byte) error {
	if d.syslog {
		msg, err := d.header.put(&d.named, text)
		if err != nil {
			return err
		}
		text = msg
	}
	matched := len(d.patterns) == 0 || d.keep
	for i := range d.patterns {
		p := &d.patterns[i]
		m := p.re.FindSubmatchIndex(text)
		if m == nil {
			continue
		}
		for _, g := range p.groups {
			from, to := m[2*g.index], m[2*g.index+1]
			switch {
			case from < 0:
			case g.entry == restEntry:
				d.addRest([]byte(g.name), text[from:to])
			default:
				d.store(g.entry, text[from:to])
			}
		}
		matched = true
		break
	}
	if !matched {
		return sqlerr.New(sqlerr.InvalidTextRepresentation, "the line matches no pattern").
			WithDetail("It begins with %q.", text[:min(len(text), 60)])
	}
	d.store(d.message, text)
	return nil
}

var (
	grokName  = regexp.MustCompile(`%\{([A-Za-z0-9_]+)(?::([^}:]+))?(?::[a-z]+)?\}`)
	grokGroup = regexp.MustCompile(`\(\?P?<([^>=!][^>]*)>`)
)

// compileGrok compiles a pattern whose names are resolved. Names of groups may hold points, as those of ECS do.
func compileGrok(text string) (rawPattern, error) {
	names := []string{}
	group := func(name string) string {
		names = append(names, strings.Trim(strings.ReplaceAll(name, "][", "."), "[]"))
		return "(?P<g" + strconv.Itoa(len(names)-1) + ">"
	}
	text = grokGroup.ReplaceAllStringFunc(text, func(s string) string { return group(grokGroup.FindStringSubmatch(s)[1]) })
	expanded, err := expandGrok(text, group, 0)
	if err != nil {
		return rawPattern{}, err
	}
	re, err := regexp.Compile(expanded)
	if err != nil {
		return rawPattern{}, sqlerr.New(sqlerr.InvalidRegularExpression, "invalid regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	p := rawPattern{re: re}
	for i, g := range re.SubexpNames() {
		if g == "" {
			continue
		}
		if k, err := strconv.Atoi(strings.TrimPrefix(g, "g")); err == nil && k < len(names) {
			p.groups = append(p.groups, rawGroup{index: i, name: names[k], entry: noEntry})
		}
	}
	return p, nil
}

// expandGrok resolves %{NAME} and %{NAME:field}.
func expandGrok(text string, group func(string) string, depth int) (string, error) {
	if depth > grokDepthMax {
		return "", sqlerr.New(sqlerr.InvalidRegularExpression, "patterns are nested too deeply")
	}
	var out strings.Builder
	for {
		m := grokName.FindStringSubmatchIndex(text)
		if m == nil {
			out.WriteString(text)
			if out.Len() > patternBytesMax {
				return "", sqlerr.New(sqlerr.InvalidRegularExpression, "the pattern is longer than %d bytes", patternBytesMax)
			}
			return out.String(), nil
		}
		name := text[m[2]:m[3]]
		def, ok := grokPatterns[name]
		if !ok {
			return "", sqlerr.New(sqlerr.InvalidRegularExpression, "pattern %%{%s} does not exist", name)
		}
		out.WriteString(text[:m[0]])
		if m[4] >= 0 {
			out.WriteString(group(text[m[4]:m[5]]))
		} else {
			out.WriteString("(?:")
		}
		inner, err := expandGrok(def, group, depth+1)
		if err != nil || out.Len()+len(inner) > patternBytesMax {
			return "", cmpErr(err)
		}
		out.WriteString(inner)
		out.WriteByte(')')
		text = text[m[1]:]
	}
}

// cmpErr is err, or that of a pattern that is too long.
func cmpErr(err error) error {
	if err != nil {
		return err
	}
	return sqlerr.New(sqlerr.InvalidRegularExpression, "the pattern is longer than %d bytes", patternBytesMax)
}
