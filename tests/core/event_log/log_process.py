"""A process that appends to a log and follows it, and writes down what it wanted and what it was told.

Run as a program with an Order in JSON. It says a line after each answer to an append, and `done` after the
last; then it is told a position on its standard input, follows up to there and ends. Its record has a line
for each beginning and each end of an append, and for each page of a follower: what it wrote down survives it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns
from typing import Any

import msgspec

from core._fast.envelope import BYTES, Draft
from core._fast.event_append import Append, Appended, Query
from core.event_log.errors import ConditionFailed, EventIdConflict, EventLogError, VersionConflict
from core.event_log.log import EventLog
from tests.oracles.history import ANY, EXISTS, NEVER, NO_STREAM, Attempt, Following, mark_of

MARK = b"mark/"
STREAMS = 12  # that all processes append to
TAGS = 3
TASKS = 8  # appends of one process that wait at the same time


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to do.

    path:    of the log
    record:  file that it writes down what happens in
    who:     its name; the seed of all that it does by chance
    appends: how many it makes
    follow:  positions that it follows from, -1: from where the log is when it starts
    retry:   record of one that was killed, whose unanswered appends it makes first
    """

    path: str
    record: str
    who: str
    appends: int
    follow: tuple[int, ...] = ()
    retry: str = ""


class Writer:
    """Append by chance, and write down what happens."""

    def __init__(self, log: EventLog, order: Order, file: int) -> None:
        self.log = log
        self.who = order.who
        self.file = file
        self.random = random.Random(order.who)
        self.left = order.appends
        self.made: list[Attempt] = []
        self.first = read_attempts(Path(order.retry)) if order.retry else []
        self.shared = 0

    async def run(self) -> None:
        while self.left > 0:
            self.left -= 1
            await self.attempt(self.next())

    def next(self) -> Attempt:
        while self.first:
            if not (earlier := self.first.pop()).answer:
                return replace(earlier, who=self.who)
        made = self.random.choices(KINDS, WEIGHTS)[0](self)
        self.made.append(made)
        return made

    async def attempt(self, wanted: Attempt) -> None:
        append = append_of(wanted)
        number = self.random.getrandbits(64)
        self.write({"number": number, "wanted": replace(wanted, began=monotonic_ns())})
        try:
            answer = answer_of(await self.log.submit(append))
        except EventLogError as error:
            answer = answer_of(error)
        self.write({"number": number, "ended": monotonic_ns(), "answer": answer})
        print(flush=True)

    def write(self, line: dict[str, Any]) -> None:
        os.write(self.file, msgspec.json.encode(line) + b"\n")

    async def follow(self, after: int, end: asyncio.Future[int]) -> None:
        """Follow until the end is known and reached."""
        after = after if after >= 0 else self.log.last_position()
        self.write({"follower": after, "when": 0, "seen": []})
        pages = self.log.follow(after, limit=100)
        reached = after
        while not end.done() or reached < end.result():
            page = asyncio.ensure_future(anext(pages))
            news: list[asyncio.Future[Any]] = [page, end]
            await asyncio.wait(news, return_when=asyncio.FIRST_COMPLETED)
            if not page.done() and reached >= end.result():
                page.cancel()
                return
            reached = (await page).reached
            seen = [(event.position, event.id_bytes.hex()) for event in page.result().events]
            self.write({"follower": after, "when": monotonic_ns(), "seen": seen})

    # -- what it wants ---------------------------------------------------------------------------------------

    def drafts(self, most: int = 3) -> tuple[tuple[str, str], ...]:
        tag = f"t{self.random.randrange(TAGS)}"
        return tuple((tag, self.random.randbytes(16).hex()) for _ in range(self.random.randint(1, most)))

    def streams(self, count: int) -> list[str]:
        return [f"s{number}" for number in self.random.sample(range(STREAMS), count)]

    def want(self, *writes: Any, **rest: Any) -> Attempt:
        return Attempt(self.who, 0, NEVER, writes, **rest)

    def anything(self) -> Attempt:
        return self.want((self.streams(1)[0], ANY, self.drafts()))

    def its_own(self) -> Attempt:
        return self.want((f"own-{self.who}", ANY, self.drafts()))

    def at_its_version(self) -> Attempt:
        (stream,) = self.streams(1)
        return self.want((stream, self.log.head(stream), self.drafts()))

    def a_new_one(self) -> Attempt:
        return self.want(
            (f"new-{self.random.randrange(1 + self.log.last_position())}", NO_STREAM, self.drafts())
        )

    def one_that_exists(self) -> Attempt:
        return self.want(
            (f"new-{self.random.randrange(1 + self.log.last_position())}", EXISTS, self.drafts())
        )

    def several(self) -> Attempt:
        one, other, checked = self.streams(3)
        writes = ((one, self.log.head(one), self.drafts()), (other, ANY, self.drafts()))
        return self.want(*writes, checks=((checked, self.log.head(checked)),))

    def conditional(self) -> Attempt:
        tag = f"t{self.random.randrange(TAGS)}"
        after = max(self.log.last_position() - self.random.randrange(2), 0)
        return self.want((self.streams(1)[0], ANY, self.drafts(1)), unless=tag, after=after)

    def again(self) -> Attempt:
        return self.random.choice(self.made) if self.made else self.anything()

    def what_others_want_too(self) -> Attempt:
        self.shared += 1
        same = random.Random(self.shared)
        ids = tuple(("t0", same.randbytes(16).hex()) for _ in range(2))
        return replace(self.want(("shared", ANY, ids)), who=self.who)

    def with_a_used_id(self) -> Attempt:
        if not self.made:
            return self.anything()
        used = self.random.choice(self.made).writes[0][2][0]
        return self.want((f"own-{self.who}", ANY, (("clash", used[1]), *self.drafts())))


