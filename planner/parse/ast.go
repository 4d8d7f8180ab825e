// Package parse turns SQL text into vigil's own syntax tree. It hides the lexer, the lowering to TiDB's dialect and
// TiDB's parser: nothing outside sees their types. Every node that an error may point at keeps its position.
package parse

// Pos is a 1-based character offset in the statement's text, 0 when unknown.
type Pos = int

// Statement is a parsed statement: one of the pointer types below.
type Statement interface{ statement() }

// Parsed is one statement of a query string with its text.
type Parsed struct {
	Stmt Statement
	// Text is the statement's own text, without the separating semicolon, trimmed of white space and comments at its ends.
	Text string
	// Start is the 0-based character offset of Text in the query string; positions in Stmt count from the query string.
	Start int
	// ParamCount is the highest $N that occurs.
	ParamCount int
}

// Name is a possibly qualified name; Schema and Catalog are empty when not written.
type Name struct {
	Catalog, Schema, Name string
	Pos                   Pos
}

// TypeName is a type as written.
type TypeName struct {
	Schema string // "pg_catalog" or ""
	Name   string // lower case, canonical spelling with single spaces ("double precision", "timestamp with time zone")
	Mods   []int  // (p, s)
	Fields string // of interval: "DAY TO SECOND(3)", "" for all
	Array  bool
	Pos    Pos
}

// Option is one key of WITH (...) or FORMAT X (...). Value is the literal's text; Bare means no value was given.
type Option struct {
	Key   string // lower case
	Value string
	Bare  bool
	Pos   Pos
}

// ---- queries ----

// Select is a query expression: a SELECT core, a VALUES list, or a set operation, with its ORDER BY and LIMIT.
type Select struct {
	With      []CTE
	Recursive bool
	// Exactly one of the next three groups is used.
	Core   *SelectCore
	Values [][]Expr
	SetOp  *SetOp

	OrderBy       []OrderItem
	Limit, Offset Expr
	Pos           Pos
}

// CTE is one WITH item.
type CTE struct {
	Name    string
	Columns []string
	// Materialized is "MATERIALIZED", "NOT MATERIALIZED" or "".
	Materialized string
	Query        *Select
	Pos          Pos
}

// SetOp combines two queries. Op is "UNION", "INTERSECT" or "EXCEPT".
type SetOp struct {
	Op          string
	All         bool
	Left, Right *Select
	Pos         Pos
}

// SelectCore is SELECT ... FROM ... WHERE ... GROUP BY ... HAVING.
type SelectCore struct {
	Distinct   bool
	DistinctOn []Expr
	Items      []SelectItem
	From       []TableExpr // comma list
	Where      Expr
	GroupBy    []Expr // may hold *WindowCall; *GroupingSets
	// GroupDistinct is GROUP BY DISTINCT: grouping sets that are equal count once.
	GroupDistinct bool
	Having        Expr
	Windows       []WindowDef
	Pos           Pos
}

// SelectItem is one output column; Star is * or t.* (Table).
type SelectItem struct {
	Expr  Expr
	Alias string
	Star  bool
	Table *Name
	Pos   Pos
}

// OrderItem is one ORDER BY term. NullsFirst: 0 default, 1 first, -1 last.
type OrderItem struct {
	Expr       Expr
	Desc       bool
	NullsFirst int
}

// WindowDef is an OVER specification, or a named WINDOW.
type WindowDef struct {
	Name, Ref   string
	PartitionBy []Expr
	OrderBy     []OrderItem
	Frame       *Frame
	Pos         Pos
}

// Frame is ROWS|RANGE|GROUPS BETWEEN start AND end. Bound kinds: "UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW",
// "FOLLOWING", "UNBOUNDED FOLLOWING". Exclude is "", "CURRENT ROW", "GROUP" or "TIES".
type Frame struct {
	Unit       string
	Start, End FrameBound
	Exclude    string
}

// FrameBound is one end of a frame.
type FrameBound struct {
	Kind  string
	Value Expr
	Pos   Pos
}

// TableExpr is an item of FROM.
type TableExpr interface{ tableExpr() }

