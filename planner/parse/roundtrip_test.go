package parse

import (
	"reflect"
	"testing"
)

// clean returns a copy of a tree without what the canonical text cannot keep: positions and the text of bodies.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			clean(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			f := v.Field(i)
			switch {
			case f.Type() == reflect.TypeFor[Pos]() && name == "Pos":
				f.SetInt(0)
			case f.Kind() == reflect.String && (name == "Body" && v.Type() != reflect.TypeFor[CreateFunction]() || name == "Text" && v.Type() == reflect.TypeFor[Prepare]()):
				f.SetString("")
			default:
				clean(f)
			}
		}
	}
}

// checkRoundTrip proves that the canonical text reads back as the same tree and prints the same. It clears stmt's positions.
func checkRoundTrip(tb testing.TB, stmt Statement) {
	tb.Helper()
	if _, ok := stmt.(*Unsupported); ok {
		return
	}
	text := Print(stmt)
	again, err := Parse(text)
	if err != nil {
		tb.Errorf("the canonical form does not parse: %v\n%s", err, text)
		return
	}
	if len(again) != 1 {
		tb.Errorf("the canonical form is %d statements\n%s", len(again), text)
		return
	}
	if second := Print(again[0].Stmt); second != text {
		tb.Errorf("the canonical form changes\n%s\n%s", text, second)
		return
	}
	clean(reflect.ValueOf(&stmt))
	clean(reflect.ValueOf(&again[0].Stmt))
	if !reflect.DeepEqual(stmt, again[0].Stmt) {
		tb.Errorf("the canonical form is another tree\n%s", text)
	}
}
