package job

import (
	"maps"
	"slices"
	"strconv"

	"github.com/vigil-sql/vigil/executor/connector"
)

// rerunInput reads a stretch of input again and sends it down the pipeline.
func (r *recovery) rerunInput(ep *epoch, s *stream, x run) error {
	e := r.e
	if x.result {
		return e.rerunResult(ep, s, x)
	}
	if x.from == x.to {
		it := e.newItem(itemData)
		it.stream, it.split, it.epoch, it.plan = s, x.split, ep, s.plan
		it.payloads = append(it.payloads, connector.Payload{Split: x.split, From: x.from, To: x.to})
		s.next[x.split] = x.to
		e.send(it)
		return nil
	}
	if s.log != nil || s.dated() {
		return r.rerunLog(ep, s, x)
	}
	from := s
	if s.past != nil {
		from = s.past.live
	}
	if !from.opened {
		if err := from.src.Open(e.load.ctx, from.next); err != nil {
			return err
		}
		from.opened = true
	}
	got, err := from.src.ReadRange(e.load.ctx, x.split, x.from, x.to, nil)
	if err != nil {
		return err
	}
	for len(got) > 0 {
		it := e.newItem(itemData)
		it.stream, it.split, it.epoch, it.plan = s, x.split, ep, s.plan
		size, n := 0, 0
		for n < len(got) && size < itemBytesMax {
			size += len(got[n].Bytes)
			n++
		}
		it.payloads = append(it.payloads, got[:n]...)
		got = got[n:]
		e.send(it)
	}
	s.next[x.split] = x.to
	if s.past != nil {
		s.past.at.Store(sum(s.next))
	}
	return nil
}

// rerunLog is rerunInput for log-fed streams.
func (r *recovery) rerunLog(ep *epoch, s *stream, x run) error {
	e := r.e
	log := s.log
	if s.past != nil {
		log = s.past.live.log
	}
	rd := log.ReadRange(x.from, x.to)
	defer rd.Close()
	for {
		it := e.newItem(itemData)
		it.stream, it.split, it.epoch, it.plan = s, x.split, ep, s.plan
		if err := fill(it, rd); err != nil {
			return err
		}
		if len(it.payloads) == 0 {
			e.items.Put(it)
			s.next[x.split] = x.to
			if s.past != nil {
				s.past.at.Store(x.to)
			}
			return nil
		}
		e.send(it)
	}
}

// restorePasts gives a query of the checkpoint its history back, as far as it had come.
func (r *recovery) restorePasts(q *query) {
	e := r.e
	for _, id := range slices.Sorted(maps.Keys(q.back.wanted)) {
		live := e.liveOf(q, id)
		if live == nil {
			continue
		}
		s := e.openPast(q, live, q.back.wanted[id])
		if sc := r.cut.stream(id); live.isResult && sc != nil && len(live.attached) == 0 {
			live.order.watermark = sc.watermark
			if sc.next[0] >= 0 {
				live.next = sc.next
			}
		}
		if !s.isResult {
			s.order.tracker = s.newTracker()
		}
		if sc := r.cut.stream(s.id()); sc != nil {
			s.next = sc.next
			s.past.at.Store(sum(s.next))
			if !s.isResult {
				s.order.tracker.Restore(sc.watermark, sc.splits)
			}
		}
		e.replan(s)
	}
	if len(q.back.of) > 0 {
		q.back.wake = make(chan struct{}, 1)
		e.seq.backfills = append(e.seq.backfills, q)
	}
}

// noteJoin notes that a query joined its streams after the cut.
func (r *recovery) noteJoin(o *Object) {
	if n, err := strconv.ParseUint(o.Meta.Props[PropJoined], 10, 64); err == nil && n > r.cut.epoch {
		r.joins[n] = append(r.joins[n], o.Meta.ID)
	}
}
