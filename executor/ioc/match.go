package ioc

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	store "github.com/vigil-sql/vigil/storage/ioc"
)

var _ expr.EntryFinder = (*Set)(nil)

// Match implements expr.Matcher. v has a row for each row of the batch; text, inet and arrays of them can be asked for.
func (s *Set) Match(lists []string, v *batch.Vec, sel []uint32, dst []uint32) ([]uint32, error) {
	found := make([]*list, len(lists))
	for i, name := range lists {
		if found[i] = s.lists[name]; found[i] == nil {
			return dst, noList(name)
		}
	}
	p := prober{set: s}
	defer p.release()
	for _, r := range sel {
		if v.IsNull(int(r)) {
			continue
		}
		hit, err := p.any(found, v.Type, v.Bytes(int(r)))
		if err = cmp.Or(p.err, err); err != nil {
			return dst, err
		}
		if hit {
			dst = append(dst, r)
		}
	}
	return dst, nil
}

// FindEntries implements expr.EntryFinder: the most specific entry of a list that a value hits, with what is known of it.
func (s *Set) FindEntries(name string, v *batch.Vec, found func(row int, entry string, info func() string)) error {
	l := s.lists[name]
	if l == nil {
		return noList(name)
	}
	p := prober{set: s}
	defer p.release()
	for r := range v.N {
		if v.IsNull(r) {
			continue
		}
		entry, err := p.entry(l, v.Type, v.Bytes(r))
		if err = cmp.Or(p.err, err); err != nil {
			return err
		}
		if entry != nil {
			e := string(entry)
			found(r, e, func() string { return infoText(l.kind, e, p.known.Info) })
		}
	}
	return nil
}

func noList(name string) error {
	return sqlerr.New(sqlerr.UndefinedObject, "IOC list %q does not exist", name)
}

// prober looks values up in a set, for one call of Match.
type prober struct {
	set        *Set
	rows       store.Probe
	buf, other []byte
	room       [256]byte
	// known is the entry that was found last. err is the first failure of a look-up, which found nothing.
	known *store.Entry
	err   error
}

// release gives back what the look-ups held.
func (p *prober) release() { p.rows.Release(p.set.store) }

// get is the entry of a canonical value; nil when there is none, or it has expired.
func (p *prober) get(l *list, v []byte) *store.Entry {
	if l.added != nil {
		if e, ok := l.added[string(v)]; ok {
			return p.alive(e)
		}
		if _, gone := l.dropped[string(v)]; gone {
			return nil
		}
	}
	if l.rows == nil || l.stat.Size == 0 {
		return nil
	}
	e, err := p.rows.Find(l.rows, l.seq, v)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("look up an indicator: %w", err)
	}
	return p.alive(e)
}

func (p *prober) alive(e *store.Entry) *store.Entry {
	if e == nil || p.set.expired(e) {
		return nil
	}
	p.known = e
	return e
}

// has says whether a canonical value is in the list.
func (p *prober) has(l *list, v []byte) bool { return p.get(l, v) != nil }

// net is the longest prefix of a list that covers x and has not expired.
func (p *prober) net(l *list, x netip.Prefix) (netip.Prefix, bool) {
	for {
		found, e, ok := l.nets.LookupPrefixLPM(x)
		if !ok || p.alive(e) != nil {
			return found, ok
		}
		if found.Bits() == 0 {
			return found, false
		}
		x = netip.PrefixFrom(found.Addr(), found.Bits()-1).Masked()
	}
}

// scratch is room for one canonical value.
func (p *prober) scratch() []byte {
	if p.buf == nil {
		return p.room[:0]
	}
	return p.buf[:0]
}

// any says whether a value, or an element of an array, is in one of the lists.
func (p *prober) any(lists []*list, t types.Type, raw []byte) (bool, error) {
	if t.Kind != types.Array {
		return p.inAny(lists, t, raw), nil
	}
	elems, err := elements(t, raw)
	return slices.ContainsFunc(elems, func(e types.Value) bool { return p.inAny(lists, e.Type, []byte(e.S)) }), err
}

func (p *prober) inAny(lists []*list, t types.Type, raw []byte) bool {
	for _, l := range lists {
		if l.size > 0 && p.hits(l, t, raw) {
			return true
		}
	}
	return false
}

// entry is the entry of a list that a value hits, of an array that of the first element that hits one; nil: none.
func (p *prober) entry(l *list, t types.Type, raw []byte) ([]byte, error) {
	if t.Kind != types.Array {
		return p.find(l, t, raw), nil
	}
	elems, err := elements(t, raw)
	for _, e := range elems {
		if entry := p.find(l, e.Type, []byte(e.S)); entry != nil {
			return entry, nil
		}
	}
	return nil, err
}

