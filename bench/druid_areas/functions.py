"""Every SQL function: each operand in turn is each of the values of `VALUES`, the others being what fits; then random calls in other clauses."""
from .data import TABLE

# What stands for each kind of operand where it fits.
FITS = {
    "S": ["s", "u", "n", "'abc'"], "L": ["l", "2", "id"], "D": ["d", "f", "2.5"], "T": ["__time", "TIMESTAMP '2000-02-29 12:34:56'"],
    "A": ["sa", "ARRAY['a','b']"], "N": ["la", "ARRAY[1,2]"], "M": ["mv", "s"], "J": ["j"], "P": ["ip"], "B": ["l > 2"], "X": ["ts"], "K": ["js"],
}

VALUES = [
    "s", "u", "n", "mv", "l", "d", "f", "__time", "sa", "la", "da", "j", "nosuch", "'abc'", "''", "'12'", "U&'\\00e9\\4e2d'", "'P1D'", "NULL",
    "CAST(NULL AS VARCHAR)", "CAST(NULL AS BIGINT)", "CAST(NULL AS DOUBLE)", "0", "1", "-1", "3", "100", "2.5", "-0.5", "1e10", "9223372036854775807",
    "TIMESTAMP '2000-01-02 03:04:05'", "DATE '2000-01-01'", "TRUE", "l > 2", "ARRAY['a','b']", "ARRAY[1,2]", "ARRAY[1.5,NULL]", "ARRAY[NULL]",
    "JSON_VALUE(j,'$.x')", "JSON_VALUE(j,'$.x' RETURNING BIGINT)", "JSON_QUERY(j,'$.y')", "s || 'x'", "l + 1", "d * 2", "CAST(l AS VARCHAR)",
    "INTERVAL '1' DAY", "LOOKUP(s,'lookyloo')", "MV_TO_ARRAY(mv)", "ARRAY_TO_MV(sa)", "STRING_TO_MV(s, 'b')",
]

