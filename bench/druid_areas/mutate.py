"""Statements made of others: the tokens of given SQL are exchanged for others of the same kind that the statements of the same table use."""
import collections
import glob
import json
import os
import re

TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_][A-Za-z_0-9]*|\d+(?:\.\d+)?|<>|<=|>=|!=|\|\||\s+|--[^\n]*|.", re.S)
TYPES = {"varchar", "bigint", "double", "float", "decimal", "boolean", "integer", "char", "real", "timestamp", "date"}
KINDS = {
    "compare": {"=", "<>", "<", ">", "<=", ">=", "!="}, "arithmetic": {"+", "-", "*", "/"}, "type": TYPES, "join": {"inner", "left", "right", "full"},
    "logic": {"and", "or"}, "order": {"asc", "desc"}, "sets": {"cube", "rollup"}, "frame": {"preceding", "following"}, "unit": {"year", "month", "day", "hour", "minute", "second", "week", "quarter"},
    "aggregate": {"sum", "min", "max", "avg", "count", "any_value", "earliest", "latest", "array_agg", "string_agg", "approx_count_distinct", "array_concat_agg", "bit_or"},
    "window": {"first_value", "last_value", "lag", "lead", "min", "max", "sum", "count", "avg"}, "rank": {"row_number", "rank", "dense_rank", "percent_rank", "cume_dist"},
    "text": {"upper", "lower", "trim", "reverse", "ltrim", "rtrim", "btrim", "length", "strlen"}, "pad": {"lpad", "rpad", "left", "right", "repeat"},
    "array": {"array_contains", "array_overlap", "array_concat", "mv_contains", "mv_overlap", "mv_concat"}, "element": {"array_append", "array_offset_of", "array_ordinal_of", "mv_append", "mv_offset_of", "array_to_string", "mv_to_string"},
    "json": {"json_value", "json_query", "json_keys", "json_query_array"}, "number": {"abs", "ceil", "floor", "sqrt", "exp", "sign", "round", "truncate", "cos", "sin"},
}
KEYWORDS = set("in over and or not exists as on by values cast unnest interval using lateral sets cube rollup filter with from select".split())


def load(folder):
    """The cases of a folder that have SQL and are answered."""
    for path in sorted(glob.glob(os.path.join(folder, "sql", "*.jsonl"))):
        for line in open(path, encoding="utf-8"):
            case = json.loads(line)
            if case.get("sql") and "catalog" not in (case.get("flags") or ()):
                yield os.path.basename(path)[:-6], case


class Mutations:
    """`columns` tells the columns of each table; `calls` are the function calls in all statements over a table."""

    def __init__(self, cases, columns):
        self.cases, self.columns = list(cases), columns
        self.strings, self.numbers, self.calls = (collections.defaultdict(set) for _ in range(3))
        for _, case in self.cases:
            tokens = TOKEN.findall(case["sql"])
            for table in self.tables(case):
                self.calls[table].update(call for _, _, call in calls_in(tokens))
                for token in tokens:
                    if token[0] == "'":
                        self.strings[table, token.startswith("'$")].add(token)
                    elif token[0].isdigit():
                        self.numbers[table].add(token)

    @staticmethod
    def tables(case):
        source = case.get("datasource") or ["-"]
        return source if isinstance(source, list) else [source]

    def one(self, rng):
        """Area, SQL, context and parameters of a case in which one to three things were exchanged."""
        area, case = rng.choice(self.cases)
        table, sql = rng.choice(self.tables(case)), case["sql"]
        for _ in range(rng.choice([1, 1, 2, 3])):
            tokens = TOKEN.findall(sql)
            found = calls_in(tokens) if rng.random() < 0.35 else []
            if found:
                sql = sql.replace(rng.choice(found)[2], rng.choice(sorted(self.calls[table])))
                continue
            for _ in range(20):
                i = rng.randrange(len(tokens))
                old, new = tokens[i], self.exchange(rng, table, tokens[i])
                if new and new != old:
                    # the same text elsewhere mostly means the same thing, as in SELECT and GROUP BY
                    every = rng.random() < 0.6
                    sql = "".join(new if t == old and (every or j == i) else t for j, t in enumerate(tokens))
                    break
        return area, sql, case.get("context") or {}, case.get("parameters")

    def exchange(self, rng, table, token):
        low = token.lower()
        if token[0] == "'":
            return rng.choice(sorted(self.strings[table, token.startswith("'$")]) + ["''"] * (not token.startswith("'$")))
        if token[0].isdigit():
            return rng.choice(sorted(self.numbers[table]) + ["0", "1", "2"])
        kinds = [kind for kind in KINDS.values() if low in kind]
        if kinds:
            return rng.choice(sorted(rng.choice(kinds)))
        columns = self.columns.get(table, [])
        return f'"{rng.choice(columns)}"' if token.strip('"') in columns else None


def calls_in(tokens):
    """(first, last, text) of the function calls among the tokens, of a name and what stands in parentheses."""
    out = []
    for i, token in enumerate(tokens[:-1]):
        if token[0].isalpha() and tokens[i + 1] == "(" and token.lower() not in KEYWORDS:
            deep = 0
            for j in range(i + 1, len(tokens)):
                deep += {"(": 1, ")": -1}.get(tokens[j], 0)
                if not deep:
                    out.append((i, j, "".join(tokens[i:j + 1])))
                    break
    return out


def columns_of(server):
    """The columns of every table, as the server tells them."""
    out = collections.defaultdict(list)
    for table, column in server.rows("SELECT TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'druid'") or []:
        out[table].append(column)
    return out


def random_mutations(folder, columns, rng, count):
    source = Mutations(load(folder), columns)
    for _ in range(count):
        area, sql, context, parameters = source.one(rng)
        yield f"mutated {area}", sql, context, parameters


def as_given(folder):
    """The cases themselves, to see where this Druid and the recorded answers part."""
    for area, case in load(folder):
        yield f"case {area}", case["sql"], case.get("context") or {}, case.get("parameters")
