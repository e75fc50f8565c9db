#!/usr/bin/env python3
"""TPC-H: loads the eight tables by index_parallel tasks, runs the 22 queries and compares answers and times with DuckDB's.

    pip install tpchgen-cli duckdb
    bench/tpch.py generate --scale 1 --dir /tmp/tpch                      # CSV for us, Parquet for DuckDB
    bench/tpch.py load --dir /tmp/tpch --url http://127.0.0.1:8888        # tables tpch_lineitem, tpch_orders, ...
    bench/tpch.py run --dir /tmp/tpch --url http://127.0.0.1:8888 [--queries 1,3,18] [--runs 3] [--out table.json]

`l_shipdate` and `o_orderdate` are the time columns, other dates are ISO texts, prices are doubles: what a Druid user would do.
The queries are TPC-H's with its validation parameters, with `__time` for those two dates. Exit status 1: an answer differs.
"""
import argparse, json, math, os, re, subprocess, sys, time, urllib.error, urllib.request

TABLES = {
    'region': [('r_regionkey', 'long'), ('r_name', 'string'), ('r_comment', 'string')],
    'nation': [('n_nationkey', 'long'), ('n_name', 'string'), ('n_regionkey', 'long'), ('n_comment', 'string')],
    'supplier': [('s_suppkey', 'long'), ('s_name', 'string'), ('s_address', 'string'), ('s_nationkey', 'long'),
                 ('s_phone', 'string'), ('s_acctbal', 'double'), ('s_comment', 'string')],
    'customer': [('c_custkey', 'long'), ('c_name', 'string'), ('c_address', 'string'), ('c_nationkey', 'long'),
                 ('c_phone', 'string'), ('c_acctbal', 'double'), ('c_mktsegment', 'string'), ('c_comment', 'string')],
    'part': [('p_partkey', 'long'), ('p_name', 'string'), ('p_mfgr', 'string'), ('p_brand', 'string'), ('p_type', 'string'),
             ('p_size', 'long'), ('p_container', 'string'), ('p_retailprice', 'double'), ('p_comment', 'string')],
    'partsupp': [('ps_partkey', 'long'), ('ps_suppkey', 'long'), ('ps_availqty', 'long'), ('ps_supplycost', 'double'),
                 ('ps_comment', 'string')],
    'orders': [('o_orderkey', 'long'), ('o_custkey', 'long'), ('o_orderstatus', 'string'), ('o_totalprice', 'double'),
               ('o_orderpriority', 'string'), ('o_clerk', 'string'), ('o_shippriority', 'long'), ('o_comment', 'string')],
    'lineitem': [('l_orderkey', 'long'), ('l_partkey', 'long'), ('l_suppkey', 'long'), ('l_linenumber', 'long'),
                 ('l_quantity', 'double'), ('l_extendedprice', 'double'), ('l_discount', 'double'), ('l_tax', 'double'),
                 ('l_returnflag', 'string'), ('l_linestatus', 'string'), ('l_commitdate', 'string'), ('l_receiptdate', 'string'),
                 ('l_shipinstruct', 'string'), ('l_shipmode', 'string'), ('l_comment', 'string')],
}
TIME = {'orders': 'o_orderdate', 'lineitem': 'l_shipdate'}
VIEW = "revenue0 AS (SELECT l_suppkey AS supplier_no, SUM(l_extendedprice * (1 - l_discount)) AS total_revenue FROM lineitem " \
       "WHERE {ship} >= TIMESTAMP '1996-01-01 00:00:00' AND {ship} < TIMESTAMP '1996-04-01 00:00:00' GROUP BY l_suppkey)"

