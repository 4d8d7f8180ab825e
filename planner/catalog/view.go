package catalog

import (
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// View is a stored query: it stands for its text wherever it is named.
type View struct {
	Namespace
	ID    uint64
	Name  string
	SQL   string // canonical CREATE VIEW
	Query *parse.Select
	// Schema is the columns; SearchPath is where its names are looked up.
	Schema     types.Schema
	SearchPath []string
	// What it reads; DROP of those is refused while it exists.
	Streams, Queries, Tables, Views, Functions []uint64
	Lists                                      []string
}

// RelName, RelID and RelSchema implement Relation.
func (v *View) RelName() string          { return v.bare(v.Name) }
func (v *View) RelID() uint64            { return v.ID }
func (v *View) RelSchema() *types.Schema { return &v.Schema }

// Views lists the views by name.
func (s *Snapshot) Views() []*View { return relationsOf[*View](s) }
