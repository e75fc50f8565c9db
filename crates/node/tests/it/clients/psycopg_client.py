"""psycopg 3 against a server that has the table `t` (see mod.rs) and a listener for PostgreSQL's protocol: simple and extended queries,
text and binary formats, parameters, COPY, cursors, errors, cancelling. Usage: psycopg_client.py HOST PORT."""

import datetime
import sys
import threading
import time

import psycopg
from psycopg import errors

host, port = sys.argv[1], sys.argv[2]


def connect(**options):
    return psycopg.connect(f"host={host} port={port} user=alice dbname=druid password=any", **options)


def types():
    with connect(autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            cursor.execute("SELECT __time, page, added, score, added > 5, CAST(__time AS DATE), ARRAY['a', 'b'], tags, CAST(added AS INTEGER),"
                           " CAST(NULL AS BIGINT), ARRAY[1, 2], JSON_OBJECT('k': added) FROM t WHERE added = 7")
            row = cursor.fetchone()
            utc = datetime.timezone.utc
            assert row == (datetime.datetime(2024, 1, 2, 0, 0, 7, tzinfo=utc), "page7", 7, 3.5, True, datetime.date(2024, 1, 2),
                           ["a", "b"], '["x","y"]', 7, None, [1, 2], {"k": 7}), (binary, row)
            names = [(d.name, d.type_code) for d in cursor.description]
            assert names[:4] == [("__time", 1184), ("page", 25), ("added", 20), ("score", 701)], names
        connection.execute("SET timezone TO 'Asia/Tokyo'")
        assert connection.execute("SHOW timezone").fetchone() == ("Asia/Tokyo",)
        moment, floor = connection.execute("SELECT __time, TIME_FLOOR(__time, 'P1D') FROM t WHERE added = 7").fetchone()
        assert moment.isoformat() == "2024-01-02T09:00:07+09:00" and floor.isoformat() == "2024-01-02T00:00:00+09:00", (moment, floor)


def parameters():
    with connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            query = "SELECT COUNT(*), SUM(added)::bigint FROM t WHERE lang = %s AND added < %s AND score >= %s AND __time >= %s"
            since = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
            for lang, count in [("en", 27), ("de", 26), ("no'ne", 0)]:
                cursor.execute(query, (lang, 100, 10.5, since))
                assert cursor.fetchone()[0] == count, (binary, lang)
            # The same statement again and again becomes a prepared one of the server.
            for i in range(8):
                cursor.execute("SELECT added FROM t WHERE added = %s", (i,), prepare=True)
                assert cursor.fetchone() == (i,)
            cursor.execute("SELECT COUNT(*) FROM t WHERE __time >= %s AND __time < %s AND added > %s",
                           (since, datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), None))
            assert cursor.fetchone() == (0,)
        connection.commit()
        cursor.executemany("SELECT added FROM t WHERE added = %s", [(1,), (2,)], returning=True)
        assert cursor.fetchone() == (1,)


def results():
    with connect() as connection:
        rows = connection.execute("SELECT added FROM t ORDER BY added").fetchall()
        assert [r[0] for r in rows] == list(range(1000))
        with connection.pipeline():
            first = connection.execute("SELECT COUNT(*) FROM t")
            second = connection.execute("SELECT MAX(added) FROM t")
            assert (first.fetchone(), second.fetchone()) == ((1000,), (999,))
        assert connection.execute("SELECT lang, COUNT(*) FROM t GROUP BY 1 ORDER BY 1").fetchall() == [("de", 333), ("en", 334), ("fr", 333)]
        assert connection.execute("").description is None


def failures():
    with connect(autocommit=True) as connection:
        cases = [("SELECT nothing FROM t", errors.UndefinedColumn), ("SELECT 1 FROM absent", errors.UndefinedTable),
                 ("SELEC 1", errors.SyntaxError), ("LOCK t", errors.FeatureNotSupported),
                 ("SELECT nothing FROM pg_class", errors.UndefinedColumn), ("SELECT added::nothing FROM t", errors.UndefinedObject)]
        for statement, kind in cases:
            try:
                connection.execute(statement)
                raise AssertionError(statement)
            except kind as error:
                assert error.sqlstate, error
        try:
            connection.execute("SELECT 1 FROM t WHERE added = %s::int", ("x",))
            raise AssertionError("answered")
        except psycopg.Error as error:
            assert error.sqlstate in ("22P02", "42601"), (error.sqlstate, error)
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.execute("SET statement_timeout TO 1")
        slow = "SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page))) FROM t a, t b"
        try:
            connection.execute(slow)
            raise AssertionError("not late")
        except errors.QueryCanceled:
            pass


