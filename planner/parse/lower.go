package parse

import (
	"slices"
	"strings"
	"sync"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// lowerer writes the tokens of a query in TiDB's dialect. It knows Postgres' precedence and adds parentheses wherever
// TiDB would group differently, so that the text means to TiDB what the user wrote. What TiDB's dialect has, is written natively;
// literals and all else become holes: "?" for a leaf, `~`(?, args..) for a construct over lowered arguments. The
// converter fills the holes from a side table when it turns TiDB's tree into ours.
type lowerer struct {
	*cursor
	// pieces is a linked list of text, so that what was written can still be wrapped. pieces[0] is an empty head.
	pieces []piece
	// tail is the piece after which text is written next.
	tail   int
	holes  []hole
	tables []any
	size   int
	// inMatch counts the MATCH_RECOGNIZE clauses around the current token; bareKey: "[" after an expression begins a step of a
	// SEQUENCE and is no subscript.
	inMatch int
	bareKey bool
	// plain: see plainExpr.
	plain bool
}

// piece is a bit of lowered text with its origin.
type piece struct {
	text string
	pos  Pos
	next int
	// hole is the index of the hole that the text's "?" stands for, -1 without.
	hole int
}

// hole is an entry of the side table: a ready leaf, or a builder over the converted arguments.
type hole struct {
	leaf  Expr
	build func(args []Expr) Expr
}

const (
	callText   = "`~`(?"
	callOffset = len("`~`(")
)

func newLowerer(c *cursor) *lowerer {
	return &lowerer{cursor: c, pieces: make([]piece, 1, 64)}
}

func (l *lowerer) add(p piece) {
	p.next = l.pieces[l.tail].next
	l.pieces = append(l.pieces, p)
	l.pieces[l.tail].next = len(l.pieces) - 1
	l.tail = len(l.pieces) - 1
	l.size += len(p.text)
}

// emit writes text that came from pos.
func (l *lowerer) emit(text string, pos Pos) { l.add(piece{text: text, pos: pos, hole: -1}) }

// insert writes text after the piece at, before all that followed it; the place to write on stays.
func (l *lowerer) insert(at int, p piece) int {
	tail := l.tail
	l.tail = at
	l.add(p)
	made := l.tail
	if tail != at {
		l.tail = tail
	}
	return made
}

func (l *lowerer) newHole(h hole) int {
	l.holes = append(l.holes, h)
	return len(l.holes) - 1
}

// leaf writes a finished node.
func (l *lowerer) leaf(e Expr) {
	l.add(piece{text: "?", pos: e.Position(), hole: l.newHole(hole{leaf: e})})
}

// ident writes a name so that TiDB takes it for nothing else.
func (l *lowerer) ident(name string, pos Pos) { l.emit(quoteTiDB(name), pos) }

func quoteTiDB(name string) string {
	if strings.IndexByte(name, '`') >= 0 {
		name = strings.ReplaceAll(name, "`", "``")
	}
	return "`" + name + "`"
}

// call is a construct being lowered to `~`(?, args..). Arguments are numbered as they are written.
type call struct {
	l    *lowerer
	hole int
	n    int
}

// begin opens a call at the current place.
func (l *lowerer) begin(pos Pos) call {
	h := l.newHole(hole{})
	l.add(piece{text: callText, pos: pos, hole: h})
	return call{l: l, hole: h}
}

// wrap opens a call around what was written after mark: that becomes argument 0.
func (l *lowerer) wrap(mark int, pos Pos) call {
	h := l.newHole(hole{})
	p := l.insert(mark, piece{text: callText, pos: l.startOf(mark, pos), hole: h})
	l.insert(p, piece{text: ",", pos: pos, hole: -1})
	return call{l: l, hole: h, n: 1}
}

// arg starts the next argument and returns its number.
func (k *call) arg() int {
	k.l.emit(",", 0)
	k.n++
	return k.n - 1
}

// startOf returns the source position of what was written after mark, pos if nothing was.
func (l *lowerer) startOf(mark int, pos Pos) Pos {
	if next := l.pieces[mark].next; next != 0 {
		return l.pieces[next].pos
	}
	return pos
}

func (k *call) end(build func(args []Expr) Expr) {
	k.l.emit(")", 0)
	k.l.holes[k.hole].build = build
}

// lowered is the finished text with the map back to the source.
type lowered struct {
	text string
	// offsets and order list the pieces in text order; holeOffsets and holeIndex the places of "?".
	offsets     []int
	order       []int
	holeOffsets []int
	holeIndex   []int
}

func (l *lowerer) finish() lowered {
	out := lowered{
		offsets: make([]int, 0, len(l.pieces)), order: make([]int, 0, len(l.pieces)),
		holeOffsets: make([]int, 0, len(l.holes)), holeIndex: make([]int, 0, len(l.holes)),
	}
	var sb strings.Builder
	sb.Grow(l.size)
	for i := l.pieces[0].next; i != 0; i = l.pieces[i].next {
		p := &l.pieces[i]
		if p.text == "" {
			continue
		}
		out.offsets = append(out.offsets, sb.Len())
		out.order = append(out.order, i)
		if p.hole >= 0 {
			at := sb.Len()
			if len(p.text) > 1 {
				at += strings.IndexByte(p.text, '?')
			}
			out.holeOffsets = append(out.holeOffsets, at)
			out.holeIndex = append(out.holeIndex, p.hole)
		}
		sb.WriteString(p.text)
	}
	out.text = sb.String()
	return out
}

// at returns the index in order of the piece that covers a byte offset, -1 before the first.
func (d *lowered) at(offset int) int {
	i, found := slices.BinarySearch(d.offsets, offset)
	if !found {
		i--
	}
	return i
}

// parserPool keeps TiDB parsers: their tables and stacks are large, and a parser serves one statement at a time.
var parserPool = sync.Pool{New: func() any {
	p := parser.New()
	p.SetSQLMode(mysql.ModeANSIQuotes | mysql.ModePipesAsConcat | mysql.ModeNoBackslashEscapes | mysql.ModeIgnoreSpace)
	return p
}}

// pooledTextMax is the largest lowered text after which a parser is kept: its stack and last tree stay alive with it.
const pooledTextMax = 64 << 10

// runTiDB parses the lowered text and converts the tree. The cursor's error is set if TiDB refuses.
func (l *lowerer) runTiDB() *converter {
	if l.err != nil {
		return nil
	}
	low := l.finish()
	p := parserPool.Get().(*parser.Parser)
	stmts, _, err := p.ParseSQL(low.text)
	c := &converter{lowerer: l, low: low}
	switch {
	case err != nil:
		l.failWith(l.refused(&low, err))
	case len(stmts) != 1:
		l.failWith(sqlerr.New(sqlerr.InternalError, "the query was lowered to %d statements", len(stmts)))
	default:
		c.root = stmts[0]
	}
	if len(low.text) <= pooledTextMax {
		parserPool.Put(p)
	}
	if l.err != nil {
		return nil
	}
	return c
}

// refused turns TiDB's error into Postgres' form at the user's own character. The lowering checks the grammar first, so
// this is for what it let pass.
func (l *lowerer) refused(low *lowered, err error) *sqlerr.Error {
	_, near, ok := strings.Cut(err.Error(), "near \"")
	near = strings.TrimRight(near, " ")
	if i := strings.LastIndexByte(near, '"'); i >= 0 {
		near = near[:i]
	}
	offset := len(low.text) - len(near)
	if !ok || offset < 0 || low.text[offset:] != near {
		return sqlerr.New(sqlerr.SyntaxError, "syntax error").WithDetail("%s", clip(err.Error()))
	}
	at := low.at(offset)
	if at < 0 {
		return syntaxError(l.src, l.peek())
	}
	pos := l.pieces[low.order[at]].pos
	i, _ := slices.BinarySearchFunc(l.toks, pos, func(t token, p Pos) int { return t.pos - p })
	return syntaxError(l.src, &l.toks[min(i, len(l.toks)-1)])
}

// subQuery lowers and converts a query that starts at the current token.
func (c *cursor) subQuery() *Select {
	if c.err != nil {
		return nil
	}
	l := newLowerer(c)
	l.selectStmt()
	conv := l.runTiDB()
	if conv == nil {
		return nil
	}
	q := conv.result(conv.root)
	if c.err != nil {
		return nil
	}
	return q
}

// subExpr lowers and converts one expression of at least the given precedence level.
func (c *cursor) subExpr(level int) Expr {
	list := c.subItems(func(l *lowerer) { l.item(func() { l.expr(level) }) })
	if len(list) != 1 {
		return nil
	}
	return list[0].Expr
}

// subItems lowers what write emits after "SELECT ?" and returns the resulting select list.
func (c *cursor) subItems(write func(l *lowerer)) []SelectItem {
	if c.err != nil {
		return nil
	}
	l := newLowerer(c)
	l.emit("SELECT ", c.peek().pos)
	l.leaf(&coreMark{At: At{c.peek().pos}})
	write(l)
	conv := l.runTiDB()
	if conv == nil {
		return nil
	}
	sel, ok := conv.root.(*ast.SelectStmt)
	if !ok {
		c.failWith(sqlerr.New(sqlerr.InternalError, "an expression was lowered to another statement"))
		return nil
	}
	items := conv.items(sel.Fields.Fields[1:])
	if c.err != nil {
		return nil
	}
	return items
}

// item writes a separator and one field of a select list.
func (l *lowerer) item(write func()) {
	l.emit(", ", l.peek().pos)
	write()
}
