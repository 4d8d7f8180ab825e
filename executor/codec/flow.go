package codec

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/vigil-sql/vigil/executor/flow"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// flowPart is what a column of a stream of flows holds.
type flowPart uint8

const (
	flowNone flowPart = iota // computed by others: NULL
	flowTS
	flowFirst
	flowLast
	flowSrcAddr
	flowDstAddr
	flowSrcPort
	flowDstPort
	flowProtocol
	flowTCPFlags
	flowPackets
	flowOctets
	flowInput
	flowTOS
	// The rest is that of exporters alone.
	flowExporter
	flowVersion
	flowDomain
	flowExported
	flowNextHop
	flowOutput
	flowSrcAS
	flowDstAS
	flowSrcMask
	flowDstMask
	flowVLAN
	flowDirection
	flowEndReason
	flowSampling
)

// flowNames are the columns that flows can fill, those of packets first, and how.
var flowNames = []struct {
	name string
	kind flowKind
}{
	flowTS: {"ts", flowTime}, flowFirst: {"first", flowTime}, flowLast: {"last", flowTime},
	flowSrcAddr: {"src_addr", flowAddr}, flowDstAddr: {"dst_addr", flowAddr}, flowSrcPort: {"src_port", flowInt}, flowDstPort: {"dst_port", flowInt},
	flowProtocol: {"protocol", flowInt}, flowTCPFlags: {"tcp_flags", flowInt}, flowPackets: {"packets", flowInt}, flowOctets: {"octets", flowInt},
	flowInput: {"input", flowInt}, flowTOS: {"tos", flowInt},
	flowExporter: {"exporter", flowAddr}, flowVersion: {"version", flowInt}, flowDomain: {"domain", flowInt}, flowExported: {"exported", flowTime},
	flowNextHop: {"next_hop", flowAddr}, flowOutput: {"output", flowInt}, flowSrcAS: {"src_as", flowInt}, flowDstAS: {"dst_as", flowInt},
	flowSrcMask: {"src_mask", flowInt}, flowDstMask: {"dst_mask", flowInt}, flowVLAN: {"vlan", flowInt}, flowDirection: {"direction", flowInt},
	flowEndReason: {"end_reason", flowInt}, flowSampling: {"sampling", flowInt},
}

// flowKind says which types a column may have.
type flowKind uint8

const (
	flowTime flowKind = iota
	flowAddr
	flowInt
)

// flowColumn is a column of the stream.
type flowColumn struct {
	part   flowPart
	lo, hi int64 // of its type; what does not fit is NULL
}

// flowRows writes flows as rows.
type flowRows struct {
	cols []flowColumn
}

// newFlowRows maps a stream's columns by their names; last is the last part that the format has.
func newFlowRows(format string, o Options, computed []int, last flowPart) (flowRows, error) {
	w := flowRows{cols: make([]flowColumn, len(o.Schema.Cols))}
	for i, c := range o.Schema.Cols {
		if slices.Contains(computed, i) {
			continue
		}
		p := flowPartOf(c.Name, last)
		if p == flowNone {
			return w, sqlerr.New(sqlerr.UndefinedColumn, `format %s has nothing for column "%s"`, format, c.Name).
				WithHint("It fills the columns %s. Leave the list of columns out to get the usual ones.", flowNameList(last))
		}
		w.cols[i] = flowColumn{part: p}
		if err := w.cols[i].fit(c, flowNames[p].kind); err != nil {
			return w, err
		}
	}
	return w, nil
}

func flowPartOf(name string, last flowPart) flowPart {
	for p := flowTS; p <= last; p++ {
		if flowNames[p].name == name {
			return p
		}
	}
	return flowNone
}

