package feed

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/vigil-sql/vigil/executor/ioc"
)

// lineMax bounds a line; longer ones are refused, and passed over without being held.
const lineMax = 1 << 20

// liner gives a feed's lines.
type liner struct {
	f  *reader
	no int64
}

// next is the next line that is not too long, without its end; valid until the next call. io.EOF comes after the last.
func (l *liner) next() ([]byte, error) {
	for {
		line, err := l.f.in.ReadSlice('\n')
		if len(line) == 0 && err != nil {
			return nil, err
		}
		l.no++
		if errors.Is(err, bufio.ErrBufferFull) {
			raw := string(line[:rawMax])
			if err := l.skip(); err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			if err := l.f.refuse(l.no, raw, refusal("the line is longer than %d bytes", lineMax)); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if l.no == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		return line, nil
	}
}

// skip passes over the rest of a line.
func (l *liner) skip() error {
	for {
		if _, err := l.f.in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// each calls fn for all lines.
func (l *liner) each(fn func(line []byte) error) error {
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(line)
		}
		if err != nil {
			return err
		}
	}
}

// lines reads one value a line. A comment begins with # at the start of a line or after white space; in a list of texts only
// at the start.
func (f *reader) lines() error {
	l := &liner{f: f}
	return l.each(func(line []byte) error {
		v := string(line)
		if strings.HasPrefix(strings.TrimSpace(v), "#") {
			return nil
		}
		if f.o.Kind != ioc.Text {
			v = strings.TrimSpace(uncomment(v))
		}
		if strings.TrimSpace(v) == "" {
			return nil
		}
		return f.emit(Entry{Value: v, Confidence: -1, Line: l.no}, "")
	})
}

// uncomment cuts a comment that begins after white space.
func uncomment(v string) string {
	for i := 1; i < len(v); i++ {
		if v[i] == '#' && (v[i-1] == ' ' || v[i-1] == '\t') {
			return v[:i]
		}
	}
	return v
}

// netset reads addresses, networks and ranges; # and ; begin comments; of what ipset saves, the elements that are added.
func (f *reader) netset() error {
	l := &liner{f: f}
	return l.each(func(line []byte) error {
		v := string(line)
		if i := strings.IndexAny(v, "#;"); i >= 0 {
			v = v[:i]
		}
		fields := strings.Fields(v)
		switch {
		case len(fields) == 0 || fields[0] == "create":
			return nil
		case fields[0] == "add" && len(fields) > 2:
			v = fields[2]
		default:
			v = strings.TrimSpace(v)
		}
		if from, to, ok := addrRange(v); ok {
			return f.emitRange(from, to, v, l.no)
		}
		return f.emit(Entry{Value: v, Confidence: -1, Line: l.no}, "")
	})
}

// addrRange reads from-to.
func addrRange(v string) (from, to netip.Addr, ok bool) {
	a, b, found := strings.Cut(v, "-")
	if !found {
		return from, to, false
	}
	from, err := netip.ParseAddr(strings.TrimSpace(a))
	if err != nil {
		return from, to, false
	}
	to, err = netip.ParseAddr(strings.TrimSpace(b))
	return from.Unmap(), to.Unmap(), err == nil
}

// emitRange gives the networks that a range consists of, at most 254 of them.
func (f *reader) emitRange(from, to netip.Addr, raw string, line int64) error {
	if from.BitLen() != to.BitLen() || to.Less(from) || from.Zone() != "" || to.Zone() != "" {
		return f.refuse(line, raw, refusal("invalid range: it must go from an address to a later one of the same family"))
	}
	for {
		p := largest(from, to)
		if err := f.emit(Entry{Value: p.String(), Confidence: -1, Line: line}, ""); err != nil {
			return err
		}
		last := lastOf(p)
		if last == to {
			return nil
		}
		from = last.Next()
	}
}

// largest is the largest network that begins at from and does not go beyond to.
func largest(from, to netip.Addr) netip.Prefix {
	p := netip.PrefixFrom(from, from.BitLen())
	for p.Bits() > 0 {
		wider := netip.PrefixFrom(from, p.Bits()-1)
		if wider.Masked().Addr() != from || to.Less(lastOf(wider)) {
			break
		}
		p = wider
	}
	return p
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
