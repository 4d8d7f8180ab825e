package ioc

import (
	"bytes"
	"net/netip"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Match implements expr.Matcher. v has a row for each row of the batch; text, inet and arrays of them can be asked for.
func (s *Set) Match(lists []string, v *batch.Vec, sel []uint32, dst []uint32) ([]uint32, error) {
	found := make([]*list, len(lists))
	for i, name := range lists {
		if found[i] = s.lists[name]; found[i] == nil {
			return dst, sqlerr.New(sqlerr.UndefinedObject, "IOC list %q does not exist", name)
		}
	}
	var p prober
	for _, r := range sel {
		if v.IsNull(int(r)) {
			continue
		}
		hit, err := p.any(found, v.Type, v.Bytes(int(r)))
		if err != nil {
			return dst, err
		}
		if hit {
			dst = append(dst, r)
		}
	}
	return dst, nil
}

// prober holds the scratch space of one call of Match.
type prober struct {
	buf [256]byte
}

func (p *prober) any(lists []*list, t types.Type, raw []byte) (bool, error) {
	if t.Kind == types.Array {
		elems, err := types.DecodeArray(t.Elem, string(raw))
		if err != nil {
			return false, err
		}
		for _, e := range elems {
			if e.Null {
				continue
			}
			if hit, err := p.any(lists, e.Type, []byte(e.S)); hit || err != nil {
				return hit, err
			}
		}
		return false, nil
	}
	for _, l := range lists {
		if l.size > 0 && p.one(l, t, raw) {
			return true, nil
		}
	}
	return false, nil
}

// one says whether a single value is in a list. A value that cannot be of the list's type is not in it.
func (p *prober) one(l *list, t types.Type, raw []byte) bool {
	isNet := t.Kind == types.Inet || t.Kind == types.CIDR
	switch l.kind {
	case IP, CIDR:
		addr, bits, ok := address(raw, isNet)
		if !ok {
			return false
		}
		if l.kind == CIDR {
			if bits == addr.BitLen() {
				return l.nets.Contains(addr)
			}
			_, ok := l.nets.LookupPrefix(netip.PrefixFrom(addr, bits))
			return ok
		}
		return bits == addr.BitLen() && l.has(addr.AppendTo(p.buf[:0]))
	case Text:
		return !isNet && l.has(raw)
	}
	if isNet || len(raw) > len(p.buf) && l.kind != URL {
		return false
	}
	if l.kind == URL {
		u, ok := canonicalURL(string(raw))
		return ok && l.has([]byte(u))
	}
	v := lower(p.buf[:0], bytes.TrimSpace(raw))
	if l.kind == Domain {
		return inDomains(l, bytes.TrimSuffix(v, []byte(".")))
	}
	return l.has(v)
}

// inDomains looks up a name and all its parents.
func inDomains(l *list, name []byte) bool {
	for len(name) > 0 {
		if l.has(name) {
			return true
		}
		dot := bytes.IndexByte(name, '.')
		if dot < 0 {
			return false
		}
		name = name[dot+1:]
	}
	return false
}

// address reads an inet's stored form or an address in text.
func address(raw []byte, isNet bool) (netip.Addr, int, bool) {
	if !isNet {
		a, err := netip.ParseAddr(string(raw))
		if err != nil || a.Zone() != "" {
			return netip.Addr{}, 0, false
		}
		a = a.Unmap()
		return a, a.BitLen(), true
	}
	if len(raw) != 5 && len(raw) != 17 {
		return netip.Addr{}, 0, false
	}
	a, ok := netip.AddrFromSlice(raw[1:])
	bits := int(raw[0])
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	return a, bits, ok
}

// lower appends s in lower case. Beyond ASCII it goes through bytes.ToLower.
func lower(dst, s []byte) []byte {
	for _, c := range s {
		if c >= 0x80 {
			return append(dst[:0], bytes.ToLower(s)...)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
