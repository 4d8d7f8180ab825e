"""psycopg 3: what people do with it."""
import datetime
import decimal
import ipaddress
import threading
import uuid

import psycopg
from psycopg.types.json import Jsonb

from check import DATABASE, HOST, PORT, USER, check, equal, fails, main

UTC = datetime.timezone.utc


def connect(**more):
    return psycopg.connect(host=HOST, port=PORT, user=USER, dbname=DATABASE, **more)


ROW = ("SELECT ip, owner, weight, seen, tags, info, price, day, active, rank, id, raw, gap, small, code, at FROM assets "
       "WHERE ip = '10.0.0.1'")
WANT = (ipaddress.ip_address("10.0.0.1"), "ann", 1.5, datetime.datetime(2026, 1, 1, tzinfo=UTC), ["a", "b c", None], {"k": [1, 2]},
        decimal.Decimal("12.50"), datetime.date(2026, 1, 2), True, 7, uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), b"\x00\xff",
        datetime.timedelta(days=1, hours=2), 3, "abc", datetime.datetime(2026, 1, 1, 10, 11, 12, 500000))


@check
def types_text_and_binary():
    with connect() as c:
        for binary in (False, True):
            with c.cursor(binary=binary) as cur:
                got = cur.execute(ROW).fetchone()
                for g, w in zip(got, WANT):
                    equal(g, w)
                equal(cur.execute("SELECT owner, weight, tags FROM assets WHERE ip = '10.0.0.2'").fetchone(), ("it", None, None))


@check
def parameters_text_and_binary():
    with connect() as c:
        values = [1, 2**40, 1.25, "text", True, None, datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=UTC),
                  decimal.Decimal("1.50"), uuid.UUID(int=5), b"\x01\x02", datetime.timedelta(hours=5), ipaddress.ip_address("1.2.3.4"),
                  ["a", None], [1, 2, 3]]
        for f in ("%s", "%b", "%t"):
            for v in values:
                cast = "::text[]" if v == ["a", None] else ""
                got = c.execute(f"SELECT {f}{cast} AS v", [v]).fetchone()[0]
                equal(got, v)
        equal(c.execute("SELECT %s::jsonb -> 'a'", [Jsonb({"a": [1]})]).fetchone()[0], [1])
        got = c.execute("SELECT username FROM auth WHERE username = ANY(%s) ORDER BY 1", [["ann", "bob"]]).fetchall()
        equal(got, [("ann",), ("ann",), ("bob",)])
        got = c.execute("SELECT count(*) FROM auth WHERE ts >= %s AND bytes > %s", [datetime.datetime(2026, 1, 1, tzinfo=UTC), 10]).fetchone()
        equal(got, (2,))


@check
def description():
    with connect() as c:
        cur = c.execute("SELECT ts, username, bytes, src_ip, detail FROM auth LIMIT 0")
        equal([(d.name, d.type_code) for d in cur.description],
              [("ts", 1184), ("username", 25), ("bytes", 20), ("src_ip", 869), ("detail", 3802)])


@check
def errors():
    with connect(autocommit=True) as c:
        e = fails("42703", lambda: c.execute("SELECT usernam FROM auth"))
        equal(e.diag.statement_position, "8")
        fails("42P01", lambda: c.execute("SELECT 1 FROM nothing"))
        fails("22012", lambda: c.execute("SELECT 1 / %s", [0]))
        fails("42601", lambda: c.execute("SELEC 1"))
        fails("22P02", lambda: c.execute("SELECT %s::integer", ["x"]))
        fails("23505", lambda: c.execute("INSERT INTO assets (ip) VALUES ('10.0.0.1')"))
        equal(c.execute("SELECT 1").fetchone(), (1,))


@check
def transactions():
    with connect() as c:
        equal(c.info.transaction_status.name, "IDLE")
        c.execute("INSERT INTO assets (ip, owner) VALUES ('10.9.0.1', 'x')")
        equal(c.info.transaction_status.name, "INTRANS")
        c.rollback()
        equal(c.execute("SELECT count(*) FROM assets WHERE ip = '10.9.0.1'").fetchone(), (0,))
        fails("42P01", lambda: c.execute("SELECT 1 FROM nothing"))
        equal(c.info.transaction_status.name, "INERROR")
        fails("25P02", lambda: c.execute("SELECT 1"))
        c.rollback()
        with c.transaction():
            c.execute("INSERT INTO assets (ip, owner) VALUES (%s, %s)", ["10.9.0.2", "y"])
        c.commit()
        equal(c.execute("SELECT owner FROM assets WHERE ip = '10.9.0.2'").fetchall(), [("y",)])
        c.execute("DELETE FROM assets WHERE ip = '10.9.0.2'")
        c.commit()