// The table expressions.
type (
	// TableRef names a relation.
	TableRef struct {
		Name    Name
		Alias   string
		Columns []string
		AsOf    Expr // FOR SYSTEM_TIME AS OF expr
	}
	// TableSubquery is (SELECT ...) alias.
	TableSubquery struct {
		Query   *Select
		Alias   string
		Columns []string
		Lateral bool
		Pos     Pos
	}
	// TableFunc is f(args) in FROM, also unnest, generate_series and window table functions.
	// With ROWS FROM, Func is nil and Rows are the functions with their column definitions.
	TableFunc struct {
		Func       *FuncCall
		Rows       []*TableFunc
		Alias      string
		Columns    []string
		ColumnDefs []ColumnDef // AS t(a int, b text)
		Ordinality bool
		Lateral    bool
	}
	// TableWindow is TUMBLE(t, ts, size) or TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size)) in FROM.
	TableWindow struct {
		Window  *WindowCall
		Source  TableExpr
		Alias   string
		Columns []string
	}
	// TableMatch is source MATCH_RECOGNIZE (...). Skip is "PAST LAST ROW", "TO NEXT ROW", "TO FIRST" or "TO LAST"; the last two
	// go to the rows of SkipTo.
	TableMatch struct {
		Source       TableExpr
		PartitionBy  []Expr
		OrderBy      []OrderItem
		Measures     []SelectItem
		AllRows      bool // ALL ROWS PER MATCH
		Skip, SkipTo string
		Pattern      *Pattern
		Within       *Interval
		Define       []PatternDef
		Alias        string
		Columns      []string
		Pos          Pos
	}
	// TableSequence is SEQUENCE ..., which stands for a whole query: SELECT * FROM it.
	TableSequence struct {
		By       []Expr
		Within   *Interval
		Steps    []SequenceStep
		Until    *SequenceStep
		Measures []SelectItem
		Pos      Pos
	}
	// Join is a join. Kind is "INNER", "LEFT", "RIGHT", "FULL" or "CROSS".
	Join struct {
		Kind        string
		Natural     bool
		Left, Right TableExpr
		On          Expr
		Using       []string
		// UsingAlias names the columns of Using; Alias and Columns name a join in parentheses.
		UsingAlias string
		Alias      string
		Columns    []string
		Pos        Pos
	}
)

// Pattern is a node of a row pattern. Kind is "VAR" (Name), "SEQ" and "ALT" (two or more Items) or "REPEAT" (one Item, Min to
// Max times, Max -1 for no bound).
type Pattern struct {
	Kind      string
	Name      string
	Items     []*Pattern
	Min, Max  int
	Reluctant bool
	Pos       Pos
}

// PatternDef is one DEFINE entry: rows that may be mapped to a pattern variable.
type PatternDef struct {
	Name string
	Cond Expr
	Pos  Pos
}

// SequenceStep is one [stream WHERE cond] of a SEQUENCE, with what stands around it: ! before it (Missing), its own keys (BY),
// how often it comes (Min to Max times, Max -1 for no bound), and its name for MEASURES.
type SequenceStep struct {
	Source   Name
	Cond     Expr
	By       []Expr
	Missing  bool
	Min, Max int
	Alias    string
	Pos      Pos
}

// ---- expressions ----

// Expr is an expression node.
type Expr interface{ Position() Pos }

// At gives a node its position.
type At struct{ Pos Pos }

// Position implements Expr.
func (a At) Position() Pos { return a.Pos }

