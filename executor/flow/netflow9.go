package flow

const header9 = 20

// version9 decodes a datagram of NetFlow 9 and returns its length: the header does not tell it, but no set has the number 9, or 5, or 10, so
// that the next datagram is known by its version.
func (e *Exports) version9(b []byte) int {
	if len(b) < header9 {
		e.fail(b, "a datagram of %d bytes is too short for NetFlow 9", len(b))
		return len(b)
	}
	h := &e.h
	h.exported = int64(u32(b, 8)) * 1e6
	h.boot, h.hasBoot, h.id = h.exported/1000-int64(u32(b, 4)), true, u32(b, 16)
	at := header9
	for at < len(b) {
		set := b[at:]
		if len(set) < 4 {
			if !zeros(set) {
				e.fail(set, "%d bytes follow the last set", len(set))
			}
			return len(b)
		}
		id, n := u16(set, 0), int(u16(set, 2))
		if isVersion(id) {
			return at
		}
		if n < 4 || n > len(set) {
			if !zeros(set) { // some exporters fill their datagrams up
				e.fail(set, "a set claims %d bytes, %d are left", n, len(set))
			}
			return len(b)
		}
		e.set(set[:n:n], id, 0, 1)
		at += n
	}
	return at
}

// set decodes a set; the numbers of those with templates and with options templates differ between versions.
func (e *Exports) set(set []byte, id, templates, options uint16) {
	d := e.domain(e.h.domainID)
	if d == nil {
		e.fail(set, "there are too many exporters: at most %d are known at a time", DomainsMax)
		return
	}
	switch {
	case id == templates:
		e.templates(d, set, false)
	case id == options:
		e.templates(d, set, true)
	case id < 256:
		e.fail(set, "set %d is reserved", id)
	default:
		t := d.templates[id]
		if t == nil {
			e.fail(set, "exporter %s has not sent template %d of domain %d yet", e.h.exporter, id, e.h.id)
			return
		}
		e.data(d, t, set)
	}
}

// templates reads a set of templates.
func (e *Exports) templates(d *domain, set []byte, option bool) {
	for b := set[4:]; len(b) >= 4 && !zeros(b); {
		t := &template{id: u16(b, 0), option: option}
		count, at := int(u16(b, 2)), 4
		switch {
		case e.h.version == 10 && count == 0:
			e.withdraw(d, t.id, option)
			b = b[4:]
			continue
		case option:
			if len(b) < 6 {
				e.fail(b, "an options template is cut short")
				return
			}
			t.scope, at = int(u16(b, 4)), 6
			if e.h.version == 9 { // both are lengths in bytes: of the scope's fields, of the others
				t.scope = count / 4
				count = t.scope + int(u16(b, 4))/4
			}
		}
		n := t.read(b[at:], count, e.h.version == 10)
		if n < 0 {
			e.fail(b, "template %d claims %d fields and is cut short", t.id, count)
			return
		}
		raw := b[:at+n]
		b = b[at+n:]
		changed, err := e.keep(d, t)
		if err != nil {
			e.fail(raw, "%v", err)
		}
		e.changed = e.changed || changed
	}
}

// read reads a template's fields and returns their length, -1 where b is too short.
func (t *template) read(b []byte, count int, enterprises bool) int {
	if count > len(b)/4 {
		return -1
	}
	t.fields = make([]field, count)
	at := 0
	for i := range t.fields {
		if len(b)-at < 4 {
			return -1
		}
		f := &t.fields[i]
		f.id, f.length = u16(b, at), u16(b, at+2)
		at += 4
		if enterprises && f.id&0x8000 != 0 {
			if len(b)-at < 4 {
				return -1
			}
			f.id, f.enterprise = f.id&0x7fff, u32(b, at)
			at += 4
		}
	}
	return at
}
