package lower

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/logical"
)

// lookup lowers a lookup in a table: it is stateless and needs no exchange.
func (l *lowerer) lookup(op *logical.LookupJoin, in *spec.Node) spec.Op {
	if l.continuous && spec.Updates(in) {
		l.fail(corrected(op.Table.Name).At(op.Pos))
	}
	kinds := [...]spec.JoinKind{logical.LookupInner: spec.Inner, logical.LookupLeft: spec.Left, logical.LookupSemi: spec.Semi,
		logical.LookupAnti: spec.Anti}
	return &spec.LookupJoin{TableID: op.Table.ID, Name: op.Table.Name, Kind: kinds[op.Kind], Keys: l.exprs(op.Keys), Cols: op.Cols,
		AsOf: l.expr(op.AsOf), Cond: logical.AndAll(l.exprs(op.Conds)), NullAware: op.NullAware, Want: op.Want, TableSchema: op.Table.Table.Schema}
}

func corrected(table string) *sqlerr.Error {
	return sqlerr.NotSupported("a lookup in table "+table+" for results that are corrected later",
		"What the table said of a row may have changed when the row is corrected. Look up before the grouping, or let it emit final rows only.")
}

// refuseCorrected refuses expressions that ask tables about rows that are corrected later.
func (l *lowerer) refuseCorrected(list []expr.Expr, in *spec.Node) {
	if !l.continuous {
		return
	}
	for _, e := range list {
		if id, name, ok := logical.AsksTable(e); ok && spec.Updates(in) {
			l.fail(corrected(name).At(l.tablePos[id]))
			return
		}
	}
}