func flowNameList(last flowPart) string {
	var names []string
	for p := flowTS; p <= last; p++ {
		names = append(names, flowNames[p].name)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// fit checks a column's type.
func (f *flowColumn) fit(c types.Column, kind flowKind) error {
	want := ""
	switch kind {
	case flowTime:
		want = "timestamptz"
		if c.Type.Kind == types.TimestampTZ {
			return nil
		}
	case flowAddr:
		want = "inet"
		if c.Type.Kind == types.Inet {
			return nil
		}
	default:
		want = "smallint, integer or bigint"
		switch c.Type.Kind {
		case types.Int2:
			f.lo, f.hi = math.MinInt16, math.MaxInt16
			return nil
		case types.Int4:
			f.lo, f.hi = math.MinInt32, math.MaxInt32
			return nil
		case types.Int8:
			f.lo, f.hi = math.MinInt64, math.MaxInt64
			return nil
		}
	}
	return sqlerr.New(sqlerr.DatatypeMismatch, `column "%s" must be of type %s, not %s`, c.Name, want, c.Type)
}

// appendRow appends a flow in the form of AppendRow.
func (w *flowRows) appendRow(dst []byte, x *flow.Export) []byte {
	start := len(dst)
	dst, nulls := appendRowHead(dst, len(w.cols))
	for i := range w.cols {
		n := len(dst)
		if dst = w.cols[i].append(dst, x); len(dst) == n {
			dst[nulls+i/8] |= 1 << (i % 8)
		}
	}
	return endRow(dst, start)
}

// append appends the column's value, nothing where it has none.
func (f *flowColumn) append(dst []byte, x *flow.Export) []byte {
	switch f.part {
	case flowTS:
		return binary.AppendVarint(dst, flowAt(x))
	case flowFirst:
		return f.number(dst, x, flow.HasFirst, x.First)
	case flowLast:
		return f.number(dst, x, flow.HasLast, x.Last)
	case flowExported:
		return binary.AppendVarint(dst, x.Exported)
	case flowSrcAddr:
		return appendFlowAddr(dst, x.Src, x.Has&flow.HasSrc != 0)
	case flowDstAddr:
		return appendFlowAddr(dst, x.Dst, x.Has&flow.HasDst != 0)
	case flowNextHop:
		return appendFlowAddr(dst, x.NextHop, x.Has&flow.HasNextHop != 0)
	case flowExporter:
		return appendFlowAddr(dst, x.Exporter, x.Exporter.IsValid())
	}
	v, has := flowNumber(f.part, x)
	if v > math.MaxInt64 || int64(v) > f.hi {
		return dst
	}
	return f.number(dst, x, has, int64(v))
}

func (f *flowColumn) number(dst []byte, x *flow.Export, has flow.Has, v int64) []byte {
	if x.Has&has != has {
		return dst
	}
	return binary.AppendVarint(dst, v)
}

// flowAt is a flow's event time: its end, else its begin, else when it was exported.
func flowAt(x *flow.Export) int64 {
	switch {
	case x.Has&flow.HasLast != 0:
		return x.Last
	case x.Has&flow.HasFirst != 0:
		return x.First
	}
	return x.Exported
}

// flowNumber is the value of a column of whole numbers, and what the record must have for it.
func flowNumber(p flowPart, x *flow.Export) (uint64, flow.Has) {
	switch p {
	case flowSrcPort:
		return uint64(x.SrcPort), flow.HasSrcPort
	case flowDstPort:
		return uint64(x.DstPort), flow.HasDstPort
	case flowProtocol:
		return uint64(x.Protocol), flow.HasProtocol
	case flowTCPFlags:
		return uint64(x.TCPFlags), flow.HasTCPFlags
	case flowPackets:
		return x.Packets, flow.HasPackets
	case flowOctets:
		return x.Octets, flow.HasOctets
	case flowInput:
		return uint64(x.Input), flow.HasInput
	case flowTOS:
		return uint64(x.TOS), flow.HasTOS
	case flowVersion:
		return uint64(x.Version), 0
	case flowDomain:
		return uint64(x.Domain), 0
	case flowOutput:
		return uint64(x.Output), flow.HasOutput
	case flowSrcAS:
		return uint64(x.SrcAS), flow.HasSrcAS
	case flowDstAS:
		return uint64(x.DstAS), flow.HasDstAS
	case flowSrcMask:
		return uint64(x.SrcMask), flow.HasSrcMask
	case flowDstMask:
		return uint64(x.DstMask), flow.HasDstMask
	case flowVLAN:
		return uint64(x.VLAN), flow.HasVLAN
	case flowDirection:
		return uint64(x.Direction), flow.HasDirection
	case flowEndReason:
		return uint64(x.EndReason), flow.HasEndReason
	case flowSampling:
		return uint64(x.Sampling), flow.HasSampling
	}
	return math.MaxUint64, 0
}

// appendFlowAddr appends an address as inet is stored, behind its length.
func appendFlowAddr(dst []byte, a netip.Addr, has bool) []byte {
	switch {
	case !has:
		return dst
	case a.Is4():
		b := a.As4()
		return append(append(dst, 5, 32), b[:]...)
	}
	b := a.As16()
	return append(append(dst, 17, 128), b[:]...)
}
