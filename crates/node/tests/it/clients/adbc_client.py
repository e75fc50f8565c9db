"""ADBC's Flight SQL driver against a server that has the table `t` (see mod.rs) and a Flight SQL listener: statements, prepared
statements with parameters, the catalogue, errors, a large result, cancelling. Usage: adbc_client.py HOST PORT."""

import datetime
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as flight
import adbc_driver_manager
import pyarrow

uri = f"grpc://{sys.argv[1]}:{sys.argv[2]}"


def statements():
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT lang, COUNT(*) AS n, SUM(score) AS s FROM t GROUP BY lang ORDER BY lang")
        table = cursor.fetch_arrow_table()
        assert table.to_pydict() == {"lang": ["de", "en", "fr"], "n": [333, 334, 333],
                                     "s": [sum(i / 2 for i in range(1000) if i % 3 == k) for k in (1, 0, 2)]}, table
        cursor.execute("SELECT __time, page, added, score, added > 5 AS big, CAST(__time AS DATE) AS d, ARRAY['a', 'b'] AS a,"
                       " ARRAY[1, 2] AS l, tags, CAST(NULL AS BIGINT) AS z FROM t WHERE added = 7")
        table = cursor.fetch_arrow_table()
        types = {f.name: str(f.type) for f in table.schema}
        assert types == {"__time": "timestamp[ms, tz=UTC]", "page": "string", "added": "int64", "score": "double", "big": "bool",
                         "d": "date32[day]", "a": "list<item: string>", "l": "list<item: int64>", "tags": "string", "z": "int64"}, types
        moment = datetime.datetime(2024, 1, 2, 0, 0, 7, tzinfo=datetime.timezone.utc)
        row = list(table.to_pylist()[0].values())
        assert row == [moment, "page7", 7, 3.5, True, datetime.date(2024, 1, 2), ["a", "b"], [1, 2], '["x","y"]', None], row
        cursor.execute("SELECT added FROM t WHERE added < 0")
        assert cursor.fetchall() == [] and cursor.description[0][0] == "added"


def large():
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT a.added * 1000 + b.added AS n FROM t a CROSS JOIN t b WHERE a.added < 50")
        reader = cursor.fetch_record_batch()
        sizes, total = [], 0
        for batch in reader:
            sizes.append(batch.num_rows)
            total += pyarrow.compute.sum(batch.column(0)).as_py()
        assert sum(sizes) == 50000 and len(sizes) > 1 and total == sum(range(50000)), sizes


def prepared():
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        query = "SELECT COUNT(*), MAX(added) FROM t WHERE lang = ? AND added < ? AND score >= ? AND __time >= ?"
        since = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
        for lang, count, most in [("en", 27, 99), ("de", 26, 97), ("no'ne", 0, None)]:
            cursor.execute(query, (lang, 100, 10.5, since))
            found = cursor.fetchone()
            assert found[0] == count and (found[1] == most or count == 0), (lang, found)
        schema = cursor.adbc_prepare("SELECT added FROM t WHERE page = ? AND added > ?")
        assert [str(f.type) for f in schema] == ["string", "int64"], schema
        cursor.execute("SELECT added FROM t WHERE page = ? AND added > ? ORDER BY 1", ("page3", 900))
        assert [r[0] for r in cursor.fetchall()] == [i for i in range(901, 1000) if i % 17 == 3]


def catalogue():
    with flight.connect(uri, autocommit=True) as connection:
        found = connection.adbc_get_objects(depth="all", db_schema_filter="druid").read_all().to_pylist()
        assert [c["catalog_name"] for c in found] == ["druid"]
        tables = found[0]["catalog_db_schemas"][0]["db_schema_tables"]
        table = [t for t in tables if t["table_name"] == "t"][0]
        assert table["table_type"] == "TABLE"
        assert [c["column_name"] for c in table["table_columns"]] == ["__time", "page", "lang", "added", "score", "tags"], table
        schemas = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()[0]["catalog_db_schemas"]
        assert {"druid", "sys", "lookup", "INFORMATION_SCHEMA"} <= {s["db_schema_name"] for s in schemas}
        assert sorted(connection.adbc_get_table_types()) == ["SYSTEM_TABLE", "TABLE"]
        assert connection.adbc_get_info()["vendor_name"] == "Ovate"
        schema = connection.adbc_get_table_schema("t", db_schema_filter="druid")
        assert str(schema.field("added").type) == "int64", schema


def failures():
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement, word in [("SELECT nothing FROM t", "nothing"), ("SELECT 1 FROM absent", "absent"), ("SELEC 1", "SELEC")]:
            try:
                cursor.execute(statement)
                raise AssertionError(statement)
            except flight.Error as error:
                assert word in str(error) and "INVALID_ARGUMENT" in str(error), error
        try:
            cursor.executemany("SELECT ?", [(1,), (2,)])
            raise AssertionError("several rows of parameters")
        except flight.Error as error:
            assert "only reads" in str(error), error
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone() == (1,)


def cancelled():
    parts = [f"(SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '{i}'))) FROM t a, t b WHERE b.page = 'page3')" for i in range(100)]
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        ended = []

        def run():
            try:
                cursor.execute("SELECT " + " + ".join(parts))
                cursor.fetchall()
                ended.append("answered")
            except adbc_driver_manager.Error as error:
                ended.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.7)
        began = time.time()
        cursor.adbc_cancel()
        thread.join(20)
        assert ended and "answered" not in ended and time.time() - began < 5, (ended, time.time() - began)
    with flight.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchone() == (1000,)


parts = [statements, large, prepared, catalogue, failures, cancelled]
for part in parts:
    part()
    print("passed", part.__name__)
print(len(parts), "parts passed")
