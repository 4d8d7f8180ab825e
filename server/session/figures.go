package session

import (
	"sync"
	"sync/atomic"
)

// subscriptions are those that follow a query now: SUBSCRIBE, COPY (SUBSCRIBE ..) and LISTEN. Safe for concurrent use.
type subscriptions struct {
	mu   sync.Mutex
	live map[*subscription]struct{}
	// Since the server started, of all who read results by offset: how often one came to rows that were not kept any more, and how many those were.
	overtaken, missed atomic.Int64
}

func (s *subscriptions) add(x *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		s.live = map[*subscription]struct{}{}
	}
	s.live[x] = struct{}{}
}

func (s *subscriptions) remove(x *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, x)
}

// SubscriptionFigures are for metrics.
type SubscriptionFigures struct {
	// Live are those that follow a query, BehindMax is how many rows the slowest of them has not read.
	Live, BehindMax int64
	// Notifications and NotificationBytes wait for clients that LISTEN.
	Notifications, NotificationBytes int64
	// Overtaken is how often, since the server started, one of them or a long poll came to rows that had been dropped, Missed how many rows those were.
	Overtaken, Missed int64
}

// Subscriptions tells of those who read results as they come. A subscription holds no rows: what it has not read stays in the
// query's changelog, within its retention.
func (srv *Server) Subscriptions() SubscriptionFigures {
	f := SubscriptionFigures{Overtaken: srv.subs.overtaken.Load(), Missed: srv.subs.missed.Load()}
	srv.subs.mu.Lock()
	f.Live = int64(len(srv.subs.live))
	for x := range srv.subs.live {
		f.BehindMax = max(f.BehindMax, srv.eng.Results().Next(x.q.ID)-x.reached.Load())
	}
	srv.subs.mu.Unlock()
	for l := range srv.hub.listeners() {
		n, bytes := l.out.Size()
		f.Notifications, f.NotificationBytes = f.Notifications+int64(n), f.NotificationBytes+int64(bytes)
	}
	return f
}

// listeners are all who listen to a channel.
func (h *hub) listeners() map[*listener]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[*listener]struct{}{}
	for _, list := range h.channels {
		for l := range list {
			all[l] = struct{}{}
		}
	}
	return all
}
