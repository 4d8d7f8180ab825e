package flow

// what says where a field's value goes.
type what uint8

const (
	skip what = iota
	srcAddr
	dstAddr
	nextHop
	srcPort
	dstPort
	protocol
	tcpFlags
	tos
	packets
	octets
	totalPackets
	totalOctets
	input
	output
	srcAS
	dstAS
	srcMask
	dstMask
	vlan
	direction
	endReason
	icmpTypeCode
	icmpType
	icmpCode
	firstUptime
	lastUptime
	firstSeconds
	lastSeconds
	firstMillis
	lastMillis
	firstMicros
	lastMicros
	firstNanos
	lastNanos
	firstDelta
	lastDelta
	eventSeconds
	eventMillis
	durationMillis
	durationMicros
	bootMillis
	sampling
	samplingSpace
	samplerID
)

// elements maps the numbers of NetFlow 9's fields and IPFIX's information elements, which are the same where both have them.
var elements = [...]what{
	1: octets, 2: packets, 4: protocol, 5: tos, 6: tcpFlags, 7: srcPort, 8: srcAddr, 9: srcMask, 10: input, 11: dstPort, 12: dstAddr, 13: dstMask,
	14: output, 15: nextHop, 16: srcAS, 17: dstAS, 21: lastUptime, 22: firstUptime, 23: totalOctets, 24: totalPackets, 27: srcAddr, 28: dstAddr,
	29: srcMask, 30: dstMask, 32: icmpTypeCode, 34: sampling, 48: samplerID, 50: sampling, 58: vlan, 61: direction, 62: nextHop,
	85: totalOctets, 86: totalPackets, 136: endReason, 139: icmpTypeCode,
	150: firstSeconds, 151: lastSeconds, 152: firstMillis, 153: lastMillis, 154: firstMicros, 155: lastMicros, 156: firstNanos, 157: lastNanos,
	158: firstDelta, 159: lastDelta, 160: bootMillis, 161: durationMillis, 162: durationMicros,
	176: icmpType, 177: icmpCode, 178: icmpType, 179: icmpCode, 180: srcPort, 181: dstPort, 182: srcPort, 183: dstPort,
	231: totalOctets, 298: totalPackets, 302: samplerID, 305: sampling, 306: samplingSpace, 322: eventSeconds, 323: eventMillis,
}

// whatOf tells what a template's field is. Scope fields of options have numbers of their own in NetFlow 9; what is useful of them in IPFIX
// has the same number everywhere.
func whatOf(f *field, scope bool) what {
	if f.enterprise != 0 || int(f.id) >= len(elements) || scope && f.id < 48 {
		return skip
	}
	w := elements[f.id]
	switch {
	case f.length == varLength:
		return skip
	case w == srcAddr || w == dstAddr || w == nextHop:
		if f.length != 4 && f.length != 16 {
			return skip
		}
	case f.length == 0 || f.length > 8:
		return skip
	}
	return w
}

// Has says which parts of an Export the record brought.
type Has uint32

// Parts of an Export.
const (
	HasSrc Has = 1 << iota
	HasDst
	HasSrcPort
	HasDstPort
	HasProtocol
	HasTCPFlags
	HasTOS
	HasPackets
	HasOctets
	HasInput
	HasFirst
	HasLast
	HasNextHop
	HasOutput
	HasSrcAS
	HasDstAS
	HasSrcMask
	HasDstMask
	HasVLAN
	HasDirection
	HasEndReason
	HasSampling
)
