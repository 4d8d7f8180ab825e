package parse

import (
	"strconv"
	"strings"
)

// statement prints any statement.
func (p *printer) statement(stmt Statement) {
	switch s := stmt.(type) {
	case *SelectStmt:
		p.query(s.Query)
	case *CreateStream:
		p.createStream(s)
	case *CreateTableAs:
		p.createTableAs(s)
	case *CreateView:
		p.createView(s)
	case *CreateSchema:
		p.s("CREATE SCHEMA ", ifNotExists(s.IfNotExists))
		p.name(s.Name)
	case *Comment:
		p.comment(s)
	case *CreateSequence, *AlterSequence, *CreateIndex, *AlterTable, *TestQuery:
		p.tableStatement(stmt)
	case *CreateQuery:
		p.createQuery(s)
	case *AlterFunction:
		p.alterFunction(s)
	case *AlterQuery:
		p.alterQuery(s)
	case *PauseQuery:
		p.s(map[bool]string{true: "RESUME", false: "PAUSE"}[s.Resume], " CONTINUOUS QUERY ")
		p.name(s.Name)
	case *CreateIOC:
		p.s("CREATE IOC LIST ", ifNotExists(s.IfNotExists))
		p.name(s.Name)
		p.s(" TYPE ", QuoteIdent(s.Type))
		p.options(" WITH ", s.Options)
	case *AlterIOC:
		p.alterIOC(s)
	case *ReplayLate:
		p.replayLate(s)
	case *Retro:
		p.retro(s)
	case *Backup:
		p.s("BACKUP TO ", quoteString(s.Dir))
	case *RefreshIOC:
		p.refreshIOC(s)
	case *CreateFunction:
		p.createFunction(s)
	case *Drop:
		p.drop(s)
	case *Insert:
		p.insert(s)
	case *Delete:
		p.delete(s)
	case *Update:
		p.update(s)
	case *Truncate:
		p.truncate(s)
	case *Copy:
		p.copy(s)
	case *Subscribe:
		p.subscribe(s)
	case *Explain:
		p.explain(s)
	case *Unsupported:
		p.s(s.What)
	default:
		if !p.role(stmt) && !p.sink(stmt) {
			p.session(stmt)
		}
	}
}

// session prints the statements of a connection.
func (p *printer) session(stmt Statement) {
	switch s := stmt.(type) {
	case *Listen:
		p.s("LISTEN ")
		p.name(s.Channel)
	case *Unlisten:
		p.s("UNLISTEN ", starOr(s.All, s.Channel))
	case *Notify:
		p.s("NOTIFY ", QuoteIdent(s.Channel))
		if s.Payload != "" {
			p.s(", ", quoteString(s.Payload))
		}
	case *Show:
		p.show(s)
	case *Set:
		p.set(s)
	case *Transaction:
		p.s(s.Op)
		if s.Name != "" {
			p.s(" ", QuoteIdent(s.Name))
		}
		if len(s.Modes) > 0 {
			p.s(" ", strings.Join(s.Modes, ", "))
		}
	case *DeclareCursor:
		p.declare(s)
	case *Fetch:
		p.fetch(s)
	case *CloseCursor:
		p.s("CLOSE ", allOr(s.All, s.Name))
	case *Prepare:
		p.prepare(s)
	case *Execute:
		p.s("EXECUTE ", QuoteIdent(s.Name))
		if len(s.Args) > 0 {
			p.s("(")
			p.exprs(s.Args)
			p.s(")")
		}
	case *Deallocate:
		p.s("DEALLOCATE ", allOr(s.All, s.Name))
	case *Discard:
		p.s("DISCARD ", s.What)
	}
}

func starOr(all bool, name string) string {
	if all {
		return "*"
	}
	return QuoteIdent(name)
}

func allOr(all bool, name string) string {
	if all {
		return "ALL"
	}
	return QuoteIdent(name)
}

func ifNotExists(v bool) string {
	if v {
		return "IF NOT EXISTS "
	}
	return ""
}

