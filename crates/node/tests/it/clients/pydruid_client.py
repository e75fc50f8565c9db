"""pydruid against a server that has the table `t` (see mod.rs): DB-API, SQLAlchemy dialect with reflection, native queries.
Usage: pydruid_client.py HOST PORT. Every check is an assert; the last line tells how many parts ran."""

import sys
import warnings

host, port = sys.argv[1], int(sys.argv[2])
warnings.simplefilter("ignore")


def db_api():
    from pydruid.db import connect, exceptions

    connection = connect(host=host, port=port, path="/druid/v2/sql/", scheme="http", context={"sqlTimeZone": "Etc/UTC"})
    cursor = connection.cursor()
    cursor.execute("SELECT lang, COUNT(*) AS n, SUM(score) AS s FROM t GROUP BY lang ORDER BY lang")
    assert [d[0] for d in cursor.description] == ["lang", "n", "s"], cursor.description
    assert [d[1] for d in cursor.description] == [1, 2, 2], cursor.description
    rows = cursor.fetchall()
    assert [(r.lang, r.n) for r in rows] == [("de", 333), ("en", 334), ("fr", 333)], rows
    assert rows[0].s == sum(i / 2 for i in range(1000) if i % 3 == 1), rows
    cursor.execute("SELECT page FROM t WHERE lang = %(lang)s AND added < %(most)s ORDER BY added", {"lang": "d'e", "most": 9})
    assert cursor.fetchall() == []
    cursor.execute("SELECT added FROM t WHERE lang = %(lang)s AND added < %(most)s ORDER BY added", {"lang": "de", "most": 9})
    assert cursor.fetchone().added == 1
    assert [r.added for r in cursor.fetchmany(5)] == [4, 7]
    cursor.execute("SELECT __time FROM t ORDER BY __time LIMIT 1")
    assert cursor.fetchone()[0] == "2024-01-01T00:00:00.000Z"
    cursor.execute("SELECT * FROM t")
    assert sum(1 for _ in cursor) == 1000
    named = connect(host=host, port=port, path="/druid/v2/sql/", scheme="http", header=True).cursor()
    named.execute("SELECT lang, added FROM t WHERE added < 0")
    assert named.fetchall() == [] and [d[0] for d in named.description] == ["lang", "added"], named.description
    for statement, word in [("SELECT nothing FROM t", "nothing"), ("SELEC 1", "SELEC"), ("SELECT 1 FROM absent", "absent")]:
        try:
            cursor.execute(statement)
            cursor.fetchall()
            raise AssertionError(f"{statement} was answered")
        except exceptions.ProgrammingError as error:
            assert word in str(error), error


def sqlalchemy():
    from sqlalchemy import MetaData, Table, create_engine, func, inspect, select, text

    engine = create_engine(f"druid://{host}:{port}/druid/v2/sql/?header=true")
    seen = inspect(engine)
    assert {"druid", "lookup", "sys"} <= set(seen.get_schema_names()), seen.get_schema_names()
    assert "t" in seen.get_table_names(schema="druid")
    assert "segments" in seen.get_table_names(schema="sys")
    with engine.connect() as connection:
        # The inspector of SQLAlchemy 2 hands over an argument that this dialect does not take.
        assert engine.dialect.has_table(connection, "t") and not engine.dialect.has_table(connection, "absent")
    columns = {c["name"]: str(c["type"]) for c in seen.get_columns("t", schema="druid")}
    assert columns == {"__time": "TIMESTAMP", "page": "VARCHAR", "lang": "VARCHAR", "added": "BIGINT", "score": "FLOAT",
                       "tags": "VARCHAR"}, columns
    assert list(columns) == ["__time", "page", "lang", "added", "score", "tags"], columns
    table = Table("t", MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        n = func.count().label("n")
        late = select(table.c.lang, n).where(table.c.added >= 500).group_by(table.c.lang).order_by(table.c.lang.desc())
        assert [tuple(r) for r in connection.execute(late)] == [("fr", 167), ("en", 167), ("de", 166)]
        found = connection.execute(select(table.c.lang, n).group_by(table.c.lang).order_by(table.c.lang)).fetchall()
        assert [tuple(r) for r in found] == [("de", 333), ("en", 334), ("fr", 333)], found
        assert connection.execute(text("SELECT COUNT(*) FROM t WHERE page = :page"), {"page": "page3"}).scalar() == 59
        both = select(func.count()).select_from(table).where(table.c.page.in_(["page1", "page2"]))
        assert connection.execute(both).scalar() == 118
    assert engine.dialect.do_ping(engine.raw_connection().cursor())


def native():
    from pydruid.client import PyDruid
    from pydruid.utils.aggregators import count, longsum
    from pydruid.utils.filters import Dimension

    client = PyDruid(f"http://{host}:{port}", "druid/v2/")
    top = client.topn(datasource="t", granularity="all", intervals="2024-01-01/2024-02-01", aggregations={"n": count("count")},
                      dimension="lang", metric="n", threshold=1)
    assert top[0]["result"] == [{"lang": "en", "n": 334}], top[0]
    days = client.timeseries(datasource="t", granularity="day", intervals="2024-01-01/2024-01-04",
                             aggregations={"sum": longsum("added")}, filter=Dimension("lang") == "de")
    assert sum(d["result"]["sum"] or 0 for d in days) == sum(i for i in range(1000) if i % 3 == 1)


def shell():
    # Its prompt hands prompt_toolkit a lexer of pygments, which no version that it accepts takes. So lines come from here;
    # completion, execution and printing are its own.
    import contextlib
    import io

    from pydruid import console

    lines = iter(["SELECT lang, COUNT(*) AS n FROM t GROUP BY lang ORDER BY lang;", "SELECT nothing FROM t", "SHOW TABLES", "exit"])
    completed = []

    def prompt(*_, completer, **__):
        completed[:] = completer.words
        return next(lines)

    console.prompt = prompt
    sys.argv = ["pydruid", f"http://{host}:{port}/druid/v2/sql/"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        console.main()
    text = printed.getvalue()
    assert "en      334" in text and "nothing" in text and "segments" in text and text.endswith("GoodBye!\n"), text
    assert {"SELECT", "t", "segments"} <= set(completed), completed


parts = [db_api, sqlalchemy, native, shell]
for part in parts:
    part()
    print("passed", part.__name__)
print(len(parts), "parts passed")
