package fn

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Sequences are the sequences as a connection uses them, by the oids of their relations.
type Sequences interface {
	NextVal(oid int64) (int64, error)
	CurrVal(oid int64) (int64, error)
	LastVal() (int64, error)
	SetVal(oid, value int64, called bool) error
	// SerialSequence is the qualified name of the sequence of a column, "" when it has none.
	SerialSequence(table, column string) (string, error)
}

func (c *Ctx) sequences() (Sequences, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	if s.Sequences == nil {
		return nil, sqlerr.NotSupported("a sequence in this place", "Use it in a statement of a connection.")
	}
	return s.Sequences, nil
}

// sequenceDefs are the functions of sequences.
func sequenceDefs() []Def {
	number := func(f func(s Sequences, a values) (int64, error)) eval {
		return func(ctx *Ctx, a values) (value, error) {
			s, err := ctx.sequences()
			if err != nil {
				return value{}, err
			}
			n, err := f(s, a)
			if err != nil {
				return value{}, err
			}
			return int8(n)
		}
	}
	set := number(func(s Sequences, a values) (int64, error) {
		return a[1].I, s.SetVal(a[0].I, a[1].I, len(a) < 3 || a[2].Bool())
	})
	return []Def{
		def("nextval", args{tRegClass}, tInt8, number(func(s Sequences, a values) (int64, error) { return s.NextVal(a[0].I) })).volatile().
			about("The next value of a sequence. It is never given again, also after ROLLBACK or a crash."),
		def("currval", args{tRegClass}, tInt8, number(func(s Sequences, a values) (int64, error) { return s.CurrVal(a[0].I) })).volatile().
			about("The value that this connection got from a sequence last."),
		def("lastval", nil, tInt8, number(func(s Sequences, _ values) (int64, error) { return s.LastVal() })).volatile().
			about("The value that this connection got from any sequence last."),
		def("setval", args{tRegClass, tInt8}, tInt8, set).volatile().about("Sets a sequence: the next value is the one after."),
		def("setval", args{tRegClass, tInt8, tBool}, tInt8, set).volatile().
			about("Sets a sequence; with false the next value is the given one itself."),
		def("pg_get_serial_sequence", args{tText, tText}, tText, func(ctx *Ctx, a values) (value, error) {
			s, err := ctx.sequences()
			if err != nil {
				return value{}, err
			}
			name, err := s.SerialSequence(a[0].S, a[1].S)
			if err != nil || name == "" {
				return types.Null(tText), err
			}
			return text(name)
		}).stable().about("The sequence of a serial or identity column, NULL when it has none."),
	}
}