// options prints WITH (..) and its relatives, nothing where there is no list.
func (p *printer) options(word string, list []Option) {
	if list == nil {
		return
	}
	p.s(word, "(")
	for i, o := range list {
		if i > 0 {
			p.s(", ")
		}
		p.option(o)
	}
	p.s(")")
}

func (p *printer) option(o Option) {
	dotted := true
	for part := range strings.SplitSeq(o.Key, ".") {
		dotted = dotted && isPlainIdent(part)
	}
	if dotted {
		p.s(o.Key)
	} else {
		p.s(quoteString(o.Key))
	}
	if !o.Bare {
		p.s(" = ", quoteString(o.Value))
	}
}

func (p *printer) createStream(s *CreateStream) {
	p.s("CREATE ", map[bool]string{true: "TEMP "}[s.Temp], map[bool]string{true: "TABLE ", false: "STREAM "}[s.Table], ifNotExists(s.IfNotExists))
	p.name(s.Name)
	if len(s.Columns) > 0 || s.Watermark != nil || len(s.Like) > 0 {
		p.streamElements(s)
	}
	p.options(" WITH ", s.Options)
	if s.OnCommit != "" {
		p.s(" ON COMMIT ", s.OnCommit)
	}
	if s.Format != "" {
		p.s(" FORMAT ", upperIdent(s.Format))
		p.options(" ", s.FormatOptions)
	}
}

func (p *printer) streamElements(s *CreateStream) {
	sep, like := " (\n", s.Like
	apart := s.KeyName != "" || len(primary(s.Columns)) > 1
	next := func() { p.s(sep); sep = ",\n" }
	for i := 0; i <= len(s.Columns); i++ {
		for ; len(like) > 0 && like[0].At == i; like = like[1:] {
			next()
			p.like(&like[0])
		}
		if i < len(s.Columns) {
			next()
			p.s("  ")
			p.column(&s.Columns[i], apart)
		}
	}
	if w := s.Watermark; w != nil {
		next()
		p.watermark(w)
	}
	if apart {
		next()
		p.s("  ")
		if s.KeyName != "" {
			p.s("CONSTRAINT ", QuoteIdent(s.KeyName), " ")
		}
		p.s("PRIMARY KEY ")
		p.columns(primary(s.Columns))
	}
	for i := range s.Constraints {
		next()
		p.s("  ")
		p.constraint(&s.Constraints[i])
	}
	p.s("\n)")
}

// upperIdent prints a word that is kept in upper case and folded when read.
func upperIdent(s string) string {
	if lower := foldASCII(s); isPlainIdent(lower) {
		return s
	}
	return QuoteIdent(s)
}

func (p *printer) watermark(w *Watermark) {
	p.s("  WATERMARK FOR ", QuoteIdent(w.Column), " AS ")
	p.expr(w.As, 0)
	if w.IdleAfter != nil {
		p.s(" IDLE AFTER ")
		p.interval(w.IdleAfter)
	}
	if w.MaxAhead != nil {
		p.s(" MAX AHEAD ")
		p.interval(w.MaxAhead)
	}
}

// column prints a column; apart: the primary key is printed by itself.
func (p *printer) column(d *ColumnDef, apart bool) {
	// A column that opens like a constraint reads back as one.
	name := QuoteIdent(d.Name)
	if wordIs(d.Name, "watermark", "primary", "exclude") {
		name = `"` + d.Name + `"`
	}
	p.s(name, " ", d.Type.String())
	if d.NotNull {
		p.s(" NOT NULL")
	}
	if d.Primary && !apart {
		p.s(" PRIMARY KEY")
	}
	p.identity(d.Identity)
	if d.From != "" {
		p.s(" FROM ", quoteString(d.From))
	}
	if d.Generated != nil {
		p.s(" GENERATED ALWAYS AS (")
		p.expr(d.Generated, 0)
		p.s(")")
	}
	if d.Default != nil {
		p.s(" DEFAULT ")
		p.expr(d.Default, opLevel)
	}
}

