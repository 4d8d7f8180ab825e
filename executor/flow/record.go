// Package flow turns packets and flow exports into flow records: pcap, pcapng, NetFlow version 5 and 9, IPFIX. It knows bytes and nothing of
// rows or streams. What it reads comes from strangers: lengths are checked before they are used, and what is kept is bounded.
package flow

import (
	"encoding/binary"
	"net/netip"
)

// Key tells flows of one direction apart: source and destination address (two words each, those of IPv4 in the second), and a word of both ports,
// the protocol, the IP version and the interface.
type Key [5]uint64

// Where the parts of a key's last word are.
const (
	keySrcPort = 48
	keyDstPort = 32
	keyProto   = 24
	keyV6      = 23
	inputMax   = 1<<keyV6 - 1
)

// Src is the source address.
func (k *Key) Src() netip.Addr { return k.address(k[0], k[1]) }

// Dst is the destination address.
func (k *Key) Dst() netip.Addr { return k.address(k[2], k[3]) }

// V6 reports that the addresses are of IP version 6.
func (k *Key) V6() bool { return k[4]>>keyV6&1 != 0 }

// SrcPort is 0 for ICMP and for protocols without ports.
func (k *Key) SrcPort() uint16 { return uint16(k[4] >> keySrcPort) }

// DstPort is type*256+code for ICMP.
func (k *Key) DstPort() uint16 { return uint16(k[4] >> keyDstPort) }

// Protocol is the number of the protocol above IP.
func (k *Key) Protocol() uint8 { return uint8(k[4] >> keyProto) }

// Input is the number of the interface, from 0.
func (k *Key) Input() uint32 { return uint32(k[4] & inputMax) }

func (k *Key) address(hi, lo uint64) netip.Addr {
	if !k.V6() {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(lo))
		return netip.AddrFrom4(a)
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], hi)
	binary.BigEndian.PutUint64(a[8:], lo)
	return netip.AddrFrom16(a)
}

// setV4 sets the addresses from those of an IPv4 header.
func (k *Key) setV4(src, dst uint32) { k[0], k[1], k[2], k[3] = 0, uint64(src), 0, uint64(dst) }

// setRest sets the last word.
func (k *Key) setRest(ports uint32, protocol uint8, v6 bool, input uint32) {
	k[4] = uint64(ports)<<keyDstPort | uint64(protocol)<<keyProto | uint64(min(input, inputMax))
	if v6 {
		k[4] |= 1 << keyV6
	}
}

// Record is a flow of one direction, as far as it was seen in one piece of a capture.
type Record struct {
	Key
	// First and Last are the times of the first and the last packet, microseconds since 1970 UTC.
	First, Last int64
	Packets     uint64
	// Octets is the sum of the lengths of the IP packets, with their headers.
	Octets uint64
	// TCPFlags are the flags of all packets together, twelve bits as in the header.
	TCPFlags uint16
	// TOS is the type of service, or traffic class, of the first packet.
	TOS uint8

	slice int64 // begin of the stretch of time that the record may not leave
}
