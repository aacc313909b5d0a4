"""Act stories out in children of one process, which strace watches: the calls of each child are counted anew.

Run as ``python -m tests.crash.story_teller DESCRIPTOR`` with a socket of whole messages. For each story that
comes in, a child acts it out and says after each action what became of it; then its exit status goes out.

NOTE: strace does its harm at the FUSE-th call of a kind. A child that is to be harmed at its n-th call makes
FUSE - n others first, on a file of its own in memory. So one strace serves for all n.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from core._fast.event_store import EventStore
from tests.crash.story import Action, open_log, take

FUSE = 400
ATTEMPTS = 3  # as it is, again, and after opening the log anew

CALLS: dict[str, Callable[[int], object]] = {
    "pwrite64": lambda file: os.pwrite(file, b"x", 0),
    "pwritev": lambda file: os.pwritev(file, [b"x"], 0),
    "write": lambda file: os.write(file, b"x"),
    "writev": lambda file: os.writev(file, [b"x"]),
    "ftruncate": lambda file: os.ftruncate(file, 1),
    "fdatasync": os.fdatasync,
    "fsync": os.fsync,
}


def burn(call: str, times: int) -> None:
    """Make a call some times, where it does nothing."""
    file = os.memfd_create("burnt")
    for _ in range(times):
        CALLS[call](file)
    os.close(file)


class Teller:
    """Act one story out, in a process of its own."""

    def __init__(self, path: Path, room: int, out: socket.socket) -> None:
        self.path = path
        self.room = room
        self.out = out
        self.store: EventStore | None = None

    def act(self, action: Action) -> None:
        """Do an action, if need be on a log that is opened first."""
        if action[0] == "close":
            self.close()
            return
        if self.store is None:
            self.store = open_log(self.path, self.room)
        take(self.store, action)

    def close(self) -> None:
        """Close the log."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def insist(self, action: Action) -> None:
        """Do an action, up to three times, and tell what came of each attempt."""
        outcomes = []
        for attempt in range(ATTEMPTS):
            if attempt == ATTEMPTS - 1:
                self.close()
            try:
                self.act(action)
            except Exception as error:
                outcomes.append([type(error).__name__, str(error)])
            else:
                outcomes.append(["done", ""])
                break
        self.out.send(json.dumps(outcomes).encode())


def tell(story: dict[str, object], out: socket.socket) -> None:
    """Act a story out as a child."""
    teller = Teller(Path(str(story["path"])), int(str(story["room"])), out)
    if story["call"]:
        burn(str(story["call"]), FUSE - int(str(story["nth"])))
    actions: list[Action] = [tuple(action) for action in story["actions"]]  # type: ignore[attr-defined]
    for action in actions:
        teller.insist(action)
    teller.close()


def main() -> None:
    """Serve stories until the other side closes."""
    with socket.socket(fileno=int(sys.argv[1])) as out:
        while message := out.recv(1 << 20):
            child = os.fork()
            if child == 0:
                tell(json.loads(message), out)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            out.send(json.dumps({"child": child, "status": os.waitstatus_to_exitcode(status)}).encode())


if __name__ == "__main__":
    main()
