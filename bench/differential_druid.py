#!/usr/bin/env python3
"""Asks a running Ovate and a running Apache Druid the same queries and tells where they differ. Standard library only.

    python3 bench/differential_druid.py --ovate http://127.0.0.1:8888 --druid http://127.0.0.1:9888 --areas functions,casts --count 1000 --seed 1

Loads one table of every kind of column into both (`differential_wide`); the data sets of ../shared/conformance should be in both too
(`load.py --url …`). Areas: functions, clauses, casts, pairs, aggregates, grouped, windows, joins, subqueries, unnest, shapes, metadata,
explain, mutated (statements of the conformance cases with parts exchanged), cases, native, mutated-native, formats.
Status, error category and words, column names, both kinds of types, and rows are compared. Prints a table of counts and, for each kind
of difference, how often and one example; every difference goes to `--out` as a JSON line. `--replay FILE` asks such lines again.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import sys

from druid_areas import aggregates, data, functions, mutate, native, statements
from druid_areas.asking import Server, compare

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.environ.get("OVATE_SHARED", os.path.join(HERE, "..", "..", "shared")) + "/conformance/cases"
# What differs by design, in this order of weight.
EXPECTED = ("same", "same error", "druid cannot")


def with_sql(pairs):
    """(area, sql, context, parameters) of shorter tuples."""
    for item in pairs:
        yield (*item, *({}, None)[len(item) - 2:]) if len(item) < 4 else item


def explained(rng, count):
    some = list(aggregates.grouped(rng, count // 3)) + list(functions.clauses(rng, count // 3)) + list(statements.subqueries(rng, count // 6)) + list(statements.joins(rng, count // 6))
    return (("explain", "EXPLAIN PLAN FOR " + item[1]) for item in some)


def formats(rng, count):
    """Bodies for the SQL endpoint with every result format and header."""
    sqls = [f"SELECT s, l, d, f, __time, sa, mv, j FROM {data.TABLE}", f"SELECT s, l FROM {data.TABLE} WHERE FALSE", f"SELECT s, COUNT(*) FROM {data.TABLE} GROUP BY 1", "SELECT 1 AS a, 'x,\"y' AS b, NULL AS c, TRUE AS d, 1.5 AS e", f"SELECT id, u, n FROM {data.TABLE}",
            f"SELECT la, da, DS_HLL(s) FROM {data.TABLE} GROUP BY 1, 2", "SELECT nosuch FROM foo", "SELECT dim1, dim1 FROM foo"]
    for _ in range(count):
        body = {"query": rng.choice(sqls)}
        for key, values in (("resultFormat", ["object", "array", "objectLines", "arrayLines", "csv", "nosuch", None, 1]), ("header", [True, False]), ("typesHeader", [True, False]), ("sqlTypesHeader", [True, False]),
                            ("context", [{}, {"sqlStringifyArrays": False}, {"sqlTimeZone": "Asia/Tokyo"}, {"sqlQueryId": "q1"}]), ("parameters", [[], [{"type": "VARCHAR", "value": "a"}], [{"type": "nosuch", "value": 1}]])):
            if rng.random() < 0.6:
                body[key] = rng.choice(values)
        yield "formats", rng.choice([body] * 12 + ["", "{", "[]", {"query": 5}, {"nosuch": 1}, {"query": "SELECT 1", "nosuch": 2}, {"query": None}, "null", {"query": "SELECT 1", "context": 5}, {"query": "SELECT 1", "header": "yes"}])


def questions(args, druid):
    """(area, kind, question) of the chosen areas."""
    rng = random.Random(args.seed)
    for area in args.areas.split(","):
        n = args.count
        made = {
            "functions": lambda: functions.each_operand(rng), "clauses": lambda: functions.clauses(rng, n), "casts": lambda: functions.casts(rng), "pairs": lambda: functions.pairs(rng, n),
            "aggregates": lambda: aggregates.each(rng), "grouped": lambda: aggregates.grouped(rng, n), "windows": lambda: aggregates.windows(rng, n), "joins": lambda: statements.joins(rng, n),
            "subqueries": lambda: statements.subqueries(rng, n), "unnest": lambda: statements.unnests(rng, n), "shapes": lambda: statements.shapes(rng, n), "metadata": statements.metadata,
            "explain": lambda: explained(rng, n), "mutated": lambda: mutate.random_mutations(args.cases, mutate.columns_of(druid), rng, n), "cases": lambda: mutate.as_given(args.cases),
        }
        if area in made:
            for what, sql, context, parameters in with_sql(made[area]()):
                if rng.random() < args.sample:
                    yield area, what, {"sql": sql, "context": context, "parameters": parameters}
        elif area in ("native", "mutated-native"):
            for what, query in native.queries(rng, n) if area == "native" else native.mutated(args.cases, rng, n):
                yield area, what, {"native": query}
        elif area == "formats":
            for what, body in formats(rng, n):
                yield area, what, {"body": body}
        else:
            sys.exit(f"unknown area {area}")


def ask(server, question):
    if "native" in question:
        return server.post("/druid/v2", question["native"])
    if "body" in question:
        return server.post("/druid/v2/sql", question["body"])
    return server.sql(question["sql"], question["context"], question["parameters"])


def explain_plain(answer):
    """A plan without what is a matter of each server: ids in the context."""
    status, body = answer
    if status != 200:
        return answer
    def clean(value):
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k not in ("sqlQueryId", "queryId", "timeout", "resultFormat") and (k != "context")}
        if isinstance(value, list):
            return [clean(v) for v in value]
        if isinstance(value, str) and value[:1] in "[{":
            try:
                return clean(json.loads(value))
            except ValueError:
                return value
        return value
    return status, clean(body)


def ordered(sql):
    tail = sql[sql.rfind(")") + 1:] if sql.rstrip().endswith(")") is False else ""
    return bool(re.search(r"\border\s+by\b", tail, re.I))


def judged(druid, ovate, area, question):
    answers = ask(druid, question), ask(ovate, question)
    sql = question.get("sql", "")
    if sql.startswith("EXPLAIN"):
        answers = tuple(map(explain_plain, answers))
    if "native" in question:
        q = question["native"]
        verdict = compare(*answers, ordered=q.get("queryType") in ("timeseries", "topN", "scan") or bool((q.get("limitSpec") or {}).get("columns")), headers=0)
    else:
        verdict = compare(*answers, ordered=ordered(sql), headers=3 if sql else 0)
    return verdict, answers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--druid", required=True)
    parser.add_argument("--ovate", required=True)
    parser.add_argument("--areas", default="functions,clauses,casts,pairs,aggregates,grouped,windows,joins,subqueries,unnest,shapes,metadata,mutated,native,mutated-native,formats")
    parser.add_argument("--count", type=int, default=1000, help="queries of each random area")
    parser.add_argument("--sample", type=float, default=1.0, help="share of the systematic areas that is asked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--out", default="differences.jsonl")
    parser.add_argument("--replay", help="ask the questions of an earlier --out again")
    parser.add_argument("--examples", type=int, default=1)
    args = parser.parse_args()
    druid, ovate = Server(args.druid), Server(args.ovate)
    for server in (druid, ovate):
        data.load(server)
    if args.replay:
        lines = [json.loads(line) for line in open(args.replay, encoding="utf-8")]
        asked = [(line["area"], line["what"], line["question"]) for line in lines]
    else:
        asked = questions(args, druid)
    seen, tables, groups, examples = set(), collections.defaultdict(collections.Counter), collections.Counter(), collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(args.threads) as pool, open(args.out, "w", encoding="utf-8") as out:
        def one(item):
            area, what, question = item
            return item, judged(druid, ovate, area, question)

        def fresh():
            for item in asked:
                key = json.dumps(item[2], sort_keys=True)
                if key not in seen:
                    seen.add(key)
                    yield item
        waiting, source = collections.deque(), fresh()
        while True:
            while len(waiting) < 4 * args.threads and (item := next(source, None)):
                waiting.append(pool.submit(one, item))
            if not waiting:
                break
            (area, what, question), ((kind, detail), answers) = waiting.popleft().result()
            tables[area][kind] += 1
            if kind not in EXPECTED:
                out.write(json.dumps({"area": area, "what": what, "kind": kind, "detail": detail, "question": question, "druid": answers[0], "ovate": answers[1]}, ensure_ascii=False) + "\n")
                key = (kind, what if kind in ("rows", "types", "names", "sql types", "order") else "", detail)
                groups[key] += 1
                if len(examples[key]) < args.examples:
                    examples[key].append((question, answers))
    for (kind, what, detail), count in sorted(groups.items(), key=lambda group: (group[0][0], -group[1])):
        print(f"{count:5} {kind} | {what} | {detail}")
        for question, answers in examples[kind, what, detail]:
            print("        ", json.dumps(question.get("sql") or question, ensure_ascii=False)[:400])
            if kind in ("rows", "order"):
                different = [body[3:] if "sql" in question and isinstance(body, list) else body for _, body in answers]
                print("           druid", json.dumps(different[0], ensure_ascii=False)[:250], "\n           ovate", json.dumps(different[1], ensure_ascii=False)[:250])
    for area, table in tables.items():
        print(f"{area}: {sum(table.values())} asked, " + ", ".join(f"{count} {kind}" for kind, count in table.most_common()))
    sys.exit(1 if groups else 0)


if __name__ == "__main__":
    main()
