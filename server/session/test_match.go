package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// matchStepsMax bounds the work of finding a match where expected rows name different columns.
const matchStepsMax = 50_000_000

// rowMatch pairs expected rows with rows of the result, as many as can be. Expected rows that name fewer columns may fit several
// rows, so that taking the first that fits is not enough.
type rowMatch struct {
	expect []expectedRow
	// fits are, for each expected row, the rows of the result that it fits.
	fits [][]int
	// rowOf and expectOf are the pairs, -1 for those without.
	rowOf, expectOf []int
	// next is where the search for a free row goes on, by the list of rows; rows are never freed again.
	next  map[string]int
	keys  []string // by expected row: which columns, and their values
	same  bool     // all expected rows name the same columns
	steps int
}

func newRowMatch(expect []expectedRow, got [][]types.Value) *rowMatch {
	m := &rowMatch{expect: expect, fits: make([][]int, len(expect)), rowOf: make([]int, len(expect)), expectOf: make([]int, len(got)),
		next: map[string]int{}, keys: make([]string, len(expect)), same: true}
	for i := range m.expectOf {
		m.expectOf[i] = -1
	}
	values := make([][]string, len(got))
	for i, row := range got {
		values[i] = make([]string, len(row))
		for c := range row {
			values[i][c] = canonical(codec.AppendJSONValue(nil, row[c]))
		}
	}
	index := map[string]map[string][]int{} // by columns, then by their values
	for i := range expect {
		m.rowOf[i] = -1
		set := fmt.Sprint(expect[i].cols)
		if index[set] == nil {
			m.same = m.same && len(index) == 0
			index[set] = map[string][]int{}
			for r := range values {
				k := joined(expect[i].cols, func(_, c int) string { return values[r][c] })
				index[set][k] = append(index[set][k], r)
			}
		}
		k := joined(expect[i].cols, func(n, _ int) string { return expect[i].vals[n] })
		m.fits[i], m.keys[i] = index[set][k], set+k
	}
	return m
}

// joined makes one key of values; lengths keep them apart.
func joined(cols []int, value func(n, col int) string) string {
	var k []byte
	for n, c := range cols {
		v := value(n, c)
		k = strconv.AppendInt(k, int64(len(v)), 10)
		k = append(append(k, ':'), v...)
	}
	return string(k)
}

// match finds the pairs.
func (m *rowMatch) match() error {
	for i := range m.expect {
		if m.take(i) || m.same {
			continue
		}
		if err := m.augment(i); err != nil {
			return err
		}
	}
	return nil
}

// take pairs an expected row with a free row that it fits.
func (m *rowMatch) take(i int) bool {
	k := m.keys[i]
	for n := m.next[k]; n < len(m.fits[i]); n++ {
		m.next[k] = n + 1
		if r := m.fits[i][n]; m.expectOf[r] < 0 {
			m.rowOf[i], m.expectOf[r] = r, i
			return true
		}
	}
	return false
}

// augment makes room for an expected row by giving others another row that they fit, if that can be done: a search breadth
// first along pairs until a free row is found.
func (m *rowMatch) augment(start int) error {
	from := map[int]int{} // by row: the expected row that wants it
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		for _, r := range m.fits[i] {
			if m.steps++; m.steps > matchStepsMax {
				return sqlerr.New(sqlerr.ProgramLimitExceeded, "the expected rows fit the result in too many ways").
					WithHint("Let all expected rows name the same columns.")
			}
			if _, seen := from[r]; seen {
				continue
			}
			from[r] = i
			if m.expectOf[r] >= 0 {
				queue = append(queue, m.expectOf[r])
				continue
			}
			for { // r is free: shift the pairs along the way back
				i := from[r]
				before := m.rowOf[i]
				m.rowOf[i], m.expectOf[r] = r, i
				if i == start {
					return nil
				}
				r = before
			}
		}
	}
	return nil
}

// comparableText gives an expected value as text that is equal for equal values of the column's type. A string is read as the type's
// text, so that times and addresses may be written in any way that the type knows.
func comparableText(raw json.RawMessage, t types.Type) (string, error) {
	if raw[0] != '"' || t.Kind == types.JSON || t.Kind == types.JSONB {
		return canonical(raw), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	v, err := types.ParseText(t, s, nil)
	if err != nil {
		return "", err
	}
	return canonical(codec.AppendJSONValue(nil, v)), nil
}

// canonical writes a JSON value so that equal values are equal texts: keys in order, numbers by their value.
func canonical(raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(raw) // no JSON: equal to itself alone
	}
	return string(appendCanonical(nil, v))
}

func appendCanonical(dst []byte, v any) []byte {
	switch x := v.(type) {
	case json.Number:
		return append(dst, number(x.String())...)
	case []any:
		dst = append(dst, '[')
		for _, e := range x {
			dst = append(appendCanonical(dst, e), ',')
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, k := range slices.Sorted(maps.Keys(x)) {
			dst = append(codec.AppendJSONText(dst, k), ':')
			dst = append(appendCanonical(dst, x[k]), ',')
		}
		return append(dst, '}')
	case string:
		return codec.AppendJSONText(dst, x)
	case bool:
		return strconv.AppendBool(dst, x)
	}
	return append(dst, "null"...)
}

// number writes a JSON number as its digits without zeros at the ends, and an exponent: 1, 1.0 and 10e-1 are 1e0.
func number(s string) string {
	digits, exp, _ := strings.Cut(strings.ToLower(s), "e")
	e := int64(0)
	if exp != "" {
		var err error
		if e, err = strconv.ParseInt(exp, 10, 32); err != nil {
			return s
		}
	}
	sign := ""
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		sign, digits = "-", rest
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	e -= int64(len(fraction))
	short := strings.TrimRight(digits, "0")
	if e += int64(len(digits) - len(short)); short == "" {
		return "0"
	}
	return sign + short + "e" + strconv.FormatInt(e, 10)
}
