package job

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// A query with on_limit = 'throttle' that holds more state than it may takes no rows for a while: its intake is shut. It stays in
// service, and time goes on for it, so that its windows close and what it holds shrinks; then it takes rows again. So does one whose result
// is updated, when that has changed more often in a minute than it may: until the minute is over.
//
// That depends on memory and on when one looks, so it is decided once: by the committer, as an epoch ends. The sequencer has it
// take effect at the start of an epoch that it opens after that, and that epoch's commit writes it into the query's object. So a
// re-run of epochs shuts and opens where the first run did, and decides nothing.

// PropIntake tells at which epochs a query's intake was shut and opened, PropIntakeReason why it is shut.
const (
	PropIntake       = "intake"
	PropIntakeReason = "intake_reason"
)

// gate shuts or opens a query's intake from the start of an epoch on.
type gate struct {
	q    *query
	shut bool
	why  *sqlerr.Error // of one that shuts
	room string        // of one that opens: why there is room
}

// gateAt is a gate as it is recorded.
type gateAt struct {
	epoch uint64
	shut  bool
}

// intake is what the committer knows of a query's intake.
type intake struct {
	// shut: it was decided last that it is to be so. withheld are the rows that were not taken since then.
	shut     bool
	withheld int64
}

// overState decides about a query that holds more than it may.
func (e *Engine) overState(q *query, why *sqlerr.Error, to *[]verdict) {
	l := q.limits.Load()
	switch {
	case !l.Throttle:
		*to = append(*to, verdict{q: q, why: why})
	case !q.intake.shut:
		q.intake = intake{shut: true}
		e.askGate(gate{q: q, shut: true, why: q.shutBy(why)})
	}
}

// shutBy says what follows from a limit that was broken.
func (q *query) shutBy(why *sqlerr.Error) *sqlerr.Error {
	text := "; it takes no rows until it holds less than 90 percent of that"
	for _, part := range q.all() {
		if !spec.Shrinks(part.spec.Program.Root) {
			text = "; it takes no rows, and what it holds does not shrink as time passes: raise the limit"
		}
	}
	return withheldBy(why, text)
}

// withheldBy adds what follows from a limit that was broken.
func withheldBy(why *sqlerr.Error, text string) *sqlerr.Error {
	return sqlerr.New(why.Code, "%s", why.Error()+text).WithDetail("Rows that come meanwhile are counted in vigil.query_costs, as input_withheld. " +
		"ALTER CONTINUOUS QUERY .. SET changes the limit.")
}

// reopen lets a query take rows again that has room for them, or must not be held back any more. Called with the mutex of costs held.
func (e *Engine) reopen(q *query, minute int64) {
	l, h := q.limits.Load(), q.holds()
	within := func(holds, limit int64) bool { return limit <= 0 || holds < limit-limit/10 }
	if !q.intake.shut || l.Throttle && (!within(h.keys, l.KeysMax) || !within(h.bytes, l.MemoryBytes) || q.overMinute(minute)) {
		return
	}
	q.intake.shut = false
	room := fmt.Sprintf("the query holds %d keys in %d bytes", h.keys, h.bytes)
	if l.RowsPerMinute > 0 && q.spec.Updates {
		room += ", and its result has changed " + strconv.FormatInt(q.rows.of(minute), 10) + " times in this minute"
	}
	e.askGate(gate{q: q, room: room})
}

// overMinute reports that a query whose rows cannot be held back has had more of them in a minute than it may.
func (q *query) overMinute(minute int64) bool {
	l := q.limits.Load()
	return l.RowsPerMinute > 0 && q.spec.Updates && q.rows.of(minute) > l.RowsPerMinute
}

// shutMinute has a query take no rows for the rest of a minute in which its result has changed too often. What the epoch has found is
// published: the halves of an update are not told apart, and the result is one that it had.
func (e *Engine) shutMinute(q *query) {
	if q.intake.shut {
		return
	}
	q.intake = intake{shut: true}
	l := q.limits.Load()
	why := broken("max_rows_per_min", "the result had more than %d changes in a minute", l.RowsPerMinute)
	e.askGate(gate{q: q, shut: true, why: withheldBy(why, "; the query takes no rows until the minute is over")})
}