# Calls with the kinds of their operands.
CALLS = r"""
ABS({0}) @D ; CEIL({0}) @D ; FLOOR({0}) @D ; EXP({0}) @L ; LN({0}) @D ; LOG10({0}) @D ; POWER({0}, {1}) @DL ; SQRT({0}) @D ; CBRT({0}) @D ;
SIGN({0}) @D ; TRUNCATE({0}) @D ; TRUNCATE({0}, {1}) @DL ; ROUND({0}) @D ; ROUND({0}, {1}) @DL ; MOD({0}, {1}) @LL ; SIN({0}) @D ; COS({0}) @D ;
TAN({0}) @D ; COT({0}) @D ; ASIN({0}) @D ; ACOS({0}) @D ; ATAN({0}) @D ; ATAN2({0}, {1}) @DD ; DEGREES({0}) @D ; RADIANS({0}) @D ;
BITWISE_AND({0}, {1}) @LL ; BITWISE_OR({0}, {1}) @LL ; BITWISE_XOR({0}, {1}) @LL ; BITWISE_COMPLEMENT({0}) @L ; BITWISE_SHIFT_LEFT({0}, {1}) @LL ;
BITWISE_SHIFT_RIGHT({0}, {1}) @LL ; BITWISE_CONVERT_DOUBLE_TO_LONG_BITS({0}) @D ; BITWISE_CONVERT_LONG_BITS_TO_DOUBLE({0}) @L ; DIV({0}, {1}) @LL ;
SAFE_DIVIDE({0}, {1}) @DL ; HUMAN_READABLE_BINARY_BYTE_FORMAT({0}) @L ; HUMAN_READABLE_BINARY_BYTE_FORMAT({0}, {1}) @LL ;
HUMAN_READABLE_DECIMAL_BYTE_FORMAT({0}, {1}) @LL ; HUMAN_READABLE_DECIMAL_FORMAT({0}, {1}) @LL ; HUMAN_READABLE_DECIMAL_FORMAT({0}) @L ;
CONCAT({0}, {1}) @SS ; CONCAT({0}, {1}, {2}) @SSS ; TEXTCAT({0}, {1}) @SS ; CONTAINS_STRING({0}, {1}) @SS ; ICONTAINS_STRING({0}, {1}) @SS ;
DECODE_BASE64_UTF8({0}) @S ; LEFT({0}, {1}) @SL ; RIGHT({0}, {1}) @SL ; LENGTH({0}) @S ; CHAR_LENGTH({0}) @S ; STRLEN({0}) @S ;
LOOKUP({0}, 'lookyloo') @S ; LOOKUP({0}, 'lookyloo', {1}) @SS ; LOOKUP({0}, {1}) @SS ; LOWER({0}) @S ; UPPER({0}) @S ; LPAD({0}, {1}, {2}) @SLS ;
RPAD({0}, {1}, {2}) @SLS ; LPAD({0}, {1}) @SL ; RPAD({0}, {1}) @SL ; PARSE_LONG({0}) @S ; PARSE_LONG({0}, {1}) @SL ; POSITION({0} IN {1}) @SS ;
POSITION({0} IN {1} FROM {2}) @SSL ; STRPOS({0}, {1}) @SS ; REGEXP_EXTRACT({0}, {1}) @SS ; REGEXP_EXTRACT({0}, '(.)(.)', {1}) @SL ;
REGEXP_LIKE({0}, {1}) @SS ; REGEXP_REPLACE({0}, {1}, {2}) @SSS ; REPLACE({0}, {1}, {2}) @SSS ; REPEAT({0}, {1}) @SL ; REVERSE({0}) @S ;
STRING_FORMAT({0}, {1}) @SS ; STRING_FORMAT('%s|%s', {0}, {1}) @SL ; STRING_FORMAT('%d', {0}) @L ; STRING_FORMAT('%05.2f', {0}) @D ;
SUBSTRING({0}, {1}) @SL ; SUBSTRING({0}, {1}, {2}) @SLL ; SUBSTR({0}, {1}, {2}) @SLL ; SUBSTRING({0} FROM {1} FOR {2}) @SLL ; TRIM({0}) @S ;
TRIM(BOTH {0} FROM {1}) @SS ; TRIM(LEADING {0} FROM {1}) @SS ; TRIM(TRAILING {0} FROM {1}) @SS ; BTRIM({0}, {1}) @SS ; BTRIM({0}) @S ;
LTRIM({0}, {1}) @SS ; LTRIM({0}) @S ; RTRIM({0}, {1}) @SS ; RTRIM({0}) @S ; {0} LIKE {1} @SS ; {0} LIKE {1} ESCAPE '!' @SS ; {0} NOT LIKE {1} @SS ;
{0} SIMILAR TO {1} @SS ; INITCAP({0}) @S ; OVERLAY({0} PLACING {1} FROM 2) @SS ; ASCII({0}) @S ; CHR({0}) @L ; DATE_TRUNC('month', {0}) @T ;
DATE_TRUNC('hour', {0}) @T ; DATE_TRUNC('week', {0}) @T ; DATE_TRUNC({0}, __time) @S ; TIME_CEIL({0}, {1}) @TS ; TIME_CEIL({0}, 'P1M', NULL, {1}) @TS ;
TIME_CEIL({0}, 'PT6H', {1}) @TT ; TIME_FLOOR({0}, 'P1M') @T ; TIME_FLOOR({0}, {1}) @TS ; TIME_FLOOR({0}, 'P1W', {1}) @TT ;
TIME_FLOOR({0}, 'PT7H', NULL, {1}) @TS ; TIME_SHIFT({0}, 'P1M', {1}) @TL ; TIME_SHIFT({0}, {1}, 2) @TS ; TIME_SHIFT({0}, 'P1D', -1, {1}) @TS ;
TIME_EXTRACT({0}, 'HOUR') @T ; TIME_EXTRACT({0}, {1}) @TS ; TIME_EXTRACT({0}, 'DOY', {1}) @TS ; TIME_EXTRACT({0}) @T ; TIME_PARSE({0}) @X ;
TIME_PARSE({0}, {1}) @XS ; TIME_PARSE({0}, 'yyyy-MM-dd') @X ; TIME_PARSE({0}, 'yyyy-MM-dd', {1}) @XS ; TIME_FORMAT({0}) @T ; TIME_FORMAT({0}, {1}) @TS ;
TIME_FORMAT({0}, 'yyyy.MM.dd HH:mm EEE') @T ; TIME_FORMAT({0}, NULL, {1}) @TS ; TIME_IN_INTERVAL({0}, '2000-01-01/2000-02-01') @T ;
TIME_IN_INTERVAL({0}, {1}) @TS ; MILLIS_TO_TIMESTAMP({0}) @L ; TIMESTAMP_TO_MILLIS({0}) @T ; EXTRACT(DAY FROM {0}) @T ; EXTRACT(WEEK FROM {0}) @T ;
EXTRACT(EPOCH FROM {0}) @T ; EXTRACT(MILLISECOND FROM {0}) @T ; EXTRACT(QUARTER FROM {0}) @T ; EXTRACT(ISOYEAR FROM {0}) @T ;
EXTRACT(CENTURY FROM {0}) @T ; EXTRACT(DOW FROM {0}) @T ; EXTRACT(ISODOW FROM {0}) @T ; EXTRACT(DECADE FROM {0}) @T ; EXTRACT(MILLENNIUM FROM {0}) @T ;
EXTRACT(MICROSECOND FROM {0}) @T ; FLOOR({0} TO MONTH) @T ; FLOOR({0} TO WEEK) @T ; CEIL({0} TO DAY) @T ; CEIL({0} TO QUARTER) @T ;
FLOOR({0} TO DECADE) @T ; TIMESTAMPADD(MONTH, {0}, {1}) @LT ; TIMESTAMPADD(DAY, {0}, {1}) @LT ; TIMESTAMPADD(SECOND, {0}, {1}) @LT ;
TIMESTAMPADD(QUARTER, {0}, {1}) @LT ; TIMESTAMPDIFF(MONTH, {0}, {1}) @TT ; TIMESTAMPDIFF(DAY, {0}, {1}) @TT ; TIMESTAMPDIFF(SECOND, {0}, {1}) @TT ;
TIMESTAMPDIFF(YEAR, {0}, {1}) @TT ; TIMESTAMPDIFF(QUARTER, {0}, {1}) @TT ; {0} + INTERVAL '1' MONTH @T ; {0} - INTERVAL '2 03' DAY TO HOUR @T ;
{0} + {1} @TL ; ({0} - {1}) DAY @TT ; YEAR({0}) @T ; DAYOFMONTH({0}) @T ; HOUR({0}) @T ; GREATEST({0}, {1}) @DL ; LEAST({0}, {1}) @SL ;
GREATEST({0}, {1}, {2}) @SSS ; COALESCE({0}, {1}) @SS ; COALESCE({0}, {1}, {2}) @LDS ; NVL({0}, {1}) @SS ; NULLIF({0}, {1}) @SS ; NULLIF({0}, {1}) @LD ;
CASE WHEN {0} THEN {1} ELSE {2} END @BSS ; CASE {0} WHEN {1} THEN {2} END @SSS ; CASE WHEN l > 1 THEN {0} ELSE {1} END @LD ; {0} IS NULL @S ;
{0} IS NOT TRUE @B ; NOT {0} @B ; {0} IS DISTINCT FROM {1} @SS ; {0} BETWEEN {1} AND {2} @LLL ; {0} IN ({1}, {2}) @SSS ; {0} NOT IN ({1}, {2}) @LLL ;
IPV4_MATCH({0}, '192.168.0.0/16') @P ; IPV4_MATCH('192.168.0.1', {0}) @S ; IPV4_PARSE({0}) @P ; IPV4_STRINGIFY({0}) @L ; IPV6_MATCH({0}, '::/64') @P ;
JSON_KEYS({0}, '$') @J ; JSON_KEYS(j, {0}) @S ; JSON_PATHS({0}) @J ; JSON_QUERY({0}, '$.y') @J ; JSON_QUERY(j, {0}) @S ;
JSON_QUERY_ARRAY({0}, '$.a') @J ; JSON_VALUE({0}, '$.x') @J ; JSON_VALUE(j, {0}) @S ; JSON_VALUE({0}, '$.x' RETURNING BIGINT) @J ;
JSON_VALUE({0}, '$.a' RETURNING VARCHAR ARRAY) @J ; JSON_VALUE({0}, '$.y.z' RETURNING DOUBLE) @J ; JSON_VALUE({0}, '$.a[0]' RETURNING VARCHAR) @J ;
JSON_VALUE({0}, '$.a' RETURNING BIGINT ARRAY) @J ; JSON_VALUE({0}, '$[1]') @J ; JSON_OBJECT('k': {0}) @L ; JSON_OBJECT(KEY {0} VALUE {1}) @SL ;
JSON_MERGE(js, {0}) @K ; JSON_MERGE(j, {0}) @K ; PARSE_JSON({0}) @S ; TRY_PARSE_JSON({0}) @K ; TO_JSON_STRING({0}) @J ;
JSON_VALUE(PARSE_JSON({0}), '$.x') @S ; ARRAY[{0}, {1}] @SS ; ARRAY[{0}, {1}] @LD ; ARRAY_APPEND({0}, {1}) @AS ; ARRAY_APPEND({0}, {1}) @NL ;
ARRAY_CONCAT({0}, {1}) @AA ; ARRAY_CONCAT({0}, {1}) @NN ; ARRAY_CONTAINS({0}, {1}) @AS ; ARRAY_CONTAINS({0}, {1}) @NN ; ARRAY_LENGTH({0}) @A ;
ARRAY_OFFSET({0}, {1}) @AL ; ARRAY_OFFSET_OF({0}, {1}) @AS ; ARRAY_ORDINAL({0}, {1}) @NL ; ARRAY_ORDINAL_OF({0}, {1}) @NL ;
ARRAY_OVERLAP({0}, {1}) @AA ; ARRAY_OVERLAP({0}, {1}) @NN ; ARRAY_PREPEND({0}, {1}) @SA ; ARRAY_SLICE({0}, {1}) @AL ; ARRAY_SLICE({0}, {1}, {2}) @ALL ;
ARRAY_TO_MV({0}) @A ; ARRAY_TO_STRING({0}, {1}) @AS ; SCALAR_IN_ARRAY({0}, {1}) @SA ; SCALAR_IN_ARRAY({0}, {1}) @LN ; STRING_TO_ARRAY({0}, {1}) @SS ;
ARRAY_QUANTILE({0}, {1}) @ND ; {0} = {1} @AA ; {0} < {1} @AA ; {0}[{1}] @AL ; MV_FILTER_ONLY({0}, {1}) @MA ; MV_FILTER_NONE({0}, {1}) @MA ;
MV_FILTER_REGEX({0}, {1}) @MS ; MV_FILTER_PREFIX({0}, {1}) @MS ; MV_LENGTH({0}) @M ; MV_CONTAINS({0}, {1}) @MS ; MV_CONTAINS({0}, {1}) @MA ;
MV_OVERLAP({0}, {1}) @MA ; MV_OFFSET({0}, {1}) @ML ; MV_OFFSET_OF({0}, {1}) @MS ; MV_ORDINAL({0}, {1}) @ML ; MV_ORDINAL_OF({0}, {1}) @MS ;
MV_PREPEND({0}, {1}) @SM ; MV_APPEND({0}, {1}) @MS ; MV_CONCAT({0}, {1}) @MM ; MV_SLICE({0}, {1}) @ML ; MV_SLICE({0}, {1}, {2}) @MLL ;
MV_TO_STRING({0}, {1}) @MS ; STRING_TO_MV({0}, {1}) @SS ; MV_TO_ARRAY({0}) @M ; DECODE_BASE64_COMPLEX('hyperUnique', {0}) @S ; {0} + {1} @LL ;
{0} - {1} @LD ; {0} * {1} @LL ; {0} / {1} @LL ; {0} % {1} @LL ; - {0} @L ; + {0} @D ; {0} || {1} @SS ; {0} = {1} @LS ; {0} <> {1} @SS ; {0} < {1} @LD ;
{0} >= {1} @TS ; {0} AND {1} @BB ; {0} OR {1} @BB
"""


