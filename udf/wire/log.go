package wire

import "encoding/binary"

// What a Result carries of console.log at most: lines, and bytes of each.
const (
	LogLinesMax = 32
	LogLineMax  = 1000
)

// appendLog appends lines: their number, then the length and the bytes of each.
func appendLog(dst []byte, lines []string) []byte {
	lines = lines[:min(len(lines), LogLinesMax)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(lines)))
	for _, l := range lines {
		l = l[:min(len(l), LogLineMax)]
		dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(l))), l...)
	}
	return dst
}

// log reads lines.
func (r *Reader) log() []string {
	n := r.u16()
	if n > LogLinesMax {
		r.Err = ErrMalformed
	}
	var lines []string
	for i := 0; i < n && r.Err == nil; i++ {
		size := r.u16()
		if size > LogLineMax {
			r.Err = ErrMalformed
			break
		}
		lines = append(lines, string(r.Take(size)))
	}
	return lines
}

func (r *Reader) u16() int {
	if p := r.Take(2); p != nil {
		return int(binary.LittleEndian.Uint16(p))
	}
	return 0
}
