package flow

import "encoding/binary"

// packet is what is read of one.
type packet struct {
	key    Key
	octets uint64
	flags  uint16
	tos    uint8
}

// verdict says what a packet is.
type verdict uint8

const (
	isFlow    verdict = iota
	notIP             // ARP, spanning tree and the like: no fault, and no flow
	cutShort          // the capture ends within the IP header
	malformed         // the lengths contradict each other
)

// Protocol numbers.
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoDCCP     = 33
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoICMPv6   = 58
	protoDstOpts  = 60
	protoSCTP     = 132
	protoMobility = 135
	protoUDPLite  = 136
	protoHIP      = 139
	protoShim6    = 140
)

// headersMax bounds the tags, labels and extension headers of a packet.
const headersMax = 16

// ether reads what follows an Ethernet type or the like. size is the length that the packet had from here on.
func (p *packet) ether(etherType uint16, b []byte, size int) verdict {
	for range headersMax {
		n := 0
		switch etherType {
		case 0x0800:
			return p.v4(b, size)
		case 0x86dd:
			return p.v6(b, size)
		case 0x8100, 0x88a8, 0x9100, 0x9200: // VLAN tags
			if len(b) < 4 {
				return cutShort
			}
			n, etherType = 4, binary.BigEndian.Uint16(b[2:])
		case 0x8864: // a PPPoE session
			if len(b) < 8 {
				return cutShort
			}
			if size < 6 {
				return malformed
			}
			return p.ppp(binary.BigEndian.Uint16(b[6:]), b[8:], size-8)
		case 0x8847, 0x8848: // MPLS
			if len(b) < 4 {
				return cutShort
			}
			n = 4
			if b[2]&1 != 0 { // the last label
				return p.ip(b[4:], size-4)
			}
		default:
			return notIP
		}
		b, size = b[n:], size-n
	}
	return malformed
}

// ip reads a packet whose version is known from its first bits only.
func (p *packet) ip(b []byte, size int) verdict {
	if len(b) == 0 {
		return cutShort
	}
	switch b[0] >> 4 {
	case 4:
		return p.v4(b, size)
	case 6:
		return p.v6(b, size)
	}
	return notIP
}

func (p *packet) ppp(protocol uint16, b []byte, size int) verdict {
	switch protocol {
	case 0x0021:
		return p.v4(b, size)
	case 0x0057:
		return p.v6(b, size)
	}
	return notIP
}

// v4 reads an IPv4 packet.
func (p *packet) v4(b []byte, size int) verdict {
	if len(b) < 20 {
		return cutShort
	}
	head := int(b[0]&15) * 4
	if b[0]>>4 != 4 || head < 20 {
		return malformed
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // the network card cuts the packet later
		total = size
	}
	if total < head {
		return malformed
	}
	p.octets, p.tos = uint64(total), b[1]
	p.key.setV4(binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:]))
	var ports uint32
	if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 && len(b) > head { // not a later fragment
		ports = p.transport(b[9], b[head:min(len(b), total)])
	}
	p.key.setRest(ports, b[9], false, 0)
	return isFlow
}

// v6 reads an IPv6 packet, past its extension headers.
func (p *packet) v6(b []byte, size int) verdict {
	if len(b) < 40 {
		return cutShort
	}
	if b[0]>>4 != 6 {
		return malformed
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total == 40 && b[6] == protoHopByHop { // a jumbogram, or cut later by the network card
		total = size
	}
	p.octets, p.tos = uint64(total), uint8(binary.BigEndian.Uint16(b)>>4)
	for i := range 4 {
		p.key[i] = binary.BigEndian.Uint64(b[8+8*i:])
	}
	next, rest, later := b[6], b[40:min(len(b), max(40, total))], false
	for range headersMax {
		n := 0
		switch next {
		case protoHopByHop, protoRouting, protoDstOpts, protoMobility, protoHIP, protoShim6:
			if len(rest) >= 2 {
				n = 8 + 8*int(rest[1])
			}
		case protoAH:
			if len(rest) >= 2 {
				n = 8 + 4*int(rest[1])
			}
		case protoFragment:
			if len(rest) >= 8 {
				n, later = 8, later || binary.BigEndian.Uint16(rest[2:])>>3 != 0
			}
		}
		if n == 0 || n > len(rest) {
			break
		}
		next, rest = rest[0], rest[n:]
	}
	var ports uint32
	if !later {
		ports = p.transport(next, rest)
	}
	p.key.setRest(ports, next, true, 0)
	return isFlow
}

// transport returns both ports, the source's in the upper half, and notes the flags of TCP. What was not captured is 0.
func (p *packet) transport(protocol uint8, b []byte) uint32 {
	switch protocol {
	case protoTCP:
		if len(b) >= 14 {
			p.flags = binary.BigEndian.Uint16(b[12:]) & 0x0fff
		}
		fallthrough
	case protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		if len(b) >= 4 {
			return binary.BigEndian.Uint32(b)
		}
	case protoICMP, protoICMPv6:
		if len(b) >= 2 {
			return uint32(binary.BigEndian.Uint16(b))
		}
	}
	return 0
}

// link reads a frame of a link type; known is false where the type is not supported.
func (p *packet) link(linkType uint16, b []byte, size int) (v verdict, known bool) {
	p.flags = 0
	head, at := 0, -1 // of the link's header: its length, and where its Ethernet type is
	switch linkType {
	case 1: // Ethernet
		head, at = 14, 12
	case 113: // Linux cooked
		head, at = 16, 14
	case 276: // Linux cooked, version 2
		head, at = 20, 0
	case 12, 14, 101, 228, 229: // raw IP
		return p.ip(b, size), true
	case 0, 108: // BSD loopback: a word whose order of bytes is the capturing machine's
		head = 4
	case 9, 50: // PPP
		if len(b) >= 4 && b[0] == 0xff && b[1] == 3 {
			b, size = b[2:], size-2
		}
		if len(b) < 2 {
			return cutShort, true
		}
		return p.ppp(binary.BigEndian.Uint16(b), b[2:], size-2), true
	default:
		return notIP, false
	}
	if len(b) < head {
		return cutShort, true
	}
	if at < 0 {
		return p.ip(b[head:], size-head), true
	}
	return p.ether(binary.BigEndian.Uint16(b[at:]), b[head:], size-head), true
}
