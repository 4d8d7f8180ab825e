package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vigil-sql/vigil/executor/ioc/feed"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

const (
	// feedTimeout bounds the whole transfer of a feed.
	feedTimeout = 10 * time.Minute
	// feedSilence is how long nothing may come from a web server.
	feedSilence = time.Minute
	// feedRedirects is how often a web server may send us elsewhere.
	feedRedirects = 5
)

// checkFeed checks the options of a list that has a feed. Only superusers may name one: it is read as the server.
func (s *Session) checkFeed(options []parse.Option) error {
	source, format := (*parse.Option)(nil), (*parse.Option)(nil)
	for i := range options {
		switch o := &options[i]; o.Key {
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

// openFeed opens a file, or asks a web server for one. What is read ends with an error when ctx does, after feedTimeout, and when nothing
// comes from the server for silence.
func openFeed(ctx context.Context, source string, silence time.Duration) (io.ReadCloser, error) {
	u, err := url.Parse(source)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	x := &transfer{ctx: ctx, cancel: cancel, silence: silence}
	x.total = time.AfterFunc(feedTimeout, func() { cancel(fmt.Errorf("it has not come within %v", feedTimeout)) })
	if u.Scheme == "file" {
		x.in, err = openFile(u.Path)
	} else {
		x.silent = time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing has come for %v", silence)) })
		err = x.ask(u)
	}
	if err != nil {
		err = x.why(err)
		_ = x.Close() // it was not opened
		return nil, sqlerr.New(sqlerr.IOError, "the feed cannot be %s: %v", map[bool]string{true: "opened", false: "read"}[u.Scheme == "file"], err)
	}
	return x, nil
}

// openFile opens a file; one that a reader may have to wait for, such as a pipe, is refused.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// transfer is a feed that is being read.
type transfer struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	in      io.ReadCloser
	silence time.Duration
	// total and silent end it; silent is nil for a file.
	total, silent *time.Timer
}

// Read implements io.Reader.
func (x *transfer) Read(p []byte) (int, error) {
	if x.ctx.Err() != nil {
		return 0, sqlerr.New(sqlerr.IOError, "the feed cannot be read: %v", context.Cause(x.ctx))
	}
	n, err := x.in.Read(p)
	if x.silent != nil && n > 0 {
		x.silent.Reset(x.silence)
	}
	if err != nil && err != io.EOF {
		err = sqlerr.New(sqlerr.IOError, "the feed cannot be read: %v", x.why(err))
	}
	return n, err
}

// why is what ended the transfer, rather than what came of that.
func (x *transfer) why(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return err
}

// Close implements io.Closer.
func (x *transfer) Close() error {
	x.total.Stop()
	if x.silent != nil {
		x.silent.Stop()
	}
	x.cancel(nil)
	if x.in == nil {
		return nil
	}
	return x.in.Close()
}

// ask asks a web server for a feed. It may send us elsewhere, but not from https to http, and not into the networks that only this machine reaches:
// what is there, and whether it is there, would be told to whoever sees what was rejected.
func (x *transfer) ask(u *url.URL) error {
	req, err := http.NewRequestWithContext(x.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	d := &feedDialer{known: map[string]bool{u.Hostname(): true}}
	client := &http.Client{Transport: &http.Transport{Proxy: d.proxy, DialContext: d.dial, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 64 << 10}, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= feedRedirects || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("it is redirected to %s", req.URL.Redacted())
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // its content is of no use
		err = fmt.Errorf("the server answers %s", resp.Status)
	}
	if err != nil {
		return err
	}
	x.in = resp.Body
	return nil
}

// feedDialer connects to the host that the source names, to proxies, and to others where they are public.
type feedDialer struct {
	mu    sync.Mutex
	known map[string]bool
}

func (d *feedDialer) proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if u != nil {
		d.mu.Lock()
		d.known[u.Hostname()] = true
		d.mu.Unlock()
	}
	return u, err
}

func (d *feedDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	known := d.known[host]
	d.mu.Unlock()
	dialer := &net.Dialer{Timeout: 30 * time.Second}
	if !known {
		dialer.Control = publicOnly
	}
	return dialer.DialContext(ctx, network, address)
}

// publicOnly refuses connections to addresses of this machine and of private networks. It sees the address itself, after the name was looked up.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := at.Addr().Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || sharedSpace.Contains(a) {
		return fmt.Errorf("it is redirected to %s, which is not a public address", a)
	}
	return nil
}

// sharedSpace is that of carriers' networks, and of the clouds' own services.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
