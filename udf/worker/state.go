package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/udf/wire"
)

// A state is stored: docs/formats/state.md describes it. It is a copy of plain data, in which objects that are met twice stay one.
const (
	tagUndefined = iota
	tagNull
	tagFalse
	tagTrue
	tagInt    // varint
	tagNumber // 8 bytes
	tagBigInt // sign, length, bytes from the highest
	tagString // length, UTF-8
	tagUTF16  // number of units, two bytes each: what has a half of a pair
	tagDate   // 8 bytes
	tagBytes  // length, bytes
	tagArray  // length, elements
	tagObject // number of properties, keys and values
	tagMap
	tagSet
	tagSeen // number of an object that came before
)

// stateDepthMax bounds how deep a state nests.
const stateDepthMax = 100

var errDamaged = errors.New("damaged state")

// badState is why a value cannot be a state.
func badState(format string, args ...any) error {
	return &fault{code: sqlerr.ExternalRoutineException, text: "the state of an aggregate " + fmt.Sprintf(format, args...)}
}

// stateWriter turns a value into bytes. Getters and proxies of the user may run meanwhile.
type stateWriter struct {
	r    *realm
	out  []byte
	max  int
	seen map[*goja.Object]int
}

// write appends v to out.
func (w *stateWriter) write(v goja.Value, depth int) error {
	if len(w.out) > w.max {
		return &fault{limit: wire.OutputLimit}
	}
	if depth > stateDepthMax {
		return badState("nests deeper than %d objects", stateDepthMax)
	}
	switch {
	case v == nil || goja.IsUndefined(v):
		w.out = append(w.out, tagUndefined)
		return nil
	case goja.IsNull(v):
		w.out = append(w.out, tagNull)
		return nil
	}
	if s, ok := v.(goja.String); ok {
		return w.text(s)
	}
	if o, ok := v.(*goja.Object); ok {
		return w.object(o, depth)
	}
	switch x := v.Export().(type) {
	case bool:
		w.out = append(w.out, tagFalse)
		if x {
			w.out[len(w.out)-1] = tagTrue
		}
	case int64:
		w.out = binary.AppendVarint(append(w.out, tagInt), x)
	case float64:
		w.number(tagNumber, x)
	case *big.Int:
		sign := byte(0)
		if x.Sign() < 0 {
			sign = 1
		}
		if x.BitLen()/8 > w.max {
			return &fault{limit: wire.OutputLimit}
		}
		w.bytes(append(w.out, tagBigInt, sign), x.Bytes())
	default:
		return badState("cannot hold %s", describeType(v))
	}
	return nil
}

func (w *stateWriter) number(tag byte, x float64) {
	if math.IsNaN(x) {
		x = math.NaN() // all are one
	}
	w.out = binary.LittleEndian.AppendUint64(append(w.out, tag), math.Float64bits(x))
}