def calls():
    """(call, kinds)."""
    parts = [part.strip().rpartition(" @") for part in CALLS.replace("\n", " ").split(" ; ")]
    return [("PI()", "")] + [(call, kinds) for call, _, kinds in parts]


def each_operand(rng):
    """Every operand of every call as every value."""
    for call, kinds in calls():
        fits = [rng.choice(FITS[kind]) for kind in kinds]
        yield call, f"SELECT id, {call.format(*fits)} AS x FROM {TABLE}"
        for i in range(len(kinds)):
            for value in VALUES:
                args = fits[:i] + [value] + fits[i + 1:]
                if any(name in call for name in ("REPEAT", "PAD")) and value in ("9223372036854775807", "1e10", "l", "d", "d * 2", "l + 1"):
                    continue  # more text than a server has memory
                yield call, f"SELECT id, {call.format(*args)} AS x FROM {TABLE}"


def expression(rng, deep=0):
    """A random call whose operands fit; now and then calls within."""
    call, kinds = rng.choice([one for one in ALL if "REPEAT" not in one[0] and "PAD" not in one[0]])
    inner = lambda kind: expression(rng, deep + 1) if deep < 1 and rng.random() < 0.25 else rng.choice(FITS[kind] + VALUES[:1] if rng.random() < 0.9 else VALUES)
    return call.format(*map(inner, kinds))


