"""Aggregate functions over every kind of operand, with FILTER and DISTINCT, over groups, all rows and no rows; windows; grouping sets."""
from .data import TABLE
from .functions import FITS, VALUES, expression

CALLS = ["COUNT({0})", "SUM({0})", "MIN({0})", "MAX({0})", "AVG({0})", "ANY_VALUE({0})", "APPROX_COUNT_DISTINCT({0})", "APPROX_COUNT_DISTINCT_BUILTIN({0})",
         "APPROX_COUNT_DISTINCT_DS_HLL({0})", "APPROX_COUNT_DISTINCT_DS_THETA({0})", "APPROX_QUANTILE_DS({0}, 0.5)", "EARLIEST({0})", "LATEST({0})",
         "EARLIEST({0}, 100)", "LATEST({0}, 10)", "ANY_VALUE({0}, 20)", "ANY_VALUE({0}, 20, FALSE)", "EARLIEST_BY({0}, __time)", "LATEST_BY({0}, MILLIS_TO_TIMESTAMP(l))",
         "EARLIEST_BY({0}, __time, 10)", "ARRAY_AGG({0})", "ARRAY_AGG({0}, 1000)", "ARRAY_CONCAT_AGG({0})", "STRING_AGG({0}, ',')", "STRING_AGG({0}, '|', 1000)",
         "LISTAGG({0}, '-')", "LISTAGG({0})", "STRING_AGG({0})", "BIT_AND({0})", "BIT_OR({0})", "BIT_XOR({0})", "GROUPING({0})", "DS_GET_QUANTILE(DS_QUANTILES_SKETCH({0}), 0.5)",
         "HLL_SKETCH_ESTIMATE(DS_HLL({0}), TRUE)", "HLL_SKETCH_ESTIMATE(DS_HLL({0}))", "THETA_SKETCH_ESTIMATE(DS_THETA({0}))", "DS_HLL({0})", "DS_THETA({0})",
         "DS_QUANTILES_SKETCH({0})", "HLL_SKETCH_TO_STRING(DS_HLL({0}))", "DS_QUANTILE_SUMMARY(DS_QUANTILES_SKETCH({0}))", "DS_HISTOGRAM(DS_QUANTILES_SKETCH({0}), 1, 2)",
         "DS_RANK(DS_QUANTILES_SKETCH({0}), 2)", "DS_CDF(DS_QUANTILES_SKETCH({0}), 2, 3)", "DS_GET_QUANTILES(DS_QUANTILES_SKETCH({0}, 64), 0.1, 0.9)",
         "HLL_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS(DS_HLL({0}, 12, 'HLL_8'), 2)", "THETA_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS(DS_THETA({0}, 64), 2)",
         "DS_TUPLE_DOUBLES({0}, d)", "SUM({0} + 1)", "SUM(CAST({0} AS DOUBLE))", "COUNT(*)", "SUM(1)", "MIN(1.5)", "SUM({0}) / COUNT(*)", "SUM({0}) + MAX(l)"]

PLAIN = ["COUNT(*)", "COUNT(l)", "SUM(l)", "SUM(d)", "MIN(f)", "MAX(s)", "MAX(__time)", "AVG(l)", "COUNT(DISTINCT s)", "ANY_VALUE(s)", "EARLIEST(s)", "LATEST(d)", "ARRAY_AGG(l)",
         "STRING_AGG(s, ',')", "MIN(s)", "SUM(l) FILTER (WHERE s = 'a')", "COUNT(DISTINCT mv)", "BIT_OR(id)", "APPROX_COUNT_DISTINCT_DS_HLL(s)"]
CONDITIONS = ["s = 'a'", "s IS NULL", "l > 2", "mv = 'a'", "d < 0", "FALSE", "TRUE", "s LIKE 'a%'", "MV_CONTAINS(mv, 'b')", "__time < TIMESTAMP '2000-02-01'", "s IN ('a', 'b')",
              "NOT (mv = 'b')", "ARRAY_CONTAINS(sa, 'a')", "JSON_VALUE(j, '$.x') IS NOT NULL", "s = 'nosuch'", "l IS NOT NULL AND s <> 'a'", "u = 'x' OR n = '1'"]
