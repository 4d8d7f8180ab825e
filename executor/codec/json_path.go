package codec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// pathStep is a key of an object, or an element of an array.
type pathStep struct {
	key   string
	index int // -1: a key
}

// pathStepsMax bounds a path.
const pathStepsMax = 32

// parsePath reads what FROM says: names with points between them, elements in brackets counted from 0, and names in double quotes
// where they hold points, brackets or quotes (doubled).
func parsePath(path string) ([]pathStep, error) {
	bad := func(what string) error {
		return sqlerr.New(sqlerr.InvalidParameterValue, "invalid path %q: %s", path, what).
			WithHint(`For example FROM 'alert.signature', FROM 'answers[0].name' or FROM '"a.key".b'.`)
	}
	var steps []pathStep
	for s := path; ; {
		switch {
		case s == "":
			return nil, bad("a name is missing")
		case len(steps) == pathStepsMax:
			return nil, bad("it has more than " + strconv.Itoa(pathStepsMax) + " steps")
		case s[0] == '[':
			end := strings.IndexByte(s, ']')
			i, err := strconv.Atoi(s[1:max(end, 1)])
			if end < 0 || err != nil || i < 0 || i > 1<<20 || len(steps) == 0 {
				return nil, bad("brackets hold the number of an element, behind a name")
			}
			steps, s = append(steps, pathStep{index: i}), s[end+1:]
		case s[0] == '"':
			key, rest, ok := quotedKey(s[1:])
			if !ok {
				return nil, bad("a quote stays open")
			}
			steps, s = append(steps, pathStep{key: key, index: -1}), rest
		default:
			end := strings.IndexAny(s, `.["`)
			if end < 0 {
				end = len(s)
			}
			if end == 0 {
				return nil, bad("a name is missing")
			}
			steps, s = append(steps, pathStep{key: s[:end], index: -1}), s[end:]
		}
		switch {
		case s == "":
			return steps, nil
		case s[0] == '.':
			if s = s[1:]; s != "" && s[0] == '[' {
				return nil, bad("a name is missing")
			}
		case s[0] != '[':
			return nil, bad("a point is missing")
		}
	}
}

// quotedKey reads a name up to its closing quote.
func quotedKey(s string) (key, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			return "", "", false
		}
		b.WriteString(s[:i])
		if s = s[i+1:]; s == "" || s[0] != '"' {
			return b.String(), s, b.Len() > 0
		}
		b.WriteByte('"')
		s = s[1:]
	}
}

// pathNode is a place in the records: the columns that take the value there, and the places within it.
type pathNode struct {
	slots    []int32
	keys     map[string]*pathNode
	elements map[int]*pathNode
	gen      uint64 // the record in which it was last found as a key
}

func (p *pathNode) step(s pathStep) *pathNode {
	if s.index >= 0 {
		if p.elements == nil {
			p.elements = map[int]*pathNode{}
		}
		if p.elements[s.index] == nil {
			p.elements[s.index] = &pathNode{}
		}
		return p.elements[s.index]
	}
	if p.keys == nil {
		p.keys = map[string]*pathNode{}
	}
	if p.keys[s.key] == nil {
		p.keys[s.key] = &pathNode{}
	}
	return p.keys[s.key]
}

// plain reports a place whose value is one column's, and which has none within: the usual key.
func (p *pathNode) plain() bool { return len(p.slots) == 1 && p.keys == nil && p.elements == nil }

// What the nodes of keys have in place of a slot when the value is not just one column's: slotRest, or slotTree - i for d.trees[i].
const (
	slotRest = -2
	slotTree = -3
)

// jsonPaths are the columns of a stream by the places of their values.
type jsonPaths struct {
	root    pathNode // slots are the schema's columns
	restCol int      // -1: none
}

