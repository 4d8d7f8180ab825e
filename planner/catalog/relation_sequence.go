package catalog

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Sequence gives out numbers, to columns of tables mostly.
type Sequence struct {
	spec.SequenceDef
	Namespace
	SQL string // canonical CREATE SEQUENCE
	// Owner is the table whose column Column it belongs to, 0 for none: it goes with them. Identity: it is the column's by
	// GENERATED AS IDENTITY.
	Owner    uint64
	Column   string
	Identity bool
}

// SequenceSchema is the row type of a sequence as a relation.
var SequenceSchema = types.Schema{Cols: []types.Column{
	{Name: "last_value", Type: types.T(types.Int8), NotNull: true},
	{Name: "log_cnt", Type: types.T(types.Int8), NotNull: true},
	{Name: "is_called", Type: types.T(types.Bool), NotNull: true},
}}

// RelName, RelID and RelSchema implement Relation.
func (s *Sequence) RelName() string          { return s.bare(s.Name) }
func (s *Sequence) RelID() uint64            { return s.ID }
func (s *Sequence) RelSchema() *types.Schema { return &SequenceSchema }

// Sequences lists the sequences by name.
func (s *Snapshot) Sequences() []*Sequence { return relationsOf[*Sequence](s) }

// OwnedBy lists the sequences that belong to columns of a table.
func (s *Snapshot) OwnedBy(table uint64) []*Sequence {
	var out []*Sequence
	for _, x := range s.Sequences() {
		if x.Owner == table {
			out = append(out, x)
		}
	}
	return out
}

// Indexed finds the table of a schema ("": public) that has an index of a name, with the index; nil when there is none.
func (s *Snapshot) Indexed(schema, name string) (*Table, *Key) {
	for _, t := range s.Tables() {
		for i := range t.Keys {
			if t.Keys[i].Name == name && !t.Temp && t.Namespace == NamespaceOf(schema) {
				return t, &t.Keys[i]
			}
		}
	}
	return nil, nil
}

// Taken tells which names of a schema ("": public) stand for a relation or an index.
func (s *Snapshot) Taken(schema string) func(name string) bool {
	if schema == "" {
		schema = Public
	}
	return func(name string) bool {
		t, _ := s.Indexed(schema, name)
		return t != nil || s.Relation(schema, name) != nil
	}
}
