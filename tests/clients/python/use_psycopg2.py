"""psycopg2: what people do with it."""
import datetime
import decimal
import io
import select
import threading

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from check import DATABASE, HOST, PORT, USER, check, equal, fails, main


def connect():
    return psycopg2.connect(host=HOST, port=PORT, user=USER, dbname=DATABASE)


def rows(c, sql, args=None):
    with c.cursor() as cur:
        cur.execute(sql, args)
        return cur.fetchall()


@check
def types():
    c = connect()
    got = rows(c, "SELECT owner, weight, tags, info, price, day, active, rank, id, raw, gap FROM assets WHERE ip = '10.0.0.1'")[0]
    equal(got[:9], ("ann", 1.5, ["a", "b c", None], {"k": [1, 2]}, decimal.Decimal("12.50"), datetime.date(2026, 1, 2), True, 7,
                    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"))
    equal(bytes(got[9]), b"\x00\xff")
    equal(got[10], datetime.timedelta(days=1, hours=2))
    equal(rows(c, "SELECT ts FROM auth WHERE username = 'cid'")[0][0].isoformat(), "2026-01-01T00:02:00+00:00")
    c.close()


@check
def parameters():
    c = connect()
    when = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    equal(rows(c, "SELECT count(*) FROM auth WHERE ts = %s AND username = %s", (when, "ann")), [(1,)])
    equal(rows(c, "SELECT %s, %s, %s, %s", (1, None, "it's \\ x", [1, 2])), [(1, None, "it's \\ x", [1, 2])])
    equal(rows(c, "SELECT username FROM auth WHERE username IN %s ORDER BY 1", (("bob", "cid"),)), [("bob",), ("cid",)])
    equal(rows(c, "SELECT %(x)s::jsonb ->> 'a'", {"x": psycopg2.extras.Json({"a": 1})}), [("1",)])
    psycopg2.extras.register_uuid(conn_or_curs=c)
    equal(str(rows(c, "SELECT id FROM assets WHERE rank = 7")[0][0]), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
    c.close()


@check
def transactions():
    c = connect()
    with c:
        rows(c, "SELECT 1")
    fails("42P01", lambda: rows(c, "SELECT 1 FROM nothing"))
    fails("25P02", lambda: rows(c, "SELECT 1"))
    c.rollback()
    c.set_session(isolation_level="REPEATABLE READ", readonly=True)
    equal(rows(c, "SHOW transaction_read_only"), [("on",)])
    fails("25006", lambda: rows(c, "INSERT INTO assets (ip) VALUES ('10.5.0.1')"))
    c.close()


@check
def cursors():
    c = connect()
    with c.cursor(name="big") as cur:
        cur.itersize = 10
        cur.execute("SELECT g FROM generate_series(1, 35) AS g")
        equal([r[0] for r in cur], list(range(1, 36)))
    with c.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cur:
        cur.execute("SELECT username, n FROM busy ORDER BY 1")
        equal([dict(r) for r in cur.fetchall()], [{"username": "ann", "n": 2}, {"username": "bob", "n": 1}])
    c.close()


@check
def bulk():
    c = connect()
    c.autocommit = True
    with c.cursor() as cur:
        psycopg2.extras.execute_values(cur, "INSERT INTO assets (ip, owner, rank) VALUES %s", [(f"10.4.0.{i}", "bulk", i) for i in range(30)])
        psycopg2.extras.execute_batch(cur, "UPDATE assets SET weight = %s WHERE ip = %s", [(1.0, f"10.4.0.{i}") for i in range(30)])
        cur.execute("SELECT count(*), sum(weight) FROM assets WHERE owner = 'bulk'")
        equal(cur.fetchone(), (30, 30.0))
        cur.execute("DELETE FROM assets WHERE owner = 'bulk'")
        equal(cur.rowcount, 30)
    c.close()


@check
def copy():
    c = connect()
    with c.cursor() as cur:
        cur.copy_expert("COPY assets (ip, owner) FROM STDIN WITH CSV", io.StringIO('10.3.0.1,"a,b"\n10.3.0.2,\n'))
        out = io.StringIO()
        cur.copy_expert("COPY (SELECT host(ip), owner FROM assets WHERE ip <<= '10.3.0.0/24' ORDER BY ip) TO STDOUT WITH CSV HEADER", out)
        equal(out.getvalue(), 'host,owner\n10.3.0.1,"a,b"\n10.3.0.2,\n')
        cur.copy_from(io.StringIO("10.3.0.3\tc\n"), "assets", columns=("ip", "owner"))
        out = io.StringIO()
        cur.copy_to(out, "bad", columns=("value",))
        equal(out.getvalue(), "")
    c.rollback()
    c.close()


@check
def notifications():
    c, d = connect(), connect()
    c.autocommit = d.autocommit = True
    c.cursor().execute("LISTEN news2")
    d.cursor().execute("NOTIFY news2, 'x'")
    select.select([c], [], [], 30)
    c.poll()
    equal([(n.channel, n.payload) for n in c.notifies], [("news2", "x")])
    c.close()
    d.close()


@check
def cancel():
    c = connect()
    timer = threading.Timer(0.2, c.cancel)
    timer.start()
    fails("57014", lambda: rows(c, "SELECT pg_sleep(60)"))
    timer.join()
    c.close()


if __name__ == "__main__":
    main()