def clauses(rng, count):
    """Random calls in WHERE, GROUP BY, HAVING, ORDER BY and inside aggregates."""
    for _ in range(count):
        e, e2, pick = expression(rng), expression(rng), rng.choice
        yield "clauses", pick([
            f"SELECT id, s FROM {TABLE} WHERE ({e}) IS NULL",
            f"SELECT id, s FROM {TABLE} WHERE ({e}) = ({e})",
            f"SELECT id FROM {TABLE} WHERE ({e}) {pick(['=', '<>', '<', '>='])} {pick(VALUES)}",
            f"SELECT id FROM {TABLE} WHERE NOT (({e}) {pick(['=', '<>', '<', '>='])} {pick(VALUES)})",
            f"SELECT id FROM {TABLE} WHERE ({e}) IN ({pick(VALUES)}, {pick(VALUES)})",
            f"SELECT ({e}) AS x, COUNT(*) FROM {TABLE} GROUP BY 1",
            f"SELECT ({e}) AS x, ({e2}) AS y, COUNT(*) FROM {TABLE} GROUP BY 1, 2",
            f"SELECT ({e}) AS x, SUM(l) FROM {TABLE} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3",
            f"SELECT DISTINCT ({e}) AS x FROM {TABLE} ORDER BY 1",
            f"SELECT s, MAX({e}) FROM {TABLE} GROUP BY 1 HAVING MAX({e}) IS NOT NULL",
            f"SELECT COUNT({e}), COUNT(DISTINCT {e}), MIN({e}) FROM {TABLE}",
            f"SELECT SUM({e}), AVG({e}) FROM {TABLE}",
            f"SELECT COUNT(*) FILTER (WHERE ({e}) IS NOT NULL) FROM {TABLE}",
            f"SELECT CASE WHEN ({e}) IS NULL THEN 'n' ELSE s END AS x, COUNT(*) FROM {TABLE} GROUP BY 1",
            f"SELECT s, ({e}) AS x FROM {TABLE} ORDER BY __time, id",
            f"SELECT x, COUNT(*) FROM (SELECT ({e}) AS x, s FROM {TABLE}) WHERE x IS NOT NULL GROUP BY x",
        ])


