#!/usr/bin/env python3
"""Asks a running Ovate and DuckDB the same random SQL over small tables and prints where they differ.

    venv/bin/pip install duckdb
    venv/bin/python bench/differential_sql.py http://127.0.0.1:8888 --count 1000 --seed 1

Loads three tables (differential_a, _b, _c) with nulls by ordinary tasks, unless they are there. Statements: joins of all kinds, correlated
and other subqueries, grouping, windows, set operations, order with limit. Exits with 1 when an answer differs or a statement
that DuckDB answers is refused. GROUPING SETS over no rows give no row here, as in Druid, and are not asked.
"""
import argparse
import collections
import json
import random
import sys
import time
import urllib.error
import urllib.request

import duckdb

TABLES = {"differential_a": 60, "differential_b": 25, "differential_c": 8}


def rows_of(table, count):
    rng = random.Random(table)
    maybe = lambda value: None if rng.random() < 0.1 else value
    return [
        {
            "t": f"2024-01-{1 + i % 5:02d}T{i % 24:02d}:00:00Z",
            "k": maybe(rng.randrange(8)),
            "s": maybe(rng.choice(["a", "b", "c", "d", "ab", "e"])),
            "x": maybe(rng.randrange(-5, 20)),
            "id": i,
        }
        for i in range(count)
    ]


class Server:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def post(self, path, document):
        request = urllib.request.Request(
            self.url + path, json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=60))

    def ask(self, sql):
        context = {"useApproximateCountDistinct": False, "timeout": 30000}
        return self.post("/druid/v2/sql", {"query": sql, "resultFormat": "array", "context": context})

    def has(self, table, count):
        try:
            return self.ask(f"SELECT COUNT(*) FROM {table}") == [[count]]
        except urllib.error.HTTPError:
            return False

    def load(self, table, rows):
        if self.has(table, len(rows)):
            return
        dimensions = [{"type": "long", "name": "k"}, "s", {"type": "long", "name": "x"}, {"type": "long", "name": "id"}]
        schema = {
            "dataSource": table,
            "timestampSpec": {"column": "t", "format": "iso"},
            "dimensionsSpec": {"dimensions": dimensions},
            "granularitySpec": {"segmentGranularity": "DAY", "rollup": False},
        }
        data = "\n".join(json.dumps(row) for row in rows)
        io = {"type": "index_parallel", "inputSource": {"type": "inline", "data": data}, "inputFormat": {"type": "json"}}
        spec = {"dataSchema": schema, "ioConfig": io, "tuningConfig": {"type": "index_parallel"}}
        self.post("/druid/indexer/v1/task", {"type": "index_parallel", "spec": spec})
        end = time.monotonic() + 120
        while not self.has(table, len(rows)):
            if time.monotonic() > end:
                raise SystemExit(f"{table} is not there after two minutes")
            time.sleep(0.3)


