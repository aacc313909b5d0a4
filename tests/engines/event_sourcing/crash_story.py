"""A program that lets processes and handlers run to their end, and kills them at every append.

Usage: crash_story TEMPLATE FOLDER [again]

Each run is a forked child, on a copy of the log TEMPLATE. It is killed by SIGKILL just before it hands its
N-th append over, or just after that was committed and before anyone was told; then another child goes on,
which is killed at the same point if `again` is said, fifty times at most. Prints a line of JSON for each N:
what the log and the effects look like at the end. The first line is of a run that nobody disturbed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from core._fast.event_append import Append, Appended
from core.event_log.filter import Filter
from core.event_log.log import EventLog
from engines.event_sourcing import Event, EventSourcingEngine, Handler, Retry
from engines.event_sourcing.process_store import fold, read_instance
from tests.engines.event_sourcing.bank import make_bank
from tests.engines.event_sourcing.collecting import balance, collecting, story

KEYS = ("done", "undone", "confirmed", "cancelled")
ACCOUNTS = ("ann", "bob", "poor", "till")
ROOM = 1 << 24
AGAIN_MOST = 12  # points at which a run is killed again and again
MOVES = Filter(types=("Deposited", "Withdrawn"))


class FaultyLog(EventLog):
    """Die at the n-th point: before the hand-over of an append, or after its commit."""

    def __init__(self, path: Path, fault: int) -> None:
        super().__init__(path, map_size=ROOM)
        self._fault = fault

    def submit(self, append: Append) -> asyncio.Future[Appended]:
        self._pass()
        future = super().submit(append)
        future.add_done_callback(lambda _: self._pass())
        return future

    def _pass(self) -> None:
        self._fault -= 1
        if self._fault == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def make_engine(path: Path) -> EventSourcingEngine:
    engine = EventSourcingEngine()
    effects = os.open(path / "effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: Event) -> None:
        os.write(effects, b"%d\n" % event.position)

    def refuse_till(event: Event) -> None:
        if event.aggregate_id == "bank-till":
            raise ValueError("no")

    engine.register(make_bank())
    engine.register_process(collecting())
    engine.register_handler(Handler(name="note", handle=note, where=MOVES))
    engine.register_handler(Handler(name="refuse", handle=refuse_till, where=MOVES, retry=Retry(attempts=1)))
    return engine


async def run(path: Path, fault: int) -> dict[str, Any]:
    async with FaultyLog(path, fault) as log:
        engine = make_engine(path)
        await engine.start_event_sourcing_engine(log, snapshot_every=0)

        def ended(key: str) -> bool:
            instance = read_instance(log, "collecting", key)
            return instance is not None and instance.ended

        async with asyncio.timeout(60):
            while not all(map(ended, KEYS)) or any(one.lag_events for one in engine.status().handlers):
                await asyncio.sleep(0.001)
        summary = await summarize(log, engine)
        await engine.stop_event_sourcing_engine()
    summary["effects"] = effects_of(path, summary.pop("moves"))
    return summary


async def summarize(log: EventLog, engine: EventSourcingEngine) -> dict[str, Any]:
    moves = [event.position for event in log.read_all(where=MOVES).events]
    letters = engine.dead_letters("refuse")
    return {
        "stories": {key: story(engine, key) for key in KEYS},
        "ends": {key: engine.process("collecting").instance(key).status for key in KEYS},
        "folded": all(fold(log, "collecting", key) for key in KEYS),
        "balances": {account: await balance(engine, account) for account in ACCOUNTS},
        "letters": [letter.aggregate_id for letter in letters],
        "counts": [[one.name, one.handled, one.dead] for one in engine.status().handlers],
        "events": sorted(Counter(event.type for event in log.read_all().events).items()),
        "moves": moves,
    }


def effects_of(path: Path, moves: list[int]) -> list[int]:
    """Return how many events had their effect never, once, and more often."""
    seen = Counter(int(line) for line in (path / "effects").read_text().split())
    assert set(seen) <= set(moves)
    return [sum(seen[move] == 0 for move in moves), sum(seen[move] == 1 for move in moves), len(moves)]


def in_child(play: Callable[[], dict[str, Any]], result: Path) -> int:
    """Run something in a child of its own; return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            result.write_text(json.dumps(play()))
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(template: Path, folder: Path, again: bool) -> None:
    for fault in range(AGAIN_MOST) if again else count():
        path, result = shutil.copytree(template, folder / f"log-{fault}"), folder / f"result-{fault}"
        ends = [in_child(lambda: asyncio.run(run(path, fault)), result)]  # noqa: B023
        while ends[-1] == -signal.SIGKILL:
            next_fault = fault if again and len(ends) < 50 else 0
            ends.append(in_child(lambda: asyncio.run(run(path, next_fault)), result))  # noqa: B023
        told = json.loads(result.read_text()) if ends[-1] == 0 else {}
        print(json.dumps({"fault": fault, "ends": ends, "told": told}), flush=True)
        shutil.rmtree(path)
        if (fault and ends == [0]) or ends[-1] > 0:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), "again" in sys.argv[3:])
