package session

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

const (
	// feedsAtOnce is how many lists are refreshed by themselves at a time: each holds its entries in memory until they take effect.
	feedsAtOnce = 2
	// feedEvery is how often the clock is looked at for lists that are due.
	feedEvery = time.Second
	// retryFirst is when a refresh that failed is tried again; then after twice the time, and so on up to half of the period.
	retryFirst = int64(30 * time.Second / time.Microsecond)
	// refreshErrorMax bounds what is kept of why a refresh failed: some of it is the feed's.
	refreshErrorMax = 1024
)

// The properties of a list that tell of its refreshes; times in microseconds.
const (
	propRefreshed = "refreshed_at"
	propFailedAt  = "refresh_failed_at"
	propFailures  = "refresh_failures"
	propError     = "refresh_error"
)

// feeds refreshes lists that have a period, and knows what became of the refreshes of all lists, by id of the list.
type feeds struct {
	// slots has room for the refreshes that run by themselves; ctx ends with the server.
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	run    sync.WaitGroup
	// silence is how long a web server may send nothing.
	silence time.Duration

	mu sync.Mutex
	// busy are the lists that are being refreshed.
	busy map[uint64]bool
	last map[uint64]refreshed
	// seen is the catalogue that timed, the lists with a period, are of.
	seen  *catalog.Snapshot
	timed []*catalog.IOCList
}

// refreshed is when a list's last refresh went well, 0 for never, and what became of those since.
type refreshed struct {
	at, failedAt types.EventTime
	failures     int
	failed       string
}

// failedNow is r after another refresh that failed.
func (r refreshed) failedNow(now types.EventTime, err error) refreshed {
	text := sqlerr.As(err).Message
	if len(text) > refreshErrorMax {
		text = strings.ToValidUTF8(text[:refreshErrorMax], "") + "..."
	}
	r.failedAt, r.failures, r.failed = now, r.failures+1, text
	return r
}

// due is when a list with a period is to be refreshed next; 0: it never was.
func (r refreshed) due(period int64) types.EventTime {
	switch {
	case r.failures > 0:
		wait := min(retryFirst<<min(r.failures-1, 20), max(period/2, 1))
		return r.failedAt + types.EventTime(wait)
	case r.at == 0:
		return 0
	}
	return r.at + types.EventTime(period)
}

// isDue also holds where the clock was put back behind what was noted.
func (r refreshed) isDue(period int64, now types.EventTime) bool {
	return now >= r.due(period) || now < max(r.at, r.failedAt)
}

// props are r as properties of the list.
func (r refreshed) props() map[string]string {
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	return map[string]string{propRefreshed: number(int64(r.at)), propFailedAt: number(int64(r.failedAt)), propFailures: number(int64(r.failures)), propError: r.failed}
}

// loadRefreshed reads what props wrote; what cannot be read counts as never.
func loadRefreshed(props map[string]string) refreshed {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(props[name], 10, 64) // 0 is right then
		return n
	}
	return refreshed{types.EventTime(number(propRefreshed)), types.EventTime(number(propFailedAt)), int(number(propFailures)), props[propError]}
}

// open prepares f; what was noted before is put with set.
func (f *feeds) open(silence time.Duration) {
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.slots = make(chan struct{}, feedsAtOnce)
	f.busy, f.last = map[uint64]bool{}, map[uint64]refreshed{}
	f.silence = cmp.Or(silence, feedSilence)
}

// begin takes a list for a refresh; false: somebody else has it.
func (f *feeds) begin(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[id] {
		return false
	}
	f.busy[id] = true
	return true
}

func (f *feeds) end(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, id)
}

func (f *feeds) set(id uint64, r refreshed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[id] = r
}

func (f *feeds) of(id uint64) refreshed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[id]
}

func (f *feeds) stopped() bool { return f.ctx.Err() != nil }

// due are the lists whose time has come, those that have waited longest first.
func (f *feeds) due(snap *catalog.Snapshot, now types.EventTime) []*catalog.IOCList {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen != snap {
		f.seen, f.timed = snap, slices.DeleteFunc(snap.Lists(), func(l *catalog.IOCList) bool { return l.Refresh == 0 })
		maps.DeleteFunc(f.last, func(id uint64, _ refreshed) bool { return snap.ByID(id) == nil })
	}
	var out []*catalog.IOCList
	for _, l := range f.timed {
		if !f.busy[l.ID] && f.last[l.ID].isDue(l.Refresh, now) {
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b *catalog.IOCList) int {
		return cmp.Compare(f.last[a.ID].due(a.Refresh), f.last[b.ID].due(b.Refresh))
	})
	return out
}

// watch refreshes lists as their time comes, until the server closes.
func (srv *Server) watch(every time.Duration) {
	f := &srv.feeds
	if srv.eng.Loaded(f.ctx) != nil {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for _, l := range f.due(srv.cat.Snapshot(), srv.clock()) {
			select {
			case f.slots <- struct{}{}:
				f.run.Go(func() {
					defer func() { <-f.slots }()
					srv.refreshTimed(l)
				})
				continue
			default:
			}
			break // those that run are waited for
		}
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// RefreshDue refreshes the lists that are due now, one after the other, and returns when that is done.
func (srv *Server) RefreshDue() {
	for _, l := range srv.feeds.due(srv.cat.Snapshot(), srv.clock()) {
		srv.refreshTimed(l)
	}
}

// refreshTimed refreshes a list whose time has come, as its owner.
func (srv *Server) refreshTimed(l *catalog.IOCList) {
	ctx := srv.feeds.ctx
	r, err := (*refresh)(nil), srv.mayRefresh(l)
	if err != nil {
		err2 := srv.noteRefresh(ctx, l, srv.feeds.of(l.ID).failedNow(srv.clock(), err), job.Change{})
		err = cmp.Or(err2, err)
	} else {
		r, err = srv.refreshList(ctx, l, false)
	}
	if err != nil {
		srv.log.Warn("refresh", "list", l.Name, "error", err)
		return
	}
	srv.log.Info("refresh", "list", l.Name, "entries", r.stats.Entries, "refused", r.stats.Refused)
}

// mayRefresh reports why a list is not refreshed by itself: its feed is read as the server, which only superusers may.
func (srv *Server) mayRefresh(l *catalog.IOCList) error {
	snap := srv.cat.Snapshot()
	if owner := snap.RoleNumbered(snap.Access(l.ID).Owner); owner == nil || !owner.Super {
		return denied("the owner of IOC list %s is not a superuser", l.RelName()).WithHint("Only lists of superusers are refreshed by themselves.")
	}
	return nil
}

// noteRefresh has a change of a list take effect together with what is known of its refreshes. A list that was dropped, or has another
// feed by now, stays as it is.
func (srv *Server) noteRefresh(ctx context.Context, l *catalog.IOCList, r refreshed, ch job.Change) error {
	srv.ddl.Lock()
	defer srv.ddl.Unlock()
	switch now, ok := srv.cat.Snapshot().ByID(l.ID).(*catalog.IOCList); {
	case !ok:
		return sqlerr.New(sqlerr.UndefinedObject, "IOC list %q was dropped meanwhile", l.RelName())
	case !maps.Equal(now.Options, l.Options):
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "the options of IOC list %q were changed meanwhile", l.RelName()).WithHint("REFRESH it again.")
	}
	ch.Props = append(ch.Props, job.PropChange{ID: l.ID, Set: r.props()})
	if err := srv.eng.Apply(context.WithoutCancel(ctx), ch); err != nil {
		return err
	}
	srv.feeds.set(l.ID, r)
	return nil
}
