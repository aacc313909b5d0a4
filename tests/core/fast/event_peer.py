"""Appends as plain data, committed here or in another process.

Run as a program it opens the store that a line names, commits, and answers with a line: see `Peer`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core._fast.envelope import BYTES, Draft, Event
from core._fast.event_append import Append, Appended, Query
from core._fast.event_store import EventStore
from core.event_log.errors import ConditionFailed, EventIdConflict, EventLogError, VersionConflict
from tests.oracles.event_log import Answer, Plain, Stored

ROOT = Path(__file__).parents[3]
MAP_SIZE = 1 << 20


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
    """Another process that keeps one store open: the last that was named."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.core.fast.event_peer"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def ask(self, path: str, what: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([path, what, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def commit(self, path: str, appends: list[Plain], now_ns: int) -> list[Answer]:
        return [tuple(answer) for answer in self.ask(path, "commit", appends, now_ns)]

    def drop(self, path: str, number: int) -> bool:
        return bool(self.ask(path, "drop", number))

    def close(self, path: str) -> None:
        self.ask(path, "close")


def main() -> None:
    stores: dict[str, EventStore] = {}
    for line in sys.stdin:
        path, what, *arguments = json.loads(line)
        if what == "close":
            if path in stores:
                stores.pop(path).close()
            answer: object = None
        else:
            store = stores.get(path) or stores.setdefault(path, open_store(path))
            answer = commit(store, *arguments) if what == "commit" else store.drop_segment(*arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
