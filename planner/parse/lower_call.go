package parse

import "strings"

// orderSlot is an ORDER BY term inside a call; slot is the argument that holds its expression.
type orderSlot struct {
	slot  int
	desc  bool
	nulls int
}

func fillOrder(slots []orderSlot, args []Expr) []OrderItem {
	if len(slots) == 0 {
		return nil
	}
	items := make([]OrderItem, len(slots))
	for i, s := range slots {
		items[i] = OrderItem{Expr: args[s.slot], Desc: s.desc, NullsFirst: s.nulls}
	}
	return items
}

// windowSlots is a window specification whose expressions are arguments of a call.
type windowSlots struct {
	def                WindowDef
	partition          []int
	order              []orderSlot
	frame              *Frame // nil: none; its offsets are the arguments below, -1 without
	startSlot, endSlot int
}

// fill makes the specification from the call's converted arguments.
func (s windowSlots) fill(args []Expr) WindowDef {
	d := s.def
	for _, i := range s.partition {
		d.PartitionBy = append(d.PartitionBy, args[i])
	}
	d.OrderBy = fillOrder(s.order, args)
	if s.frame != nil {
		f := *s.frame
		if s.startSlot >= 0 {
			f.Start.Value = args[s.startSlot]
		}
		if s.endSlot >= 0 {
			f.End.Value = args[s.endSlot]
		}
		d.Frame = &f
	}
	return d
}

// callTail is what follows a call's arguments.
type callTail struct {
	f      FuncCall
	order  []orderSlot
	within []orderSlot
	filter int
	over   *windowSlots
}

// call lowers f(args) with all that Postgres allows in and after the parentheses. A plain call is written natively.
func (l *lowerer) call(parts []string, pos Pos) int {
	if len(parts) > 2 {
		l.lack(pos, "a function of another database", "write schema.function")
		return 0
	}
	k := l.begin(pos)
	name, comma := l.tail, 0
	tail := callTail{f: FuncCall{At: At{pos}}, filter: -1}
	tail.f.Name = Name{Name: parts[len(parts)-1], Pos: pos}
	if len(parts) == 2 {
		tail.f.Name.Schema = parts[0]
	}
	l.expect("(")
	h := l.callArgs(&k, &tail, &comma)
	l.expect(")")
	count := k.n
	if len(tail.order) > 0 {
		count = tail.order[0].slot
	}
	special := tail.f.Star || tail.f.Distinct || tail.f.Variadic || len(tail.order) > 0
	special = l.afterCall(&k, &tail) || special
	if !special {
		// TiDB has plain calls: the hole becomes the name, and the comma after it goes.
		text := quoteTiDB(tail.f.Name.Name) + "("
		if tail.f.Name.Schema != "" {
			text = quoteTiDB(tail.f.Name.Schema) + "." + text
		}
		l.pieces[name].text, l.pieces[name].hole = text, -1
		if comma != 0 {
			l.pieces[comma].text = ""
		}
	}
	k.end(func(args []Expr) Expr {
		f := tail.f
		if count > 0 {
			f.Args = args[:count:count]
		}
		f.OrderBy, f.WithinGroup = fillOrder(tail.order, args), fillOrder(tail.within, args)
		if tail.filter >= 0 {
			f.Filter = args[tail.filter]
		}
		if tail.over != nil {
			d := tail.over.fill(args)
			f.Over = &d
		}
		return &f
	})
	return h + 1
}

// callArgs lowers what stands between the parentheses; comma becomes the piece that separates the hole from argument 0.
func (l *lowerer) callArgs(k *call, tail *callTail, comma *int) int {
	if l.accept("*") {
		tail.f.Star = true
		return 0
	}
	if l.acceptKw("distinct") {
		tail.f.Distinct = true
	} else {
		l.acceptKw("all")
	}
	h := 0
	for n := 0; l.err == nil && !l.peek().isOp(")") && (n == 0 || l.accept(",")); n++ {
		if t := l.at(1); l.peek().isWord() && (t.isOp("=>") || t.isOp(":=")) {
			l.lack(l.peek().pos, "a named argument", "give the arguments in order")
		}
		if l.isKw("variadic") {
			l.next()
			tail.f.Variadic = true
		}
		k.arg()
		if n == 0 {
			*comma = l.tail
		}
		h = max(h, l.expr(0))
		if tail.f.Variadic {
			break
		}
	}
	if l.isKw("order") {
		tail.order = l.orderSlots(k)
	}
	return h
}

