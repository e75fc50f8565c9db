#!/usr/bin/env python3
"""Group-bys of very many groups at the same time under a small budget: all answer or are refused by name, and memory stays bounded.

  bench/concurrent_group_bys.py target/release/ovate [GROUPS=4000000] [CLIENTS=8] [MEMORY=2g] [DISK=8g]

Loads two days of GROUPS rows with one number each (the same on both days) into a fresh folder by an ordinary task, asks the
groupBy over all of them from CLIENTS clients at once, and prints what each got, resident memory idle and at its highest, and the
budget plus a fifth. Ports are the defaults plus $PORT_OFFSET; nothing else may listen there."""
import http.client, json, os, subprocess, sys, tempfile, threading, time

args = sys.argv[1:] + [None] * 5
program, groups, clients = args[0], int(args[1] or 4_000_000), int(args[2] or 8)
memory, disk = args[3] or "2g", args[4] or "8g"
offset = int(os.environ.get("PORT_OFFSET", "0"))
PORTS = {"coordinator": 8081, "overlord": 8090, "broker": 8082, "historical": 8083, "middleManager": 8091, "router": 8888}


def call(path, body, timeout=600, keep=1 << 20):
    """Status, the first bytes of the answer, and how long it is."""
    connection = http.client.HTTPConnection("127.0.0.1", PORTS["router"] + offset, timeout=timeout)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    head, length = b"", 0
    while piece := answer.read(1 << 16):
        head, length = (head + piece)[:keep], length + len(piece)
    connection.close()
    return answer.status, head, length


def size(text):
    return int(text[:-1]) * {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[text[-1].lower()]


def resident(pid):
    lines = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if line.startswith("Rss") or line.startswith("VmRSS"))
    return {name: int(text.split()[0]) * 1024 for name, text in lines.items()}


def rows():
    try:
        status, head, _ = call("/druid/v2/sql", {"query": "SELECT COUNT(*) FROM t", "resultFormat": "array"}, 30)
        return json.loads(head)[0][0] if status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


mib = lambda n: f"{n / (1 << 20):.0f} MiB"
with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
    os.makedirs(f"{folder}/data")
    for day in (1, 2):
        with open(f"{folder}/data/{day}.json", "w") as out:
            for i in range(groups):
                out.write(f'{{"t":"2024-01-0{day}","k":{(i * 2654435761) % (groups * 16)},"v":{i % 100}}}\n')
    properties = {"druid.ovate.memory": memory, "druid.query.groupBy.maxOnDiskStorage": disk, "druid.processing.tmpDir": f"{folder}/spill"}
    command = [program, "start", "--base-dir", folder]
    for name, value in properties.items():
        command += ["-P", f"{name}={value}"]
    if offset:
        conf = f"{folder}/conf"
        os.makedirs(conf)
        command = [program, "server", *PORTS, "--base-dir", folder]
        for name, value in properties.items():
            command += ["-P", f"{name}={value}"]
        for role, port in PORTS.items():
            command += ["-P", f"druid.{role}.plaintextPort={port + offset}"]
    log = open(f"{folder}/log", "w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        source = {"type": "local", "baseDir": f"{folder}/data", "filter": "*.json"}
        task = {"type": "index_parallel", "spec": {
            "dataSchema": {"dataSource": "t", "timestampSpec": {"column": "t", "format": "auto"},
                           "dimensionsSpec": {"dimensions": [{"type": "long", "name": "k"}, {"type": "long", "name": "v"}]},
                           "granularitySpec": {"segmentGranularity": "DAY", "queryGranularity": "NONE", "rollup": False}},
            "ioConfig": {"type": "index_parallel", "inputSource": source, "inputFormat": {"type": "json"}},
            "tuningConfig": {"type": "index_parallel", "partitionsSpec": {"type": "dynamic", "maxRowsPerSegment": 1_000_000}}}}
        begin = time.time()
        while time.time() - begin < 120:
            try:
                if call("/druid/indexer/v1/task", task, 30)[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        while rows() != 2 * groups:
            if process.poll() is not None or time.time() - begin > 1500:
                raise SystemExit(f"the rows are not there: {rows()}\n{open(folder + '/log').read()[-3000:]}")
            time.sleep(1)
        print(f"{2 * groups} rows loaded after {time.time() - begin:.0f} s")
        time.sleep(5)
        idle = resident(process.pid)
        query = {"queryType": "groupBy", "dataSource": "t", "intervals": "2024/2025", "granularity": "all",
                 "dimensions": [{"dimension": "k", "outputName": "k", "outputType": "LONG"}],
                 "aggregations": [{"type": "count", "name": "n"}, {"type": "longSum", "name": "s", "fieldName": "v"}],
                 "context": {"useCache": False, "populateCache": False, "timeout": 900000}}
        highest, stop = dict(idle), threading.Event()

        def watch():
            while not stop.is_set():
                for name, value in resident(process.pid).items():
                    highest[name] = max(highest.get(name, 0), value)
                time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        outcomes = [None] * clients

        def client(at):
            start = time.time()
            try:
                status, head, length = call("/druid/v2", query, 1000, 2000)
                told = "answered" if status == 200 else json.loads(head).get("errorMessage", head[:300].decode())
            except Exception as error:
                status, length, told = 0, 0, f"{type(error).__name__}: {error}"
            outcomes[at] = (status, length, time.time() - start, told)

        threads = [threading.Thread(target=client, args=(at,)) for at in range(clients)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        stop.set()
        watcher.join()
        for status, length, seconds, told in outcomes:
            print(f"HTTP {status}, {mib(length)} in {seconds:.1f} s: {told[:400]}")
        budget = size(memory)
        print(f"resident idle {mib(idle['VmRSS'])} (anonymous {mib(idle['RssAnon'])}), highest {mib(highest['VmRSS'])} "
              f"(anonymous {mib(highest['RssAnon'])}); budget {mib(budget)}, plus a fifth {mib(budget * 6 // 5)}")
        named = all(status == 200 or "druid." in told for status, _, _, told in outcomes)
        good = named and process.poll() is None and highest["RssAnon"] <= budget * 6 // 5
        print("within bounds" if good else "OUT OF BOUNDS")
        sys.exit(0 if good else 1)
    finally:
        process.terminate()
        process.wait()
