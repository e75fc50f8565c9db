"""Native queries: every type with every option at random, filters, dimension specs, aggregators, post-aggregators; and wrong documents."""
import copy
import glob
import json
import os
import random

ETERNITY = "-146136543-09-08T08:23:32.096Z/146140482-04-24T15:36:27.903Z"
TABLES = {
    "differential_wide": dict(texts=["s", "u", "n", "mv", "ts", "nosuch"], numbers=["l", "d", "f", "id"], arrays=["sa", "la", "da"], interval="2000-01-01/2001-02-01", values=["a", "b", "abc", "", None, "10", "def", "c"]),
    "testing": dict(texts=["market", "quality", "placement", "placementish", "partial_null_column", "null_column", "qualityNumericString"], numbers=["qualityLong", "qualityFloat", "qualityDouble", "longNumericNull", "doubleNumericNull", "index", "indexMin"],
                    arrays=[], interval="2011-01-12/2011-05-01", values=["spot", "upfront", "total_market", "automotive", "business", "a", "preferred", None, "", "mezzanine", "100000"]),
    "numfoo": dict(texts=["dim1", "dim2", "dim3", "dim4", "dim5"], numbers=["dbl1", "f1", "l1", "m1", "m2", "cnt"], arrays=[], interval="2000-01-01/2001-02-01", values=["a", "abc", "", None, "b", "c", "10.1", "2"]),
}
GRANULARITIES = ["all", "day", "month", "year", "hour", "quarter", "none", "week", {"type": "period", "period": "P1M", "timeZone": "America/Los_Angeles"}, {"type": "period", "period": "P2W", "origin": "2000-01-03T00:00:00Z"}, {"type": "duration", "duration": 7200000},
                 {"type": "period", "period": "PT6H"}, "nosuch", {"type": "period", "period": "P1Y"}, {"type": "duration", "duration": 86400000, "origin": "2000-01-01T06:00:00Z"}, "fifteen_minute", "ALL"]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, *options):
        return self.rng.choice(options)

    def table(self):
        name = self.rng.choice(list(TABLES))
        self.name, self.t = name, TABLES[name]
        return name

    def text(self):
        return self.rng.choice(self.t["texts"])

    def number(self):
        return self.rng.choice(self.t["numbers"])

    def value(self):
        return self.rng.choice(self.t["values"])

    def extraction(self, deep=0):
        inner = lambda: self.extraction(deep + 1)
        options = [
            {"type": "upper"}, {"type": "lower", "locale": "fr"}, {"type": "strlen"}, {"type": "substring", "index": 1}, {"type": "substring", "index": 0, "length": 2}, {"type": "regex", "expr": "(.)(.)"},
            {"type": "regex", "expr": "(\\w)$", "index": 1, "replaceMissingValue": True, "replaceMissingValueWith": "none"}, {"type": "partial", "expr": "^a.*"}, {"type": "searchQuery", "query": {"type": "insensitive_contains", "value": "A"}},
            {"type": "lookup", "lookup": {"type": "map", "map": {"a": "xa", "spot": "SPOT", "": "empty"}}, "retainMissingValue": True}, {"type": "lookup", "lookup": {"type": "map", "map": {"a": "b", "abc": None}}, "replaceMissingValueWith": "miss", "injective": False},
            {"type": "registeredLookup", "lookup": "lookyloo", "retainMissingValue": False}, {"type": "stringFormat", "format": "[%s]"}, {"type": "stringFormat", "format": "%s", "nullHandling": "emptyString"}, {"type": "bucket", "size": 5, "offset": 2}, {"type": "identity"},
            {"type": "timeFormat", "format": "yyyy-MM", "timeZone": "America/Montreal", "locale": "en"}, {"type": "timeFormat", "granularity": "day"}, {"type": "time", "timeFormat": "yyyy-MM-dd", "resultFormat": "yyyy"}, {"type": "lookup", "lookup": {"type": "map", "map": {}}},
            {"type": "substring", "index": -1}, {"type": "nosuch"},
        ]
        if deep < 1:
            options.append({"type": "cascade", "extractionFns": [inner(), inner()]})
        return self.rng.choice(options)

    def dimension(self, name="d0", deep=0):
        column = self.text() if self.rng.random() < 0.75 else self.pick(self.number(), "__time", *(self.t["arrays"] or [self.text()]))
        form = self.rng.random()
        if form < 0.25:
            return column
        if form < 0.5:
            return {"type": "default", "dimension": column, "outputName": name, **self.pick({}, {}, {"outputType": "STRING"}, {"outputType": "LONG"}, {"outputType": "DOUBLE"}, {"outputType": "FLOAT"})}
        if form < 0.75:
            return {"type": "extraction", "dimension": column, "outputName": name, "extractionFn": self.extraction()}
        inner = {"type": "default", "dimension": column, "outputName": name} if self.rng.random() < 0.7 else {"type": "extraction", "dimension": column, "outputName": name, "extractionFn": self.extraction()}
        return self.pick({"type": "listFiltered", "delegate": inner, "values": [self.value(), self.value()], **self.pick({}, {"isWhitelist": False})}, {"type": "regexFiltered", "delegate": inner, "pattern": self.pick("^a", "[ab]", "x")},
                         {"type": "prefixFiltered", "delegate": inner, "prefix": self.pick("a", "s", "")}, {"type": "lookup", "dimension": column, "outputName": name, "name": "lookyloo"},
                         {"type": "lookup", "dimension": column, "outputName": name, "retainMissingValue": True, "lookup": {"type": "map", "map": {"a": "1", "spot": "S"}}})

    def filter(self, deep=0):
        column = self.text() if self.rng.random() < 0.7 else self.pick(self.number(), "__time", "nosuch", *(self.t["arrays"] or [self.text()]))
        value, other = self.value(), self.value()
        fn = self.pick({}, {}, {}, {"extractionFn": self.extraction()})
        number = self.pick(0, 1, 2.5, -1, 100, "3", "abc", 1300000000000)
        options = [
            {"type": "selector", "dimension": column, "value": value, **fn}, {"type": "selector", "dimension": column, "value": number, **fn}, {"type": "in", "dimension": column, "values": [value, other], **fn}, {"type": "in", "dimension": column, "values": [number, value]},
            {"type": "bound", "dimension": column, "lower": value, **fn, **self.pick({}, {"lowerStrict": True}, {"ordering": "numeric"}, {"ordering": "alphanumeric"}, {"ordering": "strlen"}, {"ordering": "version"})},
            {"type": "bound", "dimension": column, "lower": "0", "upper": "2", "upperStrict": self.pick(True, False), "ordering": self.pick("numeric", "lexicographic", "alphanumeric")}, {"type": "bound", "dimension": column},
            {"type": "like", "dimension": column, "pattern": self.pick("a%", "%a", "_", "%", "a!%b", "%\u00f3%", ""), **self.pick({}, {"escape": "!"}), **fn}, {"type": "regex", "dimension": column, "pattern": self.pick("^a", "[0-9]+", ".*", "(", "b$"), **fn},
            {"type": "search", "dimension": column, "query": {"type": self.pick("contains", "insensitive_contains", "fragment"), "value": "A", "values": ["a", "b"], "caseSensitive": False}, **fn}, {"type": "null", "column": column},
            {"type": "equals", "column": column, "matchValueType": self.pick("STRING", "LONG", "DOUBLE", "FLOAT"), "matchValue": self.pick(value, number)}, {"type": "equals", "column": column, "matchValueType": "ARRAY<STRING>", "matchValue": ["a", "b"]},
            {"type": "equals", "column": column, "matchValueType": "ARRAY<LONG>", "matchValue": [1, 2]}, {"type": "range", "column": column, "matchValueType": self.pick("STRING", "LONG", "DOUBLE"), "lower": self.pick(value, number), **self.pick({}, {"upper": number}, {"lowerOpen": True})},
            {"type": "range", "column": column, "matchValueType": "LONG", "lower": 0, "upper": 5, "upperOpen": True}, {"type": "expression", "expression": self.pick(f"\"{column}\" == 'a'", f"\"{self.number()}\" > 2", f"like(\"{column}\", 'a%')", f"strlen(\"{column}\") > 1", "1", "nosuch == null", "bad(", f"array_contains(\"{column}\", 'a')",
                                                                                                                                                  f"\"{column}\" > 'a' && \"{self.number()}\" < 3", f"isnull(\"{column}\")", f"\"{column}\" + 1 > 2")},
            {"type": "columnComparison", "dimensions": [column, self.text()]}, {"type": "interval", "dimension": "__time", "intervals": [self.t["interval"], "2011-02-01/P1D"]}, {"type": "interval", "dimension": column, "intervals": [self.t["interval"]]}, {"type": "true"}, {"type": "false"},
            {"type": "arrayContainsElement", "column": column, "elementMatchValueType": "STRING", "elementMatchValue": "a"}, {"type": "arrayContainsElement", "column": column, "elementMatchValueType": "LONG", "elementMatchValue": 1}, {"type": "nosuch"}, {"type": "selector", "value": "a"}, {"type": "in", "dimension": column, "values": []},
            {"type": "inType", "column": column, "matchValueType": "STRING", "sortedValues": ["a", "b"]}, {"type": "isfalse", "field": {"type": "selector", "dimension": column, "value": value}}, {"type": "istrue", "field": {"type": "range", "column": column, "matchValueType": "LONG", "lower": 1}},
        ]
        if deep < 2 and self.rng.random() < 0.3:
            again = lambda: self.filter(deep + 1)
            return self.pick({"type": "and", "fields": [again(), again()]}, {"type": "or", "fields": [again(), again()]}, {"type": "not", "field": again()}, {"type": "and", "fields": []}, {"type": "or", "fields": []})
        return self.rng.choice(options)

    def aggregator(self, name, deep=0):
        column = self.number() if self.rng.random() < 0.8 else self.text()
        kind = self.pick("long", "double", "float")
        options = [{"type": "count", "name": name}] * 2 + [{"type": f"{kind}{op}", "name": name, "fieldName": column} for op in ("Sum", "Min", "Max", "Any", "First", "Last")] + [
            {"type": "longSum", "name": name, "expression": self.pick("\"l\" + 1", f"\"{column}\" * 2", "1", "strlen('abc')")}, {"type": "doubleMean", "name": name, "fieldName": column}, {"type": "stringAny", "name": name, "fieldName": self.text()},
            {"type": "stringFirst", "name": name, "fieldName": self.text(), "maxStringBytes": self.pick(1, 10, 1024)}, {"type": "stringLast", "name": name, "fieldName": self.text()}, {"type": "cardinality", "name": name, "fields": [self.text(), self.dimension("x")], "byRow": self.pick(True, False), "round": self.pick(True, False)},
            {"type": "hyperUnique", "name": name, "fieldName": self.text()}, {"type": "HLLSketchBuild", "name": name, "fieldName": self.text(), "round": True}, {"type": "thetaSketch", "name": name, "fieldName": self.text()}, {"type": "quantilesDoublesSketch", "name": name, "fieldName": self.number()},
            {"type": "expression", "name": name, "fields": [column], "accumulatorIdentifier": "acc", "initialValue": "0", "fold": f"acc + \"{column}\"", "combine": f"acc + {name}"}, {"type": "nosuch", "name": name}, {"type": "longSum", "name": name}, {"type": "grouping", "name": name, "groupings": ["d0"]},
            {"type": "singleValue", "name": name, "fieldName": column, "columnType": "LONG"},
        ]
        if deep < 1:
            options += [{"type": "filtered", "name": name, "filter": self.filter(1), "aggregator": self.aggregator(name, deep + 1)}] * 4
        return self.rng.choice(options)

    def post(self, name, names, deep=0):
        field = lambda: {"type": "fieldAccess", "fieldName": self.rng.choice(names)}
        options = [{"type": "arithmetic", "name": name, "fn": self.pick("+", "-", "*", "/", "quotient", "pow"), "fields": [field(), self.pick(field(), {"type": "constant", "name": "c", "value": self.pick(0, 2, 2.5)})], **self.pick({}, {"ordering": "numericFirst"})},
                   {"type": "expression", "name": name, "expression": self.pick(f"{names[0]} + 1", f"{names[0]} / 2", f"concat({names[0]}, 'x')", "bad(", f"if({names[0]} > 1, 'big', null)"), **self.pick({}, {"ordering": "numericFirst"})}, {"type": "constant", "name": name, "value": self.pick(3, 1.5)},
                   {"type": "finalizingFieldAccess", "name": name, "fieldName": self.rng.choice(names)}, {"type": "fieldAccess", "name": name, "fieldName": self.pick(*names, "nosuch")}, {"type": "doubleGreatest", "name": name, "fields": [field(), field()]}, {"type": "longLeast", "name": name, "fields": [field(), field()]},
                   {"type": "hyperUniqueCardinality", "name": name, "fieldName": self.rng.choice(names)}, {"type": "nosuch", "name": name}]
        return self.rng.choice(options)

    def virtuals(self):
        column = self.pick(self.text(), self.number())
        return [self.pick({"type": "expression", "name": "v0", "expression": self.pick(f"upper(\"{self.text()}\")", f"\"{self.number()}\" + 1", f"concat(\"{self.text()}\", '-')", "1 + 1", f"timestamp_floor(__time, 'P1M')", f"array(\"{self.text()}\", 'z')"), **self.pick({}, {"outputType": "STRING"}, {"outputType": "LONG"}, {"outputType": "DOUBLE"})},
                          {"type": "mv-filtered", "name": "v0", "delegate": self.text(), "values": [self.value(), "a"], **self.pick({}, {"isAllowList": False})}, {"type": "list-filtered", "name": "v0", "delegate": self.text(), "values": ["a"]}, {"type": "nested-field", "columnName": "j", "outputName": "v0", "path": self.pick("$.x", "$.y.z", "$.a[0]"), "expectedType": self.pick("STRING", "LONG")},
                          {"type": "fallback", "name": "v0", "columns": [column, self.text()]})]

    def base(self, kind):
        q = {"queryType": kind, "dataSource": self.table(), "intervals": self.pick([self.t["interval"]], [self.t["interval"]], ETERNITY, ["2000-01-01/2000-02-01", "2001-01-01/P1D"], [], "2011-01-12/2011-01-14", ["bad"]), "context": {"timeout": 30000}}
        if self.name == "testing":
            q["intervals"] = self.pick("2011-01-12/2011-01-16", ["2011-01-12/2011-01-14", "2011-04-01/2011-04-03"], "2011-03-31/2011-05-01")
        if self.rng.random() < 0.45:
            q["filter"] = self.filter()
        if self.rng.random() < 0.15:
            q["virtualColumns"] = self.virtuals()
        if self.rng.random() < 0.05:
            q["context"][self.pick("vectorize", "skipEmptyBuckets", "grandTotal", "finalize", "groupByStrategy", "bySegment")] = self.pick(True, False, "v2", "force")
        return q

    def aggregated(self, q):
        names = [f"a{i}" for i in range(self.pick(1, 1, 2, 3))]
        q["aggregations"] = [self.aggregator(name) for name in names]
        if self.rng.random() < 0.3:
            q["postAggregations"] = [self.post("p0", names)]
        if self.rng.random() < 0.1:
            q["aggregations"][0]["name"] = "d0"
        return names + (["p0"] if "postAggregations" in q else [])

    def granularity(self, q, few=False):
        q["granularity"] = self.pick(*GRANULARITIES)
        if q["dataSource"] != "testing" and q["granularity"] in ("hour", "none", "fifteen_minute") or q["intervals"] == ETERNITY and q["granularity"] not in ("all", "ALL"):
            q["granularity"] = self.pick("all", "month", "year") if q["intervals"] != ETERNITY else "all"

    def timeseries(self):
        q = self.base("timeseries")
        self.granularity(q)
        self.aggregated(q)
        q.update(self.pick({}, {}, {"descending": True}, {"limit": 3}))
        q["context"].update(self.pick({}, {}, {"skipEmptyBuckets": True}, {"grandTotal": True}, {"timestampResultField": "d0"}))
        return q

    def top_n(self):
        q = self.base("topN")
        self.granularity(q)
        names = self.aggregated(q)
        q["dimension"] = self.dimension()
        dim = lambda: {"type": "dimension", "ordering": self.pick("lexicographic", "alphanumeric", "numeric", "strlen", "version"), **self.pick({}, {"previousStop": self.value()})}
        metric = self.pick(self.pick(*names), {"type": "numeric", "metric": self.pick(*names)}, dim(), dim(), "nosuch", {"type": "lexicographic"}, {"type": "alphaNumeric", "previousStop": "a"})
        q["metric"] = {"type": "inverted", "metric": metric} if self.rng.random() < 0.3 else metric
        q["threshold"] = self.pick(1, 2, 5, 100, 0)
        return q

    def having(self, names, deep=0):
        name = self.pick(*names)
        options = [{"type": self.pick("greaterThan", "lessThan", "equalTo"), "aggregation": name, "value": self.pick(0, 1, 2.5, 100)}, {"type": "dimSelector", "dimension": "d0", "value": self.value()}, {"type": "filter", "filter": self.pick({"type": "selector", "dimension": "d0", "value": self.value()}, {"type": "range", "column": name, "matchValueType": "DOUBLE", "lower": 1})},
                   {"type": "always"}, {"type": "never"}, {"type": "nosuch"}]
        if deep < 1:
            again = lambda: self.having(names, deep + 1)
            options += [{"type": "and", "havingSpecs": [again(), again()]}, {"type": "or", "havingSpecs": [again(), again()]}, {"type": "not", "havingSpec": again()}]
        return self.rng.choice(options)

    def group_by(self):
        q = self.base("groupBy")
        self.granularity(q)
        names = self.aggregated(q)
        q["dimensions"] = [self.dimension(f"d{i}") for i in range(self.pick(0, 1, 1, 2))]
        out = [d if isinstance(d, str) else (d.get("outputName") or d.get("delegate", {}).get("outputName")) for d in q["dimensions"]]
        if self.rng.random() < 0.5:
            columns = [self.pick({"dimension": c, "direction": self.pick("ascending", "descending"), **self.pick({}, {"dimensionOrder": self.pick("numeric", "lexicographic", "alphanumeric", "strlen")})}, c) for c in (self.pick(*(out + names + ["nosuch"] if self.rng.random() < 0.05 else out + names)) for _ in range(self.pick(1, 1, 2)))]
            q["limitSpec"] = {"type": "default", "columns": columns, **self.pick({}, {"limit": 3}, {"limit": 2, "offset": 1}, {"offset": 2})}
        if self.rng.random() < 0.2:
            q["having"] = self.having(names)
        if out and self.rng.random() < 0.2:
            q["subtotalsSpec"] = self.pick([out, []], [[out[0]]], [[], [out[-1]]], [out], [["nosuch"]])
        if self.rng.random() < 0.1:
            q["context"].update(self.pick({"resultAsArray": True}, {"sortByDimsFirst": True}, {"groupByIsSingleThreaded": True}, {"applyLimitPushDown": False}, {"forceLimitPushDown": True}))
        if self.rng.random() < 0.1:
            q["dataSource"] = {"type": "query", "query": {"queryType": "groupBy", "dataSource": q["dataSource"], "intervals": q["intervals"], "granularity": "all", "dimensions": [self.text(), self.number()], "aggregations": [{"type": "count", "name": "n"}]}}
        return q

    def scan(self):
        q = self.base("scan")
        q.update(self.pick({}, {"resultFormat": "list"}, {"resultFormat": "compactedList"}, {"resultFormat": "valueVector"}))
        q.update(self.pick({}, {"columns": ["__time", self.text(), self.number()]}, {"columns": [self.text(), "nosuch", "v0"]}, {"columns": []}))
        q.update(self.pick({}, {"limit": 3}, {"limit": 2, "offset": 1}, {"offset": 3}, {"limit": 0}, {"limit": -1}))
        q.update(self.pick({}, {"order": "ascending"}, {"order": "descending"}, {"orderBy": [{"columnName": "__time", "order": "descending"}]}, {"order": "none"}, {"orderBy": [{"columnName": self.text(), "order": "ascending"}]}, {"batchSize": 2}, {"order": "ascending", "columns": ["__time", self.number()]}))
        return q

    def search(self):
        q = self.base("search")
        self.granularity(q)
        q["query"] = self.pick({"type": "contains", "value": "A", "caseSensitive": self.pick(True, False)}, {"type": "insensitive_contains", "value": self.pick("a", "", "\u00f3", "zz")}, {"type": "fragment", "values": ["a", "b"], "caseSensitive": False}, {"type": "fragment", "values": ["o", "t"]}, {"type": "regex", "pattern": "^[ab]"}, {"type": "all"}, {"type": "nosuch"})
        q.update(self.pick({}, {"searchDimensions": [self.text(), self.dimension()]}, {"searchDimensions": [self.text()]}, {"searchDimensions": ["nosuch"]}))
        q.update(self.pick({}, {"limit": 2}, {"limit": 1000}))
        q.update(self.pick({}, {"sort": {"type": self.pick("lexicographic", "strlen", "alphanumeric", "numeric", "nosuch")}}))
        return q

    def metadata(self):
        kind = self.pick("segmentMetadata", "segmentMetadata", "segmentMetadata", "timeBoundary", "dataSourceMetadata")
        q = {"queryType": kind, "dataSource": self.table(), "context": {"timeout": 30000}}
        if kind == "timeBoundary":
            q.update(self.pick({}, {"bound": "minTime"}, {"bound": "maxTime"}, {"bound": "nosuch"}, {"filter": self.filter()}))
        elif kind == "segmentMetadata":
            q.update(self.pick({}, {"intervals": [self.t["interval"]]}))
            q["merge"] = self.pick(True, True, False)
            q.update(self.pick({}, {"analysisTypes": []}, {"analysisTypes": ["cardinality", "minmax"]}, {"analysisTypes": ["interval", "aggregators", "queryGranularity", "rollup", "timestampSpec"]}, {"analysisTypes": ["nosuch"]}))
            q.update(self.pick({}, {"toInclude": {"type": "list", "columns": [self.text(), self.number(), "nosuch"]}}, {"toInclude": {"type": "none"}}, {"toInclude": {"type": "all"}}))
            q.update(self.pick({}, {"lenientAggregatorMerge": True}, {"aggregatorMergeStrategy": self.pick("strict", "lenient", "earliest", "latest")}, {"usingDefaultInterval": True}))
        return q

    def any(self):
        q = self.rng.choice([self.timeseries, self.timeseries, self.top_n, self.top_n, self.group_by, self.group_by, self.group_by, self.scan, self.scan, self.search, self.metadata])()
        if self.rng.random() < 0.04:
            key = self.rng.choice(sorted(q))
            q = {k: v for k, v in q.items() if k != key} if self.rng.random() < 0.5 else {**q, key: self.pick(None, 5, "x", [], {}, True)}
        return q


def queries(rng, count):
    maker = Maker(rng)
    for _ in range(count):
        q = maker.any()
        yield f"native {q.get('queryType')}", q


def mutated(folder, rng, count):
    """The recorded native queries with a part taken from another."""
    cases = [json.loads(line)["native"] for path in sorted(glob.glob(os.path.join(folder, "native", "*.jsonl"))) for line in open(path, encoding="utf-8")]
    for _ in range(count):
        q = copy.deepcopy(rng.choice(cases))
        q.pop("context", None)
        for _ in range(rng.choice([1, 1, 2])):
            other = rng.choice(cases)
            key = rng.choice(sorted(set(other) - {"queryType", "dataSource", "context"}))
            if other.get("dataSource") == q.get("dataSource") or key in ("granularity", "limit", "threshold", "limitSpec", "descending"):
                q[key] = copy.deepcopy(other[key])
        yield f"native mutated {q.get('queryType')}", q
