package codec

import (
	"net/netip"
	"slices"

	"github.com/vigil-sql/vigil/executor/flow"
)

func pcapDef(name string) IntakeDef {
	return IntakeDef{
		Name: name,
		Doc: "Packets, as pcap or pcapng: each block of a capture becomes records of flows. Options: active_timeout, inactive_timeout. " +
			"See docs/formats-of-network-data.md.",
		New: func(o Options, computed []int) (Intake, error) { return newPCAP(name, o, computed) },
	}
}

// pcapIntake makes flows of blocks of captures. Blocks do not depend on each other.
type pcapIntake struct {
	rows flowRows
	c    *flow.Capture
	x    flow.Export
}

func newPCAP(name string, o Options, computed []int) (Intake, error) {
	if err := onlyParams(name, o.Params, "active_timeout", "inactive_timeout"); err != nil {
		return nil, err
	}
	active, err := durationParam(o.Params, "active_timeout", "5 seconds")
	if err != nil {
		return nil, err
	}
	inactive, err := durationParam(o.Params, "inactive_timeout", "15 seconds")
	if err != nil {
		return nil, err
	}
	w, err := newFlowRows(name, o, computed, flowTOS)
	return &pcapIntake{rows: w, c: flow.NewCapture(flow.Limits{Active: active, Inactive: inactive})}, err
}

// Take implements Intake. Rows come in the order of their event times, so that those of a block do not make each other late.
func (p *pcapIntake) Take(_ netip.Addr, data []byte, out *Taken) {
	recs, bad := p.c.Read(data)
	slices.SortStableFunc(recs, func(a, b flow.Record) int {
		switch {
		case a.Last < b.Last:
			return -1
		case a.Last > b.Last:
			return 1
		}
		return 0
	})
	for i := range recs {
		r := &recs[i]
		p.x = flow.Export{
			Has: flow.HasSrc | flow.HasDst | flow.HasSrcPort | flow.HasDstPort | flow.HasProtocol | flow.HasTCPFlags | flow.HasTOS | flow.HasPackets |
				flow.HasOctets | flow.HasInput | flow.HasFirst | flow.HasLast,
			Src: r.Src(), Dst: r.Dst(), SrcPort: r.SrcPort(), DstPort: r.DstPort(), Protocol: r.Protocol(), TOS: r.TOS, TCPFlags: r.TCPFlags,
			Packets: r.Packets, Octets: r.Octets, Input: r.Input(), First: r.First, Last: r.Last,
		}
		out.Rows = p.rows.appendRow(out.Rows, &p.x)
		out.cut()
	}
	takeBad(bad, out)
}

func takeBad(bad []flow.Bad, out *Taken) {
	for _, b := range bad {
		out.Rejected = appendRejected(out.Rejected, b.Raw, b.Reason)
	}
}