func wordIs(s string, words ...string) bool {
	for _, w := range words {
		if s == w {
			return true
		}
	}
	return false
}

func (p *printer) createQuery(s *CreateQuery) {
	p.s("CREATE ", map[bool]string{true: "OR REPLACE "}[s.OrReplace], "CONTINUOUS QUERY ", ifNotExists(s.IfNotExists))
	p.name(s.Name)
	p.options("\nWITH ", s.Options)
	p.s("\nAS ")
	p.query(s.Query)
	p.emitSuppress(s.Emit, s.Suppress)
}

func (p *printer) emitSuppress(e *Emit, s *Suppress) {
	if e != nil {
		switch e.Mode {
		case "CLOSE":
			p.s("\nEMIT ON WINDOW CLOSE")
		case "UPDATE":
			p.s("\nEMIT ON UPDATE")
		case "FIRST":
			p.s("\nEMIT FIRST")
		case "EVERY":
			p.s("\nEMIT EVERY ")
			p.interval(e.Every)
		}
	}
	if s != nil {
		p.s("\nSUPPRESS FOR ")
		p.interval(s.For)
		if len(s.By) > 0 {
			p.s(" BY (")
			p.exprs(s.By)
			p.s(")")
		}
	}
}

func (p *printer) alterQuery(s *AlterQuery) {
	p.s("ALTER CONTINUOUS QUERY ")
	p.name(s.Name)
	switch {
	case s.As != nil:
		p.s("\nAS ")
		p.query(s.As)
		p.emitSuppress(s.Emit, s.Suppress)
	case s.Set != nil:
		p.options(" SET ", s.Set)
	default:
		p.s(" RENAME TO ", QuoteIdent(s.Rename))
	}
}

func (p *printer) replayLate(s *ReplayLate) {
	p.s("REPLAY LATE ")
	p.name(s.Stream)
	if s.Since != nil {
		p.s(" SINCE ")
		p.interval(s.Since)
	}
}

func (p *printer) retro(s *Retro) {
	p.s("RETRO IOC LIST ")
	p.name(s.List)
	p.s(" ON ")
	p.name(s.Stream)
	p.s(" (", QuoteIdent(s.Column.Parts[0]), ")")
	if s.Since != nil {
		p.s(" SINCE ")
		p.interval(s.Since)
	}
	p.s(map[bool]string{true: " ALL"}[s.All])
}

func (p *printer) refreshIOC(s *RefreshIOC) {
	p.s("REFRESH IOC LIST ")
	p.name(s.Name)
	if s.Force {
		p.s(" FORCE")
	}
}

func (p *printer) alterIOC(s *AlterIOC) {
	p.s("ALTER IOC LIST ")
	p.name(s.Name)
	if s.Set != nil {
		p.options(" SET ", s.Set)
	}
	for i, name := range s.Reset {
		p.s([2]string{" RESET (", ", "}[min(i, 1)], QuoteIdent(name), map[bool]string{true: ")"}[i == len(s.Reset)-1])
	}
	for i, list := range [2][]Expr{s.Add, s.Drop} {
		if len(list) > 0 {
			p.s([2]string{" ADD (", " DROP ("}[i])
			p.exprs(list)
			p.s(")")
		}
	}
}

func (p *printer) createFunction(f *CreateFunction) {
	p.s("CREATE ", map[bool]string{true: "OR REPLACE "}[f.OrReplace], map[bool]string{true: "AGGREGATE ", false: "FUNCTION "}[f.Aggregate])
	p.name(f.Name)
	p.s("(")
	for i, a := range f.Params {
		if i > 0 {
			p.s(", ")
		}
		if a.Name != "" {
			p.s(QuoteIdent(a.Name), " ")
		}
		p.s(a.Type.String())
	}
	p.s(")")
	if f.Returns != nil {
		p.s(" RETURNS ", f.Returns.String())
	}
	for i, d := range f.ReturnTable {
		p.s([2]string{" RETURNS TABLE (", ", "}[min(i, 1)], QuoteIdent(d.Name), " ", d.Type.String())
	}
	if len(f.ReturnTable) > 0 {
		p.s(")")
	}
	if f.Language != "" {
		p.s(" LANGUAGE ", QuoteIdent(f.Language))
	}
	if f.Volatility != "" {
		p.s(" ", f.Volatility)
	}
	if f.Strict {
		p.s(" STRICT")
	}
	p.s(" AS ", dollarQuote(f.Body))
	p.options("\nWITH ", f.Options)
}

