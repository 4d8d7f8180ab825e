package job

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/op"
)

// What queries shared is loaded once, into state that they share again. Keys change hands when a server starts, so that each worker reads what
// all workers had: those that were together in all of them share again, if they had nothing beside; the others are given what they
// would have had alone.

// loadGroups reads who shared what.
func (r *recovery) loadGroups(ops []uint64) error {
	r.groupsOf = map[uint64][]*savedGroup{}
	for _, id := range ops {
		if id&groupBit == 0 {
			continue
		}
		r.e.groupOps.Store(max(r.e.groupOps.Load(), id&^groupBit))
		var members []byte
		err := r.e.ckpt.store.Read(id, func(slice int64, _ uint16, data []byte) error {
			switch {
			case slice > groupSlice:
				return errFound
			case slice == groupSlice:
				members = append(members[:0], data...)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errFound) {
			return err
		}
		if len(members) == 0 {
			return fmt.Errorf("the checkpoint does not tell whose the shared state %x is", id)
		}
		g, err := decodeGroup(members)
		if err != nil {
			return err
		}
		g.op = id
		r.groups = append(r.groups, &g)
		for _, id := range g.members {
			r.groupsOf[id] = append(r.groupsOf[id], &g)
		}
	}
	return nil
}

// errFound ends a walk over blocks.
var errFound = errors.New("found")

// restoreGroups has the workers load what queries share, after what each holds itself.
func (r *recovery) restoreGroups() error {
	errs, wg := make([]error, len(r.e.workers)), sync.WaitGroup{}
	for i, w := range r.e.workers {
		wg.Go(func() { errs[i] = guard(func() error { return r.restoreShared(w) }) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// restoreShared is restoreGroups for one worker.
func (r *recovery) restoreShared(w *worker) error {
	x := regrouping{r: r, w: w}
	if err := x.joinAll(); err != nil {
		return err
	}
	for _, wq := range w.queries {
		if wq.group != nil && wq.group.key.born && wq.member == nil && wq.holds() {
			w.leaveGroup(wq) // the others have not had its rows
			wq.group = nil
		}
	}
	return nil
}

// holds reports that a query that may share has state of its own.
func (wq *workerQuery) holds() bool {
	if wq.tree == nil {
		return false
	}
	g, ok := wq.tree.Raw()[0].(interface{ Groups() int })
	return !ok || g.Groups() > 0
}

// regrouping is the work of one worker.
type regrouping struct {
	r *recovery
	w *worker
}

// alive are the members of a group that are there again.
func (x *regrouping) alive(g *savedGroup) (list []*workerQuery) {
	for _, id := range g.members {
		if q := x.r.e.queries[id]; q != nil && x.w.queries[q] != nil {
			list = append(list, x.w.queries[q])
		}
	}
	return list
}

// own are the keys of the worker.
func (x *regrouping) own(hash uint64) bool { return op.Owner(hash, len(x.r.e.workers)) == x.w.index }

// join has queries that shared the same groups share one again; those that may not any more are given what they had in them.
func (x *regrouping) join(groups []*savedGroup, list []*workerQuery) error {
	var first *workerQuery
	for _, wq := range list {
		if wq.group != nil && (first == nil || first.group.key == wq.group.key) && (wq.group.key.born || wq.group.saved == nil) {
			first = wq
			break
		}
	}
	if first == nil {
		return x.giveAll(groups, list)
	}
	var again, apart []*workerQuery
	for _, wq := range list {
		if wq.group != nil && wq.group.key == first.group.key {
			again = append(again, wq)
		} else {
			apart = append(apart, wq)
		}
	}
	g := first.group
	if g.key.born {
		g = x.w.newGroup(first)
		for _, wq := range again {
			x.w.leaveGroup(wq)
			wq.group, g.queries = g, append(g.queries, wq)
		}
	}
	if err := x.w.makeState(g); err != nil {
		return err
	}
	members, err := x.restore(g.state, groups, again)
	if err != nil {
		return err
	}
	for i, wq := range again {
		wq.member = members[i]
		x.w.note(wq)
		x.w.touch(wq)
		wq.setDeadline()
	}
	g.changed, g.complete, g.saved = true, false, []byte{}
	g.stream.deadlines.set(&g.timer, g.state.Deadline())
	return x.giveAll(groups, apart)
}

// restore makes queries members of a state that is loaded from groups.
func (x *regrouping) restore(state op.SharedState, groups []*savedGroup, list []*workerQuery) ([]*op.Member, error) {
	members := make([]*op.Member, len(list))
	for i, wq := range list {
		if wq.tree == nil {
			if err := wq.build(); err != nil {
				return nil, err
			}
		}
		members[i] = x.w.memberOf(wq)
	}
	for _, g := range groups {
		var saved []op.SavedMember
		for i, wq := range list {
			saved = append(saved, op.SavedMember{Member: members[i], Record: g.records[wq.q.spec.ID]})
		}
		if err := state.Restore(saved, groupBlocks{x.r.e, g.op}, x.own); err != nil {
			return nil, fmt.Errorf("state that query %s and %d others share: %w", list[0].q.spec.Name, len(list)-1, err)
		}
	}
	return members, nil
}

// giveAll gives queries what they had in groups, each of them in all of these.
func (x *regrouping) giveAll(groups []*savedGroup, list []*workerQuery) error {
	if len(list) == 0 {
		return nil
	}
	wanted := make(map[*workerQuery]bool, len(list))
	for _, wq := range list {
		wanted[wq] = true
	}
	for _, g := range groups {
		members := slices.DeleteFunc(x.alive(g), func(wq *workerQuery) bool { return !wanted[wq] })
		if err := x.give(g, members); err != nil {
			return err
		}
	}
	for _, wq := range list {
		x.w.note(wq)
		x.w.touch(wq)
		wq.setDeadline()
	}
	return nil
}

func (x *regrouping) give(g *savedGroup, list []*workerQuery) error {
	if len(list) == 0 {
		return nil
	}
	grouping, _ := list[0].q.parts.Grouping()
	state, err := op.NewSharedState(grouping, nil, &x.w.ctx) // it takes no rows
	if err != nil {
		return err
	}
	defer state.Close()
	members, err := x.restore(state, []*savedGroup{g}, list)
	for i := 0; err == nil && i < len(members); i++ {
		err = state.Give(members[i])
		state.Leave(members[i])
	}
	return err
}

// joinAll has the worker's queries share that may.
func (x *regrouping) joinAll() error {
	var classes []*sharedClass
	byText := map[string]*sharedClass{}
	var apart []*workerQuery
	seen := map[*workerQuery]bool{}
	for _, g := range x.r.groups {
		for _, wq := range x.alive(g) {
			if seen[wq] {
				continue
			}
			seen[wq] = true
			groups, whole := x.groupsOf(wq)
			if !whole {
				apart = append(apart, wq)
				continue
			}
			text := fmt.Sprintf("%p", wq.group.key)
			for _, g := range groups {
				text += fmt.Sprint(" ", g.op)
			}
			c := byText[text]
			if c == nil {
				c = &sharedClass{groups: groups}
				byText[text] = c
				classes = append(classes, c)
			}
			c.list = append(c.list, wq)
		}
	}
	slices.SortStableFunc(classes, func(a, b *sharedClass) int { return len(b.list) - len(a.list) })
	for _, c := range classes {
		if err := x.join(c.groups, c.list); err != nil {
			return err
		}
	}
	return x.giveAll(x.r.groups, apart)
}

// sharedClass are queries that were together in all groups that one of them was in.
type sharedClass struct {
	groups []*savedGroup
	list   []*workerQuery
}

// groupsOf are the groups of workers that a query was in; whole: it has nothing beside, and may share.
func (x *regrouping) groupsOf(wq *workerQuery) (list []*savedGroup, whole bool) {
	list, whole = x.r.groupsOf[wq.q.spec.ID], wq.group != nil && !wq.holds()
	for _, g := range list {
		whole = whole && op.SharesAll(g.records[wq.q.spec.ID])
	}
	return list, whole
}

// groupBlocks gives what is shared its blocks.
type groupBlocks opBlocks

// Blocks implements op.StateReader.
func (b groupBlocks) Blocks(fn func(slice int64, data []byte) error) error {
	return opBlocks(b).Blocks(func(slice int64, data []byte) error {
		if slice == groupSlice {
			return nil
		}
		return fn(slice, data)
	})
}
