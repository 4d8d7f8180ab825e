package parse

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// mutant changes a few tokens of a statement: dropped, doubled, swapped, or taken from another statement.
func mutant(r *rand.Rand, statements []string) string {
	pick := func() (string, []token) {
		for {
			s := statements[r.IntN(len(statements))]
			if toks, err := lex(s); err == nil && len(toks) > 2 && len(toks) < 150 {
				return s, toks[:len(toks)-1]
			}
		}
	}
	raw := func(s string, toks []token) []string {
		words := make([]string, len(toks))
		for i, t := range toks {
			words[i] = s[t.off:t.end]
		}
		return words
	}
	words := raw(pick())
	for range 1 + r.IntN(3) {
		i := r.IntN(len(words))
		switch r.IntN(5) {
		case 0:
			words = append(words[:i:i], words[i+1:]...)
		case 1:
			words = append(words[:i:i], words[i-min(i, 1):]...)
		case 2:
			j := r.IntN(len(words))
			words[i], words[j] = words[j], words[i]
		default:
			other := raw(pick())
			from := r.IntN(len(other))
			to := from + r.IntN(min(6, len(other)-from)) + 1
			words = append(words[:i:i], append(append([]string{}, other[from:to]...), words[i:]...)...)
		}
		if len(words) == 0 {
			return ""
		}
	}
	return strings.Join(words, " ")
}

// TestMutatedStatements holds the laws of FuzzParse over statements that are nearly right, where precedence and the limits of
// clauses are decided.
func TestMutatedStatements(t *testing.T) {
	statements := append([]string{}, fuzzSeeds...)
	statements = append(statements, traps()...)
	r := rand.New(rand.NewPCG(1, 2))
	accepted, refused := 0, 0
	for range 6000 {
		sql := mutant(r, statements)
		stmts, err := Parse(sql)
		if err == nil {
			accepted++
			for _, p := range stmts {
				checkRoundTrip(t, p.Stmt)
			}
			if t.Failed() {
				t.Fatalf("from %s", sql)
			}
			continue
		}
		refused++
		e := new(sqlerr.Error)
		if !errors.As(err, &e) || e.Position <= 0 || e.Position > utf8.RuneCountInString(sql)+1 || e.Code == sqlerr.InternalError || e.Detail != "" {
			t.Fatalf("%#v\n%s", err, sql)
		}
	}
	if accepted < 300 || refused < 300 {
		t.Errorf("%d accepted, %d refused: the mutations do not test both", accepted, refused)
	}
}
