package flow

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
)

// keepVersion is the first byte of kept templates; docs/formats/templates.md tells the rest.
const keepVersion = 1

// Changed reports that Append would write something else than at the time of its last call.
func (e *Exports) Changed() bool { return e.changed }

// Append appends what is known of all exporters, for Load.
func (e *Exports) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, keepVersion)
	ids := make([]domainID, 0, len(e.domains))
	for id := range e.domains {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b domainID) int {
		return cmp.Or(a.exporter.Compare(b.exporter), cmp.Compare(a.version, b.version), cmp.Compare(a.id, b.id))
	})
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(ids)))
	for _, id := range ids {
		d := e.domains[id]
		addr := id.exporter.AsSlice()
		dst = append(append(dst, byte(len(addr))), addr...)
		dst = binary.BigEndian.AppendUint16(dst, id.version)
		dst = binary.BigEndian.AppendUint32(dst, id.id)
		dst = binary.BigEndian.AppendUint64(dst, uint64(d.boot))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(d.samplers)))
		for _, s := range sortedKeys(d.samplers) {
			dst = binary.BigEndian.AppendUint64(dst, s)
			dst = binary.BigEndian.AppendUint32(dst, d.samplers[s])
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(d.templates)))
		for _, t := range sortedKeys(d.templates) {
			dst = d.templates[t].raw(dst)
		}
	}
	e.changed = false
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var errKept = errors.New("kept templates are cut short, or damaged")

// Load replaces what is known by what Append wrote. After an error nothing is known.
func (e *Exports) Load(b []byte) error {
	e.domains, e.fields, e.changed = map[domainID]*domain{}, 0, false
	if len(b) > 0 && b[0] != keepVersion {
		return fmt.Errorf("kept templates have version %d, this vigil reads version %d", b[0], keepVersion)
	}
	if len(b) < 7 || binary.BigEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return errKept
	}
	r := keptReader{b: b[1 : len(b)-4]}
	for n := r.u16(); n > 0 && !r.short; n-- {
		r.domain(e)
	}
	if r.short || len(r.b) > 0 {
		e.domains, e.fields = map[domainID]*domain{}, 0
		return errKept
	}
	return nil
}

// keptReader reads kept templates; short is set at the first thing that is not there.
type keptReader struct {
	b     []byte
	short bool
}

func (r *keptReader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	got := r.b[:n]
	r.b = r.b[n:]
	return got
}

func (r *keptReader) u16() int    { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *keptReader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *keptReader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *keptReader) domain(e *Exports) {
	size := int(r.take(1)[0])
	addr, ok := netip.AddrFromSlice(r.take(size))
	if !ok && size != 0 {
		r.short = true
		return
	}
	id := domainID{exporter: addr, version: uint16(r.u16()), id: r.u32()}
	d := &domain{templates: map[uint16]*template{}, boot: int64(r.u64())}
	for n := r.u16(); n > 0 && !r.short; n-- {
		if d.samplers == nil {
			d.samplers = map[uint64]uint32{}
		}
		s := r.u64()
		d.samplers[s] = r.u32()
	}
	for n := r.u16(); n > 0 && !r.short; n-- {
		t := &template{id: uint16(r.u16()), option: r.take(1)[0]&1 != 0, scope: r.u16()}
		fields := r.u16()
		for ; fields > 0 && !r.short; fields-- {
			t.fields = append(t.fields, field{id: uint16(r.u16()), length: uint16(r.u16()), enterprise: r.u32()})
		}
		if _, err := e.keep(d, t); err != nil {
			r.short = true
		}
	}
	if len(e.domains) < DomainsMax {
		e.domains[id] = d
	}
}
