"""A small log with one of everything: segments, long values, free pages, names whose events are gone."""

from __future__ import annotations

import random
from pathlib import Path

from core._fast.envelope import BYTES, Draft
from core._fast.event_append import ANY, Append
from core._fast.event_store import DAY_NS, EventStore

START = 1_700_000_000 * 10**9 // DAY_NS * DAY_NS


def write_small_log(path: Path, *, dropped: bool = False, seed: int = 5) -> None:
    """Make a log of three days, a segment each; with `dropped`, the first of them is gone."""
    rng = random.Random(seed)
    with EventStore(str(path), segment_days=1, now_ns=START) as store:
        store.commit([Append([("gone", ANY, [Draft("Gone", b"x", codec=BYTES)])])], START)
        store.commit([Append([("long", ANY, [Draft("Long", b"x", codec=BYTES) for _ in range(150)])])], START)
        for day, commits, size in ((0, 3, 20), (1, 4, 20), (2, 1, 2100)):
            for _ in range(commits):
                appends = [some_append(rng, size) for _ in range(2)]
                store.commit(appends, START + day * DAY_NS)
        store.commit([Append(state=[(b"long", bytes(range(256)) * 20)])], START + 2 * DAY_NS)
        if dropped:
            assert store.drop_segment(1)
            store.commit([some_append(rng, 20)], START + 2 * DAY_NS)


def some_append(rng: random.Random, size: int) -> Append:
    drafts = [
        Draft("Placed", rng.randbytes(size), codec=BYTES, tags=(f"market:{rng.randrange(2)}",), actor="me")
        for _ in range(rng.randrange(1, 4))
    ]
    state = [(b"key-%d" % rng.randrange(4), rng.randbytes(9))]
    keys = [(b"subject-%d" % rng.randrange(2), rng.randbytes(32))]
    return Append([(f"order-{rng.randrange(3)}", ANY, drafts)], state=state, keys=keys)


def read_everything(path: Path) -> list[object]:
    """Return all that the store reads of a log."""
    with EventStore(str(path), make=False, read_only=True) as store:
        streams = store.stream_names()
        return [
            [event.record for event in store.read(limit=10**6, max_bytes=1 << 30)],
            [(name, store.head(name), store.read_stream(name)) for name in streams],
            store.index_names(),
            store.scan_state(),
            store.scan_keys(),
            [(part.number, part.first_position, part.events, part.start_ns) for part in store.segments()],
        ]
