package job

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// shapedCall is a call of a function with the fields of rows: a definition of its own in the pool, whose parameters are the fields and
// whose body makes the row of them before it is the user's. So workers know nothing of rows, and only what the body reads is sent.
type shapedCall struct {
	id, number uint64
	shape      *expr.RowShape
	args       []types.Type
}

// Shaped implements expr.RowCaller.
func (f *Functions) Shaped(id uint64, shape *expr.RowShape, args []types.Type) uint64 {
	f.mu.RLock()
	known := f.list[id] != nil
	f.mu.RUnlock()
	if rows, ok := f.pool.(expr.RowCaller); ok && !known {
		return rows.Shaped(id, shape, args) // a test's engine
	}
	key := fmt.Sprintf("%d %q %v", id, shape.Fields, args)
	f.mu.Lock()
	defer f.mu.Unlock()
	number, ok := f.shapes[key]
	if !ok {
		f.handles++
		number = f.handles
		f.shapes[key] = number
		f.shaped[number] = &shapedCall{id: id, number: number, shape: shape, args: args}
	}
	return number
}

// Shaped implements expr.RowCaller.
func (c *caller) Shaped(id uint64, shape *expr.RowShape, args []types.Type) uint64 {
	return c.f.Shaped(id, shape, args)
}

// shapeOf compiles a definition for rows, when the first of them come.
func (f *Functions) shapeOf(number uint64, v version) (uint64, error) {
	f.mu.RLock()
	shape := f.shaped[number]
	f.mu.RUnlock()
	d := shape.definition(v.spec)
	d.ID = f.number()
	if err := f.pool.Define(d); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, ok := v.rows[number]; ok { // somebody was faster
		f.pool.Remove(d.ID)
		return other, nil
	}
	v.rows[number] = d.ID
	return d.ID, nil
}

// definition writes the function down whose parameters are the fields. All of it is in the first line, so that the lines of the body
// keep their numbers.
func (s *shapedCall) definition(f *spec.Function) *spec.Function {
	d := *f
	d.Params, d.Strict = nil, false
	var head strings.Builder
	at := 0
	for i, fields := range s.shape.Fields {
		name := f.Params[i].Name
		if fields == nil {
			d.Params = append(d.Params, types.Column{Name: name, Type: f.Params[i].Type})
			if at++; f.Strict {
				head.WriteString("if(" + name + "===null)return null;")
			}
			continue
		}
		head.WriteString("var " + name + "=Object.freeze({__proto__:null")
		for n, field := range fields {
			param := fmt.Sprintf("__%d_%d", i, n)
			d.Params = append(d.Params, types.Column{Name: param, Type: s.args[at]})
			at++
			key, _ := json.Marshal(field) // texts always can be
			head.WriteString(",[" + string(key) + "]:" + param)
		}
		head.WriteString("});")
	}
	d.Body = head.String() + f.Body
	return &d
}
