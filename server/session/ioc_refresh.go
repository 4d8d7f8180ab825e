package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

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

// feedTimeout bounds the whole transfer of a feed over HTTP.
const feedTimeout = 10 * time.Minute

// feeds is what became of the refreshes of lists since the server started, by id of the list.
type feeds struct {
	mu sync.Mutex
	// busy are the lists that are being refreshed.
	busy map[uint64]bool
	last map[uint64]refreshed
}

// refreshed is the last refresh of a list that went well, and the error of the last one if that did not.
type refreshed struct {
	at     types.EventTime
	failed string
}

// begin takes a list for a refresh; false: somebody else has it.
func (f *feeds) begin(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[id] {
		return false
	}
	if f.busy == nil {
		f.busy, f.last = map[uint64]bool{}, map[uint64]refreshed{}
	}
	f.busy[id] = true
	return true
}

// end notes what became of a refresh.
func (f *feeds) end(id uint64, at types.EventTime, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, id)
	r := f.last[id]
	if r.failed = ""; err != nil {
		r.failed = sqlerr.As(err).Message
	} else {
		r.at = at
	}
	f.last[id] = r
}

func (f *feeds) of(id uint64) refreshed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[id]
}

// checkFeed checks the options of a list that has a feed. Only superusers may name one: it is read as the server.
func (s *Session) checkFeed(st *parse.CreateIOC) error {
	source, format := (*parse.Option)(nil), (*parse.Option)(nil)
	for i := range st.Options {
		switch o := &st.Options[i]; o.Key {
		case "source":
			source = o
		case "format":
			format = o
		}
	}
	if source == nil {
		return nil
	}
	if !s.superuser() {
		return denied("permission denied to create an IOC list with a source").WithHint("Only superusers can: feeds are read from files and networks as the server.")
	}
	u, err := url.Parse(source.Value)
	ok := err == nil && (u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && filepath.IsAbs(u.Path) || (u.Scheme == "http" || u.Scheme == "https") && u.Host != "")
	switch {
	case !ok:
		return sqlerr.New(sqlerr.InvalidParameterValue, "invalid source of an IOC list: it is neither a file nor a web address").At(source.Pos).
			WithHint("Write 'file:///path/of/feed.txt' or 'https://host/feed.txt'.")
	case u.User != nil:
		return sqlerr.New(sqlerr.InvalidParameterValue, "the source of an IOC list cannot hold a user or a password").At(source.Pos).
			WithHint("It would be shown to everybody who sees the list.")
	}
	if format == nil {
		return nil
	}
	for _, f := range feed.Formats() {
		if f == format.Value {
			return nil
		}
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for option %q: %q", "format", format.Value).At(format.Pos).
		WithHint("Expected one of %s.", strings.Join(feed.Formats(), ", "))
}

// refreshIOC runs REFRESH IOC LIST: the list becomes what its feed has, as one new version, or stays as it is.
func (s *Session) refreshIOC(ctx context.Context, st *parse.RefreshIOC, out pgwire.Output) (err error) {
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
	if err := s.srv.eng.Loaded(ctx); err != nil {
		return err
	}
	if !s.srv.feeds.begin(l.ID) {
		return sqlerr.New(sqlerr.ObjectInUse, "IOC list %q is being refreshed", st.Name.Name).WithHint("Wait for the other REFRESH.")
	}
	defer func() { s.srv.feeds.end(l.ID, s.srv.clock(), err) }()
	r := &refresh{s: s, l: l, now: s.srv.clock(), held: s.newHolding(), fresh: map[string]ioc.Info{}, force: st.Force}
	if err := r.read(ctx); err != nil {
		return sqlerr.As(err).WithWhere("the feed of IOC list %s, which stays as it is", l.Name)
	}
	change, err := r.change()
	if err != nil {
		return err
	}
	if len(change.Add)+len(change.Drop)+len(r.bad) > 0 {
		if err := s.applyIOC(ctx, job.Change{IOC: []job.IOCChange{change}, Rejected: r.bad}); err != nil {
			return err
		}
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

// refresh is a feed on its way into a list.
type refresh struct {
	s     *Session
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
	in, err := openFeed(ctx, r.l.Options["source"])
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
	err := r.s.srv.eng.IOCEntries(r.l.ID, func(value string, meta []byte) error {
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

// openFeed opens a file, or asks a web server for one. Redirects never lead from https to http.
func openFeed(ctx context.Context, source string) (io.ReadCloser, error) {
	u, err := url.Parse(source)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		st, err := os.Stat(u.Path)
		if err == nil && !st.Mode().IsRegular() {
			err = errors.New("it is not a file")
		}
		var f *os.File
		if err == nil {
			f, err = os.Open(u.Path)
		}
		if err != nil {
			return nil, sqlerr.New(sqlerr.IOError, "the feed cannot be opened: %v", err)
		}
		return f, nil
	}
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 5 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("it is redirected to %s", req.URL.Redacted())
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("the server answers %s", resp.Status)
	}
	if err != nil {
		cancel()
		return nil, sqlerr.New(sqlerr.IOError, "the feed cannot be read: %v", err)
	}
	return &body{resp.Body, cancel}, nil
}

// body ends the request when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
