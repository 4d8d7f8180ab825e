"""ODBC, the way of Power BI and Tableau: Debian's psqlodbc under pyodbc."""
import datetime
import decimal
import glob

import pyodbc

from check import DATABASE, HOST, PORT, USER, check, equal, fails, main

DRIVER = glob.glob("/usr/lib/*/odbc/psqlodbcw.so")[0]


def connect(more="", **kw):
    return pyodbc.connect(f"DRIVER={DRIVER};SERVER={HOST};PORT={PORT};DATABASE={DATABASE};UID={USER};{more}", **kw)


def state(e):
    return e.args[0] if isinstance(e, pyodbc.Error) else None


@check
def tables():
    c = connect()
    got = [(r.table_name, r.table_type) for r in c.cursor().tables(schema="public")]
    equal([n for n, t in got if t == "TABLE"], ["assets", "auth", "bad"])
    equal("busy" in [n for n, _ in got], True)
    equal(("loud", "VIEW") in got, True)
    equal([r.table_name for r in c.cursor().tables(table="aut%", tableType="TABLE")], ["auth"])
    equal(c.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
    c.cursor().tables(table="", catalog="%", schema="").fetchall()
    equal("public" in [r[1] for r in c.cursor().tables(table="", catalog="", schema="%")], True)


@check
def columns():
    c = connect()
    got = [(r.column_name, r.type_name, r.nullable) for r in c.cursor().columns(table="auth", schema="public")]
    equal(got, [("ts", "timestamptz", 0), ("username", "text", 1), ("src_ip", "inet", 1), ("bytes", "int8", 1), ("detail", "jsonb", 1)])
    got = {r.column_name: (r.column_size, r.decimal_digits) for r in c.cursor().columns(table="assets")}
    equal(got["price"], (10, 2))
    equal(got["code"][0], 8)
    equal([r.column_name for r in c.cursor().columns(table="busy")], ["window_start", "window_end", "username", "n"])


@check
def keys():
    c = connect()
    equal([(r.column_name, r.pk_name) for r in c.cursor().primaryKeys(table="assets")], [("ip", "assets_pkey")])
    equal(c.cursor().primaryKeys(table="auth").fetchall(), [])
    equal([r.index_name for r in c.cursor().statistics(table="assets") if r.index_name], ["assets_pkey"])
    equal(c.cursor().foreignKeys(table="assets").fetchall(), [])
    c.cursor().rowIdColumns(table="assets").fetchall()


@check
def types_and_procedures():
    c = connect()
    types = [r.type_name for r in c.cursor().getTypeInfo()]
    equal(all(t in types for t in ("int4", "text", "timestamptz", "numeric", "bool")), True)
    equal([r.procedure_name for r in c.cursor().procedures(procedure="odd")], ["odd"])


@check
def procedure_columns():
    got = [r.column_name for r in connect().cursor().procedureColumns(procedure="odd")]
    equal("n" in got, True)


@check
def values():
    c = connect()
    r = c.execute("SELECT owner, weight, seen AT TIME ZONE 'UTC', price, day, rank, small, raw, at, info FROM assets WHERE rank = ? AND owner = ?", 7, "ann").fetchone()
    equal(tuple(r)[:7], ("ann", 1.5, datetime.datetime(2026, 1, 1), decimal.Decimal("12.50"), datetime.date(2026, 1, 2), 7, 3))
    equal(bytes(r[7]), b"\x00\xff")
    equal(r[8], datetime.datetime(2026, 1, 1, 10, 11, 12, 500000))
    equal(tuple(c.execute("SELECT owner, weight FROM assets WHERE ip = '10.0.0.2'").fetchone()), ("it", None))
    equal(c.execute("SELECT count(*) FROM auth WHERE ts >= ?", datetime.datetime(2026, 1, 1, 0, 1)).fetchone()[0], 2)
    equal([d[0] for d in c.execute("SELECT username, n FROM busy").description], ["username", "n"])


@check
def fetched_by_cursor():
    c = connect("UseDeclareFetch=1;Fetch=10")
    equal([r[0] for r in c.execute("SELECT g FROM generate_series(1, 95) AS g")], list(range(1, 96)))
    equal(c.execute("SELECT count(*) FROM busy").fetchone()[0], 2)


@check
def prepared_on_the_server():
    c = connect("UseServerSidePrepare=1")
    cur = c.cursor()
    for name, n in [("ann", 2), ("bob", 1), ("nobody", 0)]:
        equal(cur.execute("SELECT coalesce(sum(n), 0)::int FROM busy WHERE username = ?", name).fetchone()[0], n)


@check
def changes():
    c = connect(autocommit=False)
    cur = c.cursor()
    cur.executemany("INSERT INTO assets (ip, owner, rank) VALUES (CAST(? AS inet), ?, ?)", [(f"10.50.0.{i}", "odbc", i) for i in range(10)])
    c.commit()
    equal(cur.execute("UPDATE assets SET rank = 0 WHERE owner = 'odbc'").rowcount, 10)
    equal(cur.execute("DELETE FROM assets WHERE owner = 'odbc'").rowcount, 10)
    c.commit()


@check
def rolled_back():
    c = connect(autocommit=False)
    c.execute("INSERT INTO assets (ip, owner) VALUES ('10.51.0.1', 'undone')")
    c.rollback()
    equal(c.execute("SELECT count(*) FROM assets WHERE owner = 'undone'").fetchone()[0], 0)


@check
def errors():
    c = connect(autocommit=True)
    fails("42703", lambda: c.execute("SELECT usernam FROM auth"), state)
    fails("42P01", lambda: c.execute("SELECT 1 FROM nothing"), state)
    fails("22012", lambda: c.execute("SELECT 1 / 0"), state)
    equal(c.execute("SELECT 1").fetchone()[0], 1)


if __name__ == "__main__":
    main()
