"""Where the instances of processes are kept: their streams, their images, the ids of their commands.

The rule it guards: an instance's image stands in the log's state as long as it has not ended, and changes in
the append of the records that change it, at the version before them. So what is open is found without reading
the log, also when old segments are dropped, and two processes cannot both go on with one instance.

State key: process/NAME/open/KEY. Called by ProcessRunner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from uuid import UUID

from core._fast.envelope import Draft
from core.event_log.log import EventLog, Write
from engines.event_sourcing.process_instance import (
    STREAMS,
    Instance,
    Record,
    decode_instance,
    decode_record,
    encode,
    evolve,
)

KEY_LIMIT = 180  # bytes of UTF-8: with the longest name, a key of state and a stream's name have room
PAGE = 1_000


def check_key(key: object) -> str:
    """Return the key of an instance; raise ValueError if it cannot be one."""
    if not isinstance(key, str) or not key or not key.isprintable() or len(key.encode()) > KEY_LIMIT:
        raise ValueError(f"the key of a process is 1 to {KEY_LIMIT} printable bytes, not {key!r}")
    return key


def stream_of(process: str, key: str) -> str:
    """Return the name of an instance's stream."""
    return f"{STREAMS}{process}:{key}"


def open_prefix(process: str) -> bytes:
    """Return how the state keys of the instances that have not ended begin."""
    return f"process/{process}/open/".encode()


def image_of(instance: Instance) -> tuple[bytes, bytes | None]:
    """Return the state of an instance."""
    key = open_prefix(instance.process) + instance.key.encode()
    return key, None if instance.ended else encode(instance)


def write_of(
    process: str, key: str, version: int, records: Sequence[tuple[Record, UUID | None]], correlation: str
) -> Write:
    """Return the write of records, and of the events that caused them, after a version of the stream."""
    drafts = [
        Draft(
            type(record).__name__,
            encode(record),
            actor=f"process:{process}",
            correlation_id=UUID(correlation),
            causation_id=cause,
        )
        for record, cause in records
    ]
    return stream_of(process, key), version, drafts


def read_open(log: EventLog, process: str, after: str = "", limit: int = PAGE) -> list[Instance]:
    """Return instances that have not ended, by key, from the one after `after` on."""
    prefix = open_prefix(process)
    found = log.scan_state(prefix, prefix + after.encode() if after else b"", limit)
    return [decode_instance(image) for _, image in found]


def read_all_open(log: EventLog, process: str) -> Iterator[Instance]:
    """Yield the instances that have not ended."""
    page = read_open(log, process)
    while page:
        yield from page
        page = read_open(log, process, page[-1].key)


def read_instance(log: EventLog, process: str, key: str) -> Instance | None:
    """Return an instance that may have ended; None: there never was one, or its events were dropped."""
    image = log.get_state(open_prefix(process) + key.encode())
    if image is not None:
        return decode_instance(image)
    return fold(log, process, key)


def fold(log: EventLog, process: str, key: str) -> Instance | None:
    """Return what the records of an instance fold to; None: there are none, or some were dropped."""
    instance, stream = None, stream_of(process, key)
    while events := log.read(stream, 1 if instance is None else instance.version + 1, PAGE):
        for event in events:
            if event.version != (1 if instance is None else instance.version + 1):
                return None
            instance = evolve(instance, decode_record(event.data))
    return instance


def command_id(instance: Instance, number: int, what: str) -> str:
    """Return the id of a step's command (`do`) or of the one that takes it back (`undo`)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (instance.process, instance.key, str(number), what):
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return f"process-{digest.hexdigest()}"
