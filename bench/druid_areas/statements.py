"""Whole statements: joins, subqueries, unnest, sets, VALUES, order and limit, contexts, metadata, wrong text."""
from .aggregates import CONDITIONS, KEYS, PLAIN
from .data import TABLE
from .functions import VALUES, expression

SOURCES = [TABLE, "foo", "numfoo", "foo2", "lookup.lookyloo", f"(SELECT s, l, COUNT(*) AS c FROM {TABLE} GROUP BY 1, 2)", f"(SELECT s, MAX(l) AS l FROM {TABLE} WHERE s IS NOT NULL GROUP BY 1)",
           "(VALUES ('a', 1), ('b', NULL), (NULL, 3)) AS v(s, l)", f"(SELECT * FROM {TABLE} WHERE l > 0)", "(SELECT dim1 AS s, CAST(m1 AS BIGINT) AS l FROM foo)"]


def columns_of(source):
    if source in ("foo", "numfoo", "foo2"):
        return ["dim1", "dim2", "m1", "cnt"] + (["l1", "dim3"] if source == "numfoo" else [])
    return ["k", "v"] if source.startswith("lookup") else ["s", "l"]


def joins(rng, count):
    pick = rng.choice
    for _ in range(count):
        sources = [pick(SOURCES) for _ in range(pick([2, 2, 2, 3]))]
        name = lambda s, i: s.replace(" AS v(", f" AS t{i}(") if " AS v(" in s else f"{s} AS t{i}"
        text, out = name(sources[0], 0), [f"t0.{c}" for c in columns_of(sources[0])]
        texts = lambda i: f"t{i}.{columns_of(sources[i])[0]}"
        kind = "join"
        for i in range(1, len(sources)):
            join = pick(["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "FULL OUTER JOIN", "CROSS JOIN", ","])
            right = name(sources[i], i)
            if join in ("CROSS JOIN", ","):
                text += f"{' ' if join != ',' else ''}{join} {right}"
            elif rng.random() < 0.08 and columns_of(sources[i])[0] == "s" == columns_of(sources[i - 1])[0]:
                text += f" {join} {right} USING (s)"
            else:
                other = rng.randrange(i)
                a, b = texts(other), texts(i)
                on = pick([f"{a} = {b}", f"{a} = {b}", f"{b} = {a}", f"{a} IS NOT DISTINCT FROM {b}", f"{a} = {b} AND {b} <> 'a'", f"UPPER({a}) = UPPER({b})", f"{a} = {b} AND {a} <> 'b'",
                           f"CONCAT({a}, '') = {b}", f"SUBSTRING({a}, 1, 1) = {b}", f"{a} <> {b}", f"{a} = {b} OR {a} = 'a'", "TRUE", f"{a} = 'a'", f"LOOKUP({a}, 'lookyloo') = {b}"])
                text += f" {join} {right} ON {on}"
            kind = f"join {join}"
            out += [f"t{i}.{c}" for c in columns_of(sources[i])]
        chosen = [pick(out) for _ in range(pick([1, 2, 3]))]
        where = f" WHERE {pick(out)} {pick(['IS NULL', 'IS NOT NULL', '<> ' + chr(39) + 'a' + chr(39), '= ' + pick(out)])}" if rng.random() < 0.35 else ""
        select = ", ".join(f"{c} AS c{i}" for i, c in enumerate(chosen))
        yield kind, pick([f"SELECT {select} FROM {text}{where}", f"SELECT COUNT(*) FROM {text}{where}", f"SELECT {chosen[0]} AS k, COUNT(*), MAX({chosen[-1]}) FROM {text}{where} GROUP BY 1",
                          f"SELECT * FROM {text}{where}", f"SELECT COUNT(DISTINCT {chosen[0]}) FROM {text}{where}"])


def subqueries(rng, count):
    pick = rng.choice
    for _ in range(count):
        condition, other, e = pick(CONDITIONS), pick(CONDITIONS), expression(rng)
        inner = pick([f"SELECT s FROM {TABLE} WHERE {condition}", "SELECT dim1 FROM foo", "SELECT dim2 FROM foo WHERE dim1 <> ''", "SELECT k FROM lookup.lookyloo",
                      f"SELECT s FROM {TABLE} GROUP BY 1 HAVING COUNT(*) > 1", f"SELECT MAX(s) FROM {TABLE}", "SELECT v FROM (VALUES ('a'), (NULL)) AS t(v)",
                      f"SELECT s FROM {TABLE} WHERE s IS NOT NULL ORDER BY __time LIMIT 3"])
        scalar = pick([f"SELECT MAX(l) FROM {TABLE} WHERE {condition}", f"SELECT COUNT(*) FROM {TABLE}", f"SELECT l FROM {TABLE} WHERE id = 1", f"SELECT AVG(d) FROM {TABLE}",
                       "SELECT MIN(m1) FROM foo", f"SELECT l FROM {TABLE} WHERE id = 999"])
        yield "subquery", pick([
            f"SELECT id, s FROM {TABLE} WHERE s IN ({inner})", f"SELECT id, s FROM {TABLE} WHERE s NOT IN ({inner})", f"SELECT COUNT(*) FROM {TABLE} WHERE s IN ({inner}) AND {other}",
            f"SELECT id FROM {TABLE} WHERE l > ({scalar})", f"SELECT id, ({scalar}) AS x FROM {TABLE}", f"SELECT s, COUNT(*) FROM {TABLE} WHERE l <= ({scalar}) OR {other} GROUP BY 1",
            f"SELECT id FROM {TABLE} t WHERE EXISTS (SELECT 1 FROM foo WHERE foo.dim1 = t.s)", f"SELECT id FROM {TABLE} t WHERE NOT EXISTS (SELECT 1 FROM foo WHERE foo.dim1 = t.s)",
            f"SELECT s, (SELECT COUNT(*) FROM foo WHERE foo.dim1 = t.s) AS c FROM {TABLE} t", f"SELECT s, (SELECT MAX(m1) FROM foo WHERE foo.dim1 = t.s) AS c FROM {TABLE} t",
            f"SELECT COUNT(*) FROM (SELECT DISTINCT {e} AS x FROM {TABLE})", f"SELECT AVG(c) FROM (SELECT s, COUNT(*) AS c FROM {TABLE} WHERE {condition} GROUP BY 1)",
            f"SELECT x, COUNT(*) FROM (SELECT s, MAX({e}) AS x FROM {TABLE} GROUP BY 1) GROUP BY 1", f"WITH w AS (SELECT {e} AS x, s FROM {TABLE} WHERE {condition}) SELECT a.s, b.x FROM w a JOIN w b ON a.s = b.s",
            f"SELECT s, l FROM (SELECT s, l FROM {TABLE} ORDER BY __time, id LIMIT 4) WHERE {pick(['l > 0', 's IS NULL', 'l IS NOT NULL'])}",
            f"SELECT SUM(x) FROM (SELECT MAX(l) AS x FROM {TABLE} GROUP BY {pick(KEYS)})", f"SELECT s IN ({inner}) AS x, COUNT(*) FROM {TABLE} GROUP BY 1",
            f"SELECT id FROM {TABLE} WHERE (s, l) IN (SELECT s, l FROM {TABLE} WHERE {condition})", f"SELECT id FROM {TABLE} WHERE l > ALL (SELECT l FROM {TABLE} WHERE l < 3)",
            f"SELECT id FROM {TABLE} WHERE l = ANY (SELECT l FROM {TABLE} WHERE l < 3)", f"SELECT id FROM {TABLE} WHERE l >= SOME (SELECT l FROM {TABLE} WHERE l > 3)",
        ])


def unnests(rng, count):
    pick = rng.choice
    for _ in range(count):
        what = pick(["sa", "la", "da", "MV_TO_ARRAY(mv)", "ARRAY['a','b',NULL]", "ARRAY[1,2]", "STRING_TO_ARRAY(s, 'b')", "ARRAY[s, u]", "ARRAY_CONCAT(sa, ARRAY['z'])", "mv", "s",
                     "MV_TO_ARRAY(s)", "JSON_VALUE(j, '$.a' RETURNING VARCHAR ARRAY)", "JSON_VALUE(j, '$.a' RETURNING BIGINT ARRAY)", "JSON_QUERY_ARRAY(j, '$.a')", "ARRAY[l, id]", "NULL", "ARRAY[]"])
        text = pick([f"FROM {TABLE} CROSS JOIN UNNEST({what}) AS x(c)", f"FROM {TABLE}, UNNEST({what}) AS x(c)", f"FROM (SELECT * FROM {TABLE} WHERE {pick(CONDITIONS)}), UNNEST({what}) AS x(c)",
                     f"FROM {TABLE} CROSS JOIN UNNEST({what}) AS x(c) CROSS JOIN UNNEST(ARRAY[1,2]) AS y(e)", f"FROM {TABLE} LEFT JOIN UNNEST({what}) AS x(c) ON TRUE", f"FROM {TABLE} t, UNNEST({what}) WITH ORDINALITY AS x(c, o)"])
        where = rng.random() < 0.5 and f" WHERE {pick(['c = ' + chr(39) + 'a' + chr(39), 'c IS NULL', 'c IS NOT NULL', 'c IN (' + pick(VALUES) + ', ' + pick(VALUES) + ')', 'c > 1', 'c <> ' + pick(VALUES), 's = ' + chr(39) + 'a' + chr(39) + ' AND c IS NOT NULL', 'c = s', 'UPPER(c) = ' + chr(39) + 'A' + chr(39), 'c LIKE ' + chr(39) + 'a%' + chr(39), 'NOT (c = ' + pick(VALUES) + ')', pick(CONDITIONS)])}" or ""
        yield "unnest", pick([f"SELECT id, c {text}{where}", f"SELECT c, COUNT(*) {text}{where} GROUP BY c", f"SELECT c, COUNT(*) AS n {text}{where} GROUP BY c ORDER BY n DESC, c LIMIT 3", f"SELECT COUNT(*) {text}{where}",
                              f"SELECT {pick(PLAIN)} {text}{where}", f"SELECT DISTINCT c {text}{where}", f"SELECT MAX(c), COUNT(DISTINCT c), ARRAY_AGG(c) {text}{where}", f"SELECT c || 'x' AS y, s {text}{where}", f"SELECT * {text}{where}",
                              f"SELECT s, c, COUNT(*) {text}{where} GROUP BY GROUPING SETS ((s, c), (s), ())", f"SELECT ARRAY[c, c] AS y {text}{where}"])
    yield "unnest", "SELECT * FROM UNNEST(ARRAY[1,2,3])"
    yield "unnest", "SELECT d FROM UNNEST(ARRAY['a',NULL]) AS t(d) WHERE d IS NOT NULL"
    yield "unnest", "SELECT d + 1 FROM UNNEST(ARRAY[1.5,2]) AS t(d)"


def shapes(rng, count):
    pick = rng.choice
    select = lambda: pick([f"SELECT s, l FROM {TABLE}", f"SELECT s, MAX(l) AS l FROM {TABLE} GROUP BY 1", "SELECT dim1, cnt FROM foo", "SELECT 'a', 1", "VALUES ('x', 2)", f"SELECT u, id FROM {TABLE} WHERE {pick(CONDITIONS)}",
                           "SELECT NULL, 5", f"SELECT l, s FROM {TABLE}", "SELECT dim2, m1 FROM foo", f"SELECT s, COUNT(*) FROM {TABLE} GROUP BY s", f"SELECT s FROM {TABLE}"])
    orders = ["__time", "__time DESC", "id", "l DESC", "s", "s DESC, id", "l, id", "mv, id", "d DESC NULLS LAST, id", "s NULLS FIRST, id", "1", "2 DESC, 1", "l + 1, id", "LENGTH(s), id", "3", "nosuch", "'a'", "COUNT(*)", "sa, id", "j"]
    for _ in range(count):
        area = pick(["set", "set", "order", "order", "values", "context", "names"])
        if area == "set":
            both = f"({select()}) {pick(['UNION ALL', 'UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT'])} ({select()})" if rng.random() < 0.3 else f"{select()} {pick(['UNION ALL', 'UNION ALL', 'UNION', 'EXCEPT', 'INTERSECT'])} {select()}"
            yield area, pick([both, f"SELECT * FROM ({both}) WHERE s IS NOT NULL", f"SELECT s, COUNT(*) FROM ({both}) GROUP BY 1", f"{both} ORDER BY 1, 2", f"SELECT SUM(l) FROM ({both})", f"{both} LIMIT 100"])
        elif area == "order":
            limit = pick(["", "", " LIMIT 3", " LIMIT 3 OFFSET 2", " OFFSET 4", " OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY", " FETCH FIRST 2 ROWS ONLY", " LIMIT 0", " LIMIT ALL", " LIMIT 2, 3", " LIMIT -1", " LIMIT 1.5", " OFFSET 100"])
            yield area, f"SELECT {pick(['id, l', 'l, id', 's, id', '__time, id', '*', 'id', 'mv, id', 's AS l, id'])} FROM {TABLE}{pick(['', ' WHERE ' + pick(CONDITIONS)])} ORDER BY {pick(orders)}{limit}"
        elif area == "values":
            rows = ", ".join(f"({pick(CONSTANTS)}, {pick(CONSTANTS)})" for _ in range(pick([1, 2, 3])))
            yield area, pick([f"VALUES {rows}", f"SELECT a, b FROM (VALUES {rows}) AS t(a, b)", f"SELECT a, COUNT(*), MAX(b) FROM (VALUES {rows}) AS t(a, b) GROUP BY a", f"SELECT * FROM (VALUES {rows}) AS t(a, b) WHERE a IS NOT NULL ORDER BY 1",
                              f"SELECT a + 1, b FROM (VALUES {rows}) AS t(a, b)", f"SELECT {pick(CONSTANTS)} AS a, {pick(CONSTANTS)} AS b", f"SELECT {pick(CONSTANTS)} = {pick(CONSTANTS)} AS x", f"SELECT COUNT(*), SUM(a) FROM (VALUES {rows}) AS t(a, b)"])
        elif area == "names":
            yield area, pick([f"SELECT s, s FROM {TABLE}", f"SELECT s AS \"a b\", l AS \"select\" FROM {TABLE}", f"SELECT COUNT(*), COUNT(*) FROM {TABLE}", f"SELECT t.s, t.* FROM {TABLE} t", f"SELECT S FROM {TABLE}", f"SELECT {TABLE}.s FROM druid.{TABLE}",
                              f"SELECT druid.{TABLE}.s FROM druid.{TABLE}", f"SELECT l + 1, l FROM {TABLE}", f"SELECT MAX(l) + 1, s FROM {TABLE} GROUP BY s", f"SELECT * FROM {TABLE} a, {TABLE} b WHERE a.id = b.id", f"SELECT 1 AS x, 2 AS X", f"SELECT CASE WHEN TRUE THEN 1 END",
                              f"SELECT s x FROM {TABLE}", f"SELECT x.s FROM {TABLE} y", f"SELECT a.s FROM {TABLE} a JOIN {TABLE} b ON a.id = b.id", f"SELECT s FROM {TABLE} a JOIN {TABLE} b ON a.id = b.id", "SELECT * FROM nosuch", "SELECT nosuch FROM foo", f"SELECT s, COUNT(*) FROM {TABLE}",
                              f"SELECT s FROM {TABLE} GROUP BY l", f"SELECT l FROM {TABLE} HAVING l > 1", f"SELECT COUNT(*) FROM {TABLE} WHERE COUNT(*) > 1", f"SELECT SUM(SUM(l)) FROM {TABLE}", "SELECT", "SELECT FROM foo", "SELECT 1 1", "SELECT 'a", "SELECT * FORM foo", "SELECT (1", "",
                              ";", "SELECT 1;", "SELECT 1; SELECT 2", "SELECT nosuch(1)", "SELECT 1 FROM foo LIMIT x", "INSERT INTO foo SELECT 1", "DELETE FROM foo", "SELECT ?", "SELECT * FROM foo WHERE", "SELECT dim1 FROM foo GROUP BY 5", "SELECT a.* FROM foo b", "SELECT COUNT(*) OVER (ORDER BY) FROM foo",
                              "SELECT 1e400", "SELECT 99999999999999999999", "SELECT -9223372036854775808", "SELECT 0x1F", "SELECT X'1F'", "SELECT DATE '2000-13-01'", "SELECT TIMESTAMP 'x'", "SELECT INTERVAL '1' DAY", "SELECT INTERVAL 'x' DAY", "SELECT TIME '01:02:03'", "SELECT CURRENT_TIME", "SELECT USER",
                              "SELECT ROW(1, 2)", "SELECT MULTISET[1]", "SELECT MAP['a', 1]", "SELECT ARRAY[1, 'a', 2.5]", "SELECT ARRAY[]", "SELECT ARRAY[ARRAY[1]]", "SELECT ARRAY[NULL]", "SELECT DISTINCT dim1, COUNT(*) FROM foo GROUP BY dim1", "SELECT dim1 FROM foo TABLESAMPLE BERNOULLI(10)",
                              "SELECT COUNT(dim1, dim2) FROM foo", "SELECT COUNT(DISTINCT dim1, dim2) FROM foo", "SELECT COUNT(DISTINCT *) FROM foo", "SELECT SUM(DISTINCT m1) FROM foo", "SELECT AVG(DISTINCT m1), COUNT(DISTINCT dim1), COUNT(DISTINCT dim2) FROM foo", "SELECT dim1, SUM(DISTINCT m1) FROM foo GROUP BY 1"])
        else:
            context = {pick(["sqlTimeZone", "useApproximateCountDistinct", "useApproximateTopN", "sqlStringifyArrays", "vectorize", "groupByStrategy", "sqlUseBoundAndSelectors", "timeout", "useGroupingSetForExactDistinct",
                             "inSubQueryThreshold", "inFunctionThreshold", "inFunctionExprThreshold", "sqlReverseLookup", "sqlPullUpLookup", "sqlFinalizeOuterSketches", "skipEmptyBuckets", "enableTimeBoundaryPlanning", "maxSubqueryRows", "groupByEnableMultiValueUnnesting", "useLexicographicTopN",
                             "sqlOuterLimit", "sqlPlannerBloat", "enableUnnest", "useRegularGroupBy", "useApproximateHll"]): pick(["America/Los_Angeles", "Asia/Kathmandu", "UTC", "nonsense", True, False, "true", "false", 0, 1, 2, "1", "force", None, -1, 1.5])}
            yield "context " + next(iter(context)), pick([f"SELECT FLOOR(__time TO DAY) AS t, COUNT(*) FROM {TABLE} GROUP BY 1", f"SELECT COUNT(DISTINCT s) FROM {TABLE}", f"SELECT s, COUNT(DISTINCT l) FROM {TABLE} GROUP BY s ORDER BY 2 DESC LIMIT 2",
                          f"SELECT sa, mv, __time FROM {TABLE}", f"SELECT LOOKUP(s, 'lookyloo'), COUNT(*) FROM {TABLE} GROUP BY 1", f"SELECT COUNT(*) FROM {TABLE} WHERE LOOKUP(s, 'lookyloo') IN ('xa', 'xb')", f"SELECT s FROM {TABLE} WHERE s IN ('a', 'b', 'c')",
                          f"SELECT s FROM {TABLE} WHERE l IN (1, 3, 5)", f"SELECT DS_HLL(s) FROM {TABLE}", f"SELECT TIMESTAMP '2000-01-01 00:00:00' AS a, CAST(__time AS VARCHAR) AS b, EXTRACT(HOUR FROM __time) AS c FROM {TABLE}", f"SELECT MAX(__time) FROM {TABLE}",
                          f"SELECT mv, COUNT(*) FROM {TABLE} GROUP BY 1", f"SELECT s FROM {TABLE} WHERE s IN (SELECT dim1 FROM foo)", f"SELECT __time FROM {TABLE} WHERE __time >= '2000-01-31'", f"SELECT TIME_FORMAT(__time), TIME_PARSE('2000-01-01') FROM {TABLE}",
                          f"SELECT CAST('2000-01-01' AS DATE), TIME_SHIFT(__time, 'P1D', 1) FROM {TABLE}", f"SELECT s FROM {TABLE} GROUP BY s ORDER BY MAX(l) DESC LIMIT 2"]), context


CONSTANTS = ["1", "'a'", "NULL", "2.5", "TRUE", "TIMESTAMP '2000-01-01 00:00:00'", "DATE '2000-01-01'", "ARRAY[1,2]", "ARRAY['a']", "'1'", "9223372036854775807", "1e3", "''", "-1", "CAST(NULL AS BIGINT)", "1 + 1", "UPPER('a')", "0.1", "FALSE", "'ż'"]


def metadata():
    for name in (TABLE, "foo", "numfoo", "arrays", "nested", "foo_hll", "wikipedia"):
        yield "metadata", f"SELECT * FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{name}' AND TABLE_SCHEMA = 'druid'"
        yield "metadata", f"SELECT * FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = '{name}'"
    for table in ("SCHEMATA", "TABLES", "COLUMNS", "ROUTINES"):
        yield "metadata", f"SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, JDBC_TYPE, ORDINAL_POSITION FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{table}'"
    for table in ("segments", "servers", "server_segments", "tasks", "supervisors"):
        yield "metadata", f"SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT, JDBC_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'sys' AND TABLE_NAME = '{table}'"
    yield "metadata", "SELECT * FROM INFORMATION_SCHEMA.SCHEMATA"
    for name in "TIME_FLOOR ABS CONCAT COUNT SUM JSON_VALUE ARRAY_AGG SUBSTRING TRIM CAST COALESCE EARLIEST STRING_AGG MV_CONTAINS ROUND".split():
        yield "metadata", f"SELECT * FROM INFORMATION_SCHEMA.ROUTINES WHERE ROUTINE_NAME = '{name}'"
    yield "metadata", "SELECT ROUTINE_NAME, IS_AGGREGATOR, SIGNATURES FROM INFORMATION_SCHEMA.ROUTINES"
    yield "metadata", f"SELECT \"datasource\", \"start\", \"end\", version <> '', partition_num, num_rows, is_active, is_published, is_available, is_realtime, is_overshadowed FROM sys.segments WHERE datasource = '{TABLE}'"
    yield "metadata", f"SELECT TABLE_NAME, COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'druid' GROUP BY 1 HAVING COUNT(*) > 10"
