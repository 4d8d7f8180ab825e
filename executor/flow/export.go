package flow

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Export is a flow record that an exporter sent.
type Export struct {
	Exporter netip.Addr
	// Version is 5, 9 or 10 (IPFIX).
	Version uint16
	// Domain is the observation domain, the source ID of NetFlow 9, or engine type and ID of NetFlow 5.
	Domain uint32
	// Exported is the time of the datagram's header, microseconds since 1970 UTC.
	Exported int64
	// Has tells which of what follows is set.
	Has                   Has
	Src, Dst, NextHop     netip.Addr
	SrcPort, DstPort      uint16
	Protocol, TOS         uint8
	TCPFlags              uint16
	Packets, Octets       uint64
	Input, Output         uint32
	First, Last           int64 // microseconds since 1970 UTC
	SrcAS, DstAS          uint32
	SrcMask, DstMask      uint8
	VLAN                  uint16
	Direction, EndReason  uint8
	Sampling              uint32 // one of so many packets was looked at
	icmp, have            uint16
	duration              int64 // microseconds
	event                 int64
	sampler               uint64
	space                 uint32
	totalPkts, totalBytes uint64
}

// Bits of Export.have.
const (
	haveICMP = 1 << iota
	haveDuration
	haveEvent
	haveSampler
	haveTotalPackets
	haveTotalOctets
)

// Exports decodes datagrams of NetFlow 5, NetFlow 9 and IPFIX. It remembers templates: one goroutine at a time.
type Exports struct {
	// Versions lists those that are read; nil: all.
	Versions []uint16

	domains   map[domainID]*domain
	fields    int // of all templates
	datagrams uint64
	changed   bool // what Templates writes

	x    Export
	h    header
	emit func(*Export)
	bad  []Bad
	// Records counts the flows that were emitted, Options the records of options.
	Records, Options int64
}

// header is what a datagram's header says.
type header struct {
	domainID
	exported int64 // microseconds
	boot     int64 // milliseconds since 1970 when the exporter's clock began
	hasBoot  bool
}

// NewExports returns a decoder that knows no templates.
func NewExports() *Exports { return &Exports{domains: map[domainID]*domain{}} }

// DatagramMax is the size of a datagram with a two-byte length.
const DatagramMax = 1<<16 - 1

