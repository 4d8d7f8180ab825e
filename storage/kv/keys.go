package kv

// The first byte of every key says whose it is, so that packages share one store without knowing each other. The bytes
// are part of the format: docs/formats/kv.md lists them, a value once given is never given again.
const (
	PrefixFormat     byte = 0x00 // pebblekv: the format version of the data directory
	PrefixMeta       byte = 0x10 // storage/meta
	PrefixResults    byte = 0x20 // storage/results
	PrefixCheckpoint byte = 0x30 // storage/checkpoint
	PrefixIOC        byte = 0x40 // storage/ioc
)

// PrefixEnd returns the smallest key greater than every key that begins with prefix; nil (no bound) when there is none.
func PrefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
