package job

import (
	"encoding/json"
	"fmt"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/storage/meta"
)

// persist writes the change's objects into the epoch's batch.
func (c *change) persist(e *Engine, b batchKV, ep *epoch) error {
	for i := range c.Drop {
		o := c.Drop[i].Meta
		if cur, err := e.object(ep, o.ID); err == nil {
			o = cur
		}
		o.Dropped = ep.n
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if _, ok := c.Drop[i].Def.(*spec.Query); ok {
			if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "dropped"}); err != nil {
				return err
			}
		}
	}
	if err := c.persistCreated(e, b, ep); err != nil {
		return err
	}
	if err := c.persistFunctions(e, b, ep); err != nil {
		return err
	}
	for i := range c.Resume {
		o, err := e.object(ep, c.Resume[i].Meta.ID)
		if err != nil {
			return err
		}
		o.Props = withReads(o.Props, c.reads[o.ID])
		o.Props[PropState], o.Props[PropReason], o.Props[PropStateEpoch] = StateRunning, "", fmt.Sprint(ep.n)
		delete(o.Props, PropUntil)
		dropService(o.Props)
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "resumed"}); err != nil {
			return err
		}
	}
	if err := c.persistProps(e, b, ep); err != nil {
		return err
	}
	if err := c.persistAltered(e, b, ep); err != nil {
		return err
	}
	for i := range c.Corrections {
		if err := c.Corrections[i].persist(e, b, ep); err != nil {
			return err
		}
	}
	if err := c.persistJournals(e, b, ep); err != nil {
		return err
	}
	e.persistTables(b, ep, c)
	e.persistLists(b, ep, c)
	return nil
}

// persistJournals writes the rows for vigil.rejected and vigil.query_events.
func (c *change) persistJournals(e *Engine, b batchKV, ep *epoch) error {
	for _, r := range c.Rejected {
		r.At, r.Epoch = int64(ep.clock), ep.n
		data, err := json.Marshal(r)
		if err != nil {
			return err
		}
		e.meta.Rejected.Add(b, r.At, data)
	}
	for _, ev := range c.Events {
		if err := e.putEvent(b, ep, ev.Query, ev.Name, ev); err != nil {
			return err
		}
	}
	return nil
}

// persistCreated writes the objects that come.
func (c *change) persistCreated(e *Engine, b batchKV, ep *epoch) error {
	for i := range c.Create {
		o := c.Create[i].Meta
		o.Created = ep.n
		o.Props = withReads(o.Props, c.reads[o.ID])
		if o.Kind == KindFunction {
			if old, err := e.object(ep, o.ID); err == nil && old.Dropped == 0 {
				if err := e.putReplaced(b, ep, &o, &old); err != nil {
					return err
				}
			}
		}
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if _, ok := c.Create[i].Def.(*spec.Query); ok {
			if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "created"}); err != nil {
				return err
			}
			if q := c.queries[o.ID]; q != nil && len(q.back.of) > 0 {
				if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: StateBackfilling, Reason: q.wantedText()}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// object is a row of the catalogue as the epoch has left it so far.
func (e *Engine) object(ep *epoch, id uint64) (meta.Object, error) {
	if o, ok := ep.objects[id]; ok {
		return o, nil
	}
	return e.meta.Object(id)
}

// putObject writes a row of the catalogue.
func (e *Engine) putObject(b batchKV, ep *epoch, o meta.Object) error {
	if ep.objects == nil {
		ep.objects = map[uint64]meta.Object{}
	}
	ep.objects[o.ID] = o
	return e.meta.Put(b, o)
}

// persistProps writes the changes of objects' properties.
func (c *change) persistProps(e *Engine, b batchKV, ep *epoch) error {
	changed := map[uint64]meta.Object{}
	for _, x := range c.Props {
		o, ok := changed[x.ID]
		if !ok {
			var err error
			if o, err = e.object(ep, x.ID); err != nil {
				return err
			}
			o.Props = withReads(o.Props, nil)
		}
		for k, v := range x.Set {
			if o.Props[k] = v; v == "" {
				delete(o.Props, k)
			}
		}
		changed[x.ID] = o
	}
	for _, o := range changed {
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
	}
	return nil
}
