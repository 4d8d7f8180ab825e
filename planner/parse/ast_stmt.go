package parse

import "strings"

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
	// Identity is GENERATED .. AS IDENTITY, nil when not written.
	Identity *Identity
	Pos      Pos
}

// Identity is GENERATED ALWAYS | BY DEFAULT AS IDENTITY [(options)].
type Identity struct {
	Always  bool
	Options SequenceOptions
}

// Constraint is a constraint of a table. Kind is "UNIQUE" or "CHECK"; the primary key is told by the columns. Name is "" when not
// written.
type Constraint struct {
	Name    string
	Kind    string
	Columns []string // of UNIQUE
	Check   Expr
	Pos     Pos
}

// SequenceOptions are the options of a sequence; nil and zero is what was not written.
type SequenceOptions struct {
	As                                *TypeName
	Increment, Min, Max, Start, Cache *int64
	NoMin, NoMax                      bool
	Cycle                             *bool
	// Restarts is RESTART [WITH n].
	Restarts bool
	Restart  *int64
	// SequenceName is SEQUENCE NAME, in the options of an identity column alone.
	SequenceName *Name
	// OwnedBy is OWNED BY table.column; a Name "" is NONE.
	OwnedBy *ColumnName
}

// ColumnName is table.column.
type ColumnName struct {
	Table  Name
	Column string
}

// IndexColumn is a column of CREATE INDEX.
type IndexColumn struct {
	Name string
	Desc bool
	// Nulls is "FIRST", "LAST", or "" when not written.
	Nulls string
	Pos   Pos
}

// AlterAction is one action of ALTER TABLE. Kind is one of "ADD COLUMN", "DROP COLUMN", "RENAME COLUMN", "RENAME", "RENAME CONSTRAINT",
// "SET DEFAULT", "DROP DEFAULT", "SET NOT NULL", "DROP NOT NULL", "ADD CONSTRAINT", "DROP CONSTRAINT".
type AlterAction struct {
	Kind   string
	Name   string // of the column or constraint
	To     string // the new name
	Exists bool   // IF EXISTS, IF NOT EXISTS
	// Columns and Constraints are what ADD adds: one column with its constraints, or one constraint.
	Columns     []ColumnDef
	Constraints []Constraint
	// KeyName names the primary key that ADD PRIMARY KEY (Key) makes.
	KeyName string
	Key     []string
	Default Expr
	Cascade bool
	Pos     Pos
}

// Fixture is where TEST CONTINUOUS QUERY reads events or expected rows: File is a file's name, or the lines themselves (see
// Inline). Stream has no name where the query reads one stream, and for expected rows.
type Fixture struct {
	Stream Name
	File   string
	Pos    Pos
}

// Inline tells that the text is the lines and not a file's name: it has more than one line, begins an object, or is empty.
func (f *Fixture) Inline() bool {
	return strings.Contains(f.File, "\n") || strings.TrimSpace(f.File) == "" || strings.HasPrefix(strings.TrimSpace(f.File), "{")
}