# {ship} and {order} are the time columns, {fraction} is 0.0001 / scale.
QUERIES = {
    1: """SELECT l_returnflag, l_linestatus, SUM(l_quantity) AS sum_qty, SUM(l_extendedprice) AS sum_base_price,
 SUM(l_extendedprice * (1 - l_discount)) AS sum_disc_price,
 SUM(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge, AVG(l_quantity) AS avg_qty,
 AVG(l_extendedprice) AS avg_price, AVG(l_discount) AS avg_disc, COUNT(*) AS count_order
FROM lineitem WHERE {ship} <= TIMESTAMP '1998-09-02 00:00:00'
GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    2: """SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
FROM part, supplier, partsupp, nation, region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 AND p_type LIKE '%BRASS'
 AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
 AND ps_supplycost = (SELECT MIN(ps_supplycost) FROM partsupp, supplier, nation, region
  WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
   AND n_regionkey = r_regionkey AND r_name = 'EUROPE')
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100""",
    3: """SELECT l_orderkey, SUM(l_extendedprice * (1 - l_discount)) AS revenue, {order} AS o_orderdate, o_shippriority
FROM customer, orders, lineitem
WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
 AND {order} < TIMESTAMP '1995-03-15 00:00:00' AND {ship} > TIMESTAMP '1995-03-15 00:00:00'
GROUP BY l_orderkey, {order}, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    4: """SELECT o_orderpriority, COUNT(*) AS order_count FROM orders
WHERE {order} >= TIMESTAMP '1993-07-01 00:00:00' AND {order} < TIMESTAMP '1993-10-01 00:00:00'
 AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    5: """SELECT n_name, SUM(l_extendedprice * (1 - l_discount)) AS revenue
FROM customer, orders, lineitem, supplier, nation, region
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
 AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA'
 AND {order} >= TIMESTAMP '1994-01-01 00:00:00' AND {order} < TIMESTAMP '1995-01-01 00:00:00'
GROUP BY n_name ORDER BY revenue DESC""",
    6: """SELECT SUM(l_extendedprice * l_discount) AS revenue FROM lineitem
WHERE {ship} >= TIMESTAMP '1994-01-01 00:00:00' AND {ship} < TIMESTAMP '1995-01-01 00:00:00'
 AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
    7: """SELECT supp_nation, cust_nation, l_year, SUM(volume) AS revenue
FROM (SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, EXTRACT(YEAR FROM {ship}) AS l_year,
  l_extendedprice * (1 - l_discount) AS volume
 FROM supplier, lineitem, orders, customer, nation n1, nation n2
 WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey
  AND c_nationkey = n2.n_nationkey
  AND ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY') OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
  AND {ship} BETWEEN TIMESTAMP '1995-01-01 00:00:00' AND TIMESTAMP '1996-12-31 00:00:00') AS shipping
GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year""",
    8: """SELECT o_year, SUM(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / SUM(volume) AS mkt_share
FROM (SELECT EXTRACT(YEAR FROM {order}) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
 FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
 WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey
  AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA'
  AND s_nationkey = n2.n_nationkey
  AND {order} BETWEEN TIMESTAMP '1995-01-01 00:00:00' AND TIMESTAMP '1996-12-31 00:00:00'
  AND p_type = 'ECONOMY ANODIZED STEEL') AS all_nations
GROUP BY o_year ORDER BY o_year""",
    9: """SELECT nation, o_year, SUM(amount) AS sum_profit
FROM (SELECT n_name AS nation, EXTRACT(YEAR FROM {order}) AS o_year,
  l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
 FROM part, supplier, lineitem, partsupp, orders, nation
 WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
  AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%green%') AS profit
GROUP BY nation, o_year ORDER BY nation, o_year DESC""",
    10: """SELECT c_custkey, c_name, SUM(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address, c_phone,
 c_comment
FROM customer, orders, lineitem, nation
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND {order} >= TIMESTAMP '1993-10-01 00:00:00'
 AND {order} < TIMESTAMP '1994-01-01 00:00:00' AND l_returnflag = 'R' AND c_nationkey = n_nationkey
GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment ORDER BY revenue DESC LIMIT 20""",
    11: """SELECT ps_partkey, SUM(ps_supplycost * ps_availqty) AS val FROM partsupp, supplier, nation
WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY'
GROUP BY ps_partkey HAVING SUM(ps_supplycost * ps_availqty) > (
 SELECT SUM(ps_supplycost * ps_availqty) * {fraction} FROM partsupp, supplier, nation
 WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY')
ORDER BY val DESC""",
    12: """SELECT l_shipmode,
 SUM(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high_line_count,
 SUM(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low_line_count
FROM orders, lineitem
WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate
 AND {shiptext} < l_commitdate AND l_receiptdate >= '1994-01-01' AND l_receiptdate < '1995-01-01'
GROUP BY l_shipmode ORDER BY l_shipmode""",
    13: """SELECT c_count, COUNT(*) AS custdist
FROM (SELECT c_custkey, COUNT(o_orderkey) AS c_count
 FROM customer LEFT OUTER JOIN orders ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%'
 GROUP BY c_custkey) AS c_orders
GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    14: """SELECT 100.00 * SUM(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
 / SUM(l_extendedprice * (1 - l_discount)) AS promo_revenue
FROM lineitem, part
WHERE l_partkey = p_partkey AND {ship} >= TIMESTAMP '1995-09-01 00:00:00' AND {ship} < TIMESTAMP '1995-10-01 00:00:00'""",
    15: """WITH """ + VIEW + """
SELECT s_suppkey, s_name, s_address, s_phone, total_revenue FROM supplier, revenue0
WHERE s_suppkey = supplier_no AND total_revenue = (SELECT MAX(total_revenue) FROM revenue0) ORDER BY s_suppkey""",
    16: """SELECT p_brand, p_type, p_size, COUNT(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp, part
WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%'
 AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
 AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size""",
    17: """SELECT SUM(l_extendedprice) / 7.0 AS avg_yearly FROM lineitem, part
WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
 AND l_quantity < (SELECT 0.2 * AVG(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)""",
    18: """SELECT c_name, c_custkey, o_orderkey, {order} AS o_orderdate, o_totalprice, SUM(l_quantity) AS quantity
FROM customer, orders, lineitem
WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING SUM(l_quantity) > 300)
 AND c_custkey = o_custkey AND o_orderkey = l_orderkey
GROUP BY c_name, c_custkey, o_orderkey, {order}, o_totalprice ORDER BY o_totalprice DESC, o_orderdate LIMIT 100""",
    19: """SELECT SUM(l_extendedprice * (1 - l_discount)) AS revenue FROM lineitem, part
WHERE (p_partkey = l_partkey AND p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
  AND l_quantity >= 1 AND l_quantity <= 11 AND p_size BETWEEN 1 AND 5 AND l_shipmode IN ('AIR', 'AIR REG')
  AND l_shipinstruct = 'DELIVER IN PERSON')
 OR (p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
  AND l_quantity >= 10 AND l_quantity <= 20 AND p_size BETWEEN 1 AND 10 AND l_shipmode IN ('AIR', 'AIR REG')
  AND l_shipinstruct = 'DELIVER IN PERSON')
 OR (p_partkey = l_partkey AND p_brand = 'Brand#34' AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
  AND l_quantity >= 20 AND l_quantity <= 30 AND p_size BETWEEN 1 AND 15 AND l_shipmode IN ('AIR', 'AIR REG')
  AND l_shipinstruct = 'DELIVER IN PERSON')""",
    20: """SELECT s_name, s_address FROM supplier, nation
WHERE s_suppkey IN (SELECT ps_suppkey FROM partsupp
  WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
   AND ps_availqty > (SELECT 0.5 * SUM(l_quantity) FROM lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey
    AND {ship} >= TIMESTAMP '1994-01-01 00:00:00' AND {ship} < TIMESTAMP '1995-01-01 00:00:00'))
 AND s_nationkey = n_nationkey AND n_name = 'CANADA' ORDER BY s_name""",
    21: """SELECT s_name, COUNT(*) AS numwait FROM supplier, lineitem l1, orders, nation
WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
 AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
 AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
  AND l3.l_receiptdate > l3.l_commitdate)
 AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA'
GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100""",
    22: """SELECT cntrycode, COUNT(*) AS numcust, SUM(c_acctbal) AS totacctbal
FROM (SELECT SUBSTRING(c_phone, 1, 2) AS cntrycode, c_acctbal FROM customer
 WHERE SUBSTRING(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17')
  AND c_acctbal > (SELECT AVG(c_acctbal) FROM customer WHERE c_acctbal > 0.00
   AND SUBSTRING(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17'))
  AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)) AS custsale
GROUP BY cntrycode ORDER BY cntrycode""",
}


def request(url, body=None, timeout=600):
    data = None if body is None else json.dumps(body).encode()
    req = urllib.request.Request(url, data=data, headers={'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(req, timeout=timeout) as answer:
            return json.loads(answer.read() or b'null')
    except urllib.error.HTTPError as e:
        raise RuntimeError('HTTP %d: %s' % (e.code, e.read()[:600].decode('utf-8', 'replace')))


def generate(args):
    for kind in ('csv', 'parquet'):
        subprocess.run([args.tpchgen, kind, '-s', str(args.scale), '--output-dir', os.path.join(args.dir, kind)], check=True)
    with open(os.path.join(args.dir, 'scale'), 'w') as f:
        f.write(str(args.scale))


def task(table, folder, rows_a_segment):
    time_column = TIME.get(table)
    timestamp = {'column': time_column, 'format': 'yyyy-MM-dd'} if time_column else {'column': '!!!', 'missingValue': '2000-01-01T00:00:00Z'}
    return {'type': 'index_parallel', 'spec': {
        'dataSchema': {
            'dataSource': 'tpch_' + table, 'timestampSpec': timestamp,
            'dimensionsSpec': {'dimensions': [{'name': n, 'type': t} for n, t in TABLES[table]]}, 'metricsSpec': [],
            'granularitySpec': {'segmentGranularity': 'YEAR' if time_column else 'ALL', 'queryGranularity': 'NONE', 'rollup': False}},
        'ioConfig': {'type': 'index_parallel',
                     'inputSource': {'type': 'local', 'baseDir': os.path.join(folder, 'csv'), 'filter': table + '.csv'},
                     'inputFormat': {'type': 'csv', 'findColumnsFromHeader': True}, 'appendToExisting': False},
        'tuningConfig': {'type': 'index_parallel', 'maxRowsInMemory': 1000000,
                         'partitionsSpec': {'type': 'dynamic', 'maxRowsPerSegment': rows_a_segment}}}}


def load(args):
    counts = {}
    for table in TABLES:
        if args.tables and table not in args.tables.split(','):
            continue
        begun = time.time()
        with open(os.path.join(args.dir, 'csv', table + '.csv'), 'rb') as f:
            counts[table] = sum(chunk.count(b'\n') for chunk in iter(lambda: f.read(1 << 20), b'')) - 1
        ident = request(args.url + '/druid/indexer/v1/task', task(table, os.path.abspath(args.dir), args.rows_a_segment))['task']
        while True:
            status = request(args.url + '/druid/indexer/v1/task/%s/status' % ident)['status']
            if status['status'] != 'RUNNING':
                break
            time.sleep(0.5)
        if status['status'] != 'SUCCESS':
            sys.exit('%s: %s' % (table, status))
        while True:
            try:
                seen = request(args.url + '/druid/v2/sql', {'query': 'SELECT COUNT(*) FROM tpch_' + table, 'resultFormat': 'array'})[0][0]
            except RuntimeError:
                seen = -1
            if seen == counts[table]:
                break
            time.sleep(0.5)
        print('%-9s %9d rows %7.1f s' % (table, counts[table], time.time() - begun), flush=True)


def ours(number, scale):
    """Druid's text: tables under their loaded names, `l` and `o` for the two with a time of their own."""
    text = QUERIES[number].format(ship='l.__time', order='o.__time', shiptext="TIME_FORMAT(l.__time, 'yyyy-MM-dd')",
                                  fraction=repr(0.0001 / scale))
    short = {'orders': 'o', 'lineitem': 'l'}

    def name(found):
        before, table, alias = found.groups()
        alias = alias or short.get(table)
        return before + 'tpch_' + table + (' AS ' + alias if alias else '')
    return re.sub(r'((?:FROM|JOIN|,)\s+)(%s)\b(?:\s+(l1|l2|l3|n1|n2)\b)?' % '|'.join(TABLES), name, text)


def theirs(number, scale):
    return QUERIES[number].format(ship='l_shipdate', order='o_orderdate', shiptext='l_shipdate', fraction=repr(0.0001 / scale))


def cell(value):
    import datetime, decimal
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()[:10]
    if isinstance(value, str) and len(value) == 24 and value.endswith('T00:00:00.000Z'):
        return value[:10]
    return value


def same(a, b):
    a, b = cell(a), cell(b)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
    return a == b


def differ(mine, other):
    if len(mine) != len(other):
        return '%d rows, expected %d' % (len(mine), len(other))
    for i, (a, b) in enumerate(zip(mine, other)):
        if len(a) != len(b) or not all(same(x, y) for x, y in zip(a, b)):
            return 'row %d: %r, expected %r' % (i, a, tuple(cell(v) for v in b))
    return None


def run(args):
    import duckdb
    with open(os.path.join(args.dir, 'scale')) as f:
        scale = float(f.read())
    peer = duckdb.connect()
    peer.execute('SET threads TO %d' % args.threads)
    for table in TABLES:
        peer.execute("CREATE TABLE %s AS SELECT * FROM '%s/parquet/%s.parquet'" % (table, args.dir, table))
    numbers = [int(n) for n in args.queries.split(',')] if args.queries else sorted(QUERIES)
    wrong, rows = 0, []
    print('%-4s %10s %10s %7s  %s' % ('', 'ovate ms', 'duckdb ms', 'ratio', 'answer'))
    for number in numbers:
        context = {'useApproximateCountDistinct': False, 'useCache': False, 'populateCache': False, 'useApproximateTopN': False,
                   'useResultLevelCache': False, 'populateResultLevelCache': False, 'timeout': 1000 * args.timeout}
        body = {'query': ours(number, scale), 'resultFormat': 'array', 'context': context}
        best, mine, error = None, None, None
        for _ in range(args.runs):
            begun = time.perf_counter()
            try:
                mine = request(args.url + '/druid/v2/sql', body, args.timeout)
            except Exception as e:
                error = str(e)
                break
            took = (time.perf_counter() - begun) * 1000
            best = took if best is None else min(best, took)
        theirs_best = None
        for _ in range(args.runs):
            begun = time.perf_counter()
            expected = peer.execute(theirs(number, scale)).fetchall()
            took = (time.perf_counter() - begun) * 1000
            theirs_best = took if theirs_best is None else min(theirs_best, took)
        verdict = error or differ(mine, expected)
        wrong += verdict is not None
        ratio = best / theirs_best if best else None
        rows.append({'query': number, 'ms': best, 'duckdb_ms': theirs_best, 'rows': len(expected), 'wrong': verdict})
        print('Q%-3d %10s %10.1f %7s  %s' % (number, '%.1f' % best if best else '-', theirs_best, '%.2f' % ratio if ratio else '-', verdict or 'ok'), flush=True)
    done = [r for r in rows if r['ms']]
    mean = lambda key: math.exp(sum(math.log(r[key]) for r in done) / len(done)) if done else float('nan')
    print('geometric mean: ovate %.1f ms, duckdb %.1f ms, ratio %.2f over %d queries; %d wrong' % (
        mean('ms'), mean('duckdb_ms'), mean('ms') / mean('duckdb_ms'), len(done), wrong))
    if args.out:
        with open(args.out, 'w') as f:
            json.dump(rows, f, indent=1)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest='verb', required=True)
    for verb in ('generate', 'load', 'run'):
        p = verbs.add_parser(verb)
        p.add_argument('--dir', required=True)
        p.add_argument('--url', default='http://127.0.0.1:8888')
        if verb == 'generate':
            p.add_argument('--scale', type=float, default=1)
            p.add_argument('--tpchgen', default='tpchgen-cli')
        if verb == 'load':
            p.add_argument('--tables', help='only these, with commas')
            p.add_argument('--rows-a-segment', type=int, default=500000)
        if verb == 'run':
            p.add_argument('--queries', help='only these numbers, with commas')
            p.add_argument('--runs', type=int, default=3)
            p.add_argument('--threads', type=int, default=os.cpu_count())
            p.add_argument('--timeout', type=int, default=300)
            p.add_argument('--out', help='the table as JSON')
    args = parser.parse_args()
    sys.exit({'generate': generate, 'load': load, 'run': run}[args.verb](args))


if __name__ == '__main__':
    main()