// askGate has the sequencer set a gate, soon.
func (e *Engine) askGate(g gate) {
	e.failMu.Lock()
	e.gates = append(e.gates, g)
	e.failMu.Unlock()
	e.resultWaits()
}

// takeGates begins an epoch with the gates that were decided; after its changes, which may have taken queries away.
func (e *Engine) takeGates(ep *epoch) {
	e.failMu.Lock()
	list := e.gates
	e.gates = nil
	e.failMu.Unlock()
	for _, g := range list {
		if e.queries[g.q.spec.ID] == g.q {
			ep.gates = append(ep.gates, g)
		}
	}
	slices.SortStableFunc(ep.gates, func(a, b gate) int { return cmp.Compare(a.q.spec.ID, b.q.spec.ID) })
}

// putGates records the gates that the epoch began with.
func (e *Engine) putGates(b batchKV, ep *epoch) error {
	for _, g := range ep.gates {
		o, err := e.object(ep, g.q.spec.ID)
		if err != nil {
			return err
		}
		o.Props = withReads(o.Props, map[string]string{PropIntake: appendGate(o.Props[PropIntake], gateAt{ep.n, g.shut}, e.ckpt.last.Load())})
		ev := Event{What: "unthrottled"}
		if delete(o.Props, PropIntakeReason); g.shut {
			reason := g.why.Error()
			o.Props[PropIntakeReason] = reason
			ev = Event{What: StateThrottled, Code: string(g.why.Code), Reason: reason, Detail: g.why.Detail}
			g.q.shutReason.Store(&reason)
		} else {
			ev.Reason = g.room + "; " + strconv.FormatInt(g.q.intake.withheld, 10) + " rows were not taken"
			g.q.shutReason.Store(nil)
		}
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if err := e.putEvent(b, ep, o.ID, o.Name, ev); err != nil {
			return err
		}
	}
	return nil
}

// dropService forgets the gates and the history of a query that goes out of service, or comes back with fresh state.
func dropService(props map[string]string) {
	delete(props, PropIntake)
	delete(props, PropIntakeReason)
	dropHistory(props)
}

// appendGate adds a gate to PropIntake, and leaves out those that a re-run of the epochs after a checkpoint does not need.
func appendGate(text string, g gateAt, checkpoint uint64) string {
	list := append(readGates(text), g)
	for len(list) > 1 && list[1].epoch <= checkpoint {
		list = list[1:]
	}
	words := make([]string, len(list))
	for i, g := range list {
		sign := "+"
		if g.shut {
			sign = "-"
		}
		words[i] = sign + strconv.FormatUint(g.epoch, 10)
	}
	return strings.Join(words, " ")
}

// readGates reads PropIntake. What is no gate is none: a damaged property shuts nobody out.
func readGates(text string) []gateAt {
	var list []gateAt
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseUint(word[1:], 10, 64)
		if err == nil && (word[0] == '-' || word[0] == '+') {
			list = append(list, gateAt{n, word[0] == '-'})
		}
	}
	return list
}

// noteGates notes what is recorded of a query's intake; it tells whether it was shut at the cut.
func (r *recovery) noteGates(o *Object) (shut bool) {
	for _, g := range readGates(o.Meta.Props[PropIntake]) {
		switch {
		case g.epoch <= since(o): // of a time before its state began
		case g.epoch <= r.cut.epoch:
			shut = g.shut
		default:
			r.gates[g.epoch] = append(r.gates[g.epoch], recordedGate{o.Meta.ID, g.shut})
		}
	}
	return shut
}

// recordedGate is a gate of an epoch that runs again.
type recordedGate struct {
	query uint64
	shut  bool
}

