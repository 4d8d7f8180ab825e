package bind

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// flowFormats are the formats of flows: those of packets, and those of exporters.
var flowFormats = []string{"IPFIX", "NETFLOW", "NETFLOW5", "NETFLOW9", "PCAP", "PCAPNG"}

// flowDelay is the watermark's delay of a stream of flows whose CREATE STREAM does not say, microseconds: blocks of captures come late where they
// come from several places, or are sent again.
const flowDelay = int64(10 * 1e6)

// flowConnectors are those that receive flows, and the format of what they receive.
var flowConnectors = map[string]string{"capture": "PCAP", "netflow": "NETFLOW"}

// flowColumns are the columns of a stream of flows that names none.
func flowColumns() []types.Column {
	small, whole, big := types.T(types.Int2), types.T(types.Int4), types.T(types.Int8)
	at, inet := types.T(types.TimestampTZ), types.T(types.Inet)
	return []types.Column{
		{Name: "ts", Type: at, NotNull: true}, {Name: "first", Type: at}, {Name: "last", Type: at},
		{Name: "src_addr", Type: inet}, {Name: "dst_addr", Type: inet}, {Name: "src_port", Type: whole}, {Name: "dst_port", Type: whole},
		{Name: "protocol", Type: small}, {Name: "tcp_flags", Type: small}, {Name: "packets", Type: big}, {Name: "octets", Type: big},
		{Name: "input", Type: whole}, {Name: "tos", Type: small},
	}
}

// flowStream gives a stream of flows the format of its connector, and one that names no columns the usual ones.
func flowStream(st *parse.CreateStream, out *spec.Stream) *parse.CreateStream {
	for _, o := range st.Options {
		if format := flowConnectors[o.Value]; o.Key == "connector" && format != "" && st.Format == "" {
			own := *st
			own.Format, st = format, &own
			break
		}
	}
	if len(st.Columns) > 0 || !oneOf(st.Format, flowFormats...) {
		return st
	}
	out.Schema.Cols = flowColumns()
	if st.Watermark == nil {
		out.TimeCol, out.Delay = 0, flowDelay
	}
	return st
}

// flowConnector checks that connector and format go together: datagrams come by UDP or HTTP, captures from an interface or by HTTP.
func flowConnector(st *parse.CreateStream, out *spec.Stream) error {
	flows, packets := oneOf(out.Format, flowFormats...), oneOf(out.Format, "PCAP", "PCAPNG")
	switch {
	case out.Connector == "netflow" && (!flows || packets):
		return sqlerr.New(sqlerr.InvalidParameterValue, "connector netflow does not read FORMAT %s", out.Format).At(st.Name.Pos).
			WithHint("It reads NETFLOW, NETFLOW5, NETFLOW9 and IPFIX.")
	case out.Connector == "capture" && !packets:
		return sqlerr.New(sqlerr.InvalidParameterValue, "connector capture does not read FORMAT %s", out.Format).At(st.Name.Pos).
			WithHint("It reads PCAP.")
	case out.Connector != "" && flowConnectors[out.Connector] == "" && flows:
		return unsupported(st.Name.Pos, "FORMAT "+out.Format+" of connector "+out.Connector,
			"Leave the connector out and send captures or datagrams by HTTP, or use connector = 'capture' or 'netflow'.")
	}
	return nil
}
