package job

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/meta"
)

// A function that breaks a limit goes out of service with the queries that call it. When a query's rows did it, that is decided in
// the commit of their epoch, once: the epochs before stand, and what the other queries made of that epoch stands. A re-run meets
// neither the function nor the queries.

// FunctionChange takes a function out of service, with the queries that call it, or brings it back, without them.
type FunctionChange struct {
	ID   uint64
	Name string
	// State is StateDeactivated or StateRunning. The others say why, in the first case.
	State                string
	Code, Reason, Detail string
}

// The properties of a function's object that the engine keeps, besides PropState, PropReason and PropStateEpoch.
const (
	PropDetail  = "detail"
	PropStateAt = "state_at"
	// PropVersions are the definitions that recovery may need besides the newest.
	PropVersions = "versions"
)

// KindFunction is the kind of functions' objects.
const KindFunction = "function"

// The events of functions.
const (
	eventFunctionOut  = "function deactivated"
	eventFunctionBack = "function activated"
)

// FunctionVersion is a definition that counted before another one took its place, as stored (JSON, see docs/formats/epochs.md).
type FunctionVersion struct {
	// Until is the epoch from which the next one counts.
	Until uint64 `json:"until"`
	SQL   string `json:"sql"`
}

// callers are the queries in service that call a function, by id.
func (e *Engine) callers(function uint64) []*query {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var list []*query
	for _, q := range e.queries {
		if q.owner == q && slices.Contains(q.spec.Calls, function) {
			list = append(list, q)
		}
	}
	slices.SortFunc(list, func(a, b *query) int { return cmp.Compare(a.spec.ID, b.spec.ID) })
	return list
}

// applyFunctions makes new definitions count, and functions go and come, at the start of an epoch.
func (e *Engine) applyFunctions(ep *epoch, c *change) {
	for i := range c.Create {
		if d, ok := c.Create[i].Def.(*spec.Function); ok {
			e.functions.publish(d, c.functions[d.ID], ep.n)
			if props := c.Create[i].Meta.Props; props[PropState] == StateDeactivated {
				reason := props[PropReason]
				e.functions.setOut(d.ID, &reason)
			}
		}
	}
	for i := range c.Functions {
		x := &c.Functions[i]
		if x.State != StateDeactivated {
			e.functions.setOut(x.ID, nil)
			continue
		}
		e.functions.setOut(x.ID, &x.Reason)
		for _, q := range e.callers(x.ID) {
			c.outages = append(c.outages, outage{q: q, why: x.why(), state: StateDeactivated, function: x.Name})
			e.detach(ep, q)
		}
	}
}

// why is what the queries are told that call the function.
func (x *FunctionChange) why() *sqlerr.Error {
	return sqlerr.New(sqlerr.Code(cmp.Or(x.Code, string(sqlerr.ObjectNotInPrerequisite))), "function %s is deactivated: %s", x.Name, x.Reason).
		WithDetail("%s", x.Detail)
}

// prepareFunction compiles a definition.
func (e *Engine) prepareFunction(c *change, d *spec.Function) error {
	if e.functions == nil {
		return sqlerr.NotSupported("JavaScript", "This server runs without JavaScript workers.")
	}
	v, err := e.functions.compile(d)
	if err != nil {
		return err
	}
	if c.functions == nil {
		c.functions = map[uint64]version{}
	}
	c.functions[d.ID] = v
	return nil
}

// settleFunctions forgets definitions that no row of a later epoch meets.
func (e *Engine) settleFunctions(ep *epoch) {
	for _, c := range ep.changes {
		if len(c.functions) > 0 && !ep.replay {
			e.functions.settle(ep.n)
		}
	}
}

// defineStored makes a function known that is stored, with the definitions before it.
func (e *Engine) defineStored(o *Object, d *spec.Function) {
	if e.functions == nil {
		return
	}
	from := uint64(0)
	for _, x := range append(d.Before[:len(d.Before):len(d.Before)], spec.FunctionBefore{Until: ^uint64(0), Function: d}) {
		v, err := e.functions.compile(x.Function)
		if err != nil {
			e.log.Error("define function", "function", d.Name, "error", err)
		} else {
			e.functions.publish(x.Function, v, from)
		}
		from = x.Until
	}
	if o.Meta.Props[PropState] == StateDeactivated {
		reason := o.Meta.Props[PropReason]
		e.functions.setOut(d.ID, &reason)
	}
}

// Functions are the users' functions, for those who call them outside of epochs; nil: there is no JavaScript.
func (e *Engine) Functions() *Functions { return e.functions }

// persistFunctions writes which functions are in service, and which queries went with them.
func (c *change) persistFunctions(e *Engine, b batchKV, ep *epoch) error {
	for i := range c.Functions {
		if err := e.putFunctionState(b, ep, &c.Functions[i]); err != nil {
			return err
		}
	}
	for _, o := range c.outages {
		if err := e.putOutage(b, ep, o); err != nil {
			return err
		}
	}
	return nil
}

