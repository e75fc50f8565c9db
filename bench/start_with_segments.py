#!/usr/bin/env python3
"""How fast a process with many small segments is ready, and how much memory it then holds idle.

  bench/start_with_segments.py target/release/ovate [SEGMENTS=1000] [STARTS=5]

Loads one row a day into a fresh folder by an ordinary task, stops the process, then starts it again and again: prints the seconds until the
router's SQL gives all rows, and resident memory five seconds later. Ports are the defaults; nothing else may listen there."""
import datetime, json, statistics, subprocess, sys, tempfile, time, urllib.request

program, count, starts = sys.argv[1], int((sys.argv[2:] + ["1000"])[0]), int((sys.argv[3:] + ["5"])[0])
URL = "http://127.0.0.1:8888"


def call(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=5).read())


def rows():
    try:
        return call("/druid/v2/sql", {"query": "SELECT COUNT(*) FROM t", "resultFormat": "array"})[0][0]
    except OSError:
        return None


def wait(wanted, limit):
    begin = time.time()
    while rows() != wanted:
        if time.time() - begin > limit:
            raise SystemExit(f"not there after {limit} s")
        time.sleep(0.005)
    return time.time() - begin


def start(folder):
    return subprocess.Popen([program, "start", "--base-dir", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


with tempfile.TemporaryDirectory() as folder:
    process = start(folder)
    day = datetime.date(2020, 1, 1)
    data = "\n".join(json.dumps({"time": str(day + datetime.timedelta(days=i)), "page": f"p{i % 7}", "added": i}) for i in range(count))
    task = {"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "time", "format": "auto"},
                       "dimensionsSpec": {"dimensions": ["page", {"type": "long", "name": "added"}]},
                       "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": False}},
        "ioConfig": {"type": "index_parallel", "inputSource": {"type": "inline", "data": data}, "inputFormat": {"type": "json"}}}}
    for attempt in range(200):
        try:
            call("/druid/indexer/v1/task", task)
            break
        except OSError:
            time.sleep(0.05)
    wait(count, 300)
    process.terminate()
    process.wait()
    seconds, memory = [], []
    for _ in range(starts):
        process = start(folder)
        seconds.append(wait(count, 60))
        time.sleep(5)
        status = open(f"/proc/{process.pid}/status").read()
        memory.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
        process.terminate()
        process.wait()
    print(f"{count} segments: ready in {statistics.median(seconds):.2f} s (worst {max(seconds):.2f}), idle {statistics.median(memory):.0f} MiB")