class Statements:
    """Random statements. `t` is an alias, `aliases` those in scope, `deep` how far expressions are nested."""

    def __init__(self, rng):
        self.rng, self.subqueries = rng, 0

    def number(self, t, deep=0):
        pick, chance = self.rng.choice, self.rng.random()
        if deep > 1 or chance < 0.45:
            return f"{t}.{pick('kx')}"
        inner = lambda: self.number(t, deep + 1)
        if chance < 0.55:
            return str(self.rng.randrange(-3, 12))
        if chance < 0.7:
            return f"({inner()} {pick('+-*')} {inner()})"
        if chance < 0.8:
            return f"COALESCE({inner()}, {self.rng.randrange(5)})"
        if chance < 0.9:
            return f"CASE WHEN {self.plain(t)} THEN {inner()} ELSE {inner()} END"
        return f"ABS({inner()})"

    def text(self, t, deep=0):
        chance = self.rng.random()
        if deep > 1 or chance < 0.6:
            return f"{t}.s"
        inner = lambda: self.text(t, deep + 1)
        if chance < 0.7:
            return self.rng.choice(["'a'", "'b'", "'zz'"])
        if chance < 0.8:
            return f"({inner()} || {inner()})"
        return f"UPPER({inner()})" if chance < 0.9 else f"COALESCE({inner()}, 'n')"

    def plain(self, t):
        """A condition without subqueries."""
        pick, maybe = self.rng.choice, self.rng.choice(["", "NOT "])
        number, text = self.number(t, 1), self.text(t, 1)
        return pick([
            f"{number} {pick(['=', '<>', '<', '>', '<=', '>='])} {self.number(t, 1)}",
            f"{text} {pick(['=', '<>', '<', '>='])} {self.text(t, 1)}",
            f"{number} IS {maybe}NULL",
            f"{text} IS {maybe}NULL",
            f"{number} {maybe}IN ({self.rng.randrange(9)}, {self.rng.randrange(9)}, 3)",
            f"{number} BETWEEN {self.rng.randrange(-3, 5)} AND {self.rng.randrange(3, 12)}",
            f"{text} LIKE {pick([chr(39) + like + chr(39) for like in ('a%', '%b', '_', '%')])}",
        ])

    def condition(self, aliases, deep=0):
        t, chance = self.rng.choice(aliases), self.rng.random()
        again = lambda: self.condition(aliases, deep + 1)
        if deep < 2 and chance < 0.27:
            return f"(NOT {again()})" if chance < 0.05 else f"({again()} {self.rng.choice(['AND', 'OR'])} {again()})"
        if self.subqueries < 2 and chance < 0.5:
            return self.subquery(t)
        return self.plain(t)

    def subquery(self, t):
        pick = self.rng.choice
        self.subqueries += 1
        table, q = pick(list(TABLES)), f"q{self.subqueries}"
        where = [f"{q}.{pick('kx')} {pick('===<')} {self.number(t, 2)}"] if self.rng.random() < 0.6 else []
        where += [self.condition([q], 1)] if self.rng.random() < 0.5 else []
        tail = f"FROM {table} {q}" + (f" WHERE {' AND '.join(where)}" if where else "")
        self.subqueries -= 1
        maybe = pick(["", "", "NOT "])
        return pick([
            f"{maybe}EXISTS (SELECT 1 {tail})",
            f"{self.number(t, 2)} {maybe}IN (SELECT {self.number(q, 2)} {tail})",
            f"{self.number(t, 2)} {pick('<>=')} (SELECT {pick(['MAX', 'MIN', 'COUNT', 'SUM'])}({self.number(q, 2)}) {tail})",
        ])

    def source(self):
        """FROM and perhaps WHERE, and the aliases in them."""
        pick = self.rng.choice
        aliases, text = ["t1"], f"FROM {pick(list(TABLES))} t1"
        for _ in range(pick([0, 1, 1, 2])):
            t, table, other = f"t{len(aliases) + 1}", pick(list(TABLES)), pick(aliases)
            if self.rng.random() < 0.3:
                table = f"(SELECT k, s, MAX(x) AS x FROM {table} GROUP BY k, s)"
            on = f"{other}.{pick('kx')} = {t}.{pick('kx')}"
            on += f" AND {other}.s = {t}.s" if self.rng.random() < 0.3 else ""
            on += f" AND {other}.{pick('kx')} {pick(['<', '>='])} {t}.{pick('kx')}" if self.rng.random() < 0.25 else ""
            text += f" {pick(['JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'])} {table} {t} ON {on}"
            aliases.append(t)
        if self.rng.random() < 0.7:
            text += f" WHERE {self.condition(aliases)}"
        return text, aliases

    def rows(self):
        tail, aliases = self.source()
        column = lambda: (self.number if self.rng.random() < 0.6 else self.text)(self.rng.choice(aliases), 1)
        columns = ", ".join(f"{column()} AS c{i}" for i in range(self.rng.choice([1, 2, 3])))
        return f"SELECT {self.rng.choice(['', '', 'DISTINCT '])}{columns} {tail}"

    def grouped(self):
        tail, aliases = self.source()
        t = self.rng.choice(aliases)
        number = lambda: self.number(self.rng.choice(aliases), 1)
        kinds = ["COUNT(*)", f"SUM({number()})", f"MIN({number()})", f"COUNT(DISTINCT {number()})",
                 f"SUM({number()}) FILTER (WHERE {self.plain(t)})"]
        keys = self.rng.choice(["", f"{t}.k", f"{t}.s", f"{t}.k, {t}.s"])
        having = f" HAVING COUNT(*) > {self.rng.randrange(4)}" if self.rng.random() < 0.25 else ""
        return f"SELECT {keys + ', ' if keys else ''}{self.rng.choice(kinds)} {tail}{' GROUP BY ' + keys if keys else ''}{having}"

    def ordered(self):
        tail, aliases = self.source()
        t, pick = self.rng.choice(aliases), self.rng.choice
        order = f"1 {pick(['ASC NULLS FIRST', 'DESC NULLS LAST'])}, 2 {pick(['ASC NULLS LAST', 'DESC NULLS FIRST'])}"
        return (f"SELECT {t}.k, {t}.x, COUNT(*) {tail} GROUP BY 1, 2 ORDER BY {order} "
                f"LIMIT {self.rng.randrange(1, 9)} OFFSET {self.rng.randrange(3)}")

    def windows(self):
        pick = self.rng.choice
        part = pick(["", "PARTITION BY k ", "PARTITION BY s ", "PARTITION BY k, s "])
        order = f"ORDER BY id{pick(['', ' DESC'])}"
        frame = pick(["", " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING", " ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
                      " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"])
        one = pick(["SUM(x)", "COUNT(x)", "COUNT(*)", "MIN(x)", "MAX(k)", "FIRST_VALUE(x)", "LAST_VALUE(x)"])
        rank = pick(["ROW_NUMBER()", "RANK()", "LAG(x)", "LEAD(x, 2)", "NTILE(3)", "CUME_DIST()", "PERCENT_RANK()"])
        return f"SELECT id, {one} OVER ({part}{order}{frame}), {rank} OVER ({part}{order}) FROM {pick(list(TABLES))}"

    def sets(self):
        pick = self.rng.choice
        one = lambda: (f"SELECT {self.number('t1', 1)} AS a, {self.text('t1', 1)} AS b "
                       f"FROM {pick(list(TABLES))} t1 WHERE {self.condition(['t1'], 1)}")
        both = f"({one()}) {pick(['UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT'])} ({one()})"
        return pick([both, f"SELECT b, COUNT(*), SUM(a) FROM ({both}) u GROUP BY b"])

    def any(self):
        self.subqueries = 0
        return self.rng.choice([self.rows, self.rows, self.grouped, self.grouped, self.ordered, self.windows, self.sets])()


