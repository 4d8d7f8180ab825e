package flow

import (
	"encoding/binary"
	"fmt"
)

// Magic numbers of pcap files, read as big-endian.
const (
	magicMicro        = 0xa1b2c3d4
	magicNano         = 0xa1b23c4d
	magicMicroSwapped = 0xd4c3b2a1
	magicNanoSwapped  = 0x4d3cb2a1
)

const (
	pcapHeader  = 24
	pcapRecord  = 16
	capturedMax = 1 << 20 // bytes captured of one packet, at most
)

// pcapOrder is the order of bytes of a pcap file, and whether its times are in nanoseconds.
func pcapOrder(b []byte) (order binary.ByteOrder, nano bool) {
	switch binary.BigEndian.Uint32(b) {
	case magicMicroSwapped:
		return binary.LittleEndian, false
	case magicNanoSwapped:
		return binary.LittleEndian, true
	case magicNano:
		return binary.BigEndian, true
	}
	return binary.BigEndian, false
}

// pcap reads a piece in the form of a pcap file.
func (c *Capture) pcap(b []byte) {
	if len(b) < pcapHeader {
		c.fail(b, "the pcap header is cut short")
		return
	}
	order, nano := pcapOrder(b)
	if major := order.Uint16(b[4:]); major != 2 {
		c.fail(b[:pcapHeader], fmt.Sprintf("pcap version %d.%d cannot be read, only 2.x", major, order.Uint16(b[6:])))
		return
	}
	l := link{kind: uint16(order.Uint32(b[20:]))} // the upper half has flags
	little := order == binary.LittleEndian
	for at := pcapHeader; at < len(b); {
		rest := b[at:]
		if len(rest) < pcapRecord {
			c.fail(rest, "the last packet's header is cut short")
			return
		}
		var sec, frac, n, size uint32
		if little {
			sec, frac = binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
			n, size = binary.LittleEndian.Uint32(rest[8:]), binary.LittleEndian.Uint32(rest[12:])
		} else {
			sec, frac = binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
			n, size = binary.BigEndian.Uint32(rest[8:]), binary.BigEndian.Uint32(rest[12:])
		}
		if n > capturedMax {
			c.fail(rest, fmt.Sprintf("a packet claims %d captured bytes, at most %d are read; what follows it is lost", n, capturedMax))
			return
		}
		if int(n) > len(rest)-pcapRecord {
			c.fail(rest, fmt.Sprintf("the last packet is cut short: it claims %d captured bytes and has %d", n, len(rest)-pcapRecord))
			return
		}
		if nano {
			frac /= 1000
		}
		c.packet(&l, 0, int64(sec)*1e6+int64(frac), rest[pcapRecord:pcapRecord+n], int(max(size, n)))
		at += pcapRecord + int(n)
	}
}
