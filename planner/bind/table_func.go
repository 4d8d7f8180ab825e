package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// tableFunc binds functions in FROM: sets, or one row of a scalar; those of ROWS FROM stand side by side.
func (fb *fromBinder) tableFunc(t *parse.TableFunc) (*fromItem, error) {
	list := t.Rows
	if t.Func != nil {
		list = []*parse.TableFunc{t}
	}
	pos := list[0].Func.Pos
	if fb.continuous {
		return nil, unsupported(pos, "a function in FROM of a continuous query", "Name a stream in FROM.")
	}
	s := &scalar{binder: fb.binder, f: &frame{parent: fb.parent}, ctes: fb.ctes, clause: "functions in FROM"}
	alias := list[0].Func.Name.Name
	if t.Alias != "" {
		alias = t.Alias
	}
	var calls []logical.Func
	var schema types.Schema
	single := false
	for _, f := range list {
		call, cols, value, err := fb.rangeFunc(s, f)
		if err != nil {
			return nil, err
		}
		if single = value; value && len(list) == 1 {
			cols[0].Name = alias
		}
		calls, schema.Cols = append(calls, call), append(schema.Cols, cols...)
	}
	single = single && len(list) == 1 && !t.Ordinality
	if t.Ordinality {
		schema.Cols = append(schema.Cols, types.Column{Name: "ordinality", Type: types.T(types.Int8)})
	}
	call := calls[0]
	call.With, call.Ordinality = calls[1:], t.Ordinality
	node := &logical.Node{Op: &logical.FuncScan{Func: call}, Schema: schema}
	if call.Name == "" && len(calls) == 1 && !t.Ordinality {
		node = &logical.Node{Op: &logical.Project{Exprs: call.Args}, In: []*logical.Node{oneRow()}, Schema: schema}
	}
	it := fb.item(node, &rel{alias: alias, te: t, single: single}, nil)
	return it, it.rename(t.Columns, alias, pos)
}

// rangeFunc binds one function in FROM with its columns; value tells that it gives single values, not rows.
func (fb *fromBinder) rangeFunc(s *scalar, t *parse.TableFunc) (call logical.Func, cols []types.Column, value bool, err error) {
	f := t.Func
	sigs := registry().sets[f.Name.Name]
	if sigs == nil || f.Name.Schema != "" && f.Name.Schema != catalog.PgCatalog && f.Name.Schema != catalog.InformationSchema {
		e, err := s.funcCall(f)
		if err != nil {
			return call, nil, false, err
		}
		if err := noDefinitions(t); err != nil {
			return call, nil, false, err
		}
		call.Args, cols, value = fb.valueColumns(f, e)
		return call, cols, value, nil
	}
	if err := plainCall(f); err != nil {
		return call, nil, false, err
	}
	args, err := s.list(f.Args)
	if err != nil {
		return call, nil, false, err
	}
	if call, cols, err = fb.setFunc(f, sigs, args); err != nil {
		return call, nil, false, err
	}
	switch {
	case len(cols) > 1 && len(t.ColumnDefs) > 0:
		return call, nil, false, sqlerr.New(sqlerr.SyntaxError, "a column definition list is redundant for a function with OUT parameters").At(t.ColumnDefs[0].Pos)
	case len(cols) == 1 && cols[0].Type.Kind == types.Record && len(t.ColumnDefs) > 0:
		return call, nil, false, unsupported(t.ColumnDefs[0].Pos, "a column definition list for "+f.Name.Name, "Name the fields of the rows: (x).f1.")
	case len(cols) == 1 && cols[0].Type.Kind == types.Record:
		return call, nil, false, noColumns(f)
	case cols != nil:
		return call, cols, len(cols) == 1 && cols[0].Name == f.Name.Name, noDefinitions(t)
	}
	if len(t.ColumnDefs) == 0 {
		return call, nil, false, noColumns(f)
	}
	for _, d := range t.ColumnDefs {
		typ, err := typeOf(d.Type)
		if err != nil {
			return call, nil, false, err
		}
		cols = append(cols, types.Column{Name: d.Name, Type: typ})
	}
	call.Record = cols
	return call, append([]types.Column(nil), cols...), false, nil
}

// noDefinitions refuses column definitions for a function whose columns are known.
func noDefinitions(t *parse.TableFunc) error {
	if len(t.ColumnDefs) == 0 {
		return nil
	}
	return sqlerr.New(sqlerr.SyntaxError, "a column definition list is only allowed for functions returning \"record\"").At(t.ColumnDefs[0].Pos)
}

// valueColumns are the columns of a function that gives one value: those of a row, or itself.
func (fb *fromBinder) valueColumns(f *parse.FuncCall, e expr.Expr) (list []expr.Expr, cols []types.Column, value bool) {
	if fields, names, err := fb.fields(e); err == nil {
		for i, x := range fields {
			cols = append(cols, types.Column{Name: names[i], Type: x.Type()})
		}
		return fields, cols, false
	}
	return []expr.Expr{e}, []types.Column{{Name: f.Name.Name, Type: e.Type()}}, true
}