TYPES = ["VARCHAR", "CHAR", "VARCHAR(2)", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "FLOAT", "REAL", "DOUBLE", "DECIMAL", "DECIMAL(5,2)", "BOOLEAN", "TIMESTAMP",
         "TIMESTAMP(3)", "DATE", "VARCHAR ARRAY", "BIGINT ARRAY", "DOUBLE ARRAY", "FLOAT ARRAY", "BOOLEAN ARRAY", "CHAR ARRAY", "VARBINARY", "TIME"]


def casts(rng):
    """Every value to every type, alone and in a filter."""
    for value in VALUES + ["ts", "js", "id", "CURRENT_TIMESTAMP > __time", "'2000-01-02 03:04:05'", "'2000-01-02T03:04:05Z'", "'true'", "' 1 '", "'1.5e3'", "'0x10'"]:
        for kind in TYPES:
            yield "CAST AS " + kind, f"SELECT id, CAST({value} AS {kind}) AS x FROM {TABLE}"
            if rng.random() < 0.4:
                yield "CAST filter " + kind, f"SELECT COUNT(*) FROM {TABLE} WHERE CAST({value} AS {kind}) {rng.choice(['=', '<', '<>'])} {rng.choice(VALUES)}"
            if rng.random() < 0.3:
                yield "CAST twice " + kind, f"SELECT CAST(CAST({value} AS {kind}) AS {rng.choice(TYPES)}) AS x, COUNT(*) FROM {TABLE} GROUP BY 1"


def pairs(rng, count):
    """Operators over any two values, in SELECT, WHERE and without a table."""
    operators = ["+", "-", "*", "/", "%", "||", "=", "<>", "!=", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "AND", "OR", "LIKE"]
    for _ in range(count):
        a, op, b = rng.choice(VALUES), rng.choice(operators), rng.choice(VALUES)
        yield f"a {op} b", rng.choice([
            f"SELECT id, {a} {op} {b} AS x FROM {TABLE}", f"SELECT id FROM {TABLE} WHERE {a} {op} {b}", f"SELECT id FROM {TABLE} WHERE NOT ({a} {op} {b})",
            f"SELECT {a} {op} {b} AS x, COUNT(*) FROM {TABLE} GROUP BY 1", f"SELECT id FROM {TABLE} WHERE ({a} {op} {b}) IS NOT TRUE",
        ])
    constants = [v for v in VALUES if v[0] in "'0123456789-TDUCN" and "l " not in v and v != "CAST(l AS VARCHAR)"] + ["2147483647", "-2147483648", "1.0", "'1'", "'a'", "1e-3"]
    for _ in range(count // 3):
        a, op, b = rng.choice(constants), rng.choice(operators), rng.choice(constants)
        yield f"constants a {op} b", f"SELECT {a} {op} {b} AS x"


ALL = calls()
