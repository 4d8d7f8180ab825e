package codec

import (
	"net/netip"

	"github.com/vigil-sql/vigil/executor/flow"
)

func netflowDef(name string, versions ...uint16) IntakeDef {
	return IntakeDef{
		Name: name,
		Doc: "Datagrams of flow exporters: NETFLOW reads NetFlow 5, NetFlow 9 and IPFIX, the other names one of them. " +
			"See docs/formats-of-network-data.md.",
		New: func(o Options, computed []int) (Intake, error) {
			if err := onlyParams(name, o.Params); err != nil {
				return nil, err
			}
			w, err := newFlowRows(name, o, computed, flowSampling)
			n := &netflowIntake{rows: w, e: flow.NewExports()}
			n.e.Versions = versions
			return n, err
		},
	}
}

// netflowIntake decodes datagrams with the templates of their exporters.
type netflowIntake struct {
	rows flowRows
	e    *flow.Exports
}

// Take implements Intake.
func (n *netflowIntake) Take(from netip.Addr, data []byte, out *Taken) {
	takeBad(n.e.Read(from.Unmap(), data, func(x *flow.Export) {
		out.Rows = n.rows.appendRow(out.Rows, x)
		out.cut()
	}), out)
}

// Changed implements Remembering.
func (n *netflowIntake) Changed() bool { return n.e.Changed() }

// Remember implements Remembering.
func (n *netflowIntake) Remember() []byte { return n.e.Append(nil) }

// Recall implements Remembering.
func (n *netflowIntake) Recall(b []byte) error { return n.e.Load(b) }

var _ Remembering = (*netflowIntake)(nil)
