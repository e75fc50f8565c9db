"""The table that most areas ask about: every kind of column, with nulls, odd texts and numbers at the edges, in two segments."""
import json
import time

TABLE = "differential_wide"

ROWS = [
    dict(t="2000-01-01T00:00:00Z", s="a", u="żółw", n="1", mv=["a", "b"], l=1, d=1.5, f=1.25, sa=["a", "b"], la=[1, 2], da=[1.5, 2.5],
         j={"x": 1, "y": {"z": "deep"}, "a": [1, 2]}, ts="2000-01-01T00:00:00Z", ip="192.168.0.1", js='{"x":1}'),
    dict(t="2000-01-01T01:02:03.456Z", s="b", u="", n="2.5", mv=["b", "c"], l=-7, d=-2.5, f=-0.5, sa=["c"], la=[3], da=[3.5],
         j={"x": "text", "y": {"z": 2.5}, "a": ["p", "q"]}, ts="2000-01-01 01:02:03", ip="10.0.0.255", js="[1,2]"),
    dict(t="2000-01-01T23:59:59.999Z", s="abc", u="日本語😀", n="abc", mv="d", l=0, d=0.0, f=0.0, sa=[], la=[], da=[],
         j={"x": None, "a": []}, ts="nonsense", ip="not an ip", js="{bad"),
    dict(t="2000-01-31T12:00:00Z", s="", u=" x ", n="", mv=["", "a"], l=9223372036854775807, d=1e300, f=3.4e38, sa=["", None], la=[None, 4],
         da=[None, 0.5], j={"x": 2.75, "y": {"z": True}}, ts="", ip="", js=""),
    dict(t="2000-01-31T13:30:00Z", s=None, u=None, n=None, mv=None, l=None, d=None, f=None, sa=None, la=None, da=None, j=None, ts=None, ip=None, js=None),
    dict(t="2000-02-29T00:00:00Z", s="A", u="a%b_c", n="-7", mv=["a", "a", "b"], l=2147483648, d=2147483648.5, f=100.0, sa=["a", "a"], la=[1, 1],
         da=[1.5, 1.5], j={"x": 7, "y": {"z": "x"}, "a": [{"k": 1}]}, ts="2000-02-29", ip="::1", js='"txt"'),
    dict(t="2001-01-01T00:00:00Z", s="a", u="ŻÓŁW", n="1e3", mv=["c", "b", "a"], l=5, d=-0.5, f=2.5, sa=["b", "a"], la=[2, 1], da=[2.5, 1.5],
         j={"x": -1, "y": {}, "a": [3.5]}, ts="2001-01-01T00:00:00.000Z", ip="255.255.255.255", js="12"),
    dict(t="2001-01-02T03:04:05Z", s="10", u="10", n=" 4", mv=[], l=10, d=10.0, f=10.0, sa=["10"], la=[10], da=[10.0],
         j={"x": "10", "y": {"z": 10}}, ts="978400000000", ip="3232235521", js="null"),
    dict(t="2001-01-03T00:00:00Z", s="def", u="Ünïcödé", n="0", mv=["x", None], l=-1, d=2.5, f=2.5, sa=["d", "e", "f"], la=[4, 5, 6], da=[4.5],
         j=[1, 2, 3], ts="2001-01-03T00:00:00+02:00", ip="192.168.1.7", js='{"a":{"b":[1,2]}}'),
    dict(t="2001-01-03T00:00:00Z", s="def", u="it's", n="9223372036854775808", mv="a", l=3, d=3.0, f=3.0, sa=["x"], la=[7], da=[7.0],
         j="plain", ts="2001-13-45", ip="1.2.3", js="true"),
]


def task():
    dimensions = [{"type": "long", "name": "id"}, "s", "u", "n", "mv", {"type": "long", "name": "l"}, {"type": "double", "name": "d"},
                  {"type": "float", "name": "f"}, "ts", "ip", "js"]
    dimensions += [{"type": "auto", "name": name, "castToType": f"ARRAY<{kind}>"} for name, kind in (("sa", "STRING"), ("la", "LONG"), ("da", "DOUBLE"))]
    dimensions += [{"type": "json", "name": "j"}]
    data = "\n".join(json.dumps(dict(row, id=i), ensure_ascii=False) for i, row in enumerate(ROWS))
    schema = {"dataSource": TABLE, "timestampSpec": {"column": "t", "format": "iso"}, "dimensionsSpec": {"dimensions": dimensions},
              "granularitySpec": {"segmentGranularity": "YEAR", "rollup": False}}
    io = {"type": "index_parallel", "inputSource": {"type": "inline", "data": data}, "inputFormat": {"type": "json"}}
    return {"type": "index_parallel", "spec": {"dataSchema": schema, "ioConfig": io, "tuningConfig": {"type": "index_parallel"}}}


def load(server):
    """Ingests the table unless it is there; the wait ends after three minutes."""
    there = lambda: server.rows(f"SELECT COUNT(*) FROM {TABLE}") == [[len(ROWS)]]
    if there():
        return
    server.post("/druid/indexer/v1/task", task())
    end = time.monotonic() + 180
    while not there():
        if time.monotonic() > end:
            raise SystemExit(f"{TABLE} is not there after three minutes")
        time.sleep(0.5)