// afterCall lowers WITHIN GROUP, FILTER and OVER and reports whether there was any.
func (l *lowerer) afterCall(k *call, tail *callTail) bool {
	found := false
	if l.isKw("within", "group") && l.at(2).isOp("(") {
		found = true
		l.i += 3
		tail.within = l.orderSlots(k)
		l.expect(")")
	}
	if l.isKw("filter") && l.at(1).isOp("(") {
		found = true
		l.i += 2
		l.expectKw("where")
		tail.filter = k.arg()
		l.expr(0)
		l.expect(")")
	}
	if t := l.peek(); t.isAnyKw("ignore", "respect") && l.at(1).isKw("nulls") {
		l.lack(t.pos, strings.ToUpper(t.val)+" NULLS", "filter the nulls out with FILTER (WHERE x IS NOT NULL)")
	}
	if l.isKw("over") && (l.at(1).isOp("(") || l.at(1).isName()) {
		found = true
		l.next()
		if t := l.peek(); t.isOp("(") {
			s := l.windowSpec(k)
			tail.over = &s
		} else {
			tail.over = &windowSlots{def: WindowDef{Name: l.name(), Pos: t.pos}}
		}
	}
	return found
}

// orderSlots lowers ORDER BY a, b as arguments of k.
func (l *lowerer) orderSlots(k *call) []orderSlot {
	l.expectKw("order", "by")
	var slots []orderSlot
	for first := true; first || l.accept(","); first = false {
		s := orderSlot{slot: k.arg()}
		l.expr(0)
		s.desc, s.nulls = l.orderTail()
		slots = append(slots, s)
	}
	return slots
}

// windowSpec lowers ([name] [PARTITION BY ..] [ORDER BY ..] [frame]).
func (l *lowerer) windowSpec(k *call) windowSlots {
	s := windowSlots{startSlot: -1, endSlot: -1}
	s.def.Pos = l.peek().pos
	l.expect("(")
	if t := l.peek(); t.isName() && !(t.isAnyKw("partition", "range", "rows", "groups")) {
		s.def.Ref = l.name()
	}
	if l.acceptKw("partition") {
		l.expectKw("by")
		for first := true; first || l.accept(","); first = false {
			s.partition = append(s.partition, k.arg())
			l.expr(0)
		}
	}
	if l.isKw("order") {
		s.order = l.orderSlots(k)
	}
	if l.peek().isAnyKw("rows", "range", "groups") {
		l.frame(k, &s)
	}
	l.expect(")")
	return s
}

// frame lowers ROWS|RANGE|GROUPS [BETWEEN] start [AND end].
func (l *lowerer) frame(k *call, s *windowSlots) {
	s.frame = &Frame{Unit: strings.ToUpper(l.next().val)}
	between := l.acceptKw("between")
	s.frame.Start, s.startSlot = l.bound(k)
	s.frame.End = FrameBound{Kind: "CURRENT ROW", Pos: s.frame.Start.Pos}
	if between {
		l.expectKw("and")
		s.frame.End, s.endSlot = l.bound(k)
	}
	if !l.acceptKw("exclude") {
		return
	}
	switch {
	case l.acceptKw("current", "row"):
		s.frame.Exclude = "CURRENT ROW"
	case l.acceptKw("group"):
		s.frame.Exclude = "GROUP"
	case l.acceptKw("ties"):
		s.frame.Exclude = "TIES"
	default:
		l.expectKw("no", "others")
	}
}

// bound lowers one end of a frame.
func (l *lowerer) bound(k *call) (b FrameBound, slot int) {
	b.Pos = l.peek().pos
	if l.acceptKw("current", "row") {
		b.Kind = "CURRENT ROW"
		return b, -1
	}
	slot = -1
	if l.isKw("unbounded") && l.at(1).isAnyKw("preceding", "following") {
		l.next()
		b.Kind = "UNBOUNDED "
	} else {
		slot = k.arg()
		l.expr(0)
	}
	if l.acceptKw("preceding") {
		b.Kind += "PRECEDING"
		return b, slot
	}
	l.expectKw("following")
	b.Kind += "FOLLOWING"
	return b, slot
}
