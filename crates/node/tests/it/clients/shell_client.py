"""`ovate sql` in a terminal, as somebody types: statements over several lines, completion, formats, settings, history, progress, and Ctrl-C.
The server has the table `t` (see mod.rs). Usage: shell_client.py OVATE URL."""

import os
import pty
import re
import select
import signal
import sys
import tempfile
import time

ovate, url = sys.argv[1], sys.argv[2]
home = tempfile.mkdtemp()


class Terminal:
    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HOME=home, TERM="xterm", COLUMNS="200")
            os.execv(ovate, [ovate, "sql", "--url", url])
        self.seen = ""

    def type(self, text):
        self.seen = ""
        os.write(self.fd, text.encode())

    def sees(self, pattern, seconds=25):
        """Waits until the screen has shown what the pattern says; gives the match."""
        end = time.time() + seconds
        while True:
            # Without the sequences that move the cursor.
            found = re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen).replace("\r", ""))
            if found:
                return found
            if time.time() > end:
                raise AssertionError(f"[{pattern}] is not to be seen:\n{self.seen}")
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"it ended before [{pattern}]:\n{self.seen}")

    def leave(self, text):
        os.write(self.fd, text.encode())
        end = time.time() + 30
        while time.time() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                assert status == 0, status
                return
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError("it does not end")


def statements(screen):
    screen.sees(r"names known.*\n(.|\n)*ovate> ")
    screen.type("SELECT lang, COUNT(*) AS n\n")
    time.sleep(0.3)
    screen.type("FROM t GROUP BY 1 -- not yet;\n")
    time.sleep(0.3)
    screen.type("ORDER BY 1;\n")
    screen.sees(r"lang +n\n-+ +-+\nde +333\nen +334\nfr +333\n3 rows in [0-9.]+ s")
    screen.type("SELECT 1 AS a; SELECT ';' AS b;\n")
    screen.sees(r"a\n-\n1\n(.|\n)*b\n-\n;\n1 rows")
    screen.type("SELECT nothing FROM t;\n")
    screen.sees(r"Column 'nothing' not found in any table")


def formats(screen):
    screen.type("\\format csv\n")
    screen.sees(r"ovate> ")
    screen.type("SELECT added, page FROM t WHERE added = 7;\n")
    screen.sees(r"added,page\n7,page7\n")
    screen.type("\\format json\n")
    screen.sees(r"ovate> ")
    screen.type("SELECT added FROM t WHERE added = 7;\n")
    screen.sees(r'\[\{"added":7\}\]')
    screen.type("\\format table\n")
    screen.sees(r"ovate> ")


def settings(screen):
    screen.type("SET sqlTimeZone = 'Asia/Tokyo';\n")
    screen.sees(r"ovate> ")
    screen.type("SELECT TIMESTAMP '2000-01-01 00:00:00' AS x;\n")
    screen.sees(r"2000-01-01T00:00:00.000\+09:00")
    # What is typed ahead is not lost.
    screen.type("\\set sqlTimeZone\nSELECT TIMESTAMP '2000-01-01 00:00:00' AS x;\n")
    screen.sees(r"2000-01-01T00:00:00.000Z")
    screen.type("\\d t\n")
    screen.sees(r"added +BIGINT")


def completes(screen):
    screen.type("SELECT adde\t FROM t WHERE added = 3;\n")
    screen.sees(r"added\n-+\n +3\n")
    screen.type("SELECT COUNT(*) FROM INFORMATION_SCH\t.TABLES WHERE TABLE_NAME = 't';\n")
    screen.sees(r"\n +1\n1 rows in")


def cancels(screen):
    parts = [f"(SELECT SUM(CHAR_LENGTH(CONCAT(a.page, b.page, '{i}'))) FROM t a, t b WHERE b.page = 'page3')" for i in range(100)]
    screen.type("SELECT " + " + ".join(parts) + " AS x;\n")
    screen.sees(r"[1-9] s.*; Ctrl-C cancels")
    screen.type("\x03")
    screen.sees(r"cancelled after [0-9.]+ s(.|\n)*ovate> ", 20)
    screen.type("SELECT COUNT(*) AS c FROM t;\n")
    screen.sees(r"c\n-+\n1000\n1 rows in.*\n(.|\n)*ovate> ")


def remembers(screen):
    screen.leave("\x04")
    again = Terminal()
    again.sees(r"names known.*\n(.|\n)*ovate> ")
    again.type("\x1b[A\n")
    again.sees(r"c\n-+\n1000\n1 rows in.*\n(.|\n)*ovate> ")
    again.leave("\\q\n")


screen = Terminal()
parts = [statements, formats, settings, completes, cancels, remembers]
for part in parts:
    part(screen)
    print("passed", part.__name__, flush=True)
print(len(parts), "parts passed")