// putOutage records that a query is out of service, and why.
func (e *Engine) putOutage(b batchKV, ep *epoch, o outage) error {
	ev := Event{What: o.state, Code: string(o.why.Code), Reason: o.reason(), Detail: detailOf(o.why), Function: o.function}
	if err := e.putQueryEvent(b, ep, o.q, ev); err != nil {
		return err
	}
	return e.takeOut(b, ep, o)
}

// detailOf is which row it was, and of which call.
func detailOf(err *sqlerr.Error) string {
	if !strings.HasPrefix(string(err.Code), "54P") {
		return err.Detail
	}
	return strings.TrimSpace(err.Detail + " " + err.Where)
}

// putFunctionState writes that a function went out of service, or came back.
func (e *Engine) putFunctionState(b batchKV, ep *epoch, x *FunctionChange) error {
	o, err := e.object(ep, x.ID)
	if err != nil {
		return err
	}
	what := eventFunctionOut
	o.Props = withReads(o.Props, map[string]string{PropState: x.State, PropReason: x.Reason, PropDetail: x.Detail, PropStateAt: fmt.Sprint(int64(ep.clock))})
	if x.State != StateDeactivated {
		what = eventFunctionBack
		dropState(o.Props)
	}
	if err := e.putObject(b, ep, o); err != nil {
		return err
	}
	ep.functions = append(ep.functions, *x)
	return e.putEvent(b, ep, 0, "", Event{What: what, Code: x.Code, Reason: x.Reason, Detail: x.Detail, Function: o.Name})
}

func dropState(props map[string]string) {
	for _, p := range []string{PropState, PropReason, PropDetail, PropStateAt} {
		delete(props, p)
	}
}

// putBroken takes the functions out of service that broke a limit in this epoch, and the queries that call them. Those whose rows did
// it are out already.
func (e *Engine) putBroken(b batchKV, ep *epoch) error {
	for _, err := range ep.broken {
		if e.functions == nil || !e.functions.inService(err.Function) {
			continue // another query's rows did it, or the functions are those of another engine
		}
		o, oerr := e.object(ep, err.Function)
		if oerr != nil || o.Dropped != 0 {
			continue
		}
		x := &FunctionChange{ID: o.ID, Name: o.Name, State: StateDeactivated, Code: string(err.Err.Code), Reason: err.Err.Message, Detail: detailOf(err.Err)}
		if err := e.putFunctionState(b, ep, x); err != nil {
			return err
		}
		e.functions.setOut(x.ID, &x.Reason)
		for _, q := range e.callers(x.ID) {
			if !q.dead() {
				ep.verdicts = append(ep.verdicts, verdict{q: q, why: x.why(), function: x.Name})
			}
		}
	}
	return nil
}

// noteBroken keeps the first violation of each function.
func (ep *epoch) noteBroken(err error) (function uint64) {
	broken, ok := errors.AsType[*expr.BrokenLimit](err)
	if !ok {
		return 0
	}
	if !slices.ContainsFunc(ep.broken, func(x *expr.BrokenLimit) bool { return x.Function == broken.Function }) {
		ep.broken = append(ep.broken, broken)
	}
	return broken.Function
}

// versionsMax bounds the definitions of a function that are kept because recovery may need them.
const versionsMax = 64

// withVersion adds the definition that an object had to those that recovery may need, and leaves out what it needs no more.
func (e *Engine) withVersion(props map[string]string, oldSQL, oldVersions string, until uint64) error {
	list, err := DecodeVersions(oldVersions)
	if err != nil {
		return err
	}
	list = append(list, FunctionVersion{Until: until, SQL: oldSQL})
	last := e.ckpt.last.Load()
	list = slices.DeleteFunc(list, func(v FunctionVersion) bool { return v.Until <= last+1 })
	if n := len(list) - versionsMax; n > 0 {
		list = list[n:]
	}
	if len(list) == 0 {
		return nil
	}
	data, err := json.Marshal(list)
	props[PropVersions] = string(data)
	return err
}

// putReplaced keeps of the definition that a function had what is needed of it; the new one is in service.
func (e *Engine) putReplaced(b batchKV, ep *epoch, o, old *meta.Object) error {
	if old.Props[PropState] == StateDeactivated && o.Props[PropState] == "" {
		if err := e.putEvent(b, ep, 0, "", Event{What: eventFunctionBack, Reason: "it was replaced", Function: o.Name}); err != nil {
			return err
		}
	}
	return e.withVersion(o.Props, old.SQL, old.Props[PropVersions], ep.n)
}

// DecodeVersions reads PropVersions.
func DecodeVersions(text string) ([]FunctionVersion, error) {
	if text == "" {
		return nil, nil
	}
	var list []FunctionVersion
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, sqlerr.New(sqlerr.DataCorrupted, "the versions of a function cannot be read: %v", err)
	}
	return list, nil
}
