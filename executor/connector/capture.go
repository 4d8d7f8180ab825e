package connector

import (
	"encoding/binary"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// captureDef captures packets from an interface of this machine.
func captureDef() Def {
	return Def{
		Name: "capture",
		Doc: "Captures the packets of a network interface, on Linux, with the right to do so (CAP_NET_RAW). The beginning of each packet is looked at and nothing of it stored: " +
			"what is stored are flows.",
		Params: []Param{{"interface", "", "name of the interface, such as eth0"}},
		Check: func(o Options) error {
			if name := o.Params["interface"]; name == "" || len(name) > 15 {
				return sqlerr.New(sqlerr.InvalidParameterValue, "connector capture needs the option interface, a name such as 'eth0'")
			}
			return nil
		},
		Listen: captureListen,
	}
}

// Bounds of a block of captured packets.
const (
	captureBytes = 256      // of a packet: its headers
	captureBlock = 64 << 10 // bytes
	captureEvery = 100 * time.Millisecond
)

// captureBuffer gathers packets as a block of a pcap file.
type captureBuffer struct {
	block []byte
	link  uint32
	begun time.Time
}

const (
	captureFileHeader   = 24
	captureRecordHeader = 16
)

// add adds a packet of a length of which b was captured.
func (c *captureBuffer) add(at time.Time, link uint32, b []byte, length int) {
	if len(c.block) == 0 {
		c.begun, c.link = at, link
		c.block = append(c.block, 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		c.block = binary.LittleEndian.AppendUint32(c.block, captureBytes)
		c.block = binary.LittleEndian.AppendUint32(c.block, link)
	}
	c.block = binary.LittleEndian.AppendUint32(c.block, uint32(at.Unix()))
	c.block = binary.LittleEndian.AppendUint32(c.block, uint32(at.Nanosecond()/1000))
	c.block = binary.LittleEndian.AppendUint32(c.block, uint32(len(b)))
	c.block = binary.LittleEndian.AppendUint32(c.block, uint32(length))
	c.block = append(c.block, b...)
}

// due reports that the block is to be handed over, before a packet of that link type.
func (c *captureBuffer) due(now time.Time, link uint32) bool {
	return len(c.block) > 0 && (len(c.block) > captureBlock || now.Sub(c.begun) >= captureEvery || link != c.link)
}
