"""SQLAlchemy 2: reflection as BI tools do it, Core and ORM."""
import datetime

import sqlalchemy as sa
from sqlalchemy import orm

from check import DATABASE, HOST, PORT, USER, check, equal, fails, main

engine = sa.create_engine(f"postgresql+psycopg://{USER}@{HOST}:{PORT}/{DATABASE}")
older = sa.create_engine(f"postgresql+psycopg2://{USER}@{HOST}:{PORT}/{DATABASE}")


@check
def names():
    i = sa.inspect(engine)
    equal([n for n in i.get_schema_names() if n != "vigil"], ["information_schema", "public"])
    equal(i.default_schema_name, "public")
    equal(sorted(i.get_table_names()), ["assets", "auth", "bad"])
    equal(i.get_view_names(), ["loud"])
    equal(i.get_materialized_view_names(), ["busy"])
    equal(i.has_table("auth"), True)
    equal(i.has_table("nothing"), False)
    equal(i.get_sequence_names(), [])
    equal(i.get_temp_table_names(), [])
    equal(i.get_enums(), [])


@check
def columns():
    i = sa.inspect(engine)
    equal([(c["name"], str(c["type"]), c["nullable"]) for c in i.get_columns("auth")],
          [("ts", "TIMESTAMP", False), ("username", "TEXT", True), ("src_ip", "INET", True), ("bytes", "BIGINT", True), ("detail", "JSONB", True)])
    equal(i.get_columns("auth")[0]["type"].timezone, True)
    got = {c["name"]: c for c in i.get_columns("assets")}
    equal({n: str(c["type"]) for n, c in got.items()},
          {"ip": "INET", "owner": "TEXT", "weight": "DOUBLE PRECISION", "seen": "TIMESTAMP", "tags": "ARRAY", "info": "JSONB", "price": "NUMERIC(10, 2)",
           "day": "DATE", "active": "BOOLEAN", "rank": "INTEGER", "id": "UUID", "raw": "BYTEA", "gap": "INTERVAL", "small": "SMALLINT",
           "code": "VARCHAR(8)", "at": "TIMESTAMP"})
    equal(got["owner"]["default"], "'it'::text")
    equal([c["name"] for c in i.get_columns("busy")], ["window_start", "window_end", "username", "n"])


@check
def keys():
    i = sa.inspect(engine)
    equal(i.get_pk_constraint("assets"), {"constrained_columns": ["ip"], "name": "assets_pkey", "comment": None, "dialect_options": {"postgresql_include": []}})
    equal(i.get_pk_constraint("auth")["constrained_columns"], [])
    equal(i.get_indexes("assets"), [])
    equal(i.get_foreign_keys("assets"), [])
    equal(i.get_unique_constraints("assets"), [])
    equal(i.get_check_constraints("assets"), [])
    equal(i.get_table_comment("assets"), {"text": None})
    fails("no such table", lambda: i.get_columns("nothing"), lambda e: "no such table" if isinstance(e, sa.exc.NoSuchTableError) else None)


@check
def reflect():
    m = sa.MetaData()
    m.reflect(engine, views=True)
    equal(sorted(m.tables), ["assets", "auth", "bad", "busy", "loud"])
    equal([c.name for c in m.tables["assets"].primary_key], ["ip"])
    sa.MetaData().reflect(engine, schema="information_schema", views=True)


@check
def view_definition():
    for name in ("busy", "loud"):
        text = sa.inspect(engine).get_view_definition(name)
        if "auth" not in text:
            raise AssertionError(text)


@check
def core():
    m = sa.MetaData()
    auth, busy = (sa.Table(n, m, autoload_with=engine) for n in ("auth", "busy"))
    for e in (engine, older):
        with e.connect() as c:
            q = sa.select(auth.c.username, sa.func.count().label("n")).where(auth.c.bytes.is_not(None)).group_by(auth.c.username).order_by(auth.c.username)
            equal([tuple(r) for r in c.execute(q)], [("ann", 1), ("bob", 1), ("cid", 1)])
            q = sa.select(auth.c.username).join(busy, busy.c.username == auth.c.username).where(busy.c.n.in_([1, 2])).distinct().order_by(auth.c.username.desc()).limit(1)
            equal(c.execute(q).scalars().all(), ["bob"])
            q = sa.select(auth.c.detail["a"].as_integer()).where(auth.c.detail.has_key("a"))
            equal(c.execute(q).scalar_one(), 1)
            hour = sa.func.date_trunc("hour", auth.c.ts)
            q = sa.select(hour, sa.func.sum(auth.c.bytes)).group_by(hour)
            equal([tuple(r) for r in c.execute(q)], [(datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), 80)])
            part = sa.select(busy.c.username).where(busy.c.n > 1).cte("part")
            equal(c.execute(sa.select(sa.func.count()).select_from(auth).where(auth.c.username.in_(sa.select(part.c.username)))).scalar(), 2)
            q = sa.union_all(sa.select(busy.c.username), sa.select(auth.c.username)).order_by("username")
            equal(len(c.execute(q).all()), 6)


@check
def streamed():
    with engine.connect() as c:
        r = c.execution_options(stream_results=True, yield_per=10).execute(sa.text("SELECT g FROM generate_series(1, 45) AS g WHERE g > :least"), {"least": 5})
        equal([len(p) for p in r.partitions(10)], [10, 10, 10, 10])


class Base(orm.DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    text: orm.Mapped[str]
    score: orm.Mapped[float | None]
    at: orm.Mapped[datetime.datetime] = orm.mapped_column(sa.DateTime(timezone=True))


@check
def object_mapper():
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    with orm.Session(engine) as s:
        s.add_all([Note(id=i, text=f"note {i}", score=i / 2, at=at) for i in range(5)])
        s.commit()
        equal(s.get(Note, 3).text, "note 3")
        n = s.scalars(sa.select(Note).where(Note.score > 1).order_by(Note.id.desc())).first()
        equal((n.id, n.score, n.at), (4, 2.0, at))
        n.text = "changed"
        s.commit()
        equal(s.scalar(sa.select(Note.text).where(Note.id == 4)), "changed")
        s.delete(s.get(Note, 0))
        s.commit()
        equal(s.scalar(sa.select(sa.func.count()).select_from(Note)), 4)
        fails("23505", lambda: s.execute(sa.insert(Note).values(id=1, text="x", at=at)), lambda e: e.orig.sqlstate)
        s.rollback()
    Base.metadata.drop_all(engine)
    equal(sa.inspect(engine).has_table("notes"), False)


if __name__ == "__main__":
    main()
