package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func approxTopKDef() Def {
	return Def{
		Name: "approx_top_k",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if len(args) != 2 || args[0].Kind != types.JSONB || args[1].Kind != types.Int8 || distinct {
				return nil, false
			}
			return topK{}, true
		},
		Params: func(args []types.Type) []types.Type {
			if len(args) != 2 || !ordered(args[0]) || !args[1].Kind.IsInteger() && args[1].Kind != types.Unknown {
				return nil
			}
			return []types.Type{args[0], types.T(types.Int8)}
		},
		Through: "to_jsonb",
		Fixed:   true,
		Check: func(_ int, v types.Value) error {
			if v.Null {
				return checkTopK(0)
			}
			return checkTopK(v.I)
		},
		Doc: "approx_top_k(x, k) is a jsonb array of the k (1 to 100) most frequent values that are not NULL and their counts, most frequent first, " +
			"equally frequent ones in the order of jsonb. m = the larger of 128 and 8 k values are counted (space-saving): with up to m different values " +
			"the counts are exact; with more, a count may be too large by up to 1/m of all rows, and a value with more rows than that is never missed.",
		Examples: []Example{
			{"SELECT approx_top_k(x, 2) FROM (VALUES ('b'), ('a'), ('c'), ('b'), (NULL)) v(x)", `[{"count": 2, "value": "b"}, {"count": 1, "value": "a"}]`},
			{"SELECT approx_top_k(x, 1) FROM (VALUES (NULL::text)) v(x)", "NULL"},
		},
	}
}

const (
	topKMax      = 100
	topKCounters = 128 // at least
	topKEach     = 8   // counters for each wanted value, at least
)

func checkTopK(k int64) error {
	if k >= 1 && k <= topKMax {
		return nil
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "approx_top_k counts between 1 and %d values", topKMax)
}

// topK is Metwally's space-saving: a value that is not counted yet takes over the least counter, and its count. Words: k,
// block of the hashes (8 bytes each), block of the counters (count, error: how much of it may be other values', offset and
// length of the value in the text: 8, 8, 4, 4 bytes), block of the text.
type topK struct{}

const (
	topWant = iota
	topHashes
	topCounters
	topText
	topWords
)

const counterBytes = 24

// counter is one counted value.
type counter struct {
	count, excess uint64
	value         []byte
}

func (topK) Words() int       { return topWords }
func (topK) Type() types.Type { return types.T(types.JSONB) }

// topCapacity is the number of counters for the k most frequent.
func topCapacity(k uint64) int { return int(max(topKCounters, topKEach*min(k, topKMax))) }

func (k topK) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v, want := args[0], args[1]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		at := s.word(off, g)
		if s.Words[at+topWant] == 0 {
			s.Words[at+topWant] = topKMax + 1 // out of range: an error of the group
			if !want.IsNull(i) && checkTopK(want.I64[i]) == nil {
				s.Words[at+topWant] = uint64(want.I64[i])
			}
		}
		if err := k.count(s, at, v.Bytes(i)); err != nil {
			return err
		}
	}
	return nil
}

// count adds one row.
func (k topK) count(s *Slab, at int, value []byte) error {
	hashes, counters := s.block(at+topHashes), s.block(at+topCounters)
	hash := fixedHash(value)
	for i := 0; i < len(hashes); i += 8 {
		if binary.LittleEndian.Uint64(hashes[i:]) != hash {
			continue
		}
		if c := counters[i/8*counterBytes:]; bytes.Equal(k.text(s, at, c), value) {
			binary.LittleEndian.PutUint64(c, binary.LittleEndian.Uint64(c)+1)
			return nil
		}
	}
	if len(hashes)/8 < topCapacity(s.Words[at+topWant]) {
		return k.add(s, at, counter{1, 0, value})
	}
	least := 0
	for i := counterBytes; i < len(counters); i += counterBytes {
		if binary.LittleEndian.Uint64(counters[i:]) < binary.LittleEndian.Uint64(counters[least:]) {
			least = i
		}
	}
	return k.replace(s, at, least/counterBytes, value)
}

// text is the value of a counter.
func (topK) text(s *Slab, at int, c []byte) []byte {
	from, n := binary.LittleEndian.Uint32(c[16:]), binary.LittleEndian.Uint32(c[20:])
	return s.block(at + topText)[from : from+n]
}

// add makes a new counter.
func (topK) add(s *Slab, at int, c counter) error {
	var b [counterBytes]byte
	binary.LittleEndian.PutUint64(b[:], c.count)
	binary.LittleEndian.PutUint64(b[8:], c.excess)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(s.block(at+topText))))
	binary.LittleEndian.PutUint32(b[20:], uint32(len(c.value)))
	if err := s.appendBlock(at+topText, c.value); err != nil {
		return err
	}
	if err := s.appendBlock(at+topCounters, b[:]); err != nil {
		return err
	}
	return s.appendBlock(at+topHashes, binary.LittleEndian.AppendUint64(nil, fixedHash(c.value)))
}

// replace gives counter i to another value. Texts that are given up are swept out when they are most of the block.
func (k topK) replace(s *Slab, at, i int, value []byte) error {
	text, counters := s.block(at+topText), s.block(at+topCounters)
	used := 0
	for j := 20; j < len(counters); j += counterBytes {
		used += int(binary.LittleEndian.Uint32(counters[j:]))
	}
	if len(text) > 2*(used+len(value)) {
		if err := k.sweep(s, at); err != nil {
			return err
		}
	}
	if err := s.appendBlock(at+topText, value); err != nil {
		return err
	}
	c := s.block(at + topCounters)[i*counterBytes:]
	count := binary.LittleEndian.Uint64(c)
	binary.LittleEndian.PutUint64(c, count+1)
	binary.LittleEndian.PutUint64(c[8:], count)
	binary.LittleEndian.PutUint32(c[16:], uint32(len(s.block(at+topText))-len(value)))
	binary.LittleEndian.PutUint32(c[20:], uint32(len(value)))
	binary.LittleEndian.PutUint64(s.block(at + topHashes)[8*i:], fixedHash(value))
	return nil
}

