package flow

import (
	"encoding/binary"
	"net/netip"
)

// number reads an unsigned integer of up to eight bytes.
func number(b []byte) uint64 {
	n := uint64(0)
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b) // it has 4 or 16 bytes
	return a
}

// set puts a field's value where it belongs.
func (x *Export) set(w what, b []byte, h *header, d *domain) {
	switch w {
	case srcAddr, dstAddr, nextHop:
		x.setAddr(w, addrOf(b))
		return
	}
	n := number(b)
	if w >= firstUptime {
		x.setTime(w, n, h, d)
		return
	}
	switch w {
	case srcPort:
		x.setPort(&x.SrcPort, n, HasSrcPort)
	case dstPort:
		x.setPort(&x.DstPort, n, HasDstPort)
	case protocol:
		x.Protocol, x.Has = uint8(n), x.Has|HasProtocol
	case tcpFlags:
		x.TCPFlags, x.Has = uint16(n)&0x0fff, x.Has|HasTCPFlags
	case tos:
		x.TOS, x.Has = uint8(n), x.Has|HasTOS
	case packets:
		x.Packets, x.Has = n, x.Has|HasPackets
	case octets:
		x.Octets, x.Has = n, x.Has|HasOctets
	case totalPackets:
		x.totalPkts, x.have = n, x.have|haveTotalPackets
	case totalOctets:
		x.totalBytes, x.have = n, x.have|haveTotalOctets
	case input:
		x.Input, x.Has = uint32(n), x.Has|HasInput
	case output:
		x.Output, x.Has = uint32(n), x.Has|HasOutput
	case srcAS:
		x.SrcAS, x.Has = uint32(n), x.Has|HasSrcAS
	case dstAS:
		x.DstAS, x.Has = uint32(n), x.Has|HasDstAS
	case srcMask:
		x.SrcMask, x.Has = uint8(n), x.Has|HasSrcMask
	case dstMask:
		x.DstMask, x.Has = uint8(n), x.Has|HasDstMask
	case vlan:
		x.VLAN, x.Has = uint16(n), x.Has|HasVLAN
	case direction:
		x.Direction, x.Has = uint8(n), x.Has|HasDirection
	case endReason:
		x.EndReason, x.Has = uint8(n), x.Has|HasEndReason
	case icmpTypeCode:
		x.icmp, x.have = uint16(n), x.have|haveICMP
	case icmpType:
		x.icmp, x.have = x.icmp&0xff|uint16(n)<<8, x.have|haveICMP
	case icmpCode:
		x.icmp, x.have = x.icmp&0xff00|uint16(n)&0xff, x.have|haveICMP
	}
}

// setPort sets a port; templates that have it twice, once for each protocol, send 0 for the other one.
func (x *Export) setPort(p *uint16, n uint64, has Has) {
	if x.Has&has == 0 || n != 0 {
		*p, x.Has = uint16(n), x.Has|has
	}
}

// setAddr sets an address; templates that have it twice, once for each version, send zeros for the other one.
func (x *Export) setAddr(w what, a netip.Addr) {
	to, has := &x.Src, HasSrc
	switch w {
	case dstAddr:
		to, has = &x.Dst, HasDst
	case nextHop:
		to, has = &x.NextHop, HasNextHop
	}
	if x.Has&has == 0 || !a.IsUnspecified() {
		*to, x.Has = a, x.Has|has
	}
}

// timeMax bounds what is multiplied; later times become it.
const timeMax = 1 << 62

// micro turns units since 1970 into microseconds.
func micro(n, unit uint64) int64 {
	if n > timeMax/unit {
		return timeMax
	}
	return int64(n * unit)
}

// ntp turns seconds since 1900 in 32.32 bits into microseconds since 1970.
func ntp(n uint64) int64 {
	const from1900 = 2208988800
	return (int64(n>>32)-from1900)*1e6 + int64(n&0xffffffff*1e6>>32)
}

// setTime sets what has to do with time, and with sampling.
func (x *Export) setTime(w what, n uint64, h *header, d *domain) {
	first, last := func(t int64) { x.First, x.Has = t, x.Has|HasFirst }, func(t int64) { x.Last, x.Has = t, x.Has|HasLast }
	switch w {
	case firstUptime, lastUptime:
		with := *h
		if !h.hasBoot {
			if d.boot == 0 {
				return
			}
			with.boot = d.boot
		}
		if w == firstUptime {
			first(with.uptime(uint32(n)))
		} else {
			last(with.uptime(uint32(n)))
		}
	case firstSeconds:
		first(micro(n, 1e6))
	case lastSeconds:
		last(micro(n, 1e6))
	case firstMillis:
		first(micro(n, 1000))
	case lastMillis:
		last(micro(n, 1000))
	case firstMicros, firstNanos:
		first(ntp(n))
	case lastMicros, lastNanos:
		last(ntp(n))
	case firstDelta:
		first(h.exported - int64(uint32(n)))
	case lastDelta:
		last(h.exported - int64(uint32(n)))
	case eventSeconds:
		x.event, x.have = micro(n, 1e6), x.have|haveEvent
	case eventMillis:
		x.event, x.have = micro(n, 1000), x.have|haveEvent
	case durationMillis:
		x.duration, x.have = int64(uint32(n))*1000, x.have|haveDuration
	case durationMicros:
		x.duration, x.have = int64(uint32(n)), x.have|haveDuration
	case bootMillis:
		d.boot = int64(min(n, timeMax/1000))
	case sampling:
		x.Sampling, x.Has = uint32(n), x.Has|HasSampling
	case samplingSpace:
		x.space = uint32(n)
	case samplerID:
		x.sampler, x.have = n, x.have|haveSampler
	}
}

// u16 and u32 read a header's fields.
func u16(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
