"""Time batches in the event log beside a bare LMDB, in events a second: `python -m bench.event_store`.

A batch is BATCH events of 200 bytes, made and committed with fsync, a commit each; the next is made while one
is committed. The bare LMDB gets the same 200 bytes under ascending keys by `putmulti`, with the same commit.
Both take turns. Then all is read back: each record checked, and made an event whose position, type and data
are taken.
"""

import asyncio
import json
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import lmdb
import uvloop

from core._fast.envelope import Draft
from core._fast.event_append import ANY, Append, Appended
from core.event_log.log import EventLog

BATCH = 1000
BATCHES = 20  # in a turn
ROUNDS = 7
DATA = b"x" * 200
STREAMS = [f"market-{number}" for number in range(10)]
EACH = BATCH // len(STREAMS)
MAP_SIZE = 1 << 32


async def append(log: EventLog) -> float:
    """Commit BATCHES batches; return events a second."""
    begin = time.perf_counter()
    before: asyncio.Future[Appended] | None = None
    for _ in range(BATCHES):
        writes = [(stream, ANY, [Draft("OrderPlaced", DATA) for _ in range(EACH)]) for stream in STREAMS]
        latest = log.submit(Append(writes))
        if before is not None:
            await before
        before = latest
    if before is not None:
        await before
    return BATCH * BATCHES / (time.perf_counter() - begin)


def put(env: lmdb.Environment, first: int) -> float:
    """Commit BATCHES batches of ascending keys; return entries a second."""
    begin = time.perf_counter()
    for number in range(BATCHES):
        start = first + number * BATCH
        with env.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(
                [(struct.pack(">Q", key), DATA) for key in range(start, start + BATCH)], append=True
            )
    return BATCH * BATCHES / (time.perf_counter() - begin)


def read(log: EventLog) -> float:
    """Read all events; return events a second."""
    begin, position, size = time.perf_counter(), 0, 0
    while events := log.store.read(position + 1):
        for event in events:
            position = event.position
            size += len(event.type) + len(event.data)
    return position / (time.perf_counter() - begin)


async def take_turns() -> dict[str, float]:
    """Let the two take turns; return the medians, and the ratio of the turns."""
    appended, bare, back = [], [], []
    # NOTE: not in /tmp, which may be memory.
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        lmdb.open(str(Path(folder) / "bare"), map_size=MAP_SIZE) as env,
    ):
        async with EventLog(Path(folder) / "log", map_size=MAP_SIZE) as log:
            for turn in range(ROUNDS):
                appended.append(await append(log))
                bare.append(put(env, turn * BATCHES * BATCH))
            back = [read(log) for _ in range(ROUNDS)]
    ratios = [ours / theirs for ours, theirs in zip(appended, bare, strict=True)]
    return {
        "batched append": round(median(appended)),
        "bare LMDB, putmulti": round(median(bare)),
        "(ratio)": round(median(ratios), 3),
        "read and decode": round(median(back)),
    }


def main() -> None:
    """Print one line a case, or JSON with --json."""
    results = uvloop.run(take_turns())
    if "--json" in sys.argv[1:]:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:30} {value:14,.3f}")


if __name__ == "__main__":
    main()
