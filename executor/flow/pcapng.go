package flow

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Types of pcapng blocks.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // the obsolete one
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	blockMax      = 16 << 20 // bytes
	interfacesMax = 4096     // of a section
)

// block splits the first block off b. order is kept up to date by section headers.
func block(b []byte, order *binary.ByteOrder) (kind uint32, body, rest []byte, reason string) {
	if len(b) < 12 {
		return 0, nil, nil, "the last block is cut short"
	}
	kind, n, reason := blockHead(b, order)
	if reason != "" {
		return 0, nil, nil, reason
	}
	switch {
	case uint64(n) > uint64(len(b)):
		return 0, nil, nil, fmt.Sprintf("the last block is cut short: it claims %d bytes and has %d", n, len(b))
	case (*order).Uint32(b[n-4:]) != n:
		return 0, nil, nil, "a block's two lengths differ; what follows it is lost"
	}
	return kind, b[8 : n-4 : n-4], b[n:], ""
}

// pcapng reads a piece in the form of a pcapng file.
func (c *Capture) pcapng(b []byte) {
	var order binary.ByteOrder = binary.LittleEndian
	for len(b) > 0 {
		kind, body, rest, reason := block(b, &order)
		if reason != "" {
			c.fail(b, reason)
			return
		}
		raw := b[:len(b)-len(rest)]
		b = rest
		switch kind {
		case blockSection:
			c.links = c.links[:0]
			if len(body) < 8 || order.Uint16(body[4:]) != 1 {
				c.fail(raw, "a section of a version other than 1.x cannot be read")
				return
			}
		case blockInterface:
			c.intf(order, raw, body)
		case blockEnhanced, blockPacket:
			if len(body) < 20 {
				c.fail(raw, "a packet's block is too short")
				continue
			}
			id := order.Uint32(body)
			if kind == blockPacket {
				id = uint32(order.Uint16(body))
			}
			ticks := uint64(order.Uint32(body[4:]))<<32 | uint64(order.Uint32(body[8:]))
			n, size := order.Uint32(body[12:]), order.Uint32(body[16:])
			if uint64(id) >= uint64(len(c.links)) || uint64(n) > uint64(len(body)-20) || size > 1<<30 {
				c.fail(raw, "a packet is of an unknown interface, or longer than its block")
				continue
			}
			l := &c.links[id]
			c.packet(l, id, l.micros(ticks), body[20:20+n], int(max(size, n)))
		case blockSimple:
			c.fail(raw, "a simple packet block has no time and cannot be counted")
		}
	}
}

// intf reads the description of an interface.
func (c *Capture) intf(order binary.ByteOrder, raw, body []byte) {
	if len(body) < 8 || len(c.links) >= interfacesMax {
		c.fail(raw, fmt.Sprintf("the description of an interface is too short, or there are more than %d", interfacesMax))
		return
	}
	l := link{kind: order.Uint16(body), num: 1, den: 1}
	for opts := body[8:]; len(opts) >= 4; {
		code, n := order.Uint16(opts), int(order.Uint16(opts[2:]))
		padded := 4 + (n+3)&^3
		if code == 0 || padded > len(opts) {
			break
		}
		v := opts[4 : 4+n]
		switch {
		case code == 9 && n == 1: // if_tsresol
			l.resolution(v[0])
		case code == 14 && n == 8: // if_tsoffset, seconds
			l.offset = int64(order.Uint64(v)) * 1e6
		}
		opts = opts[padded:]
	}
	c.links = append(c.links, l)
}

// resolution sets the unit: 10^-r seconds, or 2^-r with the high bit set.
func (l *link) resolution(r uint8) {
	l.num, l.den = 1e6, 1
	if e := min(r&0x7f, 63); r&0x80 != 0 {
		l.den = 1 << e
		return
	}
	for range min(r, 19) {
		l.den *= 10
	}
}

// micros turns ticks into microseconds; what does not fit becomes the largest time.
func (l *link) micros(ticks uint64) int64 {
	if l.num == 1 && l.den == 1 {
		return int64(ticks&(1<<62-1)) + l.offset
	}
	hi, lo := bits.Mul64(ticks, l.num)
	if hi >= l.den {
		return 1<<62 - 1
	}
	q, _ := bits.Div64(hi, lo, l.den)
	return int64(q&(1<<62-1)) + l.offset
}