KEYS = ["s", "mv", "l", "d", "f", "FLOOR(__time TO MONTH)", "TIME_FLOOR(__time, 'P1Y')", "sa", "la", "UPPER(s)", "l > 2", "CAST(l AS VARCHAR)", "n", "CASE WHEN l > 1 THEN 'x' END",
        "JSON_VALUE(j, '$.x')", "EXTRACT(MONTH FROM __time)", "SUBSTRING(s, 1, 1)", "LOOKUP(s, 'lookyloo')", "l + 1", "1", "'const'", "__time"]


def each(rng):
    """Every aggregate over every value, in one of several statements."""
    for call in CALLS:
        for value in VALUES:
            one = call.format(value)
            key, condition = rng.choice(KEYS[:8]), rng.choice(CONDITIONS)
            yield call, f"SELECT {one} AS x FROM {TABLE}"
            yield call, rng.choice([
                f"SELECT {key} AS k, {one} AS x FROM {TABLE} GROUP BY 1", f"SELECT {one} AS x FROM {TABLE} WHERE FALSE",
                f"SELECT {one} FILTER (WHERE {condition}) AS x FROM {TABLE}", f"SELECT {key} AS k, {one} AS x FROM {TABLE} WHERE l = 12345 GROUP BY 1",
                f"SELECT {one} AS x FROM {TABLE} WHERE l = 12345", f"SELECT {one} AS x FROM {TABLE} GROUP BY ()",
                f"SELECT {key} AS k, {one} AS x FROM {TABLE} GROUP BY 1 HAVING {one} IS NOT NULL",
                f"SELECT MAX(x) FROM (SELECT {key} AS k, {one} AS x FROM {TABLE} GROUP BY 1)",
                f"SELECT {call.replace('({0}', '(DISTINCT {0}', 1).format(value)} AS x FROM {TABLE}",
            ])


def grouped(rng, count):
    """Random grouping with sets, HAVING, ORDER BY and LIMIT."""
    pick = rng.choice
    for _ in range(count):
        keys = [pick(KEYS) for _ in range(pick([0, 1, 1, 2, 2, 3]))]
        aggregates = [pick(PLAIN) if rng.random() < 0.7 else pick(CALLS).format(pick(VALUES[:12])) for _ in range(pick([1, 1, 2, 3]))]
        if rng.random() < 0.15:
            aggregates.append(f"SUM({expression(rng)})")
        names = [f"k{i}" for i in range(len(keys))]
        columns = [f"{k} AS {n}" for k, n in zip(keys, names)] + [f"{a} AS a{i}" for i, a in enumerate(aggregates)]
        sql = f"SELECT {', '.join(columns)} FROM {TABLE}"
        if rng.random() < 0.4:
            sql += f" WHERE {pick(CONDITIONS)}" + (f" {pick(['AND', 'OR'])} {pick(CONDITIONS)}" if rng.random() < 0.3 else "")
        positions = [str(i + 1) for i in range(len(keys))]
        area = "grouped"
        if keys:
            form = rng.random()
            if form < 0.6:
                sql += " GROUP BY " + ", ".join(positions if rng.random() < 0.7 else keys)
            else:
                area, sets = "grouping sets", pick(["CUBE({})", "ROLLUP({})", "GROUPING SETS (({}), ())", "GROUPING SETS ({})", "GROUPING SETS (({}))"])
                sql += f" GROUP BY {sets.format(', '.join(keys))}"
                if rng.random() < 0.5:
                    sql = sql.replace(" FROM", f", GROUPING({pick(keys)}) AS g FROM", 1) if rng.random() < 0.5 else sql.replace(" FROM", f", GROUPING({', '.join(keys)}) AS g FROM", 1)
        if rng.random() < 0.25:
            sql += f" HAVING {pick(aggregates)} {pick(['> 1', 'IS NOT NULL', '= 2', 'IS NULL', '< 5', '<> 1'])}"
        if rng.random() < 0.3:
            every = positions + [str(len(keys) + i + 1) for i in range(len(aggregates))]
            rng.shuffle(every)
            sql += " ORDER BY " + ", ".join(f"{p}{pick(['', ' DESC', ' ASC'])}" for p in every)
            if rng.random() < 0.5:
                sql += f" LIMIT {pick([1, 2, 5])}" + pick(["", "", " OFFSET 1"])
        yield area, sql


FRAMES = ["", "", "ROWS UNBOUNDED PRECEDING", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "ROWS CURRENT ROW",
          "RANGE UNBOUNDED PRECEDING", "RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "RANGE CURRENT ROW",
          "ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING", "ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING", "ROWS BETWEEN 0 PRECEDING AND 0 FOLLOWING", "ROWS UNBOUNDED FOLLOWING",
          "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW", "ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING", "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"]
