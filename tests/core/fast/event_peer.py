"""Appends as plain data, committed here or in another process.

Run as a program it opens the store that a message names, commits, and answers: see `Peer`. With strace around
it, it also has a child commit that is killed at one of its calls: see tests/crash/theatre.py.

NOTE: messages go through a socket, by calls that strace does not count.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core._fast.envelope import BYTES, Draft, Event
from core._fast.event_append import Append, Appended, Query
from core._fast.event_store import EventStore
from core.event_log.errors import ConditionFailed, EventIdConflict, EventLogError, VersionConflict
from tests.crash.story_teller import FUSE, burn
from tests.crash.theatre import strace
from tests.oracles.event_log import Answer, Plain, Stored

ROOT = Path(__file__).parents[3]
MAP_SIZE = 1 << 20
MESSAGE = 1 << 20  # bytes at most


def open_store(path: str, now_ns: int = 0) -> EventStore:
    return EventStore(path, map_size=MAP_SIZE, segment_days=1, now_ns=now_ns)


def append_of(plain: Plain) -> Append:
    return Append(
        [
            (
                stream,
                expected,
                [
                    Draft(kind, data.encode(), codec=BYTES, id=bytes.fromhex(id), tags=tags)
                    for kind, tags, id, data in drafts
                ],
            )
            for stream, expected, drafts in plain["writes"]
        ],
        checks=[(stream, expected) for stream, expected in plain["checks"]],
        unless=None if plain["unless"] is None else Query(plain["unless"]),
        after=plain["after"],
        state=[(key.encode(), None if value is None else value.encode()) for key, value in plain["state"]],
    )


def plain_of(result: Appended | EventLogError) -> Answer:
    match result:
        case Appended():
            positions = (result.first_position, result.last_position)
            return ("appended", *positions, list(result.versions), result.repeated)
        case VersionConflict():
            return ("version", result.expected, result.actual, result.stream)
        case ConditionFailed():
            return ("condition", result.after, result.position)
        case EventIdConflict():
            return ("id", result.position)
    raise result


def stored_of(event: Event) -> Stored:
    place = (event.position, event.stream, event.version)
    return Stored(*place, event.type, event.tags, event.id_bytes.hex(), event.data.decode())


def commit(store: EventStore, appends: list[Plain], now_ns: int) -> list[Answer]:
    return [plain_of(result) for result in store.commit([append_of(plain) for plain in appends], now_ns)]


class Peer:
    """Another process that keeps stores open; one that `kills` can also let a child be killed."""

    def __init__(self, *, kills: bool = False) -> None:
        self._strace = strace("signal=SIGKILL") if kills else []

    def __enter__(self) -> Self:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            module = [sys.executable, "-m", "tests.core.fast.event_peer", str(theirs.fileno())]
            self._process = subprocess.Popen([*self._strace, *module], cwd=ROOT, pass_fds=[theirs.fileno()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        assert self._process.wait() == 0

    def ask(self, path: str, what: str, *arguments: Any) -> Any:
        self._ours.send(json.dumps([path, what, *arguments]).encode())
        return json.loads(self._ours.recv(MESSAGE))

    def commit(self, path: str, appends: list[Plain], now_ns: int) -> list[Answer]:
        return [tuple(answer) for answer in self.ask(path, "commit", appends, now_ns)]

    def kill_in_commit(
        self, path: str, appends: list[Plain], now_ns: int, call: str, nth: int
    ) -> list[Answer] | None:
        """Open a store, commit and close it in a process that is killed at its n-th call of a kind.

        Returns what it said before; None: nothing.
        """
        status, answers = self.ask(path, "kill", appends, now_ns, call, nth)
        assert status in (0, -signal.SIGKILL)
        assert answers is not None or status
        return None if answers is None else [tuple(answer) for answer in answers]

    def drop(self, path: str, number: int) -> bool:
        return bool(self.ask(path, "drop", number))

    def close(self, path: str) -> None:
        self.ask(path, "close")


def kill(
    path: str, appends: list[Plain], now_ns: int, call: str, nth: int
) -> tuple[int, list[Answer] | None]:
    """Commit in a child that may be killed; return its exit status and its answers."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        burn(call, FUSE - nth)
        with open_store(path) as store:
            os.write(theirs, json.dumps(commit(store, appends, now_ns)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as said:
        answers = said.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(answers) if answers else None


def main() -> None:
    stores: dict[str, EventStore] = {}
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        while message := asking.recv(MESSAGE):
            path, what, *arguments = json.loads(message)
            answer: object = None
            if what == "kill":
                answer = kill(path, *arguments)
            elif what == "close":
                if path in stores:
                    stores.pop(path).close()
            else:
                store = stores.get(path) or stores.setdefault(path, open_store(path))
                answer = commit(store, *arguments) if what == "commit" else store.drop_segment(*arguments)
            asking.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
