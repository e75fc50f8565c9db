"""Asks two servers the same thing, and tells in one word how their answers differ."""
import http.client
import json
import math
import re
import threading
import urllib.parse


class Server:
    """Keeps one connection a thread; every wait has the deadline `timeout`."""

    def __init__(self, url, timeout=60):
        parts = urllib.parse.urlsplit(url)
        self.place, self.timeout, self.local = (parts.hostname, parts.port), timeout, threading.local()

    def post(self, path, document, method="POST"):
        """Status and decoded body; text that is no JSON stays text."""
        body = document if isinstance(document, str) else json.dumps(document)
        for again in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection(*self.place, timeout=self.timeout)
            try:
                connection.request(method, path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                text = response.read().decode("utf-8", "replace")
                break
            except (OSError, http.client.HTTPException) as error:
                self.local.connection = None
                if again or isinstance(error, TimeoutError):
                    return 0, f"{type(error).__name__}: {error}"
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def sql(self, sql, context=None, parameters=None, **more):
        document = {"query": sql, "resultFormat": "array", "header": True, "typesHeader": True, "sqlTypesHeader": True,
                    "context": dict({"timeout": 30000}, **(context or {})), **more}
        if parameters:
            document["parameters"] = parameters
        return self.post("/druid/v2/sql", document)

    def rows(self, sql):
        status, body = self.sql(sql)
        return body[3:] if status == 200 else None


def plain(value):
    """Texts that hold JSON are compared as JSON."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def equal(a, b):
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        return type(a) is type(b) and (a == b or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, str) and isinstance(b, str) and a != b:
        x, y = plain(a), plain(b)
        return (x is not a or y is not b) and equal(x, y)
    return a == b


def rough(row):
    """A key under which equal rows mostly meet, floats being rounded."""
    def cut(value):
        value = plain(value)
        if isinstance(value, float):
            return float(f"{value:.5g}")
        return [cut(v) for v in value] if isinstance(value, list) else value
    return json.dumps(cut(row), sort_keys=True)


def same_set(a, b):
    if len(a) != len(b):
        return False
    return all(map(equal, sorted(a, key=rough), sorted(b, key=rough)))


def error_of(body):
    if isinstance(body, dict):
        return (body.get("errorMessage") or body.get("error") or ""), (body.get("category"), body.get("errorCode"), body.get("persona"))
    return str(body)[:300], (None, None, None)


def shape(message):
    """An error's message without the names and numbers in it."""
    message = re.sub(r"\[[^\]]*\]|'[^']*'|\"[^\"]*\"|\d+", "#", message)
    return message[:110]


PLAN_LIMITS = ("could not be planned", "Unsupported operation", "not supported", "Cannot construct", "SQL requires")


def compare(druid, ovate, ordered, headers=3):
    """(kind, detail): `same`, or what differs. Both are (status, body)."""
    (ds, db), (os_, ob) = druid, ovate
    if ds != 200 and os_ != 200:
        (dm, dc), (om, oc) = error_of(db), error_of(ob)
        if ds != os_ or dc != oc:
            return "error kind", f"{ds} {dc} {shape(dm)} / {os_} {oc} {shape(om)}"
        return ("same error", "") if dm == om else ("error words", f"{shape(dm)} / {shape(om)}")
    if ds != 200:
        message = error_of(db)[0]
        limit = any(word in message for word in PLAN_LIMITS) or ds >= 500
        return ("druid cannot" if limit else "druid refuses"), f"{ds} {shape(message)}"
    if os_ != 200:
        return "ovate refuses", f"{os_} {shape(error_of(ob)[0])}"
    if not isinstance(db, list) or not isinstance(ob, list):
        return ("same", "") if equal(db, ob) else ("rows", "")
    for i, what in enumerate(("names", "types", "sql types")[:headers]):
        if db[:i + 1][-1:] != ob[:i + 1][-1:]:
            return what, f"{db[i]} / {ob[i]}"
    a, b = db[headers:], ob[headers:]
    if len(a) == len(b) and all(map(equal, a, b)):
        return "same", ""
    if same_set(a, b):
        return ("order", "") if ordered else ("same", "")
    return "rows", ""
