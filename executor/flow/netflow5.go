package flow

import "net/netip"

// Sizes of NetFlow 5.
const (
	header5     = 24
	record5     = 48
	records5Max = 30 // of a datagram, as Cisco says; what comes is read up to the datagram's end
)

// version5 decodes a datagram of NetFlow 5 and returns its length.
func (e *Exports) version5(b []byte) int {
	if len(b) < header5 {
		e.fail(b, "a datagram of %d bytes is too short for NetFlow 5", len(b))
		return len(b)
	}
	count := int(u16(b, 2))
	size := header5 + count*record5
	if count == 0 || size > len(b) {
		e.fail(b, "a NetFlow 5 datagram claims %d records and has room for %d", count, (len(b)-header5)/record5)
		return len(b)
	}
	h := &e.h
	h.id = uint32(u16(b, 20))
	h.exported = int64(u32(b, 8))*1e6 + int64(min(u32(b, 12), 999_999_999))/1000
	h.boot, h.hasBoot = h.exported/1000-int64(u32(b, 4)), true
	sampled := u16(b, 22) & 0x3fff
	for r := b[header5:size]; len(r) > 0; r = r[record5:] {
		x := e.begin()
		x.Src, x.Dst, x.NextHop = v4(r[0:]), v4(r[4:]), v4(r[8:])
		x.Input, x.Output = uint32(u16(r, 12)), uint32(u16(r, 14))
		x.Packets, x.Octets = uint64(u32(r, 16)), uint64(u32(r, 20))
		x.First, x.Last = h.uptime(u32(r, 24)), h.uptime(u32(r, 28))
		x.SrcPort, x.DstPort = u16(r, 32), u16(r, 34)
		x.TCPFlags, x.Protocol, x.TOS = uint16(r[37]), r[38], r[39]
		x.SrcAS, x.DstAS = uint32(u16(r, 40)), uint32(u16(r, 42))
		x.SrcMask, x.DstMask = r[44], r[45]
		x.Has = HasSrc | HasDst | HasNextHop | HasInput | HasOutput | HasPackets | HasOctets | HasFirst | HasLast | HasSrcPort | HasDstPort |
			HasTCPFlags | HasProtocol | HasTOS | HasSrcAS | HasDstAS | HasSrcMask | HasDstMask
		if sampled > 0 {
			x.Sampling, x.Has = uint32(sampled), x.Has|HasSampling
		}
		e.Records++
		e.emit(x)
	}
	return size
}

func v4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
