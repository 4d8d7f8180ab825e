"""asyncpg: what people do with it. It speaks binary only, and asks the catalogue about types that it does not know."""
import asyncio
import datetime
import decimal
import io
import ipaddress
import sys
import uuid

import asyncpg

from check import DATABASE, HOST, PORT, USER, equal, line

UTC = datetime.timezone.utc


def connect():
    return asyncpg.connect(host=HOST, port=PORT, user=USER, database=DATABASE)


async def refused(code, awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as e:
        equal(e.sqlstate, code)
        return
    raise AssertionError(f"no error, want SQLSTATE {code}")


async def types(c):
    r = await c.fetchrow("SELECT ip, owner, weight, seen, tags, info, price, day, active, rank, id, raw, gap, small, code, at FROM assets WHERE rank = $1", 7)
    equal(tuple(r), (ipaddress.ip_interface("10.0.0.1").ip, "ann", 1.5, datetime.datetime(2026, 1, 1, tzinfo=UTC), ["a", "b c", None],
                     '{"k": [1, 2]}', decimal.Decimal("12.50"), datetime.date(2026, 1, 2), True, 7,
                     uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), b"\x00\xff", datetime.timedelta(days=1, hours=2), 3, "abc",
                     datetime.datetime(2026, 1, 1, 10, 11, 12, 500000)))


async def parameters(c):
    args = [1, 2**40, 1.5, "x", True, None, datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=UTC), decimal.Decimal("1.50"),
            uuid.UUID(int=9), b"\x01", datetime.timedelta(seconds=3), ipaddress.ip_address("1.2.3.4"), ["a", None], '{"a": 1}']
    names = ["int4", "int8", "float8", "text", "bool", "text", "date", "timestamptz", "numeric", "uuid", "bytea", "interval", "inet", "text[]", "jsonb"]
    for a, n in zip(args, names):
        equal(await c.fetchval(f"SELECT $1::{n}", a), a)
    equal(await c.fetchval("SELECT count(*) FROM auth WHERE ts >= $1 AND username = ANY($2)", datetime.datetime(2026, 1, 1, tzinfo=UTC), ["ann", "cid"]), 3)
    equal(await c.fetchval("SELECT bytes + $1 FROM auth WHERE username = $2", 2, "bob"), 32)
    await c.executemany("INSERT INTO assets (ip, owner, tags) VALUES ($1, $2, $3)", [(ipaddress.ip_address(f"10.2.0.{i}"), "many", ["t"]) for i in range(20)])
    equal(await c.execute("DELETE FROM assets WHERE owner = 'many'"), "DELETE 20")


async def prepared(c):
    p = await c.prepare("SELECT username, n FROM busy WHERE n >= $1 ORDER BY 1")
    equal([t.name for t in p.get_parameters()], ["int8"])
    equal([(a.name, a.type.name) for a in p.get_attributes()], [("username", "text"), ("n", "int8")])
    equal([tuple(r) for r in await p.fetch(1)], [("ann", 2), ("bob", 1)])
    equal([tuple(r) for r in await p.fetch(2)], [("ann", 2)])


async def unknown_types(c):
    equal(await c.fetchval("SELECT 'auth'::regclass::text"), "auth")
    equal(await c.fetchval("SELECT relacl FROM pg_catalog.pg_class WHERE relname = 'pg_class'") is None or True, True)
    equal(await c.fetchval("SELECT proargtypes FROM pg_catalog.pg_proc WHERE proname = 'odd'"), [20])
    await c.set_type_codec("jsonb", encoder=str, decoder=lambda v: "decoded " + v, schema="pg_catalog")
    equal(await c.fetchval("SELECT detail FROM auth WHERE username = 'bob'"), "decoded []")
    await c.reset_type_codec("jsonb", schema="pg_catalog")


async def transactions(c):
    async with c.transaction():
        equal(c.is_in_transaction(), True)
        equal(await c.fetchval("SELECT 1"), 1)
    t = c.transaction(isolation="repeatable_read", readonly=True)
    await t.start()
    equal(await c.fetchval("SELECT count(*) FROM busy"), 2)
    await t.rollback()


async def rolled_back(c):
    try:
        async with c.transaction():
            await c.execute("INSERT INTO assets (ip) VALUES ('10.2.1.1')")
            async with c.transaction():
                await c.execute("INSERT INTO assets (ip) VALUES ('10.2.1.2')")
            raise ValueError("undo")
    except ValueError:
        pass
    equal(await c.fetchval("SELECT count(*) FROM assets WHERE ip <<= '10.2.1.0/24'"), 0)


async def cursors(c):
    async with c.transaction():
        equal([r[0] async for r in c.cursor("SELECT g FROM generate_series(1, $1::int) AS g", 120, prefetch=11)], list(range(1, 121)))
        cur = await c.cursor("SELECT g FROM generate_series(1, 9) AS g")
        equal([r[0] for r in await cur.fetch(2)], [1, 2])
        equal([r[0] for r in await cur.fetch(9)], [3, 4, 5, 6, 7, 8, 9])


