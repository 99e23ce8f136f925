"""A process beside rank 0 that says which rank is gone: mpiexec ends all when one is, and says neither which nor why.

Every rank holds a connection to it for as long as it lives. The system closes that of a process however it ends, so the
first that closes without a goodbye is of the one that has died. It is a program by itself, of Python's own library
alone, and in a session of its own, which mpiexec does not end.

    python watch.py NUMBER-OF-THE-LISTENING-SOCKET RANKS NAME < KEY
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from contextlib import suppress

LINE = 1000  # letters
GRACE = 60.0  # seconds for those that are left to end, once one has died
SILENT = 30.0  # seconds after which a rank that all others wait for is named


class _Rank:
    """What is known of a rank: what it is called, its connection, whether it waits, and since when."""

    def __init__(self) -> None:
        self.name, self.since, self.waits, self.left = "", 0.0, False, False

    def hear(self, line: str, now: float) -> None:
        word, _, rest = line.partition(" ")
        self.name = "".join(c for c in rest if c.isprintable()) if word == "hello" else self.name
        self.left |= word == "bye"
        if word in ("waiting", "busy"):
            self.waits, self.since = word == "waiting", now


def watch(listening: socket.socket, count: int, key: str, name: str) -> None:
    """Until all of so many ranks have gone: name the first that goes without a word, and one that lets all wait."""
    ranks: dict[socket.socket, _Rank] = {}
    try:
        with selectors.DefaultSelector() as selector:  # on Linux its list is in the order in which things happened
            _watch(selector, ranks, listening, count, key, name)
    finally:
        for connection in ranks:
            connection.close()


def _watch(selector: selectors.BaseSelector, ranks: dict[socket.socket, _Rank], listening: socket.socket, count: int,
           key: str, name: str) -> None:
    def say(text: str) -> None:
        with suppress(OSError):  # mpiexec itself may be gone
            print(f"{name}: {text}", file=sys.stderr, flush=True)

    selector.register(listening, selectors.EVENT_READ)
    heard: dict[socket.socket, str] = {}
    come, alone_until, died = 0, time.monotonic() + GRACE, float("inf")
    told: set[str] = set()
    while (ranks or (come < count and time.monotonic() < alone_until)) and time.monotonic() < died + GRACE:
        for each, _ in selector.select(timeout=1.0):
            here = each.fileobj
            assert isinstance(here, socket.socket)
            if here is listening:
                connection, _ = listening.accept()
                ranks[connection], heard[connection] = _Rank(), ""
                selector.register(connection, selectors.EVENT_READ)
                continue
            try:
                data = here.recv(4096)
            except OSError:  # reset, as by a machine that went down
                data = b""
            now = time.monotonic()
            *lines, heard[here] = (heard[here] + data.decode("utf-8", "replace")).split("\n")
            for line in lines:
                if line == f"{key}over":
                    return
                if line.startswith(key):
                    come += line.startswith(f"{key}hello ")
                    ranks[here].hear(line[len(key) :], now)
            if not data or (not ranks[here].name and (lines or len(heard[here]) > LINE)):  # or a stranger
                gone = ranks.pop(here)
                selector.unregister(here)
                here.close()
                if gone.name and not gone.left and died > now:
                    died = now
                    say(f"{gone.name} has died: it was killed, as by want of memory, or it crashed; what was saved "
                        "before is whole: go on with --resume")
        now = time.monotonic()
        late = [rank for rank in ranks.values() if not rank.waits and rank.name]
        waiting = [rank for rank in ranks.values() if rank.waits and now - rank.since > SILENT]
        if len(late) == 1 and len(waiting) == count - 1 > 0 and late[0].name not in told:
            told.add(late[0].name)
            say(f"all others have waited for {late[0].name} for {SILENT:.0f} s: is it stopped, or its disk gone?")


if __name__ == "__main__":
    number, count, name = sys.argv[1:]
    watch(socket.socket(fileno=int(number)), int(count), sys.stdin.read(), name)
