"""SQLAlchemy over psycopg, as Superset and others use it, against a server that has the table `t` (see mod.rs) and a listener for
PostgreSQL's protocol: reflection, expressions, server-side cursors. Usage: sqlalchemy_client.py HOST PORT."""

import sys

import sqlalchemy as sa

host, port = sys.argv[1], sys.argv[2]
engine = sa.create_engine(f"postgresql+psycopg://alice:any@{host}:{port}/druid")


def inspects():
    found = sa.inspect(engine)
    assert {"druid", "sys", "lookup"} <= set(found.get_schema_names()), found.get_schema_names()
    assert found.get_table_names(schema="druid") == ["t"], found.get_table_names(schema="druid")
    assert "segments" in found.get_view_names(schema="sys"), found.get_view_names(schema="sys")
    assert found.has_table("t", schema="druid") and not found.has_table("absent", schema="druid")
    columns = {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns("t", schema="druid")}
    assert columns["added"] == ("BIGINT", True) and columns["__time"] == ("TIMESTAMP", False), columns
    assert columns["score"][0] == "DOUBLE PRECISION" and columns["page"][0] == "TEXT", columns
    assert found.get_pk_constraint("t", schema="druid")["constrained_columns"] == []
    assert found.get_foreign_keys("t", schema="druid") == [] and found.get_indexes("t", schema="druid") == []
    assert found.default_schema_name == "druid", found.default_schema_name


def reflects():
    table = sa.Table("t", sa.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        query = sa.select(table.c.lang, sa.func.count(), sa.func.sum(table.c.added)).group_by(table.c.lang).order_by(table.c.lang)
        rows = connection.execute(query.where(table.c.added < 10, table.c.page.ilike("PAGE%"))).all()
        assert [tuple(row) for row in rows] == [("de", 3, 12), ("en", 4, 18), ("fr", 3, 15)], rows
        cut = sa.select(table.c.added).where(table.c.lang.in_(["en", "fr"])).order_by(table.c.added.desc()).limit(2).offset(1)
        assert [row[0] for row in connection.execute(cut)] == [998, 996], cut
        case = sa.select(sa.case((table.c.score > 1.5, "more"), else_="less"), sa.cast(table.c.added, sa.Integer)).where(table.c.added.between(3, 4))
        assert [tuple(row) for row in connection.execute(case.order_by(table.c.added))] == [("less", 3), ("more", 4)]


def streams():
    with engine.connect() as connection:
        result = connection.execution_options(stream_results=True, max_row_buffer=100).execute(sa.text("SELECT added FROM t ORDER BY added"))
        assert [row[0] for row in result] == list(range(1000))
        frame = connection.execute(sa.text("SELECT COUNT(*) FROM t WHERE __time >= :since"), {"since": "2024-01-02"}).scalar()
        assert frame == 666, frame


parts = [inspects, reflects, streams]
for part in parts:
    part()
    print("passed", part.__name__)
print(len(parts), "parts passed")