RANKS = ["ROW_NUMBER()", "RANK()", "DENSE_RANK()", "PERCENT_RANK()", "CUME_DIST()", "NTILE(2)", "NTILE(3)", "LAG({0})", "LEAD({0})", "LAG({0}, 2)", "LEAD({0}, 1)", "LAG({0}, 1, 0)",
         "FIRST_VALUE({0})", "LAST_VALUE({0})", "NTH_VALUE({0}, 2)", "LAG({0}, 0)"]
SUMS = ["SUM({0})", "COUNT({0})", "COUNT(*)", "MIN({0})", "MAX({0})", "AVG({0})", "ANY_VALUE({0})", "COUNT(DISTINCT {0})", "ARRAY_AGG({0})", "STRING_AGG({0}, ',')", "EARLIEST({0})"]


def windows(rng, count):
    """Windows over the table, over a grouped subquery, and over groups of the same statement."""
    pick = rng.choice
    for _ in range(count):
        source = pick(["table", "sub", "grouped", "wiki"])
        if source == "table":
            columns, tail, order = ["l", "d", "s", "f", "id", "__time"], f"FROM {TABLE}", ["__time, id", "id", "s, id", "l", "s", "id DESC", "d, id"]
        elif source == "sub":
            columns, order = ["c", "m", "s", "t"], ["s", "t, s", "c, s, t", "m, s, t", "s DESC, t", "t"]
            tail = f"FROM (SELECT s, TIME_FLOOR(__time, 'P1Y') AS t, COUNT(*) AS c, MAX(l) AS m FROM {TABLE} GROUP BY 1, 2)"
        elif source == "grouped":
            columns, order = ["SUM(l)", "COUNT(*)", "s", "MAX(d)"], ["s", "TIME_FLOOR(__time, 'P1Y'), s", "s DESC, TIME_FLOOR(__time, 'P1Y')", "COUNT(*), s, TIME_FLOOR(__time, 'P1Y')", "s"]
            tail = f"FROM {TABLE} GROUP BY s, TIME_FLOOR(__time, 'P1Y')"
        else:
            columns, order = ["countryName", "cityName", "SUM(delta)", "COUNT(*)", "FLOOR(__time TO HOUR)"], ["countryName, cityName, FLOOR(__time TO HOUR)", "cityName", "SUM(delta), countryName"]
            tail = "FROM wikipedia WHERE countryName IN ('Austria', 'Republic of Korea', 'Guatemala') GROUP BY countryName, cityName, FLOOR(__time TO HOUR)"
        keys = {"table": ["s", "l", "mv", "f > 0"], "sub": ["s", "t"], "grouped": ["s", "TIME_FLOOR(__time, 'P1Y')"], "wiki": ["countryName", "cityName"]}[source]
        part = pick(["", f"PARTITION BY {pick(keys)} ", f"PARTITION BY {pick(keys)} ", f"PARTITION BY {keys[0]}, {keys[1]} "])
        by = f"ORDER BY {pick(order)} " if rng.random() < 0.75 else ""
        name = rng.random() < 0.2
        def over(call):
            frame = pick(FRAMES) if call[0] in SUMS or call[0][:5] in ("FIRST", "LAST_") else pick(FRAMES) if rng.random() < 0.1 else ""
            return f"{call[1]} OVER {'w' if name else '(' + part + by + frame + ')'}"
        calls = [(c, c.format(pick(columns))) for c in (pick(RANKS + SUMS + SUMS) for _ in range(pick([1, 1, 2])))]
        shown = [columns[0] if source != "table" else "id"] + ([keys[0]] if source != "table" else [])
        sql = f"SELECT {', '.join(f'{c} AS c{i}' for i, c in enumerate(shown))}, {', '.join(f'{over(c)} AS w{i}' for i, c in enumerate(calls))} {tail}"
        if name:
            sql += f" WINDOW w AS ({part}{by}{pick(FRAMES)})"
        if rng.random() < 0.15:
            sql = f"SELECT * FROM ({sql}) WHERE w0 {pick(['> 1', 'IS NOT NULL', '= 1'])}"
        elif rng.random() < 0.1:
            sql += f" QUALIFY w0 {pick(['> 1', 'IS NOT NULL'])}"
        yield f"window {source}", sql
