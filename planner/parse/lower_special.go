package parse

import (
	"slices"
	"strings"
)

// specialCall lowers the functions that have keywords between their arguments, if name is one and is written so.
func (l *lowerer) specialCall(name string) (height int, ok bool) {
	switch name {
	case "extract":
		return l.extract(), true
	case "substring":
		return l.keywordCall("substring", 0, l.substringTail), true
	case "overlay":
		return l.keywordCall("overlay", 0, l.overlayTail), true
	case "position":
		return l.position(), true
	case "trim":
		return l.trim(), true
	}
	return 0, false
}

// position lowers position(a IN b) to a call that has b first, as Postgres' function.
func (l *lowerer) position() int {
	t := l.next()
	l.expect("(")
	k := l.begin(t.pos)
	k.arg()
	h := l.plainExpr()
	l.expectKw("in")
	k.arg()
	h = max(h, l.plainExpr())
	l.expect(")")
	k.end(func(a []Expr) Expr {
		slices.Reverse(a)
		return plainCall("position", t.pos)(a)
	})
	return h + 1
}

// plainCall builds a call of name over all arguments of a hole.
func plainCall(name string, pos Pos) func(args []Expr) Expr {
	return func(args []Expr) Expr {
		return &FuncCall{At: At{pos}, Name: Name{Name: name, Pos: pos}, Args: args}
	}
}

// keywordCall lowers name(first <tail>): tail returns -1 where no keyword follows, and the plain commas are read here.
func (l *lowerer) keywordCall(name string, level int, tail func(k *call) int) int {
	t := l.next()
	l.expect("(")
	k := l.begin(t.pos)
	h := 0
	if !l.peek().isOp(")") {
		k.arg()
		h = l.expr(level)
		rest := tail(&k)
		for rest < 0 && l.accept(",") {
			k.arg()
			h = max(h, l.expr(0))
		}
		h = max(h, rest)
	}
	l.expect(")")
	k.end(plainCall(name, t.pos))
	return h + 1
}

// substringTail lowers FROM a [FOR b], FOR b [FROM a] and SIMILAR a ESCAPE b.
func (l *lowerer) substringTail(k *call) int {
	switch {
	case l.acceptKw("from"):
		k.arg()
		h := l.expr(0)
		if l.acceptKw("for") {
			k.arg()
			h = max(h, l.expr(0))
		}
		return h
	case l.acceptKw("for"):
		k.arg()
		l.leaf(&Number{At{l.peek().pos}, "1"})
		k.arg()
		return l.expr(0)
	case l.isKw("similar"):
		l.next()
		k.arg()
		h := l.expr(0)
		l.expectKw("escape")
		k.arg()
		return max(h, l.expr(0))
	}
	return -1
}

// overlayTail lowers PLACING y FROM a [FOR b].
func (l *lowerer) overlayTail(k *call) int {
	if !l.acceptKw("placing") {
		return -1
	}
	k.arg()
	h := l.expr(0)
	l.expectKw("from")
	k.arg()
	h = max(h, l.expr(0))
	if l.acceptKw("for") {
		k.arg()
		h = max(h, l.expr(0))
	}
	return h
}

// extract lowers EXTRACT(field FROM x) and the plain extract('field', x).
func (l *lowerer) extract() int {
	t := l.next()
	l.expect("(")
	k := l.begin(t.pos)
	f := l.peek()
	h := 0
	if (f.isWord() || f.kind == tokString) && l.at(1).isKw("from") {
		k.arg()
		l.next()
		l.leaf(&String{At{f.pos}, f.val})
		l.next()
		k.arg()
		h = l.expr(0)
	} else {
		for n := 0; n == 0 || l.accept(","); n++ {
			k.arg()
			h = max(h, l.expr(0))
		}
	}
	l.expect(")")
	k.end(plainCall("extract", t.pos))
	return h + 1
}

// trim lowers TRIM([LEADING|TRAILING|BOTH] [chars] FROM x) to btrim, ltrim and rtrim.
func (l *lowerer) trim() int {
	t := l.next()
	l.expect("(")
	name := "btrim"
	switch {
	case l.acceptKw("leading"):
		name = "ltrim"
	case l.acceptKw("trailing"):
		name = "rtrim"
	default:
		l.acceptKw("both")
	}
	k := l.begin(t.pos)
	h, swap := 0, false
	if !l.acceptKw("from") {
		k.arg()
		h = l.expr(0)
		swap = l.acceptKw("from")
		if !swap && l.accept(",") {
			k.arg()
			h = max(h, l.expr(0))
		}
	}
	if swap || k.n == 0 {
		k.arg()
		h = max(h, l.expr(0))
		for l.accept(",") {
			k.arg()
			h = max(h, l.expr(0))
		}
	}
	l.expect(")")
	build := plainCall(name, t.pos)
	k.end(func(args []Expr) Expr {
		if swap {
			args = append(args[1:len(args):len(args)], args[0])
		}
		return build(args)
	})
	return h + 1
}