// LikeClause is LIKE relation in the column list of CREATE TABLE; it stands before column At.
type LikeClause struct {
	Name     Name
	Defaults bool // INCLUDING DEFAULTS or ALL
	Keys     bool // INCLUDING INDEXES or ALL
	At       int
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

// Assignment is column = value in SET; Value may be *Default.
//
// (a, b) = (x, y) is one assignment for each column.
type Assignment struct {
	Column string
	Value  Expr
	Pos    Pos
}

// OnConflict is ON CONFLICT [(columns) | ON CONSTRAINT name]: DO NOTHING (Set is nil), or DO UPDATE SET .. [WHERE ..].
type OnConflict struct {
	Columns    []string
	Constraint string
	Set        []Assignment
	Where      Expr
	Pos        Pos
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
		// Temp is CREATE TEMP TABLE; OnCommit is "DROP", "DELETE ROWS", "PRESERVE ROWS", or "" when not written.
		Temp     bool
		OnCommit string
		// Like are the LIKE clauses; their columns come where they stand.
		Like []LikeClause
		// Constraints are those of a table besides the primary key, which KeyName names when its name was written.
		Constraints []Constraint
		KeyName     string
	}
	// CreateSequence is CREATE SEQUENCE.
	CreateSequence struct {
		Name        Name
		IfNotExists bool
		Options     SequenceOptions
	}
	// AlterSequence is ALTER SEQUENCE.
	AlterSequence struct {
		Name     Name
		IfExists bool
		Options  SequenceOptions
	}
	// CreateIndex is CREATE [UNIQUE] INDEX. Name is "" when not written.
	CreateIndex struct {
		Name        string
		IfNotExists bool
		Unique      bool
		Table       Name
		Columns     []IndexColumn
		Pos         Pos
	}
	// AlterTable is ALTER TABLE.
	AlterTable struct {
		Table    Name
		IfExists bool
		Actions  []AlterAction
	}
	// Backup is BACKUP TO 'directory'.
	Backup struct {
		Dir string
		Pos Pos // of the directory
	}
	// TestQuery is TEST CONTINUOUS QUERY name USING 'file' | stream = 'file', .. [EXPECT 'file'].
	TestQuery struct {
		Name   Name
		Using  []Fixture
		Expect *Fixture // nil: the result is shown
		Pos    Pos
	}
	// CreateView is CREATE [OR REPLACE] VIEW.
	CreateView struct {
		Name      Name
		OrReplace bool
		Columns   []string
		Query     *Select
	}
	// CreateSchema is CREATE SCHEMA.
	CreateSchema struct {
		Name        Name
		IfNotExists bool
	}
	// Comment is COMMENT ON Kind name IS text; Kind is one of Drop's kinds or "COLUMN". A nil Text removes it.
	Comment struct {
		Kind   string
		Name   Name
		Column string
		Text   *string
	}
	// CreateTableAs is CREATE TABLE .. AS query, and SELECT .. INTO.
	CreateTableAs struct {
		Name        Name
		IfNotExists bool
		Temp        bool
		OnCommit    string
		Columns     []string
		Query       *Select
		WithNoData  bool
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
	// AlterIOC is ALTER IOC LIST name [ADD (..)] [DROP (..)] | SET (option = value, ..) | RESET (option, ..).
	AlterIOC struct {
		Name      Name
		Add, Drop []Expr
		Set       []Option
		Reset     []string
	}
	// RefreshIOC is REFRESH IOC LIST name [FORCE].
	RefreshIOC struct {
		Name  Name
		Force bool
	}
	// ReplayLate is REPLAY LATE stream [SINCE INTERVAL '..'].
	ReplayLate struct {
		Stream Name
		Since  *Interval
	}
	// Retro is RETRO IOC LIST name ON stream (column) [SINCE INTERVAL '..'] [ALL].
	Retro struct {
		List, Stream Name
		Column       Ident
		Since        *Interval
		All          bool
	}
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
	// Drop is DROP kind name. Kind is "STREAM", "CONTINUOUS QUERY", "IOC LIST", "FUNCTION", "TABLE", "VIEW", "SCHEMA", "SINK", "ROLE";
	// synonyms (SOURCE, MATERIALIZED VIEW, AGGREGATE) are folded.
	Drop struct {
		Kind     string
		Names    []Name
		IfExists bool
		Cascade  bool
	}
	// Insert is INSERT INTO name [(cols)] VALUES .. | SELECT ..
	Insert struct {
		Table   Name
		Alias   string
		Columns []string
		Query   *Select
		// Overriding is "SYSTEM", "USER" (VALUE), or "" when not written.
		Overriding string
		// Conflict is ON CONFLICT, nil when not written.
		Conflict *OnConflict
		// Returning holds the RETURNING list.
		Returning []SelectItem
	}
	// Delete is DELETE FROM name [USING ..] [WHERE ..] [RETURNING ..].
	Delete struct {
		Table     Name
		Alias     string
		From      []TableExpr // USING
		Where     Expr
		Returning []SelectItem
	}
	// Update is UPDATE name SET column = value, .. [FROM ..] [WHERE ..] [RETURNING ..].
	Update struct {
		Table     Name
		Alias     string
		Set       []Assignment
		From      []TableExpr
		Where     Expr
		Returning []SelectItem
	}
	// Truncate is TRUNCATE name, ..
	Truncate struct {
		Tables []Name
		// Restart is RESTART IDENTITY.
		Restart bool
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
	// Explain is EXPLAIN [(options)] statement, or of the continuous query named Query, where Stmt is nil. ANALYZE and VERBOSE
	// are options without a value.
	Explain struct {
		Options []Option
		Stmt    Statement
		Query   *Name
	}
	// Set is SET [SESSION|LOCAL] name = value | TO DEFAULT (Reset), RESET name|ALL. Values are texts as written, unquoted.
	Set struct {
		Name   string
		Values []string
		Local  bool
		Reset  bool
		// Default: Reset was written as SET .. TO DEFAULT.
		Default bool
		All     bool
	}
	// Transaction is BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO (Op upper case as written in full).
	// Modes of BEGIN are "ISOLATION LEVEL ..", "READ ONLY", "READ WRITE", "DEFERRABLE", "NOT DEFERRABLE".
	Transaction struct {
		Op    string
		Name  string
		Modes []string
	}
	// DeclareCursor is DECLARE name CURSOR FOR query | SUBSCRIBE.
	DeclareCursor struct {
		Name      string
		Query     *Select
		Subscribe *Subscribe
		Hold      bool
		// Scroll and NoScroll are as written; a cursor with neither goes back where that costs nothing.
		Scroll, NoScroll bool
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
	// Unsupported is a statement that vigil knows the beginning of and does not have: What names it ("CREATE DATABASE").
	Unsupported struct {
		What, Hint string
		Pos        Pos
	}
)

func (*SelectStmt) statement()     {}
func (*CreateStream) statement()   {}
func (*CreateQuery) statement()    {}
func (*CreateSequence) statement() {}
func (*AlterSequence) statement()  {}
func (*CreateIndex) statement()    {}
func (*AlterTable) statement()     {}
func (*TestQuery) statement()      {}
func (*Backup) statement()         {}
func (*CreateTableAs) statement()  {}
func (*CreateView) statement()     {}
func (*CreateSchema) statement()   {}
func (*Comment) statement()        {}
func (*AlterQuery) statement()     {}
func (*PauseQuery) statement()     {}
func (*CreateIOC) statement()      {}
func (*AlterIOC) statement()       {}
func (*RefreshIOC) statement()     {}
func (*ReplayLate) statement()     {}
func (*Retro) statement()          {}
func (*CreateFunction) statement() {}
func (*Drop) statement()           {}
func (*Insert) statement()         {}
func (*Delete) statement()         {}
func (*Update) statement()         {}
func (*Truncate) statement()       {}
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
func (*TableMatch) tableExpr()    {}
func (*TableSequence) tableExpr() {}
func (*Join) tableExpr()          {}
