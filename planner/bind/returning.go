package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// ChangedSchema is the schema of the relation that stands for the rows that a statement changed, in the plan of RETURNING.
const ChangedSchema = "$changed"

// Change is a bound statement that changes rows.
type Change struct {
	// Query gives the rows: see Insert, Update and Delete.
	Query *logical.Query
	// Returning gives RETURNING's rows, nil without. It reads a relation of ChangedSchema: the rows of the target as the statement
	// left them (of DELETE: as they were) and, behind each, the other columns of the row that Query joined it with.
	Returning *logical.Query
	Target    catalog.Relation
}

// finishChange completes a change with its RETURNING, over the target's rows and the relations joined to it.
func (b *binder) finishChange(root *logical.Node, target catalog.Relation, items []parse.SelectItem, it *fromItem) (*Change, error) {
	c := &Change{Target: target}
	if len(items) == 0 {
		c.Query = b.finish(root)
		return c, nil
	}
	over := *it
	over.node = &logical.Node{Op: &logical.Scan{Rel: &catalog.Virtual{SchemaName: ChangedSchema, Name: target.RelName(), Columns: it.node.Schema}}, Schema: it.node.Schema}
	q := &parse.Select{Core: &parse.SelectCore{Items: items}}
	l := &level{binder: b, q: q, core: q.Core, changed: &over}
	node, err := l.bind()
	if err != nil {
		return nil, err
	}
	if node, err = b.settleColumns(node); err != nil {
		return nil, err
	}
	c.Query, c.Returning = b.finish(root), b.finish(node)
	return c, nil
}

// targetItem is the target of a change as its expressions name it; columns behind its own are hidden.
func (b *binder) targetItem(node *logical.Node, name parse.Name, alias string, target catalog.Relation) *fromItem {
	r := &rel{schema: name.Schema, alias: target.RelName(), table: target.RelName()}
	if r.schema == "" {
		r.schema = target.RelNamespace()
	}
	if alias != "" {
		r.schema, r.alias = "", alias
	}
	own := len(target.RelSchema().Cols)
	return (&fromBinder{binder: b}).item(node, r, func(i int) bool { return i >= own })
}

// joined adds FROM of UPDATE or USING of DELETE.
func (b *binder) joined(it *fromItem, list []parse.TableExpr) (*fromItem, error) {
	fb := &fromBinder{binder: b, qualify: true}
	for _, te := range list {
		var err error
		if it, err = fb.join(it, te, &parse.Join{Kind: "CROSS"}); err != nil {
			return nil, err
		}
	}
	return it, nil
}

// numbered projects the version's number, which is column at, a new row, and the columns that RETURNING wants besides.
func numbered(in *logical.Node, at int, row []expr.Expr, cols []types.Column, more bool) *logical.Node {
	number := in.Schema.Cols[at]
	op := &logical.Project{Exprs: append([]expr.Expr{&expr.Column{Index: at, Name: number.Name, Typ: number.Type}}, row...)}
	out := types.Schema{Cols: append([]types.Column{number}, cols...)}
	if more {
		for i, c := range in.Schema.Cols {
			op.Exprs = append(op.Exprs, &expr.Column{Index: i, Name: c.Name, Typ: c.Type})
		}
		out.Cols = append(out.Cols, in.Schema.Cols...)
	}
	return &logical.Node{Op: op, In: []*logical.Node{in}, Schema: out}
}