def plain_rows(rows):
    value = lambda v: v if v is None or isinstance(v, str) else float(v)
    return sorted(([value(v) for v in row] for row in rows), key=json.dumps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    duck, server = duckdb.connect(), Server(args.url)
    for table, count in TABLES.items():
        rows = rows_of(table, count)
        duck.execute(f"CREATE TABLE {table} (k BIGINT, s VARCHAR, x BIGINT, id BIGINT)")
        duck.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", [(r["k"], r["s"], r["x"], r["id"]) for r in rows])
        server.load(table, rows)
    statements, found = Statements(random.Random(args.seed)), collections.Counter()
    for _ in range(args.count):
        sql = statements.any()
        try:
            expected = plain_rows(duck.execute(sql).fetchall())
        except duckdb.Error as error:
            found["refused by DuckDB"] += 1
            print(f"DUCKDB {sql}\n  {str(error)[:200]}", flush=True)
            continue
        try:
            answer = plain_rows(server.ask(sql))
        except urllib.error.HTTPError as error:
            found["refused by Ovate"] += 1
            print(f"REFUSED {sql}\n  {error.read().decode()[:300]}", flush=True)
            continue
        found["same" if answer == expected else "different"] += 1
        if answer != expected:
            print(f"DIFFERS {sql}\n  DuckDB {len(expected)}: {expected[:4]}\n  Ovate {len(answer)}: {answer[:4]}", flush=True)
    print(dict(found))
    sys.exit(1 if found["different"] or found["refused by Ovate"] else 0)


if __name__ == "__main__":
    main()
