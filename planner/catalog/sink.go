package catalog

import (
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Sink carries the result of a continuous query to a place outside. It shares the name space of relations, but nobody reads it.
type Sink struct {
	Namespace
	ID   uint64
	Name string
	// SQL is the canonical CREATE SINK, secrets included; Def is the same, read.
	SQL string
	Def *parse.CreateSink
	// Query is the continuous query whose changelog it reads.
	Query uint64
	// Start is the offset of the first row of the changelog that it wants.
	Start   int64
	State   State // Running or Paused
	Created types.EventTime
}

// RelName, RelID and RelSchema implement Relation. A sink has no rows to be read.
func (s *Sink) RelName() string          { return s.bare(s.Name) }
func (s *Sink) RelID() uint64            { return s.ID }
func (s *Sink) RelSchema() *types.Schema { return &types.Schema{} }

// Sinks lists the sinks by name.
func (s *Snapshot) Sinks() []*Sink { return relationsOf[*Sink](s) }
