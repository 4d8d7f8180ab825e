package spec

import "fmt"

// The operators of WITH queries in bounded programs.
type (
	// Recursive is WITH RECURSIVE: the rows of In[0], then those of In[1] run over the rows of the round before, until a round
	// gives none. All: equal rows are kept; otherwise a row that has come before is dropped. In[1] reads the round before by
	// the WorkScan with the same ID, which is unique within the statement.
	Recursive struct {
		ID   int
		Name string
		All  bool
	}
	// WorkScan reads the rows that the last round of a Recursive gave.
	WorkScan struct {
		ID   int
		Name string
	}
	// Shared keeps the rows of In[0]: it is run once in a statement, wherever and how often a node with its ID stands.
	Shared struct {
		ID   int
		Name string
	}
)

func (*Recursive) op() {}
func (*WorkScan) op()  {}
func (*Shared) op()    {}

// describeWith is the EXPLAIN line of an operator of WITH queries.
func describeWith(n *Node) string {
	switch op := n.Op.(type) {
	case *Recursive:
		if op.All {
			return fmt.Sprintf("Recursive %s (union all)", op.Name)
		}
		return fmt.Sprintf("Recursive %s (union)", op.Name)
	case *WorkScan:
		return "WorkScan " + op.Name
	case *Shared:
		return "Shared " + op.Name
	}
	return ""
}
