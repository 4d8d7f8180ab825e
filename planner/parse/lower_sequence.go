package parse

import "github.com/vigil-sql/vigil/executor/sqlerr"

// sequenceStepsMax bounds the steps of one SEQUENCE, as EQL does.
const sequenceStepsMax = 256

// sequenceNext reports whether SEQUENCE begins here: BY, WITHIN or a step follows the word.
func (l *lowerer) sequenceNext() bool {
	t := l.at(1)
	return l.peek().isKw("sequence") && (t.isAnyKw("by", "within") || t.isOp("[") || t.isOp("!"))
}

// sequenceSlots are the arguments of a lowered SEQUENCE; stepCond is -1 for steps without condition.
type sequenceSlots struct {
	by, measures []int
	steps        []stepSlots
	until        *stepSlots
}

type stepSlots struct {
	cond int
	by   []int
}

// sequence lowers SEQUENCE .. as SELECT * FROM (SELECT ~(?, args)).
func (l *lowerer) sequence() {
	pos := l.next().pos
	e := &TableSequence{Pos: pos}
	l.emit("SELECT ", pos)
	l.leaf(&coreMark{At: At{pos}})
	l.emit(", ", pos)
	l.leaf(&starMark{At: At{pos}})
	l.emit(" FROM (SELECT ", pos)
	k := l.begin(pos)
	var slots sequenceSlots
	if l.acceptKw("by") {
		slots.by = l.sequenceKeys(&k)
	}
	if l.acceptKw("within") {
		e.Within = l.interval()
	}
	for n := 0; l.err == nil && (n == 0 || l.peek().isOp("[") || l.peek().isOp("!")); n++ {
		if n == sequenceStepsMax {
			l.failWith(sqlerr.New(sqlerr.ProgramLimitExceeded, "a sequence may have at most %d steps", sequenceStepsMax).At(l.peek().pos))
		}
		st, s := l.sequenceStep(&k)
		e.Steps, slots.steps = append(e.Steps, st), append(slots.steps, s)
	}
	if l.acceptKw("until") {
		st, s := l.sequenceStep(&k)
		if st.Missing || st.Min != 1 || st.Max != 1 || st.Alias != "" {
			l.lack(st.Pos, "UNTIL with !, a count or a name", "write UNTIL [stream WHERE condition]")
		}
		e.Until, slots.until = &st, &s
	}
	if l.acceptKw("measures") {
		l.inMatch++
		e.Measures, slots.measures = l.measures(&k)
		l.inMatch--
	}
	k.end(func(args []Expr) Expr {
		slots.fill(e, args)
		return &matchMark{At{pos}}
	})
	l.emit(") AS ", pos)
	l.emit(l.tableName(e), pos)
}

// sequenceKeys lowers a, b, ... after BY.
func (l *lowerer) sequenceKeys(k *call) (slots []int) {
	l.bareKey = true
	defer func() { l.bareKey = false }()
	for first := true; first || l.accept(","); first = false {
		slots = append(slots, k.arg())
		l.expr(0)
	}
	return slots
}

// sequenceStep lowers [!] [stream WHERE cond] [BY keys] [{n,m}] [AS name].
func (l *lowerer) sequenceStep(k *call) (st SequenceStep, s stepSlots) {
	st = SequenceStep{Pos: l.peek().pos, Min: 1, Max: 1}
	s.cond = -1
	st.Missing = l.accept("!")
	l.expect("[")
	st.Source = l.qualified()
	if l.acceptKw("where") {
		s.cond = k.arg()
		l.expr(0)
	}
	l.expect("]")
	if l.acceptKw("by") {
		s.by = l.sequenceKeys(k)
	}
	if l.peek().isOp("{") {
		q := Pattern{Max: -1}
		l.next()
		l.bounds(&q)
		st.Min, st.Max = q.Min, q.Max
	}
	if l.acceptKw("as") {
		st.Alias = l.name()
	}
	return st, s
}

// fill puts the converted arguments into the tree.
func (s *sequenceSlots) fill(e *TableSequence, args []Expr) {
	for _, i := range s.by {
		e.By = append(e.By, args[i])
	}
	for n := range s.steps {
		s.steps[n].fill(&e.Steps[n], args)
	}
	if s.until != nil {
		s.until.fill(e.Until, args)
	}
	for n, i := range s.measures {
		e.Measures[n].Expr = args[i]
	}
}

func (s *stepSlots) fill(st *SequenceStep, args []Expr) {
	if s.cond >= 0 {
		st.Cond = args[s.cond]
	}
	for _, i := range s.by {
		st.By = append(st.By, args[i])
	}
}