// sweep writes the text anew.
func (k topK) sweep(s *Slab, at int) error {
	counters := s.block(at + topCounters)
	var text []byte
	for ; len(counters) > 0; counters = counters[counterBytes:] {
		value := k.text(s, at, counters)
		binary.LittleEndian.PutUint32(counters[16:], uint32(len(text)))
		text = append(text, value...)
	}
	return s.setBlock(at+topText, text)
}

// counters returns copies of the counters, in their order.
func (k topK) counters(s *Slab, at int) []counter {
	var out []counter
	for b := s.block(at + topCounters); len(b) > 0; b = b[counterBytes:] {
		out = append(out, counter{
			binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), bytes.Clone(k.text(s, at, b)),
		})
	}
	return out
}

// Merge adds the counters of both sides; a value that a full side does not count may have been its least counter. The
// largest stay.
func (k topK) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	want := max(dst.Words[at], src.Words[from])
	if src.Words[from] == 0 {
		return nil
	}
	a, b := k.counters(dst, at), k.counters(src, from)
	leastA, leastB := leastCount(a, dst.Words[at]), leastCount(b, src.Words[from])
	byValue := func(x, y counter) int { return bytes.Compare(x.value, y.value) }
	slices.SortFunc(a, byValue)
	slices.SortFunc(b, byValue)
	var all []counter
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && byValue(a[0], b[0]) < 0:
			all = append(all, counter{a[0].count + leastB, a[0].excess + leastB, a[0].value})
			a = a[1:]
		case len(a) == 0 || byValue(a[0], b[0]) > 0:
			all = append(all, counter{b[0].count + leastA, b[0].excess + leastA, b[0].value})
			b = b[1:]
		default:
			all = append(all, counter{a[0].count + b[0].count, a[0].excess + b[0].excess, a[0].value})
			a, b = a[1:], b[1:]
		}
	}
	slices.SortStableFunc(all, func(x, y counter) int { return cmp.Compare(y.count, x.count) })
	return k.store(dst, at, want, all[:min(len(all), topCapacity(want))])
}

// leastCount is the count that a value may have that is not counted: none while there is room.
func leastCount(list []counter, want uint64) uint64 {
	if len(list) < topCapacity(want) {
		return 0
	}
	return slices.MinFunc(list, func(x, y counter) int { return cmp.Compare(x.count, y.count) }).count
}

// store replaces a state.
func (k topK) store(s *Slab, at int, want uint64, list []counter) error {
	for w := topHashes; w < topWords; w++ {
		s.freeBlock(at + w)
	}
	s.Words[at+topWant] = want
	for _, c := range list {
		if err := k.add(s, at, c); err != nil {
			return err
		}
	}
	return nil
}

func (k topK) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	want := s.Words[at+topWant]
	if want == 0 {
		return null(k.Type())
	}
	if err := checkTopK(int64(want)); err != nil {
		return types.Value{}, err
	}
	list := k.counters(s, at)
	slices.SortFunc(list, func(x, y counter) int {
		if c := cmp.Compare(y.count, x.count); c != 0 {
			return c
		}
		return totalCompare(types.NewBytes(types.JSONB, string(x.value)), types.NewBytes(types.JSONB, string(y.value)))
	})
	out := []byte{'['}
	for i, c := range list[:min(uint64(len(list)), want)] {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = strconv.AppendUint(append(out, `{"count": `...), c.count, 10)
		out = append(append(append(out, `, "value": `...), c.value...), '}')
	}
	return types.NewBytes(types.JSONB, string(append(out, ']'))), nil
}

func (k topK) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	dst = binary.AppendUvarint(dst, s.Words[at+topWant])
	if s.Words[at+topWant] == 0 {
		return dst
	}
	b := s.block(at + topCounters)
	dst = binary.AppendUvarint(dst, uint64(len(b)/counterBytes))
	for ; len(b) > 0; b = b[counterBytes:] {
		dst = binary.AppendUvarint(dst, binary.LittleEndian.Uint64(b))
		dst = binary.AppendUvarint(dst, binary.LittleEndian.Uint64(b[8:]))
		dst = appendBytes(dst, k.text(s, at, b))
	}
	return dst
}

func (k topK) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	want, src, err := takeUvarint(src)
	if err != nil || want == 0 {
		return src, err
	}
	n, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	if want > topKMax+1 || n == 0 || n > uint64(topCapacity(want)) {
		return nil, errState("bad counters")
	}
	at := s.word(off, gid)
	s.Words[at+topWant] = want
	for range n {
		var c counter
		if c.count, src, err = takeUvarint(src); err != nil {
			return nil, err
		}
		if c.excess, src, err = takeUvarint(src); err != nil {
			return nil, err
		}
		if c.value, src, err = takeBytes(src); err != nil {
			return nil, err
		}
		if c.count == 0 || c.excess >= c.count {
			return nil, errState("bad counters")
		}
		if err := checkStored(k.Type(), c.value); err != nil {
			return nil, err
		}
		if err := k.add(s, at, c); err != nil {
			return nil, err
		}
	}
	return src, nil
}