// newJSONPaths reads what FROM says. A path that is a name with points is a key of its own, too.
func newJSONPaths(o *Options, format string) (*jsonPaths, error) {
	p := &jsonPaths{restCol: -1}
	for i, c := range o.Schema.Cols {
		from := o.from(i)
		switch {
		case from == RestPath && c.Type.Kind != types.JSON && c.Type.Kind != types.JSONB:
			return nil, sqlerr.New(sqlerr.DatatypeMismatch, "column %q takes the other fields and must be of type jsonb, not %s", c.Name, c.Type)
		case from == RestPath && p.restCol >= 0:
			return nil, sqlerr.New(sqlerr.InvalidTableDefinition, "columns %q and %q both take the other fields", o.Schema.Cols[p.restCol].Name, c.Name)
		case from == RestPath:
			p.restCol = i
			continue
		case from == "":
			p.add([]pathStep{{c.Name, -1}}, i)
			for _, name := range append(jsonAliases(format, c.Name), o.ecsFields(format, c.Name)...) {
				if err := p.addText(name, i); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := p.addText(from, i); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *jsonPaths) addText(path string, col int) error {
	steps, err := parsePath(path)
	if err != nil {
		return err
	}
	p.add(steps, col)
	if len(steps) > 1 && strings.IndexAny(path, `["`) < 0 {
		p.add([]pathStep{{path, -1}}, col)
	}
	return nil
}

func (p *jsonPaths) add(steps []pathStep, col int) {
	n := &p.root
	for _, s := range steps {
		n = n.step(s)
	}
	n.slots = append(n.slots, int32(col))
}

// build gives each top-level key its slot, now that the slots are known; slotOf has the slot of each column, -1 for none.
func (d *jsonDecoder) buildPaths(slotOf []int32) {
	d.trees = d.trees[:0]
	for key, n := range d.paths.root.keys {
		m := n.compiled(slotOf)
		switch {
		case m == nil && len(n.slots) > 0:
			d.byName[key] = -1 // a column's, but nobody reads it
		case m == nil:
			if d.restCol >= 0 {
				d.byName[key] = slotRest
			}
		case m.plain():
			d.byName[key] = m.slots[0]
		default:
			d.byName[key] = int32(slotTree - len(d.trees))
			d.trees = append(d.trees, jsonTree{root: m, rest: len(n.slots) == 0})
		}
	}
}

// compiled is the node with slots for columns, nil when nobody reads anything there.
func (p *pathNode) compiled(slotOf []int32) *pathNode {
	m, some := &pathNode{}, false
	for _, col := range p.slots {
		if s := slotOf[col]; s >= 0 {
			m.slots, some = append(m.slots, s), true
		}
	}
	for key, n := range p.keys {
		if c := n.compiled(slotOf); c != nil {
			if m.keys == nil {
				m.keys = map[string]*pathNode{}
			}
			m.keys[key], some = c, true
		}
	}
	for i, n := range p.elements {
		if c := n.compiled(slotOf); c != nil {
			if m.elements == nil {
				m.elements = map[int]*pathNode{}
			}
			m.elements[i], some = c, true
		}
	}
	if !some {
		return nil
	}
	return m
}

// jsonTree is a top-level key whose value several columns take, or parts of it.
type jsonTree struct {
	root *pathNode
	rest bool   // no column takes it whole: it is one of the other fields, too
	gen  uint64 // the record that had it last
}

// other handles the value of a key that is not just one column's: at data[i], perhaps after white space. It returns the place behind it or -1.
func (d *jsonDecoder) other(data []byte, i int, slot int32, key []byte) int {
	i = skipSpace(data, i, d.multi)
	d.seenU0 = false
	end := d.skip(data, i)
	if end < 0 {
		return -1
	}
	if slot == slotRest {
		d.addRest(key, data[i:end])
		return end
	}
	t := &d.trees[slotTree-slot]
	if t.rest {
		d.addRest(key, data[i:end])
	}
	if t.gen == d.gen { // the last value counts
		d.clear(t.root)
	}
	t.gen = d.gen
	d.extract(data, i, t.root)
	return end
}

// addRest keeps one of the other fields; its text has been checked, but for its UTF-8.
func (d *jsonDecoder) addRest(key, value []byte) {
	if !d.keepRest {
		return
	}
	d.restU0 = d.restU0 || d.seenU0
	if len(d.restBuf) == 0 {
		d.restBuf = append(d.restBuf, '{', '"')
	} else {
		d.restBuf = append(d.restBuf, ',', '"')
	}
	d.restBuf = append(append(d.restBuf, key...), '"', ':')
	d.restBuf = append(d.restBuf, value...)
}

// clear takes back what an earlier value of the same key gave.
func (d *jsonDecoder) clear(n *pathNode) {
	for _, slot := range n.slots {
		if s := &d.slots[slot]; s.gen == d.gen {
			d.again(slot)
			s.gen = 0
			d.set--
		}
	}
	for _, m := range n.keys {
		d.clear(m)
	}
	for _, m := range n.elements {
		d.clear(m)
	}
}

// extract gives the value at data[i], which has been checked, and what is within it to their columns, and returns the place behind it.
func (d *jsonDecoder) extract(data []byte, i int, n *pathNode) int {
	end := d.skip(data, i)
	for _, slot := range n.slots {
		d.value(data, i, slot)
	}
	switch {
	case n.keys != nil && data[i] == '{':
		d.extractObject(data, i, n)
	case n.elements != nil && data[i] == '[':
		d.extractArray(data, i, n)
	}
	return end
}

func (d *jsonDecoder) extractObject(data []byte, i int, n *pathNode) {
	for i = skipSpace(data, i+1, d.multi); data[i] != '}'; {
		if data[i] == ',' {
			i = skipSpace(data, i+1, d.multi)
		}
		from := i + 1
		i = d.skipString(data, from)
		key := data[from : i-1]
		i = skipSpace(data, skipSpace(data, i, d.multi)+1, d.multi) // behind the colon
		m := n.keys[string(key)]
		if bytes.IndexByte(key, '\\') >= 0 && d.unescape(data, from, len(key)) == "" {
			m = n.keys[string(d.buf)]
		}
		if m != nil {
			if m.gen == d.gen { // the last value counts
				d.clear(m)
			}
			m.gen = d.gen
			i = d.extract(data, i, m)
		} else {
			i = d.skip(data, i)
		}
		i = skipSpace(data, i, d.multi)
	}
}

func (d *jsonDecoder) extractArray(data []byte, i int, n *pathNode) {
	i = skipSpace(data, i+1, d.multi)
	for k := 0; data[i] != ']'; k++ {
		if data[i] == ',' {
			i = skipSpace(data, i+1, d.multi)
		}
		if m := n.elements[k]; m != nil {
			i = d.extract(data, i, m)
		} else {
			i = d.skip(data, i)
		}
		i = skipSpace(data, i, d.multi)
	}
}

// finishRest appends the record's other fields, NULL when there are none, and reports what is wrong with them.
func (d *jsonDecoder) finishRest(b *batch.Batch) error {
	v := &b.Cols[d.restCol]
	c := newCell(d.schema.Cols[d.restCol])
	switch {
	case len(d.restBuf) == 0 && d.notNull[d.restCol]:
		v.AppendString("{}")
	case len(d.restBuf) == 0:
		v.AppendNull()
	case !utf8.Valid(d.restBuf):
		return c.badUTF8(d.restBuf)
	case d.restU0 && c.typ.Kind == types.JSONB:
		return c.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire, `unsupported Unicode escape sequence: \u0000 cannot be converted to text`))
	default:
		v.AppendBytes(append(d.restBuf, '}'))
	}
	return nil
}