@check
def savepoints():
    with connect() as c:
        with c.transaction():
            c.execute("INSERT INTO assets (ip, owner) VALUES ('10.9.1.1', 'kept')")
            try:
                with c.transaction():
                    c.execute("INSERT INTO assets (ip, owner) VALUES ('10.9.1.2', 'undone')")
                    c.execute("SELECT 1 / 0")
            except psycopg.errors.DivisionByZero:
                pass
        equal(c.execute("SELECT owner FROM assets WHERE ip <<= '10.9.1.0/24'").fetchall(), [("kept",)])
        c.execute("DELETE FROM assets WHERE owner = 'kept'")


@check
def executemany():
    with connect() as c:
        with c.cursor() as cur:
            cur.executemany("INSERT INTO assets (ip, owner, rank) VALUES (%s, %s, %s)", [(f"10.8.0.{i}", "many", i) for i in range(50)])
            equal(cur.rowcount, 50)
        equal(c.execute("SELECT count(*), sum(rank) FROM assets WHERE owner = 'many'").fetchone(), (50, 1225))
        cur = c.execute("UPDATE assets SET rank = rank + 1 WHERE owner = 'many'")
        equal(cur.rowcount, 50)
        equal(c.execute("DELETE FROM assets WHERE owner = 'many'").rowcount, 50)


@check
def server_side_cursor():
    with connect() as c:
        with c.cursor(name="big") as cur:
            cur.itersize = 7
            cur.execute("SELECT g FROM generate_series(1, 100) AS g WHERE g > %s", [10])
            equal([r[0] for r in cur], list(range(11, 101)))
        with c.cursor(name="held", withhold=True) as cur:
            cur.execute("SELECT username FROM busy ORDER BY 1")
            c.commit()
            equal(cur.fetchall(), [("ann",), ("bob",)])


@check
def scrollable_cursor():
    with connect() as c:
        with c.cursor(name="scrolled", scrollable=True) as cur:
            cur.execute("SELECT g FROM generate_series(1, 20) AS g")
            equal(cur.fetchmany(3), [(1,), (2,), (3,)])
            cur.scroll(5)
            equal(cur.fetchone(), (9,))
            cur.scroll(2, mode="absolute")
            equal(cur.fetchone(), (3,))


@check
def streamed():
    with connect() as c, c.cursor() as cur:
        equal([r[0] for r in cur.stream("SELECT g FROM generate_series(1, 1000) AS g")], list(range(1, 1001)))


@check
def prepared_and_stale():
    with connect(prepare_threshold=1, autocommit=True) as c:
        c.execute("CREATE TABLE shape (a INTEGER PRIMARY KEY, b TEXT)")
        c.execute("INSERT INTO shape VALUES (1, 'one')")
        for _ in range(4):
            equal(c.execute("SELECT * FROM shape WHERE a = %s", [1], prepare=True).fetchall(), [(1, "one")])
        with connect(autocommit=True) as d:
            d.execute("DROP TABLE shape")
            fails("42P01", lambda: c.execute("SELECT * FROM shape WHERE a = %s", [1], prepare=True))
            d.execute("CREATE TABLE shape (a INTEGER PRIMARY KEY, b TEXT, c TEXT)")
            d.execute("INSERT INTO shape VALUES (1, 'one', 'more')")
            fails("0A000", lambda: c.execute("SELECT * FROM shape WHERE a = %s", [1], prepare=True))
            equal(d.execute("SELECT * FROM shape WHERE a = %s", [1]).fetchall(), [(1, "one", "more")])
            d.execute("DROP TABLE shape")


