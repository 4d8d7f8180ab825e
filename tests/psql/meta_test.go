package psql

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// lists are psql's listing commands and a piece of what each must print; "" is for lists that are rightly empty. No command
// may end in an error of the server.
var lists = [][2]string{
	{`\d+`, " public | busy   | materialized view | vigil | permanent"},
	{`\d+ auth`, "ts       | timestamp with time zone |           | not null |         | plain"},
	{`\d+ busy`, "View definition:\n SELECT username, count(*) AS n FROM auth"},
	{`\d+ assets`, "\"assets_pkey\" PRIMARY KEY, btree (ip)"},
	{`\d assets`, " owner  | text |           |          | 'it'::text"},
	{`\d bad`, " value      | text                     |           | not null"},
	{`\d assets_pkey`, "primary key, btree, for table \"public.assets\""},
	{`\d pg_catalog.pg_class`, " relname             | name         |           | not null"},
	{`\dt+`, " public | assets | table | vigil | permanent"}, {`\dt *.pg_cl*`, " pg_catalog | pg_class | table "},
	{`\dv`, " public | loud | view "}, {`\d+ loud`, "View definition:\n SELECT username"}, {`\sv loud`, "CREATE OR REPLACE VIEW public.loud AS"}, {`\dv vigil.*`, " vigil  | queries "}, {`\dm+`, " public | busy | materialized view "},
	{`\df`, " public | odd  | boolean          | n bigint "}, {`\df+`, "javascript |  return n % 2n === 1n"},
	{`\sf odd`, "CREATE FUNCTION odd(n bigint) RETURNS boolean LANGUAGE javascript"},
	{`\du`, "Superuser"}, {`\dg+`, "Superuser"}, {`\l`, " vigil "}, {`\l+`, "pg_default"}, {`\dn`, " public "}, {`\dn+`, " public "},
	{`\dT`, ""}, {`\dT+ inet`, " pg_catalog | inet "}, {`\do`, ""}, {`\di`, " public | assets_pkey | index | vigil | assets"}, {`\di+`, "btree"},
	{`\ds`, ""}, {`\dE`, ""}, {`\dp`, " public | assets | table "}, {`\z assets`, " public | assets | table "}, {`\dx`, ""},
	{`\db`, " pg_default | vigil "}, {`\db+`, " pg_default | vigil "}, {`\dC`, ""}, {`\ddp`, ""}, {`\da`, ""}, {`\dD`, ""}, {`\dd`, ""},
	{`\dF`, ""}, {`\dFd`, ""}, {`\dFp`, ""}, {`\dFt`, ""}, {`\dc`, ""}, {`\dO`, ""}, {`\dy`, ""}, {`\det`, ""}, {`\deu`, ""}, {`\dew`, ""}, {`\des`, ""},
	{`\dRp`, ""}, {`\dRs`, ""}, {`\dX`, ""}, {`\dA`, " btree "}, {`\dAc`, " int8_ops "}, {`\dAf`, ""}, {`\dAp`, ""}, {`\dL`, ""},
	{`\dP`, ""}, {`\dl`, ""}, {`\drds`, ""}, {`\dconfig work_mem`, " work_mem "}, {`\conninfo`, `You are connected to database "vigil"`}, {`\encoding`, "UTF8"},
}

func TestLists(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	psql(t, p, schema+"CREATE TABLE assets (ip INET PRIMARY KEY, owner TEXT DEFAULT 'it');\nCREATE VIEW loud AS SELECT username FROM auth WHERE username > 'x';\n")
	var script strings.Builder
	for _, l := range lists {
		script.WriteString("\\echo #### next\n" + l[0] + "\n")
	}
	parts := strings.Split(psql(t, p, script.String()), "#### next\n")
	if len(parts) != len(lists)+1 {
		t.Fatalf("%d answers to %d commands", len(parts)-1, len(lists))
	}
	for i, l := range lists {
		t.Run(l[0], func(t *testing.T) {
			if out := parts[i+1]; strings.Contains(out, "ERROR") || !strings.Contains(out, l[1]) {
				t.Errorf("%s does not print %q:\n%s", l[0], l[1], out)
			}
		})
	}
}

const people = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, team TEXT);\nINSERT INTO people VALUES (1, 'ann', 'red'), (2, 'bob', 'blue'), (3, 'cid', 'red');\n"

func TestCommands(t *testing.T) {
	need.Psql(t)
	p := harness.Start(t, t.TempDir())
	psql(t, p, people)
	contains(t, psql(t, p, "SELECT id, name, 1.5::numeric(4,2) AS x, now() FROM people \\gdesc\n"), " id     | integer", " name   | text", " x      | numeric(4,2)", " now    | timestamp with time zone")
	contains(t, psql(t, p, "SELECT format('SELECT %L AS made', name) FROM people ORDER BY id \\gexec\n"), " made \n------\n ann\n", " bob\n")
	contains(t, psql(t, p, "SELECT team, name, id FROM people \\crosstabview\n"), " red  |   1 |     |   3\n", " blue |     |   2 |    \n")
	contains(t, psql(t, p, "SELECT name AS who FROM people WHERE id = 2 \\gset\n\\echo it is :who\nSELECT :'who' || '!' AS shout;\n"), "it is bob", " bob!")
	contains(t, psql(t, p, "\\set FETCH_COUNT 2\nSELECT id FROM people ORDER BY id;\nSELECT 1/0;\nSELECT 'on' AS it;\n"), " 1\n  2\n  3\n(3 rows)", "division by zero", " on\n")
	contains(t, psql(t, p, "\\copy people from pstdin csv\n4,dan,\"x,y\"\n\\.\n\\copy (SELECT name, team FROM people WHERE id = 4) to pstdout csv header\n"), "COPY 1", "name,team\ndan,\"x,y\"\n")
	contains(t, psql(t, p, "\\x on\nSELECT * FROM people WHERE id = 1;\n"), "-[ RECORD 1 ]\nid   | 1\nname | ann\n")
	contains(t, psql(t, p, "SELECT nme FROM people;\n\\errverbose\n"), "ERROR:  42703: column \"nme\" does not exist\nLINE 1: SELECT nme FROM people;\n               ^\n")
	contains(t, psql(t, p, "\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1/0;\nSELECT 'goes on' AS it;\nCOMMIT;\n"), "goes on", "COMMIT")
	contains(t, psql(t, p, "\\timing on\nSELECT 1;\n\\timing off\n\\pset format csv\nTABLE people;\n\\pset format unaligned\nVALUES (1, NULL);\n"), "Time: ", "1,ann,red\n", "column1|column2\n1|\n")
	contains(t, psql(t, p, "PREPARE one (int) AS SELECT name FROM people WHERE id = $1;\nEXECUTE one(3);\nDEALLOCATE one;\n"), " cid\n")
	contains(t, psql(t, p, "\\set name 'ann'\nSELECT count(*) AS n FROM people WHERE name = :'name' \\g\n\\i /dev/null\n\\! true\n\\c\nSELECT 1 AS again;\n"), "You are now connected", " 1\n")
}
