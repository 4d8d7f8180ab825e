package flow

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Bounds of what exporters can make us keep.
const (
	// DomainsMax is the number of exporters, with each observation domain counted by itself.
	DomainsMax = 4096
	// TemplatesMax is the number of templates of a domain, FieldsMax that of all fields of them.
	TemplatesMax = 512
	FieldsMax    = 8192
	// AllFieldsMax is the number of fields of all templates of all domains.
	AllFieldsMax = 256 << 10
	samplersMax  = 64
	varLength    = 0xffff
)

// domainID names a domain: NetFlow 9 and IPFIX count theirs apart.
type domainID struct {
	exporter netip.Addr
	version  uint16
	id       uint32
}

// domain is what is remembered of an exporter's observation domain.
type domain struct {
	templates map[uint16]*template
	fields    int   // of all templates
	boot      int64 // milliseconds since 1970 when its clock began, 0: not told
	samplers  map[uint64]uint32
	used      uint64 // number of the datagram that used it last
}

// template tells how a data set's records are laid out.
type template struct {
	id     uint16
	scope  int // number of scope fields; options have some
	option bool
	fields []field
	size   int // of a record, bytes, at least
	fixed  bool
}

// field is one of a template's.
type field struct {
	id, length uint16
	enterprise uint32
	what       what
}

// raw is the template as it is kept: id, flags, number of scope fields, number of fields; each field id, length, enterprise.
func (t *template) raw(dst []byte) []byte {
	flags := byte(0)
	if t.option {
		flags = 1
	}
	dst = append(binary.BigEndian.AppendUint16(dst, t.id), flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(t.scope))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.fields)))
	for _, f := range t.fields {
		dst = binary.BigEndian.AppendUint16(dst, f.id)
		dst = binary.BigEndian.AppendUint16(dst, f.length)
		dst = binary.BigEndian.AppendUint32(dst, f.enterprise)
	}
	return dst
}

// finish computes what follows from the fields; an error tells why such a template is refused.
func (t *template) finish() error {
	t.size, t.fixed = 0, true
	for i := range t.fields {
		f := &t.fields[i]
		f.what = whatOf(f, t.option && i < t.scope)
		if f.length == varLength {
			t.size, t.fixed = t.size+1, false
			continue
		}
		t.size += int(f.length)
	}
	switch {
	case t.id < 256:
		return fmt.Errorf("template %d: numbers below 256 are reserved", t.id)
	case len(t.fields) == 0:
		return fmt.Errorf("template %d has no fields", t.id)
	case t.size == 0 || t.size > 0xffff:
		return fmt.Errorf("template %d describes records of %d bytes, which cannot be", t.id, t.size)
	case t.scope > len(t.fields):
		return fmt.Errorf("template %d has more scope fields than fields", t.id)
	}
	return nil
}

// same reports that both templates say the same.
func (t *template) same(o *template) bool {
	if o == nil || t.option != o.option || t.scope != o.scope || len(t.fields) != len(o.fields) {
		return false
	}
	for i := range t.fields {
		if t.fields[i] != o.fields[i] {
			return false
		}
	}
	return true
}

// keep adds a template, or replaces the one with its number. changed: what is to be remembered is another one now.
func (e *Exports) keep(d *domain, t *template) (changed bool, err error) {
	if err := t.finish(); err != nil {
		return false, err
	}
	old := d.templates[t.id]
	if t.same(old) {
		return false, nil
	}
	fields := d.fields + len(t.fields)
	if old != nil {
		fields -= len(old.fields)
	}
	if fields > FieldsMax || old == nil && len(d.templates) >= TemplatesMax {
		return false, fmt.Errorf("template %d is one too many: at most %d templates with %d fields together are kept of one exporter and domain",
			t.id, TemplatesMax, FieldsMax)
	}
	if grown := fields - d.fields; grown > 0 && e.fields+grown > AllFieldsMax {
		return false, fmt.Errorf("template %d is one too many: at most %d fields are kept of all exporters together", t.id, AllFieldsMax)
	}
	e.fields += fields - d.fields
	d.templates[t.id], d.fields = t, fields
	return true, nil
}

// drop forgets a template.
func (e *Exports) drop(d *domain, id uint16) bool {
	old := d.templates[id]
	if old == nil {
		return false
	}
	delete(d.templates, id)
	d.fields -= len(old.fields)
	e.fields -= len(old.fields)
	return true
}

// domain returns the memory for one, nil where there are too many. One that was not used for very long makes room.
func (e *Exports) domain(id domainID) *domain {
	d := e.domains[id]
	if d == nil {
		if len(e.domains) >= DomainsMax && !e.forget() {
			return nil
		}
		d = &domain{templates: map[uint16]*template{}}
		e.domains[id] = d
	}
	d.used = e.datagrams
	return d
}

// idleAfter is how many datagrams of others must have come since a domain's last one, before it makes room for a new one.
const idleAfter = 1 << 20

func (e *Exports) forget() bool {
	var oldest domainID
	least := e.datagrams
	for id, d := range e.domains {
		if d.used < least {
			oldest, least = id, d.used
		}
	}
	if e.datagrams-least < idleAfter {
		return false
	}
	e.fields -= e.domains[oldest].fields
	delete(e.domains, oldest)
	e.changed = true
	return true
}