// The expressions.
type (
	// Null, Bool, Number, String are literals. A Number keeps its text; a String is of type unknown.
	Null struct{ At }
	// Bool is TRUE or FALSE.
	Bool struct {
		At
		V bool
	}
	// Number is an unsigned numeric literal as written.
	Number struct {
		At
		Text string
	}
	// String is a string literal, decoded.
	String struct {
		At
		V string
	}
	// Interval is INTERVAL 'text' [unit]; Unit is upper case or "".
	Interval struct {
		At
		Text, Unit string
	}
	// Param is $N.
	Param struct {
		At
		N int
	}
	// Ident is a column reference: name, t.name, s.t.name.
	Ident struct {
		At
		Parts []string
	}
	// WholeRow is t.* as an argument.
	WholeRow struct {
		At
		Table string
	}
	// Default is the word DEFAULT in INSERT.
	Default struct{ At }
	// Unary is -x, +x, ~x, NOT x, @x ... Op is upper case.
	Unary struct {
		At
		Op string
		X  Expr
	}
	// Binary is every infix operator: AND OR = <> < <= > >= + - * / % ^ || -> ->> #> #>> @> <@ ? ?| ?& && & | # << >> <<= >>= ~ ~* !~
	// !~* ... LIKE and the like have their own node.
	Binary struct {
		At
		Op   string
		L, R Expr
	}
	// Like is [NOT] LIKE / ILIKE / SIMILAR TO (Op "LIKE", "ILIKE", "SIMILAR").
	Like struct {
		At
		Op                 string
		Not                bool
		X, Pattern, Escape Expr
	}
	// Between is [NOT] BETWEEN [SYMMETRIC].
	Between struct {
		At
		X, Lo, Hi Expr
		Not       bool
		Symmetric bool
	}
	// InList is X [NOT] IN (a, b).
	InList struct {
		At
		X    Expr
		List []Expr
		Not  bool
	}
	// InQuery is X [NOT] IN (SELECT ..).
	InQuery struct {
		At
		X     Expr
		Query *Select
		Not   bool
	}
	// InIOC is X [NOT] IN IOC list | (list, ...).
	InIOC struct {
		At
		X     Expr
		Lists []Name
		Not   bool
	}
	// Quantified is X op ANY|ALL|SOME (array or subquery). Op as in Binary, or LIKE, ILIKE, NOT LIKE, NOT ILIKE.
	Quantified struct {
		At
		Op    string
		X     Expr
		All   bool
		Array Expr
		Query *Select
	}
	// Exists is EXISTS (SELECT ..).
	Exists struct {
		At
		Query *Select
	}
	// Scalar is (SELECT ..) as a value.
	Scalar struct {
		At
		Query *Select
	}
	// Is is X IS [NOT] NULL|TRUE|FALSE|UNKNOWN (What upper case).
	Is struct {
		At
		X    Expr
		What string
		Not  bool
	}
	// IsDistinct is L IS [NOT] DISTINCT FROM R.
	IsDistinct struct {
		At
		L, R Expr
		Not  bool
	}
	// Case is CASE [Operand] WHEN .. THEN .. ELSE .. END.
	Case struct {
		At
		Operand Expr
		Whens   []When
		Else    Expr
	}
	// Cast is CAST(x AS t), x::t, or type 'literal'.
	Cast struct {
		At
		X    Expr
		Type TypeName
	}
	// FuncCall is f(args). Star: count(*). Keyword forms (CURRENT_TIMESTAMP, CURRENT_USER, EXTRACT, SUBSTRING FROM, TRIM,
	// POSITION, OVERLAY) come as calls: extract('epoch', x), substring(x, a, b), btrim(x, c), position(sub, s), current_timestamp().
	FuncCall struct {
		At
		Name        Name
		Args        []Expr
		Star        bool
		Distinct    bool
		OrderBy     []OrderItem
		WithinGroup []OrderItem
		Filter      Expr
		Over        *WindowDef
		Variadic    bool
	}
	// WindowCall is TUMBLE, HOP, SESSION, CUMULATE, SLIDE or COUNT_WINDOW (Kind upper case) in GROUP BY or FROM. Time is the
	// time column (nil: the stream's), Args the remaining arguments in order.
	WindowCall struct {
		At
		Kind string
		Time Expr
		Args []Expr
		Max  Expr // SESSION's max INTERVAL
	}
	// GroupingSets is ROLLUP, CUBE or GROUPING SETS in GROUP BY. A set of GROUPING SETS may be another one, alone.
	GroupingSets struct {
		At
		Kind string
		Sets [][]Expr
	}
	// Array is ARRAY[...].
	Array struct {
		At
		Elems []Expr
	}
	// ArrayQuery is ARRAY(SELECT ..).
	ArrayQuery struct {
		At
		Query *Select
	}
	// Subscript is x[i] or x[lo:hi].
	Subscript struct {
		At
		X, Index, Hi Expr
		Slice        bool
	}
	// Field is (expr).name; Name "*" expands.
	Field struct {
		At
		X    Expr
		Name string
	}
	// Row is ROW(a, b) or (a, b).
	Row struct {
		At
		Elems []Expr
	}
	// AtTimeZone is x AT TIME ZONE z.
	AtTimeZone struct {
		At
		X, Zone Expr
	}
	// Collate is x COLLATE name; kept so that the binder can check the name.
	Collate struct {
		At
		X    Expr
		Name Name
	}
)

// When is one arm of CASE.
type When struct{ Cond, Then Expr }
