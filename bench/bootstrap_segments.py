#!/usr/bin/env python3
"""How fast a Historical announces many small segments that are in its cache, and what memory it then holds.

  bench/bootstrap_segments.py target/release/ovate [SEGMENTS=85000]

Loads one segment by an ordinary task, stops the process, makes the others in the cache from links to its files (each a day of its own),
then starts a Historical alone over it, first with a cold list of names and then again: prints the seconds until it tells all segments by the
protocol that Brokers and Coordinators follow, what CPU time that took (the answer itself included), and resident memory."""
import copy, datetime, json, os, shutil, socket, subprocess, sys, tempfile, time, urllib.request

program, count = sys.argv[1], int((sys.argv[2:] + ["85000"])[0])
ROLES = ["coordinator", "overlord", "historical", "middleManager", "broker", "router"]


def ports():
    sockets = [socket.socket() for _ in ROLES]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    found = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return dict(zip(ROLES, found))


PORTS = ports()


def start(folder, roles):
    command = [program, "server", *roles, "--base-dir", folder]
    for role, port in PORTS.items():
        command += ["-P", f"druid.{role}.plaintextPort={port}"]
    return subprocess.Popen(command, stdout=open(os.path.join(folder, "log"), "a"), stderr=subprocess.STDOUT)


def get(role, path, body=None, limit=60):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORTS[role]}{path}", data, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=limit).read())


def until(what, limit):
    begin = time.time()
    while time.time() - begin < limit:
        try:
            found = what()
            if found:
                return found, time.time() - begin
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"not there after {limit} s")


def one_segment(folder):
    process = start(folder, ROLES)
    task = {"type": "index_parallel", "spec": {
        "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "time", "format": "auto"},
                       "dimensionsSpec": {"dimensions": ["page", "lang", {"type": "long", "name": "added"}]},
                       "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": False}},
        "ioConfig": {"type": "index_parallel", "inputFormat": {"type": "json"}, "inputSource": {
            "type": "inline", "data": "\n".join(json.dumps({"time": "1900-01-01", "page": f"p{i % 7}", "lang": "en", "added": i}) for i in range(100))}}}}
    until(lambda: get("router", "/druid/indexer/v1/task", task), 60)
    query = {"query": "SELECT COUNT(*) FROM t", "resultFormat": "array"}
    until(lambda: get("router", "/druid/v2/sql", query) == [[100]], 120)
    process.terminate()
    process.wait()


def multiply(folder):
    cache = os.path.join(folder, "var/druid/segment-cache")
    info = os.path.join(cache, "info_dir")
    (name,) = os.listdir(info)
    segment = json.load(open(os.path.join(info, name)))
    place = lambda s: os.path.join(cache, "t", s["interval"].replace("/", "_"), s["version"], "0")
    source, files = place(segment), os.listdir(place(segment))
    day = datetime.date(1900, 1, 1)
    for i in range(1, count):
        other = copy.copy(segment)
        days = [(day + datetime.timedelta(days=i + more)).isoformat() + "T00:00:00.000Z" for more in (0, 1)]
        other["interval"] = "/".join(days)
        other["identifier"] = f"t_{days[0]}_{days[1]}_{segment['version']}"
        os.makedirs(place(other))
        for file in files:
            # ext4 allows 65,000 links of a file.
            (shutil.copy if i % 60_000 == 0 else os.link)(os.path.join(source, file), os.path.join(place(other), file))
        if i % 60_000 == 0:
            source = place(other)
        json.dump(other, open(os.path.join(info, other["identifier"]), "w"))


with tempfile.TemporaryDirectory() as folder:
    one_segment(folder)
    multiply(folder)
    for run in ("first", "second"):
        process = start(folder, ["historical"])
        announced = lambda: len(get("historical", "/druid-internal/v1/segments?counter=-1&hash=-1&timeout=1000", limit=120)["requests"]) == count
        _, seconds = until(announced, 600)
        memory = int(open(f"/proc/{process.pid}/status").read().split("VmRSS:")[1].split()[0]) / 1024
        fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        process.terminate()
        process.wait()
        print(f"{run} start: {count} segments announced in {seconds:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB")
    print("".join(line for line in open(os.path.join(folder, "log")) if "segments of the cache" in line), end="")
