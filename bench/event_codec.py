"""Time the codec of events, in nanoseconds an event: `python -m bench.event_codec`.

The event has 200 bytes of data, a type, and a stream; stored it is 363 bytes, with CRC and hash.
"""

import json
import sys
from collections.abc import Callable

from bench.parse import measure
from core._fast.crc32c import checksum
from core._fast.envelope import Draft, finish_repeatedly, read_event
from core._fast.sha256 import digest_repeatedly

DATA = b"x" * 200
STREAM = "market-7"
DRAFT = Draft("OrderPlaced", DATA, tags=("market:7", "user:3"), actor="alice")
RECORD = DRAFT.finish(STREAM, 1, 1, 1).record


def draft_plainly(rounds: int) -> None:
    """Make drafts that have a type and data."""
    for _ in range(rounds):
        Draft("OrderPlaced", DATA)


def draft_fully(rounds: int) -> None:
    """Make drafts with two tags, an actor and both ids of where they come from."""
    cause, tags = DRAFT.id_bytes, ("market:7", "user:3")
    for _ in range(rounds):
        Draft("OrderPlaced", DATA, tags=tags, actor="alice", correlation_id=cause, causation_id=cause)


def read(rounds: int) -> None:
    """Check records and make events of them."""
    for _ in range(rounds):
        read_event(RECORD)


def read_and_use(rounds: int) -> None:
    """Read what a projection needs of an event: place, type, time and data."""
    for _ in range(rounds):
        event = read_event(RECORD)
        _ = event.position, event.stream, event.version, event.type, event.time_ns, event.data


def check(rounds: int) -> None:
    """Compute the CRC alone."""
    for _ in range(rounds):
        checksum(RECORD)


CASES: dict[str, Callable[[int], object]] = {
    "draft of type and data": draft_plainly,
    "draft with tags, actor and ids": draft_fully,
    "finish: record, CRC, hash": lambda n: finish_repeatedly(DRAFT, STREAM, n),
    "read: check, Event": read,
    "read, and six attributes of it": read_and_use,
    f"(hash alone, {len(RECORD)} bytes)": lambda n: digest_repeatedly(RECORD, n),
    f"(CRC alone, {len(RECORD)} bytes, from Python)": check,
}


def main() -> None:
    """Print one line a case, or JSON with --json."""
    results = {name: round(measure(call, rounds=100_000), 1) for name, call in CASES.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(results))
        return
    for name, nanoseconds in results.items():
        print(f"{name:45} {nanoseconds:8.1f} ns")


if __name__ == "__main__":
    main()
