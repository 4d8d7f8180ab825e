package parse

import "reflect"

// Walk calls fn for every node of a tree, as a pointer to it, from the root on: statements, queries, tables, expressions, and the
// structs in them, such as *Name. fn may change the nodes.
func Walk(root any, fn func(node any)) {
	walk(reflect.ValueOf(root), fn)
}

func walk(v reflect.Value, fn func(node any)) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
			fn(v.Interface())
		}
		walk(v.Elem(), fn)
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if f := v.Field(i); f.Kind() == reflect.Struct && f.CanAddr() {
				fn(f.Addr().Interface())
			}
			walk(v.Field(i), fn)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if e := v.Index(i); e.Kind() == reflect.Struct && e.CanAddr() {
				fn(e.Addr().Interface())
			}
			walk(v.Index(i), fn)
		}
	}
}