// setGates gives an epoch that runs again the gates that it had.
func (r *recovery) setGates(ep *epoch) {
	for _, g := range r.gates[ep.n] {
		if q := r.e.queries[g.query]; q != nil {
			ep.gates = append(ep.gates, gate{q: q, shut: g.shut})
		}
	}
}

// settleIntake tells the committer, after recovery, of the queries that take no rows.
func (r *recovery) settleIntake() {
	for i := range r.objects {
		o := &r.objects[i]
		reason, ok := o.Meta.Props[PropIntakeReason]
		if q := r.e.queries[o.Meta.ID]; ok && q != nil {
			q.intake.shut = true
			q.shutReason.Store(&reason)
		}
	}
}

// setGates shuts and opens the intake of queries in one worker.
func (w *worker) setGates(list []gate) {
	for _, g := range list {
		for _, part := range g.q.all() {
			if wq := w.queries[part]; wq != nil {
				w.setShut(wq, g.shut)
			}
		}
	}
}

func (w *worker) setShut(wq *workerQuery, shut bool) {
	if wq.shut = shut; shut {
		w.shut = append(w.shut, wq)
		return
	}
	w.shut = without(w.shut, wq)
	wq.reclaim() // where epochs run again nobody has done so meanwhile
}

// reclaim has the operators give back what they keep for reuse.
func (wq *workerQuery) reclaim() {
	if wq.dead || wq.tree == nil {
		return
	}
	for _, o := range wq.tree.Raw() {
		if x, ok := o.(op.Reclaimer); ok {
			x.Reclaim()
		}
	}
}

// refuses reports whether a query does not take its rows of the batch in work, and counts them. What comes from a stage of its own
// it takes: it is of rows that it has taken.
func (w *worker) refuses(wq *workerQuery, r *routed) bool {
	in := &wq.q.parts.Inputs[r.input]
	if in.IsResult && spec.StageOwner(in.Source) == wq.q.owner.spec.ID {
		return false
	}
	wq.refused += int64(len(w.part(r).Sel))
	return true
}

// refusal is how many rows a query did not take in an epoch.
type refusal struct {
	q    *query
	rows int64
}

// reportShut hands over how many rows were not taken. In an epoch that is swept, memory that is kept for reuse is given back, so that
// what is held shrinks with what is in use.
func (w *worker) reportShut(sweep bool) {
	for _, wq := range w.shut {
		if wq.refused > 0 {
			w.out.refused = append(w.out.refused, refusal{wq.q.owner, wq.refused})
			wq.refused = 0
		}
		if sweep && !wq.dead && wq.tree != nil {
			wq.reclaim()
			w.note(wq)
		}
	}
}

// countRefused adds up what the workers did not take. Called with the mutex of costs held.
func (ep *epoch) countRefused() {
	for i := range ep.outs {
		for _, x := range ep.outs[i].refused {
			x.q.intake.withheld += x.rows
			x.q.cost.inputWithheld += x.rows
		}
	}
}

// setApart takes a query whose intake may be shut out of its group, with what it holds there: windows that others go on to fill
// cannot be its own.
func (w *worker) setApart(q *query) {
	wq := w.queries[q]
	if wq == nil || wq.group == nil {
		return
	}
	if wq.member != nil && !wq.dead {
		w.check(wq, guard(func() error { return wq.group.state.Give(wq.member) }))
		w.touch(wq)
		defer wq.setDeadline()
	}
	w.leaveGroup(wq)
	wq.group = nil
}

// mayShut reports that a query's intake may be shut.
func (q *query) mayShut() bool {
	return q.owner.limits.Load().Shuts(q.owner.spec.Updates)
}

// setApart has a query whose intake may be shut share windows no more.
func (e *Engine) setApart(ep *epoch, q *query) {
	if !q.mayShut() {
		return
	}
	for _, part := range q.all() {
		if part.share != nil && !part.apart {
			e.shares.leave(part)
			part.apart = true
			ep.apart = append(ep.apart, part)
		}
	}
}
