package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// parsePlan reads the small textual form of scripts, one clause per line:
//
//	input ts:timestamptz user:text n:bigint
//	filter n > 3
//	window 5 offset 2            or: hop 1 5 offset 2 (slide, size), cumulate 1 5 (step, size)
//	lateness 10
//	emit update                  or: emit every 10, emit first
//	keys user
//	aggs count(*) sum(n) count(distinct:n) min(user)|n>2
//	having count > 1             a column of the output
func parsePlan(text string) (*plan, error) {
	p := &plan{agg: spec.WindowAgg{Window: tumble(1e6, 0)}}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if err := p.clause(fields[0], fields[1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	p.finish()
	if p.havingText != "" {
		of := plan{schema: p.out}
		var err error
		if p.having, err = of.compare(p.havingText); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) clause(name string, args []string) (err error) {
	switch name {
	case "input":
		for _, a := range args {
			col, typ, _ := strings.Cut(a, ":")
			kind, ok := types.KindByName(strings.ReplaceAll(typ, "_", " "))
			if !ok {
				return fmt.Errorf("no type %s", typ)
			}
			p.schema.Cols = append(p.schema.Cols, types.Column{Name: col, Type: types.T(kind)})
		}
	case "filter":
		p.filter, err = p.compare(strings.Join(args, ""))
	case "window":
		p.agg.Window.Size, err = micros(args[0])
		if err == nil && len(args) == 3 {
			p.agg.Window.Offset, err = micros(args[2])
		}
	case "hop", "cumulate":
		p.agg.Window.Kind = map[string]window.Kind{"hop": window.Hop, "cumulate": window.Cumulate}[name]
		if p.agg.Window.Slide, err = micros(args[0]); err == nil {
			p.agg.Window.Size, err = micros(args[1])
		}
		if err == nil && len(args) == 4 {
			p.agg.Window.Offset, err = micros(args[3])
		}
	case "lateness":
		p.agg.Lateness, err = micros(args[0])
	case "emit":
		err = p.emit(args)
	case "having":
		p.havingText = strings.Join(args, "")
	case "keys":
		for _, a := range args {
			p.agg.Keys = append(p.agg.Keys, p.column(a))
		}
	case "aggs":
		for _, a := range args {
			if err := p.call(a); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown clause")
	}
	return err
}

// emit reads when results come.
func (p *plan) emit(args []string) (err error) {
	modes := map[string]spec.EmitMode{"update": spec.EmitUpdate, "every": spec.EmitEvery, "first": spec.EmitFirst}
	mode, ok := modes[args[0]]
	if !ok {
		return fmt.Errorf("no such way to emit")
	}
	if p.agg.Emit.Mode = mode; mode == spec.EmitEvery {
		p.agg.Emit.Every, err = micros(args[1])
	}
	return err
}

// finish makes the output schema.
func (p *plan) finish() {
	add := func(name string, t types.Type) {
		p.out.Cols = append(p.out.Cols, types.Column{Name: name, Type: t})
	}
	add("window_start", types.T(types.TimestampTZ))
	add("window_end", types.T(types.TimestampTZ))
	for _, k := range p.agg.Keys {
		add(k.String(), k.Type())
	}
	for _, a := range p.agg.Aggs {
		add(a.Name, a.Typ)
	}
}

func (p *plan) column(name string) *expr.Column {
	i := p.schema.Index(name)
	if i < 0 {
		panic("no column " + name)
	}
	return &expr.Column{Index: i, Name: name, Typ: p.schema.Cols[i].Type}
}

// compare reads column, operator, literal.
func (p *plan) compare(text string) (expr.Expr, error) {
	for i, op := range []string{"<>", "<=", ">=", "=", "<", ">"} {
		col, lit, ok := strings.Cut(text, op)
		if !ok {
			continue
		}
		c := p.column(col)
		v, err := types.ParseText(c.Typ, lit, nil)
		cmp := []expr.CmpOp{expr.NE, expr.LE, expr.GE, expr.EQ, expr.LT, expr.GT}[i]
		return &expr.Compare{Op: cmp, L: c, R: &expr.Const{Val: v}}, err
	}
	return nil, fmt.Errorf("no comparison")
}

// call reads name(column) or name(distinct:column) or name(*), with |comparison as its FILTER.
func (p *plan) call(text string) error {
	text, filter, filtered := strings.Cut(text, "|")
	name, arg, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	c := spec.AggCall{Name: name}
	arg, c.Distinct = strings.CutPrefix(arg, "distinct:")
	var args []types.Type
	if arg != "*" {
		col := p.column(arg)
		c.Args, args = []expr.Expr{col}, []types.Type{col.Typ}
	}
	def, ok := agg.Find(name)
	if !ok {
		return fmt.Errorf("no aggregate %s", name)
	}
	if c.Kernel, ok = def.Bind(args, c.Distinct); !ok {
		return fmt.Errorf("%s does not take %v", name, args)
	}
	c.Typ = c.Kernel.Type()
	if filtered {
		f, err := p.compare(filter)
		if err != nil {
			return err
		}
		c.Filter = f
	}
	p.agg.Aggs = append(p.agg.Aggs, c)
	return nil
}

// parseRow reads the values of a row; times are seconds.
func (p *plan) parseRow(line string) ([]types.Value, error) {
	fields := strings.Fields(line)
	if len(fields) != len(p.schema.Cols) {
		return nil, fmt.Errorf("%d values for %d columns: %s", len(fields), len(p.schema.Cols), line)
	}
	row := make([]types.Value, len(fields))
	for i, f := range fields {
		t := p.schema.Cols[i].Type
		var err error
		switch {
		case f == "NULL":
			row[i] = types.Null(t)
		case t.Kind == types.TimestampTZ:
			row[i] = types.Value{Type: t}
			row[i].I, err = micros(f)
		default:
			row[i], err = types.ParseText(t, f, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	return row, nil
}

// micros reads seconds with up to six digits after the point.
func micros(text string) (int64, error) {
	switch text {
	case "infinity":
		return math.MaxInt64, nil
	case "-infinity":
		return math.MinInt64, nil
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > 6 {
		return 0, fmt.Errorf("%s is finer than a microsecond", text)
	}
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	return n, err
}
