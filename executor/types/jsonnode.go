package types

import (
	"sort"
)

// sortKeys puts an object into jsonb's key order and drops all but the last value of equal keys.
func (n *JSONNode) sortKeys() {
	if n.sortedKeys() {
		return
	}
	idx := make([]int, len(n.Keys))
	for i := range idx {
		idx[i] = i
	}
	sort.SliceStable(idx, func(a, b int) bool { return keyLess(n.Keys[idx[a]], n.Keys[idx[b]]) })
	keys, elems := make([]string, 0, len(idx)), make([]*JSONNode, 0, len(idx))
	for p, i := range idx {
		if p+1 < len(idx) && n.Keys[idx[p+1]] == n.Keys[i] {
			continue
		}
		keys, elems = append(keys, n.Keys[i]), append(elems, n.Elems[i])
	}
	n.Keys, n.Elems = keys, elems
}

func (n *JSONNode) sortedKeys() bool {
	for i := 1; i < len(n.Keys); i++ {
		if !keyLess(n.Keys[i-1], n.Keys[i]) {
			return false
		}
	}
	return true
}

func keyLess(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// Field returns the value of an object's key, nil when there is none or n is no object. The last of equal keys wins.
func (n *JSONNode) Field(key string) *JSONNode {
	if n.Kind != '{' {
		return nil
	}
	for i := len(n.Keys) - 1; i >= 0; i-- {
		if n.Keys[i] == key {
			return n.Elems[i]
		}
	}
	return nil
}

// Elem returns an array's element, counted from the end when i is negative; nil when there is none.
func (n *JSONNode) Elem(i int64) *JSONNode {
	if n.Kind != '[' {
		return nil
	}
	if i < 0 {
		i += int64(len(n.Elems))
	}
	if i < 0 || i >= int64(len(n.Elems)) {
		return nil
	}
	return n.Elems[i]
}

// JSONRaw finds the text of an object's field (byKey) or of an array's element in valid JSON text, without building nodes.
// ok is false when there is none.
func JSONRaw(s, key string, index int64, byKey bool) (raw string, ok bool) {
	r := jsonReader{s: s}
	r.space()
	if r.i >= len(s) || byKey != (s[r.i] == '{') || !byKey && s[r.i] != '[' {
		return "", false
	}
	if index < 0 && !byKey {
		if index += int64(jsonCount(s)); index < 0 {
			return "", false
		}
	}
	r.i++
	for n := int64(0); ; n++ {
		r.space()
		if r.i >= len(s) || s[r.i] == '}' || s[r.i] == ']' {
			return raw, ok
		}
		name := ""
		if byKey {
			rb := jsonReader{s: s, i: r.i, build: false}
			var err error
			if name, err = rb.key(); err != nil {
				return "", false
			}
			r.i = rb.i
		}
		r.space()
		start := r.i
		if _, err := r.value(); err != nil {
			return "", false
		}
		if byKey && name == key {
			raw, ok = s[start:r.i], true // go on: the last one wins
		} else if !byKey && n == index {
			return s[start:r.i], true
		}
		if r.space(); r.i < len(s) && s[r.i] == ',' {
			r.i++
		}
	}
}

// jsonCount returns the number of elements of the array that valid text s is.
func jsonCount(s string) int {
	r := jsonReader{s: s}
	r.space()
	r.i++
	for n := 0; ; n++ {
		r.space()
		if r.i >= len(s) || s[r.i] == ']' {
			return n
		}
		if _, err := r.value(); err != nil {
			return n
		}
		if r.space(); r.i < len(s) && s[r.i] == ',' {
			r.i++
		}
	}
}

// JSONScalarText is ->>: strings unescaped, JSON null as ok false, all else as its text.
func JSONScalarText(raw string) (text string, ok bool) {
	r := jsonReader{s: raw}
	r.space()
	if r.i >= len(raw) {
		return "", false
	}
	switch raw[r.i] {
	case 'n':
		return "", false
	case '"':
		s, err := r.str()
		return s, err == nil
	}
	return raw, true
}

// Compare is jsonb's order: Object > Array > Boolean > Number > String > null.
func (n *JSONNode) Compare(m *JSONNode) int {
	// At the top a scalar is kept as an array of one, so that an empty array is less.
	if e := n.empty(); e != m.empty() && n.Kind != '{' && m.Kind != '{' {
		if e {
			return -1
		}
		return 1
	}
	return n.compare(m)
}

func (n *JSONNode) empty() bool { return n.Kind == '[' && len(n.Elems) == 0 }

func (n *JSONNode) compare(m *JSONNode) int {
	if n.Kind != m.Kind {
		if c := cmpOrdered(jsonRank(n.Kind), jsonRank(m.Kind)); c != 0 {
			return c
		}
		return cmpOrdered(n.Kind, m.Kind) // false before true
	}
	switch n.Kind {
	case '"':
		return cmpOrdered(n.Str, m.Str)
	case '0':
		a, _ := parseNumeric(n.Str)
		b, _ := parseNumeric(m.Str)
		return NumericCmp(a, b)
	case '{':
		n.sortKeys()
		m.sortKeys()
	}
	if c := cmpOrdered(len(n.Elems), len(m.Elems)); c != 0 {
		return c
	}
	for i := range n.Elems {
		if n.Kind == '{' {
			if n.Keys[i] != m.Keys[i] {
				if keyLess(n.Keys[i], m.Keys[i]) {
					return -1
				}
				return 1
			}
		}
		if c := n.Elems[i].compare(m.Elems[i]); c != 0 {
			return c
		}
	}
	return 0
}

func jsonRank(kind byte) int {
	switch kind {
	case 'n':
		return 0
	case '"':
		return 1
	case '0':
		return 2
	case '[':
		return 4
	case '{':
		return 5
	}
	return 3
}

// Contains is jsonb's @>.
func (n *JSONNode) Contains(m *JSONNode) bool {
	if n.Kind == '[' && m.Kind != '[' && m.Kind != '{' { // an array contains a bare scalar
		m = &JSONNode{Kind: '[', Elems: []*JSONNode{m}}
	}
	return n.contains(m)
}

func (n *JSONNode) contains(m *JSONNode) bool {
	if n.Kind != m.Kind {
		return false
	}
	switch n.Kind {
	case '{':
		for i, k := range m.Keys {
			if e := n.Field(k); e == nil || !e.contains(m.Elems[i]) {
				return false
			}
		}
		return true
	case '[':
		for _, want := range m.Elems {
			found := false
			for _, e := range n.Elems {
				if e.contains(want) {
					found = true
					break
				}
			}
			if !found {
				return false
			}
		}
		return true
	}
	return n.Compare(m) == 0
}