func (w *stateWriter) bytes(dst, b []byte) {
	w.out = append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (w *stateWriter) text(s goja.String) error {
	n := s.Length()
	if n > w.max {
		return &fault{limit: wire.OutputLimit}
	}
	whole := s.String()
	units := utf16.Encode([]rune(whole))
	half := len(units) != n
	for i := 0; !half && i < n; i++ {
		half = units[i] != s.CharAt(i)
	}
	if !half {
		w.bytes(append(w.out, tagString), []byte(whole))
		return nil
	}
	w.out = binary.AppendUvarint(append(w.out, tagUTF16), uint64(n))
	for i := range n {
		w.out = binary.LittleEndian.AppendUint16(w.out, s.CharAt(i))
	}
	return nil
}

func (w *stateWriter) object(o *goja.Object, depth int) error {
	if n, ok := w.seen[o]; ok {
		w.out = binary.AppendUvarint(append(w.out, tagSeen), uint64(n))
		return nil
	}
	w.seen[o] = len(w.seen)
	switch o.ExportType() {
	case dateType:
		ms := math.NaN()
		if d, ok := o.Export().(time.Time); ok {
			ms = float64(d.UnixMilli())
		}
		w.number(tagDate, ms)
		return nil
	case bytesType:
		b, _ := o.Export().([]byte)
		if len(b) > w.max {
			return &fault{limit: wire.OutputLimit}
		}
		w.bytes(append(w.out, tagBytes), b)
		return nil
	}
	switch o.ExportType() {
	case listType:
		if o.ClassName() == "Array" {
			return w.array(o, depth)
		}
		return w.collection(o, tagSet, depth)
	case pairsType:
		return w.collection(o, tagMap, depth)
	case recordType:
		if o.ClassName() == "Object" {
			return w.record(o, depth)
		}
	}
	return badState("cannot hold %s", describeType(o))
}

// What the engine calls arrays and Sets, Maps, and plain objects.
var (
	listType   = reflect.TypeFor[[]any]()
	pairsType  = reflect.TypeFor[[][2]any]()
	recordType = reflect.TypeFor[map[string]any]()
)

func (w *stateWriter) array(o *goja.Object, depth int) error {
	n := o.Get("length").ToInteger()
	if n > int64(w.max) {
		return &fault{limit: wire.OutputLimit}
	}
	w.out = binary.AppendUvarint(append(w.out, tagArray), uint64(n))
	for i := range n {
		if err := w.write(o.Get(fmt.Sprint(i)), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *stateWriter) record(o *goja.Object, depth int) error {
	keys := o.Keys()
	w.out = binary.AppendUvarint(append(w.out, tagObject), uint64(len(keys)))
	for _, k := range keys {
		if err := w.text(w.r.rt.ToValue(k).(goja.String)); err != nil {
			return err
		}
		if err := w.write(o.Get(k), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// collection writes a Map or Set; its elements are taken out by the realm's own Array.from.
func (w *stateWriter) collection(o *goja.Object, tag byte, depth int) error {
	v, err := w.r.spread(goja.Undefined(), o)
	if err != nil {
		return err
	}
	list, _ := v.(*goja.Object)
	n := int(list.Get("length").ToInteger())
	w.out = binary.AppendUvarint(append(w.out, tag), uint64(n))
	for i := range n {
		e := list.Get(fmt.Sprint(i))
		if tag == tagSet {
			if err := w.write(e, depth+1); err != nil {
				return err
			}
			continue
		}
		pair, _ := e.(*goja.Object)
		for _, at := range []string{"0", "1"} {
			if err := w.write(pair.Get(at), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// stateReader turns bytes back into a value.
type stateReader struct {
	r    *realm
	in   []byte
	seen []*goja.Object
}

func (d *stateReader) read(depth int) (goja.Value, error) {
	if len(d.in) == 0 || depth > stateDepthMax+1 {
		return nil, errDamaged
	}
	tag, rt := d.in[0], d.r.rt
	d.in = d.in[1:]
	switch tag {
	case tagUndefined:
		return goja.Undefined(), nil
	case tagNull:
		return goja.Null(), nil
	case tagFalse, tagTrue:
		return rt.ToValue(tag == tagTrue), nil
	case tagInt:
		x, n := binary.Varint(d.in)
		if n <= 0 {
			return nil, errDamaged
		}
		d.in = d.in[n:]
		return rt.ToValue(x), nil
	case tagNumber, tagDate:
		b, err := d.take(8)
		if err != nil {
			return nil, err
		}
		x := math.Float64frombits(binary.LittleEndian.Uint64(b))
		if tag == tagNumber {
			return rt.ToValue(x), nil
		}
		return d.known(rt.New(d.r.date, rt.ToValue(x)))
	case tagBigInt:
		sign, err := d.take(1)
		if err != nil {
			return nil, err
		}
		b, err := d.bytes()
		x := new(big.Int).SetBytes(b)
		if err == nil && sign[0] == 1 {
			x.Neg(x)
		}
		return rt.ToValue(x), err
	case tagString, tagUTF16:
		return d.text(tag)
	case tagBytes:
		b, err := d.bytes()
		if err != nil {
			return nil, err
		}
		return d.known(d.r.newBytes(append([]byte(nil), b...)))
	case tagSeen:
		n, err := d.count(0)
		if err != nil || n >= len(d.seen) {
			return nil, errDamaged
		}
		return d.seen[n], nil
	case tagArray, tagObject, tagMap, tagSet:
		return d.container(tag, depth)
	}
	return nil, errDamaged
}

func (d *stateReader) known(o *goja.Object, err error) (goja.Value, error) {
	d.seen = append(d.seen, o)
	return o, err
}

func (d *stateReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.in) {
		return nil, errDamaged
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b, nil
}

// count reads a number of things that have at least each bytes.
func (d *stateReader) count(each int) (int, error) {
	u, n := binary.Uvarint(d.in)
	if n <= 0 || u > uint64(wire.StateMax) {
		return 0, errDamaged
	}
	if d.in = d.in[n:]; int(u)*each > len(d.in) {
		return 0, errDamaged
	}
	return int(u), nil
}

func (d *stateReader) bytes() ([]byte, error) {
	n, err := d.count(1)
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

func (d *stateReader) text(tag byte) (goja.Value, error) {
	if tag == tagString {
		b, err := d.bytes()
		return d.r.rt.ToValue(strings.ToValidUTF8(string(b), "\uFFFD")), err
	}
	n, err := d.count(2)
	if err != nil {
		return nil, err
	}
	b, _ := d.take(2 * n)
	units := make([]uint16, n)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return goja.StringFromUTF16(units), nil
}

func (d *stateReader) container(tag byte, depth int) (goja.Value, error) {
	n, err := d.count(1)
	if err != nil {
		return nil, err
	}
	rt := d.r.rt
	var o *goja.Object
	switch tag {
	case tagArray:
		o = rt.NewArray()
	case tagObject:
		o = rt.NewObject()
	case tagMap:
		o, err = rt.New(d.r.mapOf)
	case tagSet:
		o, err = rt.New(d.r.setOf)
	}
	if err != nil {
		return nil, err
	}
	d.seen = append(d.seen, o)
	for i := range n {
		if err := d.element(o, tag, i, depth); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (d *stateReader) element(o *goja.Object, tag byte, i, depth int) error {
	first, err := d.read(depth + 1)
	if err != nil {
		return err
	}
	switch tag {
	case tagArray:
		return o.Set(fmt.Sprint(i), first)
	case tagSet:
		_, err = d.r.setAdd(o, first)
		return err
	}
	second, err := d.read(depth + 1)
	if err != nil {
		return err
	}
	if tag == tagMap {
		_, err = d.r.mapSet(o, first, second)
		return err
	}
	// Not Set: a property called __proto__ is one like others.
	return o.DefineDataProperty(first.String(), second, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
}