async def cursor_forward(c):
    async with c.transaction():
        cur = await c.cursor("SELECT g FROM generate_series(1, 9) AS g")
        equal(await cur.forward(3), 3)
        equal((await cur.fetchrow())[0], 4)


async def copy_text(c):
    out = io.BytesIO()
    equal(await c.copy_from_query("SELECT username, n FROM busy WHERE n >= $1 ORDER BY 1", 1, output=out, format="csv"), "COPY 2")
    equal(out.getvalue(), b"ann,2\nbob,1\n")
    await c.execute("CREATE TABLE copied (a INTEGER PRIMARY KEY, b TEXT)")
    await c.copy_to_table("copied", source=io.BytesIO(b"1,x\n2,\n"), columns=["a", "b"], format="csv")
    out = io.BytesIO()
    await c.copy_from_table("copied", columns=["b", "a"], output=out)
    equal(out.getvalue(), b"x\t1\n\\N\t2\n")
    await c.execute("DROP TABLE copied")


async def copy_records(c):
    await c.copy_records_to_table("assets", records=[(ipaddress.ip_address("10.2.3.1"), "r", 3)], columns=["ip", "owner", "rank"])
    equal(await c.fetchval("SELECT rank FROM assets WHERE owner = 'r'"), 3)
    await c.execute("DELETE FROM assets WHERE owner = 'r'")


async def errors(c):
    await refused("42703", c.fetch("SELECT usernam FROM auth"))
    await refused("42P01", c.fetch("SELECT 1 FROM nothing"))
    await refused("22012", c.fetch("SELECT 1 / $1::int", 0))
    await refused("23505", c.execute("INSERT INTO assets (ip) VALUES ('10.0.0.1')"))
    await refused("42601", c.execute("SELEC 1"))
    equal(await c.fetchval("SELECT 1"), 1)


async def stale_statement(c):
    await c.execute("CREATE TABLE moved (a INTEGER PRIMARY KEY)")
    await c.execute("INSERT INTO moved VALUES (1)")
    equal([tuple(r) for r in await c.fetch("SELECT * FROM moved")], [(1,)])
    await c.execute("DROP TABLE moved")
    await c.execute("CREATE TABLE moved (a INTEGER PRIMARY KEY, b TEXT)")
    await c.execute("INSERT INTO moved VALUES (1, 'b')")
    equal([tuple(r) for r in await c.fetch("SELECT * FROM moved")], [(1, "b")])
    await c.execute("DROP TABLE moved")


async def notifications(c):
    got = asyncio.Queue()
    await c.add_listener("asyncnews", lambda conn, pid, channel, payload: got.put_nowait((channel, payload)))
    await c.execute("SELECT pg_notify('asyncnews', 'x')")
    equal(await asyncio.wait_for(got.get(), 30), ("asyncnews", "x"))


async def cancel(c):
    try:
        await c.fetch("SELECT pg_sleep(60)", timeout=0.2)
        raise AssertionError("no timeout")
    except asyncio.TimeoutError:
        pass
    equal(await c.fetchval("SELECT 1"), 1)


async def reset(c):
    await c.execute("SET search_path = public")
    await c.reset()
    equal(await c.fetchval("SELECT 1"), 1)


async def pool(c):
    async with asyncpg.create_pool(host=HOST, port=PORT, user=USER, database=DATABASE, min_size=2, max_size=4) as p:
        async def one(i):
            async with p.acquire() as d:
                return await d.fetchval("SELECT $1::int * 2", i)
        equal(await asyncio.gather(*[one(i) for i in range(20)]), [2 * i for i in range(20)])


async def introspect(c):
    equal(await c.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name IN ('auth', 'bad', 'assets')"), 3)
    v = c.get_server_version()
    equal(v.major, 15)
    equal(c.get_settings().server_encoding, "UTF8")


async def main():
    passed = True
    for fn in [types, parameters, prepared, unknown_types, transactions, rolled_back, cursors, cursor_forward, copy_text, copy_records, errors, stale_statement,
               notifications, cancel, reset, pool, introspect]:
        c = await connect()
        try:
            await asyncio.wait_for(fn(c), 60)
            print(f"ok {fn.__name__}", flush=True)
        except Exception as e:
            tb = e.__traceback__
            while tb.tb_next and tb.tb_next.tb_frame.f_code.co_filename == __file__:
                tb = tb.tb_next
            print(f"FAIL {fn.__name__}: line {tb.tb_lineno}: {type(e).__name__}: {line(e)}", flush=True)
            passed = False
        finally:
            c.terminate()
    sys.exit(0 if passed else 1)


asyncio.run(main())
