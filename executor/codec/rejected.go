package codec

import (
	"encoding/binary"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// RejectedCodec is the codec of payloads whose records were found bad before they were stored.
const RejectedCodec = rejectedName

const (
	rejectedName    = "REJECTED"
	rejectedVersion = 1
)

var rejectedDef = Def{
	Name: rejectedName,
	Doc:  "Bytes that could not be read when they arrived, each with the reason. See docs/formats/rows.md.",
	New:  func(Options) (Decoder, error) { return rejectedDecoder{}, nil },
}

// rejectedReasonMax bounds a reason, bytes.
const rejectedReasonMax = 1000

// appendRejected appends a record that is rejected when it is decoded.
func appendRejected(dst, raw []byte, reason string) []byte {
	raw = clip(raw)
	reason = strings.ToValidUTF8(reason[:min(len(reason), rejectedReasonMax)], "")
	dst = append(dst, rejectedVersion)
	dst = binary.AppendUvarint(dst, uint64(len(reason)))
	dst = append(dst, reason...)
	dst = binary.AppendUvarint(dst, uint64(len(raw)))
	return append(dst, raw...)
}

// rejectedDecoder rejects all records, for the reasons that they bring.
type rejectedDecoder struct{}

// Binary implements Binary.
func (rejectedDecoder) Binary() {}

// Decode implements Decoder.
func (rejectedDecoder) Decode(payload []byte, _ *batch.Batch, _ int, rej *[]Reject) int {
	at := 0
	for most := len(*rej) + RejectsMax; at < len(payload) && len(*rej) < most; {
		rest := payload[at:]
		if rest[0] != rejectedVersion {
			*rej = append(*rej, Reject{Raw: clip(rest), Err: corrupt("a rejected record of an unknown version")})
			return len(payload)
		}
		reason, n := rejectedPart(rest[1:])
		raw, m := rejectedPart(rest[1+n:])
		if n == 0 || m == 0 {
			*rej = append(*rej, Reject{Raw: clip(rest), Err: corrupt("a rejected record is cut short")})
			return len(payload)
		}
		*rej = append(*rej, Reject{Raw: raw, Err: sqlerr.New(sqlerr.InvalidBinaryRepr, "%s", reason)})
		at += 1 + n + m
	}
	return at
}

// rejectedPart reads bytes behind their number; size 0: they are not there.
func rejectedPart(b []byte) (part []byte, size int) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, 0
	}
	return b[w : w+int(n)], w + int(n)
}
