package flow

import (
	"encoding/binary"
	"fmt"
)

// Bad is a stretch of what was given that could not be read.
type Bad struct {
	// Raw aliases what was given.
	Raw    []byte
	Reason string
}

// badMax bounds the list of a capture's bad stretches; the last one then tells how many more there were.
const badMax = 1000

// Capture turns pieces of captures (pcap, pcapng) into records. Each piece stands alone: it begins with a file header, and holds whole packets. It
// keeps scratch space: one goroutine per instance.
type Capture struct {
	t *table
	// Packets and Other count the packets of the last piece: those of flows, and those that are none of IP.
	Packets, Other int64
	bad            []Bad
	more           int

	links []link // of a pcapng section
	p     packet
}

// link is a link layer and the unit of its times.
type link struct {
	kind uint16
	// unit: a tick is num/den microseconds. offset is added, microseconds.
	num, den uint64
	offset   int64
}

// NewCapture returns a reader of captures; both limits must be positive.
func NewCapture(l Limits) *Capture { return &Capture{t: newTable(l)} }

// Read reads a piece. The records are valid until the next call; bad stretches alias the piece.
func (c *Capture) Read(piece []byte) ([]Record, []Bad) {
	c.t.reset()
	c.bad, c.more, c.Packets, c.Other, c.links = c.bad[:0], 0, 0, 0, c.links[:0]
	switch KindOf(piece) {
	case PCAP:
		c.pcap(piece)
	case PCAPNG:
		c.pcapng(piece)
	default:
		c.fail(piece, "it is neither pcap nor pcapng: a piece of a capture must begin with the file header")
	}
	if c.more > 0 {
		c.bad[badMax-1].Reason = fmt.Sprintf("%s (and %d more of this block)", c.bad[badMax-1].Reason, c.more)
	}
	return c.t.records, c.bad
}

func (c *Capture) fail(raw []byte, reason string) {
	if len(c.bad) >= badMax {
		c.more++
		return
	}
	c.bad = append(c.bad, Bad{Raw: raw, Reason: reason})
}

// packet counts one. size is the length it had, of which b is what was captured; raw is what is kept when it cannot be read.
func (c *Capture) packet(l *link, input uint32, at int64, b []byte, size int) {
	v, known := c.p.link(l.kind, b, size)
	switch {
	case !known:
		c.fail(b, fmt.Sprintf("packets of link type %d cannot be read", l.kind))
	case v == isFlow:
		c.p.key[4] |= uint64(min(input, inputMax))
		c.Packets++
		c.t.add(&c.p, at)
	case v == notIP:
		c.Other++
	case v == cutShort:
		c.fail(b, fmt.Sprintf("the capture has %d bytes of this packet, which end within its IP header", len(b)))
	default:
		c.fail(b, "the IP header's lengths contradict each other")
	}
}

// Kind is a kind of capture file.
type Kind uint8

// Kinds of capture files.
const (
	Unknown Kind = iota
	PCAP
	PCAPNG
)

// KindOf tells what begins with b.
func KindOf(b []byte) Kind {
	if len(b) < 4 {
		return Unknown
	}
	switch binary.BigEndian.Uint32(b) {
	case magicMicro, magicNano, magicMicroSwapped, magicNanoSwapped:
		return PCAP
	case blockSection:
		return PCAPNG
	}
	return Unknown
}
