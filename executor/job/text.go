package job

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func defaultWorkers() int { return runtime.GOMAXPROCS(0) }

// rowText renders a row's decoded columns, for vigil.rejected.
func rowText(b *batch.Batch, row int) []byte {
	var out strings.Builder
	for i := range b.Cols {
		if b.Cols[i].Absent {
			continue
		}
		if out.Len() > 0 {
			out.WriteString(", ")
		}
		v := b.Cols[i].Value(row)
		out.WriteString(b.Schema.Cols[i].Name)
		out.WriteByte('=')
		if v.Null {
			out.WriteString("NULL")
			continue
		}
		out.Write(types.AppendText(nil, v, nil))
	}
	return []byte(out.String())
}

// columnsKey makes a column list comparable.
func columnsKey(columns []int) string {
	if columns == nil {
		return ""
	}
	return fmt.Sprint(columns)
}

// stackOf is the stack of a recovered panic, for the error's detail.
func stackOf() string {
	s := debug.Stack()
	return string(s[:min(len(s), 4096)])
}
