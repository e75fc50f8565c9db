#!/usr/bin/env python3
"""How fast rows of NDJSON.gz become queryable, by one ordinary index_parallel task, and how many bytes they then take.

  bench/load_ndjson.py URL FOLDER [TABLE=events_json] [FILES=31] [SUBTASKS=2] [INDEX_SPEC]

FOLDER holds the bench's events-ndjson. Prints the seconds of the task and until every row is counted by SQL, rows a second, and the size
of the table's segments as the Coordinator tells it."""
import json, os, sys, time, urllib.error, urllib.request

url, folder = sys.argv[1].rstrip("/"), os.path.abspath(sys.argv[2])
table, files, tasks, index = (sys.argv[3:] + ["events_json", "31", "2", "{}"][len(sys.argv) - 3:])[:4]
files, tasks = int(files), int(tasks)
TEXTS = ["is_bot", "event_type", "device", "os", "browser", "channel", "country", "city", "publisher", "campaign", "page", "user_id"]
TYPED = [("long", n) for n in ["added", "deleted", "bytes", "latency_ms"]] + [("double", n) for n in ["bid_price", "revenue"]]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=600).read())


names = sorted(n for n in os.listdir(folder) if n.endswith(".ndjson.gz"))[:files]
spec = {"type": "index_parallel", "spec": {
    "dataSchema": {"dataSource": table, "timestampSpec": {"column": "timestamp", "format": "iso"},
                   "dimensionsSpec": {"dimensions": TEXTS + [{"type": t, "name": n} for t, n in TYPED]},
                   "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": False}},
    "ioConfig": {"type": "index_parallel", "inputFormat": {"type": "json"},
                 "inputSource": {"type": "local", "files": [os.path.join(folder, n) for n in names]}},
    "tuningConfig": {"type": "index_parallel", "maxNumConcurrentSubTasks": tasks, "maxRowsInMemory": 1000000,
                     **({"indexSpec": json.loads(index)} if index != "{}" else {}),
                     "partitionsSpec": {"type": "dynamic", "maxRowsPerSegment": 5000000}}}}
begin = time.time()
task = call("/druid/indexer/v1/task", spec)["task"]
while True:
    status = call(f"/druid/indexer/v1/task/{task}/status")["status"]
    if status.get("statusCode") in ("SUCCESS", "FAILED"):
        break
    time.sleep(0.1)
if status["statusCode"] == "FAILED":
    raise SystemExit(json.dumps(status)[:2000])
done = time.time() - begin
before, rows = -1, 0
while time.time() - begin < 1800:
    try:
        rows = call("/druid/v2/sql", {"query": f"SELECT COUNT(*) AS c FROM {table}"})[0]["c"]
    except urllib.error.HTTPError:
        pass
    sizes = call("/druid/v2/sql", {"query": "SELECT COUNT(*) AS n, SUM(\"size\") AS s, SUM(num_rows) AS r, SUM(is_available) AS a FROM sys.segments "
                                            f"WHERE datasource = '{table}' AND is_overshadowed = 0"})[0]
    if rows and sizes["a"] == sizes["n"] and rows == sizes["r"]:
        break
    time.sleep(0.1)
took = time.time() - begin
print(f"{table}: {rows} rows, task {done:.1f} s, queryable {took:.1f} s, {rows / took / 1000:.0f}k rows/s, "
      f"{sizes['n']} segments of {sizes['s'] / 1e6:.1f} MB", flush=True)
