package types

import "testing"

// TestVectors pins what sets the catalogue's vectors apart from arrays: their names, their oids, their text, their first
// subscript.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		of   Kind
		name string
		oid  uint32
	}{{Int2, "int2vector", 22}, {OID, "oidvector", 30}} {
		typ := Vector(c.of)
		if typ.String() != c.name || typ.OID() != c.oid || typ.LowerBound() != 0 || typ.WireMod() != -1 {
			t.Errorf("%v: %s, oid %d, from %d, modifier %d", c.of, typ, typ.OID(), typ.LowerBound(), typ.WireMod())
		}
		if back, ok := FromOID(c.oid); !ok || back != typ {
			t.Errorf("oid %d is %v", c.oid, back)
		}
		for _, text := range []string{"", "7", "1 2 3"} {
			v, err := ParseText(typ, text, nil)
			if err != nil || v.Type != typ {
				t.Fatalf("%q: %v %v", text, v.Type, err)
			}
			if got := string(AppendText(nil, v, nil)); got != text {
				t.Errorf("%q prints as %q", text, got)
			}
			array := v
			array.Type = ArrayOf(c.of)
			if same, err := ParseText(array.Type, string(AppendText(nil, array, nil)), nil); err != nil || same.S != v.S {
				t.Errorf("%q is another array: %v", text, err)
			}
		}
	}
	if ArrayOf(Int2).IsVector() || ArrayOf(Int2).LowerBound() != 1 || (Type{Kind: Array, Elem: Text, Mod: VectorMod}).IsVector() {
		t.Error("other arrays are vectors, too")
	}
}