// Read decodes datagrams that follow each other: either each has its length before it, two bytes of big-endian, or none has. emit is called for
// each flow, with memory that is valid during the call. The bad stretches alias data and are valid until the next call.
func (e *Exports) Read(exporter netip.Addr, data []byte, emit func(*Export)) []Bad {
	e.emit, e.bad = emit, e.bad[:0]
	framed := len(data) >= 2 && !isVersion(binary.BigEndian.Uint16(data))
	for len(data) > 0 {
		if !framed {
			data = data[e.datagram(exporter, data):]
			continue
		}
		if len(data) < 2 || int(binary.BigEndian.Uint16(data)) > len(data)-2 {
			e.fail(data, "it neither begins with version 5, 9 or 10, nor with the length of a whole datagram")
			break
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		for d := data[2:n]; len(d) > 0; {
			d = d[e.datagram(exporter, d):]
		}
		data = data[n:]
	}
	return e.bad
}

func isVersion(v uint16) bool { return v == 5 || v == 9 || v == 10 }

func (e *Exports) fail(raw []byte, format string, args ...any) {
	if len(e.bad) < badMax {
		e.bad = append(e.bad, Bad{Raw: raw, Reason: fmt.Sprintf(format, args...)})
	}
}

// datagram decodes the first of data and returns its length, at least 1.
func (e *Exports) datagram(exporter netip.Addr, data []byte) int {
	e.datagrams++
	if len(data) < 16 {
		e.fail(data, "a datagram of %d bytes is too short for a header", len(data))
		return len(data)
	}
	e.h = header{domainID: domainID{exporter: exporter, version: binary.BigEndian.Uint16(data)}}
	if e.Versions != nil && !contains(e.Versions, e.h.version) {
		e.fail(data, "the datagram is of version %d, which the stream's format does not read", e.h.version)
		return len(data)
	}
	switch e.h.version {
	case 5:
		return e.version5(data)
	case 9:
		return e.version9(data)
	case 10:
		return e.ipfix(data)
	}
	e.fail(data, "the datagram is of version %d; 5, 9 and 10 (IPFIX) can be read", e.h.version)
	return len(data)
}

func contains(list []uint16, v uint16) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// begin makes x an empty record of the datagram.
func (e *Exports) begin() *Export {
	e.x = Export{Exporter: e.h.exporter, Version: e.h.version, Domain: e.h.id, Exported: e.h.exported}
	return &e.x
}

// aheadMax is how far a flow's time may be ahead of the exporter's clock, milliseconds; what is further ahead is from before the clock turned over.
const aheadMax = 3600 * 1000

// uptime turns milliseconds since the exporter's start, which turn over after 49 days, into microseconds since 1970.
func (h *header) uptime(ms uint32) int64 {
	now := uint32(h.exported/1000 - h.boot)
	if ahead := ms - now; ahead <= aheadMax {
		return (h.exported/1000 + int64(ahead)) * 1000
	}
	return (h.exported/1000 - int64(now-ms)) * 1000
}

// data decodes the records of a data set.
func (e *Exports) data(d *domain, t *template, set []byte) {
	body := set[4:]
	if t.fixed {
		for len(body) >= t.size {
			e.record(d, t, body[:t.size])
			body = body[t.size:]
		}
		return // the rest is padding
	}
	for len(body) >= t.size && !zeros(body) {
		n := e.record(d, t, body)
		if n < 0 {
			e.fail(body, "a field of variable length reaches beyond its set (template %d)", t.id)
			return
		}
		body = body[n:]
	}
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// record decodes a record and returns its length, -1 where it reaches beyond b.
func (e *Exports) record(d *domain, t *template, b []byte) int {
	x, at := e.begin(), 0
	for i := range t.fields {
		f := &t.fields[i]
		n := int(f.length)
		if n == varLength {
			if at >= len(b) {
				return -1
			}
			n = int(b[at])
			at++
			if n == 255 {
				if at+2 > len(b) {
					return -1
				}
				n = int(binary.BigEndian.Uint16(b[at:]))
				at += 2
			}
		}
		if n > len(b)-at {
			return -1
		}
		if f.what != skip {
			x.set(f.what, b[at:at+n], &e.h, d)
		}
		at += n
	}
	if t.option {
		e.Options++
		d.note(x)
		return at
	}
	x.finish(d)
	e.Records++
	e.emit(x)
	return at
}

// note remembers what options say of sampling.
func (d *domain) note(x *Export) {
	if x.Has&HasSampling == 0 {
		return
	}
	x.sampled()
	if d.samplers == nil {
		d.samplers = map[uint64]uint32{}
	}
	if _, known := d.samplers[x.sampler]; known || len(d.samplers) < samplersMax {
		d.samplers[x.sampler] = x.Sampling
	}
}

// finish computes what follows from several fields.
func (x *Export) finish(d *domain) {
	if x.have&haveICMP != 0 && (x.Protocol == protoICMP || x.Protocol == protoICMPv6) {
		x.SrcPort, x.DstPort, x.Has = 0, x.icmp, x.Has|HasSrcPort|HasDstPort
	}
	if x.Has&HasPackets == 0 && x.have&haveTotalPackets != 0 {
		x.Packets, x.Has = x.totalPkts, x.Has|HasPackets
	}
	if x.Has&HasOctets == 0 && x.have&haveTotalOctets != 0 {
		x.Octets, x.Has = x.totalBytes, x.Has|HasOctets
	}
	if x.have&haveEvent != 0 && x.Has&HasLast == 0 {
		x.Last, x.Has = x.event, x.Has|HasLast
	}
	if x.have&haveDuration != 0 {
		if x.Has&(HasFirst|HasLast) == HasFirst {
			x.Last, x.Has = x.First+x.duration, x.Has|HasLast
		} else if x.Has&(HasFirst|HasLast) == HasLast {
			x.First, x.Has = x.Last-x.duration, x.Has|HasFirst
		}
	}
	x.sampled()
	if x.Has&HasSampling == 0 {
		if n, ok := d.samplers[x.sampler]; ok {
			x.Sampling, x.Has = n, x.Has|HasSampling
		}
	}
}

// sampled computes one of how many packets was looked at where the record has the length of runs, and of the gaps between them.
func (x *Export) sampled() {
	if x.Has&HasSampling != 0 && x.space > 0 && x.Sampling > 0 {
		x.Sampling, x.space = uint32((uint64(x.Sampling)+uint64(x.space))/uint64(x.Sampling)), 0
	}
}
