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
	Query   *Select
	Pos     Pos
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
	Having     Expr
	Windows    []WindowDef
	Pos        Pos
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
// "FOLLOWING", "UNBOUNDED FOLLOWING".
type Frame struct {
	Unit                 string
	StartKind, EndKind   string
	StartValue, EndValue Expr
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
	TableFunc struct {
		Func       *FuncCall
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
	// Join is a join. Kind is "INNER", "LEFT", "RIGHT", "FULL" or "CROSS".
	Join struct {
		Kind        string
		Natural     bool
		Left, Right TableExpr
		On          Expr
		Using       []string
		Alias       string
		Pos         Pos
	}
)

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
	// Between is [NOT] BETWEEN.
	Between struct {
		At
		X, Lo, Hi Expr
		Not       bool
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
	// GroupingSets is ROLLUP, CUBE or GROUPING SETS in GROUP BY.
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

// ---- statements ----

// ColumnDef is a column of CREATE STREAM, CREATE TABLE or a function's record.
type ColumnDef struct {
	Name      string
	Type      TypeName
	NotNull   bool
	Generated Expr   // GENERATED ALWAYS AS (expr)
	From      string // FROM 'a.b[0].c'
	Default   Expr
	Primary   bool
	Pos       Pos
}

// Watermark is WATERMARK FOR col AS col - INTERVAL '..' [IDLE AFTER ..] [MAX AHEAD ..].
type Watermark struct {
	Column string
	// As is the expression after AS; the binder accepts col and col - INTERVAL.
	As                  Expr
	IdleAfter, MaxAhead *Interval
	Pos                 Pos
}

// Emit is the EMIT clause. Mode is "CLOSE", "UPDATE", "EVERY" or "FIRST"; "" when not written.
type Emit struct {
	Mode  string
	Every *Interval
	Pos   Pos
}

// Suppress is SUPPRESS FOR INTERVAL '..' [BY (cols)].
type Suppress struct {
	For *Interval
	By  []Expr
	Pos Pos
}

// FuncParam is one parameter of CREATE FUNCTION.
type FuncParam struct {
	Name string
	Type TypeName
}

// The statements.
type (
	// SelectStmt is a query that ends.
	SelectStmt struct{ Query *Select }
	// CreateStream is CREATE STREAM / SOURCE, and CREATE TABLE .. WITH (connector ..).
	CreateStream struct {
		Name          Name
		IfNotExists   bool
		Columns       []ColumnDef
		Watermark     *Watermark
		Options       []Option
		Format        string // upper case, "" when not written
		FormatOptions []Option
		Table         bool // written as CREATE TABLE
	}
	// CreateQuery is CREATE CONTINUOUS QUERY or CREATE MATERIALIZED VIEW.
	CreateQuery struct {
		Name        Name
		OrReplace   bool
		IfNotExists bool
		Options     []Option
		Query       *Select
		Emit        *Emit
		Suppress    *Suppress
		// Body is the text after AS.
		Body string
	}
	// AlterQuery is ALTER CONTINUOUS QUERY: one of As (with Emit, Suppress), Set, Rename.
	AlterQuery struct {
		Name     Name
		As       *Select
		Body     string
		Emit     *Emit
		Suppress *Suppress
		Set      []Option
		Rename   string
	}
	// PauseQuery is PAUSE or RESUME CONTINUOUS QUERY.
	PauseQuery struct {
		Name   Name
		Resume bool
	}
	// CreateIOC is CREATE IOC LIST name TYPE t [WITH (..)].
	CreateIOC struct {
		Name        Name
		IfNotExists bool
		Type        string // lower case
		Options     []Option
	}
	// AlterIOC is ALTER IOC LIST name [ADD (..)] [DROP (..)].
	AlterIOC struct {
		Name      Name
		Add, Drop []Expr
	}
	// RefreshIOC is REFRESH IOC LIST name.
	RefreshIOC struct{ Name Name }
	// CreateFunction is CREATE [OR REPLACE] FUNCTION or AGGREGATE.
	CreateFunction struct {
		Name        Name
		OrReplace   bool
		Aggregate   bool
		Params      []FuncParam
		Returns     *TypeName
		ReturnTable []ColumnDef
		Language    string // lower case
		Volatility  string // "IMMUTABLE", "STABLE", "VOLATILE" or ""
		Strict      bool
		Body        string
		Options     []Option
	}
	// Drop is DROP kind name. Kind is "STREAM", "CONTINUOUS QUERY", "IOC LIST", "FUNCTION", "TABLE", "SINK", "ROLE"; synonyms
	// (SOURCE, MATERIALIZED VIEW, VIEW, AGGREGATE) are folded.
	Drop struct {
		Kind     string
		Names    []Name
		IfExists bool
		Cascade  bool
	}
	// Insert is INSERT INTO name [(cols)] VALUES .. | SELECT ..
	Insert struct {
		Table   Name
		Columns []string
		Query   *Select
		// Returning holds the RETURNING list.
		Returning []SelectItem
	}
	// Delete is DELETE FROM name [WHERE ..].
	Delete struct {
		Table Name
		Where Expr
	}
	// Copy is COPY. Table or Query or Subscribe; To: direction out.
	Copy struct {
		Table     Name
		Columns   []string
		Query     *Select
		Subscribe *Subscribe
		To        bool
		Options   []Option // format, header, delimiter, null, quote ...
		Pos       Pos
	}
	// Subscribe is SUBSCRIBE [TO] name | (SELECT ..) [WITH (SNAPSHOT, PROGRESS)] [SINCE INTERVAL ..| AS OF CURSOR n].
	Subscribe struct {
		Name    Name
		Query   *Select
		Options []Option
		Since   *Interval
		Cursor  *int64
		Pos     Pos
	}
	// Listen is LISTEN name; Unlisten is UNLISTEN name or * (All).
	Listen struct{ Channel Name }
	// Unlisten stops notifications.
	Unlisten struct {
		Channel string
		All     bool
	}
	// Notify is NOTIFY channel [, payload].
	Notify struct{ Channel, Payload string }
	// Show is SHOW x: a setting (Name lower case, "all"), or What one of "STREAMS", "CONTINUOUS QUERIES", "IOC LISTS", "FUNCTIONS",
	// "TABLES"; SHOW CREATE fills Create with the kind ("STREAM", "CONTINUOUS QUERY", "IOC LIST", "FUNCTION") and Object.
	Show struct {
		Name   string
		What   string
		Create string
		Object Name
	}
	// Explain is EXPLAIN [ANALYZE] [(options)] statement.
	Explain struct {
		Analyze bool
		Options []Option
		Stmt    Statement
	}
	// Set is SET [SESSION|LOCAL] name = value | TO DEFAULT (Reset), RESET name|ALL. Values are texts as written, unquoted.
	Set struct {
		Name   string
		Values []string
		Local  bool
		Reset  bool
		All    bool
	}
	// Transaction is BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO (Op upper case as written in full).
	Transaction struct {
		Op   string
		Name string
	}
	// DeclareCursor is DECLARE name CURSOR FOR query | SUBSCRIBE.
	DeclareCursor struct {
		Name      string
		Query     *Select
		Subscribe *Subscribe
		Hold      bool
	}
	// Fetch is FETCH | MOVE. Direction is "NEXT", "FORWARD", "ALL" ...; Count rows (-1: all).
	Fetch struct {
		Cursor    string
		Direction string
		Count     int64
		Move      bool
		Options   []Option
	}
	// CloseCursor is CLOSE name | ALL.
	CloseCursor struct {
		Name string
		All  bool
	}
	// Prepare, Execute, Deallocate are the SQL-level prepared statements.
	Prepare struct {
		Name  string
		Types []TypeName
		Stmt  Statement
		Text  string
	}
	// Execute runs a prepared statement.
	Execute struct {
		Name string
		Args []Expr
	}
	// Deallocate drops prepared statements.
	Deallocate struct {
		Name string
		All  bool
	}
	// Discard is DISCARD ALL | PLANS | TEMP | SEQUENCES.
	Discard struct{ What string }
	// Empty is an empty query string.
	Empty struct{}
	// Unsupported is a statement that vigil knows the beginning of and does not have: What names it ("CREATE SINK").
	Unsupported struct {
		What, Hint string
		Pos        Pos
	}
)

func (*SelectStmt) statement()     {}
func (*CreateStream) statement()   {}
func (*CreateQuery) statement()    {}
func (*AlterQuery) statement()     {}
func (*PauseQuery) statement()     {}
func (*CreateIOC) statement()      {}
func (*AlterIOC) statement()       {}
func (*RefreshIOC) statement()     {}
func (*CreateFunction) statement() {}
func (*Drop) statement()           {}
func (*Insert) statement()         {}
func (*Delete) statement()         {}
func (*Copy) statement()           {}
func (*Subscribe) statement()      {}
func (*Listen) statement()         {}
func (*Unlisten) statement()       {}
func (*Notify) statement()         {}
func (*Show) statement()           {}
func (*Explain) statement()        {}
func (*Set) statement()            {}
func (*Transaction) statement()    {}
func (*DeclareCursor) statement()  {}
func (*Fetch) statement()          {}
func (*CloseCursor) statement()    {}
func (*Prepare) statement()        {}
func (*Execute) statement()        {}
func (*Deallocate) statement()     {}
func (*Discard) statement()        {}
func (*Empty) statement()          {}
func (*Unsupported) statement()    {}

func (*TableRef) tableExpr()      {}
func (*TableSubquery) tableExpr() {}
func (*TableFunc) tableExpr()     {}
func (*TableWindow) tableExpr()   {}
func (*Join) tableExpr()          {}