// dollarQuote writes a function body with a tag that does not occur in it.
func dollarQuote(s string) string {
	tag := "$$"
	for n := 1; strings.Contains(s+"$", tag); n++ {
		tag = "$body" + strconv.Itoa(n) + "$"
	}
	return tag + s + tag
}

func (p *printer) drop(s *Drop) {
	p.s("DROP ", s.Kind, " ")
	if s.IfExists {
		p.s("IF EXISTS ")
	}
	for i, n := range s.Names {
		if i > 0 {
			p.s(", ")
		}
		p.name(n)
	}
	if s.Cascade {
		p.s(" CASCADE")
	}
}

func (p *printer) insert(s *Insert) {
	p.s("INSERT INTO ")
	p.name(s.Table)
	p.asName(s.Alias)
	if len(s.Columns) > 0 {
		p.s(" (")
		p.idents(s.Columns)
		p.s(")")
	}
	if s.Overriding != "" {
		p.s(" OVERRIDING ", s.Overriding, " VALUE")
	}
	if v := s.Query.Values; len(v) == 1 && len(v[0]) == 0 {
		p.s(" DEFAULT VALUES")
	} else {
		p.s(" ")
		p.query(s.Query)
	}
	p.onConflict(s.Conflict)
	p.returning(s.Returning)
}

func (p *printer) copy(s *Copy) {
	p.s("COPY ")
	switch {
	case s.Subscribe != nil:
		p.s("(")
		p.subscribe(s.Subscribe)
		p.s(")")
	case s.Query != nil:
		p.s("(")
		p.query(s.Query)
		p.s(")")
	default:
		p.name(s.Table)
		if len(s.Columns) > 0 {
			p.s(" ")
			p.columns(s.Columns)
		}
	}
	p.s(map[bool]string{true: " TO STDOUT", false: " FROM STDIN"}[s.To])
	for i, o := range s.Options {
		p.s([2]string{" WITH (", ", "}[min(i, 1)], copyKey(o.Key))
		if !o.Bare {
			p.s(" ", quoteString(o.Value))
		}
	}
	if len(s.Options) > 0 {
		p.s(")")
	}
}

// copyKey prints a key of COPY's options, where any word may stand bare.
func copyKey(key string) string {
	if isPlainIdent(key) {
		return key
	}
	return QuoteIdent(key)
}

func (p *printer) subscribe(s *Subscribe) {
	p.s("SUBSCRIBE ")
	if s.Query != nil {
		p.s("(")
		p.query(s.Query)
		p.s(")")
	} else {
		// TO keeps a query of that name apart from the optional word.
		p.s("TO ")
		p.name(s.Name)
	}
	p.options(" WITH ", s.Options)
	if s.Since != nil {
		p.s(" SINCE ")
		p.interval(s.Since)
	}
	if s.Cursor != nil {
		p.s(" AS OF CURSOR ", strconv.FormatInt(*s.Cursor, 10))
	}
}

func (p *printer) explain(s *Explain) {
	p.s("EXPLAIN ")
	for i, o := range s.Options {
		p.s([]string{"(", ", "}[min(i, 1)])
		p.ident(o.Key)
		if !o.Bare {
			p.s(" ", quoteString(o.Value))
		}
	}
	if s.Options != nil {
		p.s(") ")
	}
	if s.Query != nil {
		p.s("CONTINUOUS QUERY ")
		p.name(*s.Query)
		return
	}
	p.statement(s.Stmt)
}
