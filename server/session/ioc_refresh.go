package session

import (
	"context"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/ioc/feed"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// refreshIOC runs REFRESH IOC LIST: the list becomes what its feed has, as one new version, or stays as it is.
func (s *Session) refreshIOC(ctx context.Context, st *parse.RefreshIOC, out pgwire.Output) error {
	l, ok := s.relation(st.Name).(*catalog.IOCList)
	switch {
	case !ok:
		return noIOCList(st.Name)
	case l.Options["source"] == "":
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "IOC list %q has no source", st.Name.Name).At(st.Name.Pos).
			WithHint("CREATE IOC LIST .. WITH (source = 'https://..') names one; COPY loads a list by hand.")
	case s.changes() != nil:
		return sqlerr.New(sqlerr.ActiveTransaction, "REFRESH IOC LIST cannot run inside a transaction block")
	}
	if err := s.allow(l, catalog.Insert|catalog.Delete); err != nil {
		return err
	}
	if err := s.writable("change IOC list " + l.Name); err != nil {
		return err
	}
	if err := s.srv.eng.Loaded(ctx); err != nil {
		return err
	}
	r, err := s.srv.refreshList(ctx, l, st.Force)
	if err != nil {
		return err
	}
	if n := r.stats.Refused; n > 0 {
		out.Notice(rejectedNotice(n))
	}
	if r.stats.OtherType+r.stats.Inactive+r.expired > 0 {
		out.Notice(pgwire.Notice{Severity: "NOTICE", Err: sqlerr.New(sqlerr.SuccessfulCompletion, "left out of the feed: %d of another type, %d revoked or not for detection, %d expired",
			r.stats.OtherType, r.stats.Inactive, r.expired)})
	}
	return nil
}

// refreshList makes a list what its feed has, and notes what came of it.
func (srv *Server) refreshList(ctx context.Context, l *catalog.IOCList, force bool) (*refresh, error) {
	if !srv.feeds.begin(l.ID) {
		return nil, sqlerr.New(sqlerr.ObjectInUse, "IOC list %q is being refreshed", l.RelName()).WithHint("Wait for the other REFRESH.")
	}
	defer srv.feeds.end(l.ID)
	r := &refresh{srv: srv, l: l, now: srv.clock(), held: holding{max: srv.statementBytes}, fresh: map[string]ioc.Info{}, force: force}
	err := r.run(ctx)
	if err != nil && srv.feeds.stopped() {
		return nil, err // that is why
	}
	if err != nil {
		if err2 := srv.noteRefresh(ctx, l, srv.feeds.of(l.ID).failedNow(srv.clock(), err), job.Change{}); err2 != nil {
			srv.log.Warn("note a failed refresh", "list", l.Name, "error", err2)
		}
	}
	return r, err
}

// run reads the feed, and has it take effect.
func (r *refresh) run(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return sqlerr.As(err).WithWhere("the feed of IOC list %s, which stays as it is", r.l.Name)
	}
	change, err := r.change()
	if err != nil {
		return err
	}
	ch := job.Change{Rejected: r.bad}
	if len(change.Add)+len(change.Drop) > 0 {
		ch.IOC = []job.IOCChange{change}
	}
	return r.srv.noteRefresh(ctx, r.l, refreshed{at: r.srv.clock()}, ch)
}

// refresh is a feed on its way into a list.
type refresh struct {
	srv   *Server
	l     *catalog.IOCList
	now   types.EventTime
	held  holding
	fresh map[string]ioc.Info
	force bool
	stats feed.Stats
	// expired counts entries that are not valid any more; bad holds the first batch.RowsMax refusals.
	expired int64
	bad     []job.Rejected
}

func (r *refresh) read(ctx context.Context) error {
	in, err := openFeed(ctx, r.l.Options["source"], r.srv.feeds.silence)
	if err != nil {
		return err
	}
	defer in.Close()
	o := feed.Options{Format: r.l.Options["format"], Kind: r.l.Type, Source: r.l.Name}
	if o.Format == "" {
		o.Format = "lines"
	}
	if c := r.l.Options["columns"]; c != "" {
		o.Columns = strings.Split(c, ",")
	}
	if d := r.l.Options["delimiter"]; d != "" {
		o.Delimiter = d[0]
	}
	r.stats, err = feed.Read(in, o, feed.Sink{Entry: r.entry, Refused: r.refused})
	return err
}

func (r *refresh) entry(e feed.Entry) error {
	if e.Expires != 0 && e.Expires <= r.now {
		r.expired++
		return nil
	}
	info := ioc.Info{Tags: e.Tags, AddedAt: int64(r.now)}
	row := []types.Value{types.NewText(e.Value), types.NewText(e.Source), types.NewText(strings.Join(e.Tags, ","))}
	if e.Source != "" {
		info.Source = &e.Source
	}
	if e.Confidence >= 0 {
		info.Confidence = &e.Confidence
	}
	if e.FirstSeen != 0 {
		at := int64(e.FirstSeen)
		info.FirstSeen = &at
	}
	if e.Expires != 0 {
		at := int64(e.Expires)
		info.ExpiresAt = &at
	}
	expireAfter(&info, r.l, r.now)
	if err := r.held.add(row); err != nil {
		return err
	}
	r.fresh[e.Value] = info
	return nil
}

func (r *refresh) refused(x feed.Refusal) error {
	if len(r.bad) < batch.RowsMax {
		e := sqlerr.As(x.Err)
		r.bad = append(r.bad, job.Rejected{Stream: r.l.ID, Code: string(e.Code), Raw: []byte(x.Raw),
			Reason: sqlerr.New(e.Code, "line %d: %s", x.Line, e.Message).WithHint("%s", e.Hint).Error()})
	}
	return nil
}

// change is what makes the list what the feed has. Entries of which nothing new is known stay untouched, so that a refresh costs what
// has changed.
func (r *refresh) change() (job.IOCChange, error) {
	change := job.IOCChange{ListID: r.l.ID, List: r.l.Name}
	had := 0
	err := r.srv.eng.IOCEntries(r.l.ID, func(value string, meta []byte) error {
		had++
		info, ok := r.fresh[value]
		if !ok {
			change.Drop = append(change.Drop, value)
			return nil
		}
		old, err := ioc.DecodeInfo(meta)
		if err != nil {
			return err
		}
		info.AddedAt = old.AddedAt
		keepExpiry(&info, &old, r.l)
		again, err := info.Append()
		if err != nil {
			return err
		}
		if delete(r.fresh, value); string(again) != string(meta) {
			change.Add = append(change.Add, job.IOCEntry{Value: value, Meta: again})
		}
		return nil
	})
	if err != nil {
		return change, err
	}
	if len(change.Drop) > had/2 && !r.force {
		return change, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "the feed of IOC list %q has lost %d of %d entries", r.l.Name, len(change.Drop), had).
			WithDetail("More than half of the list would go; it stays as it is.").WithHint("If that is right: REFRESH IOC LIST %s FORCE.", r.l.Name)
	}
	for value, info := range r.fresh {
		meta, err := info.Append()
		if err != nil {
			return change, err
		}
		change.Add = append(change.Add, job.IOCEntry{Value: value, Meta: meta})
	}
	return change, nil
}