@check
def copy_in_and_out():
    with connect(autocommit=True) as c:
        with c.cursor() as cur:
            with cur.copy("COPY assets (ip, owner, tags, seen) FROM STDIN") as copy:
                copy.write_row(("10.7.0.1", "tab\there", ["x", None], datetime.datetime(2026, 2, 1, tzinfo=UTC)))
                copy.write_row(("10.7.0.2", None, None, None))
            equal(cur.rowcount, 2)
            with cur.copy("COPY (SELECT host(ip), owner, tags FROM assets WHERE ip <<= '10.7.0.0/24' ORDER BY ip) TO STDOUT") as copy:
                equal(b"".join(copy), b"10.7.0.1\ttab\\there\t{x,NULL}\n10.7.0.2\t\\N\t\\N\n")
            with cur.copy("COPY (SELECT 1 AS a, 'x,y' AS b) TO STDOUT (FORMAT CSV, HEADER)") as copy:
                equal(b"".join(copy), b'a,b\n1,"x,y"\n')
        c.execute("DELETE FROM assets WHERE ip <<= '10.7.0.0/24'")


@check
def copy_binary():
    with connect(autocommit=True) as c, c.cursor() as cur:
        with cur.copy("COPY assets (ip, owner) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["inet", "text"])
            copy.write_row((ipaddress.ip_address("10.7.1.3"), "binary"))
        with cur.copy("COPY (SELECT owner, rank FROM assets WHERE ip IN ('10.0.0.1', '10.7.1.3') ORDER BY ip) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["text", "int4"])
            equal(list(copy.rows()), [("ann", 7), ("binary", None)])
        c.execute("DELETE FROM assets WHERE ip = '10.7.1.3'")


@check
def copy_that_fails():
    with connect(autocommit=True) as c:
        def half():
            with c.cursor() as cur, cur.copy("COPY assets (ip) FROM STDIN") as copy:
                copy.write("10.6.0.1\n")
                raise ValueError("stop")
        try:
            half()
        except ValueError:
            pass
        equal(c.execute("SELECT count(*) FROM assets WHERE ip = '10.6.0.1'").fetchone(), (0,))


@check
def notifications():
    with connect(autocommit=True) as c, connect(autocommit=True) as d:
        c.execute("LISTEN news")
        d.execute("NOTIFY news, 'hello'")
        d.execute("SELECT pg_notify(%s, %s)", ["news", "again"])
        got = [(n.channel, n.payload) for n in c.notifies(timeout=30, stop_after=2)]
        equal(got, [("news", "hello"), ("news", "again")])
        c.execute("UNLISTEN *")


@check
def cancel():
    with connect(autocommit=True) as c:
        timer = threading.Timer(0.2, c.cancel_safe)
        timer.start()
        fails("57014", lambda: c.execute("SELECT pg_sleep(60)"))
        timer.join()
        equal(c.execute("SELECT 1").fetchone(), (1,))
        c.execute("SET statement_timeout = '50ms'")
        fails("57014", lambda: c.execute("SELECT pg_sleep(60)"))


@check
def pipeline():
    with connect(autocommit=True) as c:
        with c.pipeline():
            a = c.execute("SELECT 1")
            b = c.execute("SELECT %s", [2])
            d = c.execute("SELECT g FROM generate_series(1, 3) AS g")
            equal((a.fetchone(), b.fetchone(), d.fetchall()), ((1,), (2,), [(1,), (2,), (3,)]))
        try:
            with c.pipeline() as p:
                c.execute("SELECT 1")
                c.execute("SELECT 1 / 0")
                c.execute("SELECT 2")
                p.sync()
        except psycopg.errors.DivisionByZero:
            pass
        equal(c.execute("SELECT 3").fetchone(), (3,))


@check
def type_info():
    with connect() as c:
        info = psycopg.types.TypeInfo.fetch(c, "inet")
        equal((info.name, info.oid, info.array_oid), ("inet", 869, 1041))
        equal(psycopg.types.TypeInfo.fetch(c, "no_such_type"), None)
        equal(psycopg.types.enum.EnumInfo.fetch(c, "no_such_enum"), None)
        equal(psycopg.types.composite.CompositeInfo.fetch(c, "no_such_row"), None)
        equal(psycopg.types.range.RangeInfo.fetch(c, "no_such_range"), None)


@check
def subscribe():
    with connect() as c:
        c.execute("DECLARE alerts CURSOR FOR SUBSCRIBE busy WITH (SNAPSHOT)")
        got = c.execute("FETCH 2 FROM alerts").fetchall()
        equal([(r[1], r[5], r[6]) for r in got], [("+I", "ann", 2), ("+I", "bob", 1)])


if __name__ == "__main__":
    main()
