package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/spec"
	store "github.com/vigil-sql/vigil/storage/ioc"
)

// IOCChange adds and drops indicators of one list. Values are canonical (ioc.Normalize).
type IOCChange struct {
	ListID uint64
	List   string
	Add    []IOCEntry
	Drop   []string
	// Expired says that what Drop names goes only if it has expired by then, microseconds; 0: it goes.
	Expired int64
	// Load are more entries to add, held in little memory; nil: none.
	Load *store.Load
}

// IOCEntry is an indicator with what is known of it: an ioc.Info in its stored form.
type IOCEntry struct {
	Value string
	Meta  []byte
}

// IOCSteps are the change's effects on the lists.
func (c *Change) IOCSteps() []ioc.Change {
	var steps []ioc.Change
	for i := range c.Drop {
		if d, ok := c.Drop[i].Def.(*spec.IOCList); ok {
			steps = append(steps, ioc.Change{List: d.Name, ID: d.ID, Remove: true})
		}
	}
	for i := range c.Create {
		if d, ok := c.Create[i].Def.(*spec.IOCList); ok {
			steps = append(steps, ioc.Change{List: d.Name, ID: d.ID, Create: true, Kind: d.Type, Mode: d.Match})
		}
	}
	for _, x := range c.IOC {
		step := ioc.Change{List: x.List, ID: x.ListID, Drop: x.Drop, Expired: x.Expired, Load: x.Load}
		for _, a := range x.Add {
			step.Add, step.Info = append(step.Add, a.Value), append(step.Info, a.Meta)
		}
		steps = append(steps, step)
	}
	return steps
}

// stageLists writes what a change does to lists into the store, where it counts from the epoch on that the change begins, and computes the
// lists after it. The caller holds listMu until the change is on its way.
func (e *Engine) stageLists(c *change, steps []ioc.Change) error {
	stored := make([]store.Change, len(steps))
	for i := range steps {
		stored[i] = steps[i].Stored()
	}
	seq, err := e.ioc.Stage(stored)
	if err != nil {
		return err
	}
	c.lists = e.lists.Staged(seq, steps...)
	return nil
}

// IOCEntries reads the entries of a list that have not expired, as of the last committed epoch. meta is valid during the call.
func (e *Engine) IOCEntries(listID uint64, fn func(value string, meta []byte) error) error {
	return e.IOCDone().Entries(listID, fn)
}

// IOCDone is the lists of the last committed epoch, as they are now.
func (e *Engine) IOCDone() *ioc.Set { return e.iocDone.Load().At(int64(e.cfg.Clock())) }

// persistLists makes what was staged count.
func (e *Engine) persistLists(b batchKV, ep *epoch, c *change) {
	if c.lists != nil {
		e.ioc.Publish(b, ep.n, c.lists.Seq())
	}
}

// listsDone notes the lists of the last committed epoch.
func (e *Engine) listsDone(ep *epoch) {
	for _, c := range ep.changes {
		if c.lists != nil {
			e.iocDone.Store(c.lists)
		}
	}
}

// buildLists builds the filters of lists; until then they answer more slowly.
func (e *Engine) buildLists() {
	defer e.wg.Done()
	if err := e.ioc.Build(e.ctx); err != nil && !errors.Is(err, context.Canceled) {
		e.log.Error("filters of IOC lists could not be built; look-ups are slow until the server starts again", "error", err)
	}
}

// loadIOC builds the lists as they were at the cut and as they were committed last; what came between is found by epoch.
func (r *recovery) loadIOC() error {
	e := r.e
	st, err := store.Open(e.kv)
	if err != nil {
		return err
	}
	e.ioc = st
	if err := r.migrateLists(); err != nil {
		return fmt.Errorf("bring stored IOC lists up to date: %w", err)
	}
	if err := r.forgetLists(); err != nil {
		return err
	}
	r.iocs, r.nets = map[uint64][]ioc.Change{}, map[uint64][]ioc.Change{}
	at := st.At(r.cut.epoch)
	var steps []ioc.Change
	for i := range r.objects {
		d, ok := r.objects[i].Def.(*spec.IOCList)
		if !ok {
			continue
		}
		create := ioc.Change{List: d.Name, ID: d.ID, Create: true, Kind: d.Type, Mode: d.Match}
		if c := r.objects[i].Meta.Created; c > r.cut.epoch {
			r.iocs[c] = append(r.iocs[c], create)
		} else {
			steps = append(steps, create)
		}
		if d.Type == ioc.CIDR {
			add, err := r.loadNets(d, at)
			if err != nil {
				return err
			}
			steps = append(steps, add)
		}
	}
	r.lists = ioc.NewSet(st).Staged(at, steps...)
	now := r.lists // as they were committed last
	for n := r.cut.epoch + 1; n <= r.last; n++ {
		now = r.listsIn(now, n)
	}
	e.iocNow.Store(now)
	e.iocDone.Store(now)
	return nil
}