// groupBy lowers GROUP BY with windows and grouping sets.
func (l *lowerer) groupBy() (distinct bool) {
	l.emit(" GROUP BY ", l.next().pos)
	l.expectKw("by")
	if distinct = l.acceptKw("distinct"); !distinct {
		l.acceptKw("all")
	}
	for first := true; first || l.accept(","); first = false {
		if !first {
			l.emit(", ", 0)
		}
		l.groupItem()
	}
	return distinct
}

func (l *lowerer) groupItem() {
	t := l.peek()
	switch {
	case t.kind == tokIdent && windowKinds[t.val] && l.at(1).isOp("("):
		l.windowCall(nil)
	case t.isAnyKw("rollup", "cube") && l.at(1).isOp("("):
		l.next()
		l.groupingSets(strings.ToUpper(t.val), t.pos)
	case l.isKw("grouping", "sets"):
		l.i += 2
		l.groupingSets("GROUPING SETS", t.pos)
	case t.isOp("(") && l.at(1).isOp(")"):
		l.i += 2
		l.leaf(&GroupingSets{At: At{t.pos}, Kind: "GROUPING SETS", Sets: [][]Expr{nil}})
	default:
		l.expr(0)
	}
}

// groupingSets lowers (a, (b, c), ()) after ROLLUP, CUBE or GROUPING SETS.
func (l *lowerer) groupingSets(kind string, pos Pos) {
	if !l.enter() {
		return
	}
	defer l.leave()
	k := l.begin(pos)
	var widths []int
	l.expect("(")
	for first := true; first || l.accept(","); first = false {
		from := k.n
		if t := l.peek(); kind == "GROUPING SETS" && (t.isAnyKw("rollup", "cube") && l.at(1).isOp("(") || l.isKw("grouping", "sets")) {
			k.arg()
			l.groupItem()
		} else {
			l.groupingSet(&k)
		}
		widths = append(widths, k.n-from)
	}
	l.expect(")")
	k.end(func(args []Expr) Expr {
		g := &GroupingSets{At: At{pos}, Kind: kind}
		for _, w := range widths {
			var set []Expr
			if w > 0 {
				set = args[:w:w]
			}
			g.Sets = append(g.Sets, set)
			args = args[w:]
		}
		return g
	})
}

// groupingSet lowers a, (a, b) or (). A parenthesis that closes before the set does is part of an expression.
func (l *lowerer) groupingSet(k *call) {
	t := l.peek()
	whole := t.isOp("(") && t.match > 0 && t.match < l.end &&
		(l.toks[t.match+1].isOp(",") || l.toks[t.match+1].isOp(")")) && !l.queryParen(l.i, 0)
	if !whole {
		k.arg()
		l.expr(0)
		return
	}
	l.next()
	for n := 0; l.err == nil && !l.peek().isOp(")") && (n == 0 || l.accept(",")); n++ {
		k.arg()
		l.expr(0)
	}
	l.expect(")")
}

// windowCall lowers TUMBLE(..) and its relatives. In FROM, source lowers the first argument, the relation, elsewhere it
// is nil; what source needs is done before the arguments are written.
func (l *lowerer) windowCall(source func()) {
	t := l.next()
	kind := strings.ToUpper(t.val)
	l.expect("(")
	if source != nil {
		source()
	}
	k := l.begin(t.pos)
	maxSlot := -1
	for n := 0; l.err == nil && maxSlot < 0 && !l.peek().isOp(")") && (n == 0 && source == nil || l.accept(",")); n++ {
		if kind == "SESSION" && l.isKw("max") && l.at(1).isKw("interval") && l.at(2).kind == tokString {
			l.next()
			maxSlot = k.n
		}
		k.arg()
		if l.isKw("descriptor") && l.at(1).isOp("(") {
			l.i += 2
			l.expr(0)
			l.expect(")")
			continue
		}
		l.expr(0)
	}
	l.expect(")")
	k.end(func(args []Expr) Expr {
		w := &WindowCall{At: At{t.pos}, Kind: kind}
		for i, a := range args {
			switch {
			case i == maxSlot:
				w.Max = a
			case i == 0 && kind != "COUNT_WINDOW" && !isSpan(a):
				w.Time = a
			default:
				w.Args = append(w.Args, a)
			}
		}
		return w
	})
}

// isSpan reports a literal length of time: then the time column was left out.
func isSpan(e Expr) bool {
	switch e := e.(type) {
	case *Interval, *Number, *String:
		return true
	case *Cast:
		return e.Type.Name == "interval"
	}
	return false
}