def cancelled():
    parts = [f"(SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '{i}'))) FROM t a, t b WHERE b.page = 'page3')" for i in range(100)]
    with connect(autocommit=True) as connection:
        ended = []

        def run():
            try:
                connection.execute("SELECT " + " + ".join(parts))
            except errors.QueryCanceled as error:
                ended.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.7)
        began = time.time()
        connection.cancel()
        thread.join(20)
        assert ended and time.time() - began < 5, (ended, time.time() - began)
        assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (1000,)


def catalogue():
    with connect(autocommit=True) as connection:
        columns = connection.execute(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " ORDER BY ordinal_position", ("druid", "t")).fetchall()
        assert columns[0] == ("__time", "timestamp with time zone", "NO") and ("added", "bigint", "YES") in columns, columns
        oid = connection.execute("SELECT 't'::regclass::oid").fetchone()[0]
        found = connection.execute("SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = %s AND attnum > 0", (oid,))
        assert ("score", "double precision") in found.fetchall()
        assert connection.execute("SELECT typname FROM pg_type WHERE oid = 1184").fetchone() == ("timestamptz",)
        assert psycopg.types.TypeInfo.fetch(connection, "int8").oid == 20


def copies():
    query = "SELECT lang, COUNT(*) AS n, MAX(added) FROM t WHERE page ILIKE %s GROUP BY 1 ORDER BY 1"
    with connect(autocommit=True) as connection, connection.cursor() as cursor:
        def copied(statement, parameters=()):
            with cursor.copy(statement, parameters) as copy:
                return b"".join(copy).decode()

        counted = cursor.execute(query, ("PAGE1%",)).fetchall()
        assert [row[0] for row in counted] == ["de", "en", "fr"] and counted[0][1] > 100, counted
        lines = ["\t".join(str(value) for value in row) for row in counted]
        assert copied(f"COPY ({query}) TO STDOUT", ("PAGE1%",)).splitlines() == lines
        csv = copied("COPY (SELECT added, page, CAST(NULL AS VARCHAR) AS nothing, tags FROM t WHERE added = 7) TO STDOUT WITH (FORMAT csv, HEADER)")
        assert csv == 'added,page,nothing,tags\n7,page7,,"[""x"",""y""]"\n', csv
        assert len(copied("COPY t (added) TO STDOUT").splitlines()) == 1000
        with cursor.copy("COPY (SELECT added, page, score, __time FROM t WHERE added < 3 ORDER BY added) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int8", "text", "float8", "timestamptz"])
            rows = list(copy.rows())
        assert [row[:3] for row in rows] == [(0, "page0", 0.0), (1, "page1", 0.5), (2, "page2", 1.0)], rows
        for statement, kind in [("COPY t FROM STDIN", errors.FeatureNotSupported), ("COPY (SELECT nothing FROM t) TO STDOUT", errors.UndefinedColumn)]:
            try:
                copied(statement)
                raise AssertionError(statement)
            except kind:
                pass


def cursors():
    with connect() as connection:
        with connection.cursor("some rows") as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT added, lang FROM t WHERE added >= %s ORDER BY added", (10,))
            assert [d.name for d in cursor.description] == ["added", "lang"], cursor.description
            assert cursor.fetchone()[0] == 10 and [r[0] for r in cursor.fetchmany(3)] == [11, 12, 13]
            assert sum(1 for _ in cursor) == 986
        with connection.cursor("both ways", scrollable=True, withhold=True) as cursor:
            cursor.execute("SELECT added FROM t ORDER BY added")
            cursor.scroll(500)
            assert cursor.fetchone() == (500,)
            cursor.scroll(-2)
            assert cursor.fetchone() == (499,)
            cursor.scroll(0, mode="absolute")
            assert cursor.fetchone() == (0,)
            connection.commit()
            assert cursor.fetchone() == (1,), "held"
        try:
            connection.execute("FETCH ALL FROM absent")
            raise AssertionError("fetched")
        except errors.InvalidCursorName:
            connection.rollback()


parts = [types, parameters, results, failures, cancelled, catalogue, copies, cursors]
for part in parts:
    part()
    print("passed", part.__name__)
print(len(parts), "parts passed")