// elements are those of a stored array that are not NULL.
func elements(t types.Type, raw []byte) ([]types.Value, error) {
	elems, err := types.DecodeArray(t.Elem, string(raw))
	return slices.DeleteFunc(elems, func(e types.Value) bool { return e.Null }), err
}

// hits says whether a single value is in a list. A value that cannot be of the list's type is not in it.
func (p *prober) hits(l *list, t types.Type, raw []byte) bool {
	if l.kind != CIDR {
		return p.find(l, t, raw) != nil
	}
	net, ok := network(raw, isNet(t))
	if ok {
		_, ok = p.net(l, net)
	}
	return ok
}

// find is the most specific entry that a single value hits: the longest prefix of an address, the longest parent of a name,
// the longest prefix of a URL; nil when there is none. It is valid until the next call.
func (p *prober) find(l *list, t types.Type, raw []byte) []byte {
	switch l.kind {
	case IP, CIDR:
		return p.findNet(l, t, raw)
	case Text:
		if isNet(t) {
			return nil
		}
		return p.member(l, raw)
	}
	if isNet(t) {
		return nil
	}
	v, reason := canonical(p.scratch(), l.kind, bytes.TrimSpace(raw))
	if reason != "" {
		return nil
	}
	p.buf = v
	switch l.kind {
	case Domain:
		return p.findDomain(l, v)
	case URL:
		return p.findURL(l, v)
	case Email:
		if e := p.member(l, v); e != nil {
			return e
		}
		return p.member(l, v[bytes.LastIndexByte(v, '@'):])
	}
	return p.member(l, v)
}

func isNet(t types.Type) bool { return t.Kind == types.Inet || t.Kind == types.CIDR }

func (p *prober) findNet(l *list, t types.Type, raw []byte) []byte {
	net, ok := network(raw, isNet(t))
	if !ok {
		return nil
	}
	if l.kind == CIDR {
		lpm, ok := p.net(l, net)
		if !ok {
			return nil
		}
		p.buf = lpm.AppendTo(p.scratch())
		return p.buf
	}
	if !net.IsSingleIP() {
		return nil
	}
	p.buf = net.Addr().AppendTo(p.scratch())
	return p.member(l, p.buf)
}

// member is v if it is an entry, else nil.
func (p *prober) member(l *list, v []byte) []byte {
	if p.has(l, v) {
		return v
	}
	return nil
}

// findDomain looks up a name and, unless the list says otherwise, its parents.
func (p *prober) findDomain(l *list, name []byte) []byte {
	for {
		if p.has(l, name) {
			return name
		}
		dot := bytes.IndexByte(name, '.')
		if dot < 0 || l.mode == Exact {
			return nil
		}
		name = name[dot+1:]
	}
}

// findURL looks up a URL and, where the list says so, its prefixes; each also without its scheme, or, if it has none,
// with those that it stands for.
func (p *prober) findURL(l *list, v []byte) []byte {
	if v[0] == '/' {
		if e := p.findPrefix(l, v, 0); e != nil {
			return e
		}
		for _, scheme := range [...]string{"http:", "https:"} {
			p.other = append(append(p.other[:0], scheme...), v...)
			if e := p.findPrefix(l, p.other, 0); e != nil {
				return e
			}
		}
		return nil
	}
	scheme := bytes.IndexByte(v, ':') + 1
	if s := string(v[:scheme]); s != "http:" && s != "https:" {
		scheme = 0
	}
	return p.findPrefix(l, v, scheme)
}

// findPrefix looks up v and, in a list of prefixes, what comes before a /, after it, before ? and &, down to the root of the
// host, longest first; each also without the scheme's bytes.
func (p *prober) findPrefix(l *list, v []byte, scheme int) []byte {
	host := bytes.Index(v, []byte("//")) + 2
	root := host + bytes.IndexByte(v[host:], '/') + 1
	for end := len(v); ; end-- {
		if end == len(v) || l.mode == Prefix && end-scheme <= l.longest && urlBoundary(v, end) {
			if p.has(l, v[:end]) {
				return v[:end]
			}
			if scheme > 0 && p.has(l, v[scheme:end]) {
				return v[scheme:end]
			}
		}
		if l.mode != Prefix || end <= root {
			return nil
		}
	}
}

// urlBoundary reports whether a prefix may end before v[end].
func urlBoundary(v []byte, end int) bool {
	c := v[end]
	return c == '/' || c == '?' || c == '&' || v[end-1] == '/'
}

// network reads an inet's stored form, or an address or a network in text.
func network(raw []byte, isNet bool) (netip.Prefix, bool) {
	if !isNet {
		p, reason := parsePrefix(bytes.TrimSpace(raw))
		return p, reason == ""
	}
	if len(raw) != 5 && len(raw) != 17 {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(raw[1:])
	bits := int(raw[0])
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	p := netip.PrefixFrom(a, bits)
	return p, ok && p.IsValid()
}