KINDS: list[Callable[[Writer], Attempt]] = [
    Writer.anything,
    Writer.its_own,
    Writer.at_its_version,
    Writer.a_new_one,
    Writer.one_that_exists,
    Writer.several,
    Writer.conditional,
    Writer.again,
    Writer.what_others_want_too,
    Writer.with_a_used_id,
]
WEIGHTS = [4, 2, 6, 3, 2, 5, 3, 2, 3, 1]


def append_of(wanted: Attempt) -> Append:
    return Append(
        [
            (
                stream,
                expected,
                [Draft("T", b"x", codec=BYTES, id=bytes.fromhex(id), tags=(tag,)) for tag, id in drafts],
            )
            for stream, expected, drafts in wanted.writes
        ],
        checks=wanted.checks,
        unless=Query([(f"tag:{wanted.unless}",)]) if wanted.unless else None,
        after=wanted.after,
        state=[
            (MARK + hashlib.sha256(mark_of(wanted.items).encode()).digest(), mark_of(wanted.items).encode())
        ],
    )


def answer_of(result: Appended | EventLogError) -> tuple[Any, ...]:
    match result:
        case Appended():
            return ("appended", result.first_position, result.last_position, result.versions, result.repeated)
        case VersionConflict():
            return ("version", result.stream, result.expected, result.actual)
        case ConditionFailed():
            return ("condition", result.position)
        case EventIdConflict():
            return ("id", result.position)
    raise result


# -- reading a record ----------------------------------------------------------------------------------------


def lines_of(record: Path) -> list[dict[str, Any]]:
    """Return what was written down; a last line that was not finished is none."""
    return [json.loads(line) for line in record.read_bytes().split(b"\n")[:-1]]


def read_attempts(record: Path) -> list[Attempt]:
    found: dict[int, Attempt] = {}
    for line in lines_of(record):
        if "wanted" in line:
            found[line["number"]] = msgspec.convert(line["wanted"], Attempt)
        elif "answer" in line:
            answer = tuple(tuple(part) if isinstance(part, list) else part for part in line["answer"])
            found[line["number"]] = replace(found[line["number"]], ended=line["ended"], answer=answer)
    return list(found.values())


def read_followings(record: Path, *, killed: bool = False) -> list[Following]:
    seen: dict[int, list[tuple[int, int, str]]] = {}
    for line in lines_of(record):
        if "follower" in line:
            own = seen.setdefault(line["follower"], [])
            own += [(line["when"], position, id) for position, id in line["seen"]]
    return [Following(record.stem, after, tuple(own), killed) for after, own in seen.items()]


# -- the program ---------------------------------------------------------------------------------------------


async def run(order: Order) -> None:
    loop = asyncio.get_running_loop()
    file = os.open(order.record, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    async with EventLog(order.path, map_size=1 << 20) as log:
        writer = Writer(log, order, file)
        end: asyncio.Future[int] = loop.create_future()
        followers = [loop.create_task(writer.follow(after, end)) for after in order.follow]
        await asyncio.gather(*(writer.run() for _ in range(TASKS)))
        print("done", flush=True)
        line = await loop.run_in_executor(None, sys.stdin.readline)
        end.set_result(int(line))
        await asyncio.gather(*followers)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(sys.argv[1], type=Order)))