// listsIn is the lists in an epoch that runs again, by those in the one before it.
func (r *recovery) listsIn(before *ioc.Set, epoch uint64) *ioc.Set {
	seq, steps := r.e.ioc.At(epoch), r.iocs[epoch]
	if seq == before.Seq() && len(steps) == 0 {
		return before
	}
	steps = append(steps[:len(steps):len(steps)], r.nets[seq]...)
	return before.Staged(seq, steps...)
}

// loadNets reads a list of networks, which is in memory: what it was in a version, and the changes after it, by version.
func (r *recovery) loadNets(d *spec.IOCList, at uint64) (ioc.Change, error) {
	add := ioc.Change{List: d.Name, ID: d.ID}
	known := infos{}
	last, later := "", map[uint64]*ioc.Change{}
	err := r.e.ioc.List(d.ID).Rows(func(x store.Row) (bool, error) {
		v := string(x.Value)
		switch {
		case x.Seq > at:
			c := later[x.Seq]
			if c == nil {
				c = &ioc.Change{List: d.Name, ID: d.ID}
				later[x.Seq] = c
			}
			if x.Gone {
				c.Drop = append(c.Drop, v)
			} else {
				c.Add, c.Info = append(c.Add, v), append(c.Info, known.of(x.Info))
			}
			return true, nil
		case last == v:
			return true, nil // an older row
		case !x.Gone:
			add.Add, add.Info = append(add.Add, v), append(add.Info, known.of(x.Info))
		}
		last = v
		return true, nil
	})
	for seq, c := range later {
		r.nets[seq] = append(r.nets[seq], *c)
	}
	return add, err
}

// forgetLists removes what there is of lists that were dropped: no query that asks for them runs again.
func (r *recovery) forgetLists() error {
	alive := map[uint64]bool{}
	for i := range r.objects {
		if d, ok := r.objects[i].Def.(*spec.IOCList); ok {
			alive[d.ID] = true
		}
	}
	var gone []uint64
	for _, id := range r.e.ioc.IDs() {
		if !alive[id] {
			gone = append(gone, id)
		}
	}
	return r.e.ioc.Forget(gone...)
}

// sweepMax is how many entries are swept at a time.
const sweepMax = 50_000

// sweepLists drops the entries that have expired, by changes like any other: nobody finds them any more, so nobody can tell.
func (e *Engine) sweepLists() {
	defer e.sweeps.Done()
	now := int64(e.cfg.Clock())
	for {
		x, err := e.ioc.Expired(now, sweepMax)
		if err == nil && x.Len() == 0 {
			return
		}
		if err == nil {
			err = e.sweep(x, now)
		}
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Warn("entries of IOC lists that have expired could not be removed; it is tried again after the next checkpoint", "error", err)
			}
			return
		}
	}
}

func (e *Engine) sweep(x *store.Expired, now int64) error {
	c := Change{}
	lists := e.IOC()
	for id, values := range x.Values {
		if name, ok := lists.Name(id); ok {
			c.IOC = append(c.IOC, IOCChange{ListID: id, List: name, Drop: values, Expired: now})
		}
	}
	if len(c.IOC) > 0 {
		if err := e.Apply(e.ctx, c); err != nil {
			return err
		}
	}
	return e.ioc.Swept(x)
}

// startSweep sweeps beside all else, unless that is under way.
func (e *Engine) startSweep() {
	if !e.sweeping.CompareAndSwap(false, true) {
		return
	}
	e.sweeps.Add(1)
	go func() {
		defer e.sweeping.Store(false)
		e.sweepLists()
	}()
}
