package rules

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// Probes makes n events from a rule's own comparisons, without their numbers: many match it, and those that do not are close.
func (r *Rule) Probes(rng *rand.Rand, n int) []byte {
	byColumn := map[string][]comparison{}
	var columns []string // in order, so that a seed gives the same events each time
	for _, c := range r.comparisons {
		if byColumn[c.column] == nil {
			columns = append(columns, c.column)
		}
		byColumn[c.column] = append(byColumn[c.column], c)
	}
	var lines []byte
	for range n {
		event := map[string]string{}
		for _, c := range columns {
			if value, ok := probe(rng, byColumn[c]); ok {
				event[c] = value
			}
		}
		line, err := json.Marshal(event)
		if err != nil {
			panic(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines
}

// probe makes a value that satisfies one = of a column, or some of its LIKEs at once; now and then there is none.
func probe(rng *rand.Rand, list []comparison) (value string, ok bool) {
	var equal, like []string
	for _, c := range list {
		text := strings.ReplaceAll(strings.Trim(c.value, "'"), "''", "'")
		switch c.operator {
		case "=":
			equal = append(equal, text)
		case "LIKE":
			like = append(like, text)
		}
	}
	switch {
	case rng.IntN(40) == 0:
		return "", false
	case len(equal) > 0 && (len(like) == 0 || rng.IntN(2) == 0):
		return anyCase(rng, equal[rng.IntN(len(equal))]), true
	case len(like) == 0:
		return "", false
	}
	rng.Shuffle(len(like), func(i, j int) { like[i], like[j] = like[j], like[i] })
	some := min(1+rng.IntN(3), len(like))
	if len(like) < 20 && rng.IntN(2) == 0 {
		some = len(like)
	}
	return anyCase(rng, together(like[:some])), true
}

// together is a text that patterns match as far as they can be matched at once: one begins it, one ends it.
func together(patterns []string) string {
	first, last, middle := "", "", ""
	for _, p := range patterns {
		text := literal(p)
		switch {
		case !strings.HasPrefix(p, "%"):
			first = text
		case !strings.HasSuffix(p, "%"):
			last = text
		default:
			middle += text
		}
	}
	return first + middle + last
}

// literal is a text that a pattern matches.
func literal(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteByte(pattern[i])
		case c == '%':
		case c == '_':
			b.WriteByte('q')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// anyCase leaves a text or makes it upper or lower case.
func anyCase(rng *rand.Rand, text string) string {
	switch rng.IntN(4) {
	case 0:
		return strings.ToUpper(text)
	case 1:
		return strings.ToLower(text)
	}
	return text
}
