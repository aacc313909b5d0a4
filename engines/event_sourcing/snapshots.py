"""Images of states in the log, to go on from instead of a stream's first event.

The rule it guards: a snapshot is a shortcut, never a source. It is appended together with the event that it
ends with, and it names that event, its schema and its checksum: one that does not fit in any of these is
as good as none, and the stream is folded from its first event.

When one is due: after `every` events (default 100), but a large state less often: after as many events as
bring about the bytes of its image, EVENT_BYTES each. So all snapshots of it are fewer bytes than its events,
and a state with 10,000 orders is not written out every 100 of them.

State key: b"snapshot/" + stream. Called by Aggregates and Batch.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import msgspec

from core._fast.crc32c import checksum
from core.event_log.log import EventLog
from engines.event_sourcing.domain import Domain

PREFIX = b"snapshot/"
EVERY = 100  # events
EVENT_BYTES = 64  # of an image, for each event until the next
MOST_BYTES = 32 << 20  # of an image
FORM = 1

logger = logging.getLogger("agora.event_sourcing")


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """Be what stands under a snapshot's key."""

    form: int
    domain: str
    schema: str
    stream: str
    version: int  # of the last event in it
    event_id: bytes  # that event's
    checksum: int  # of the image
    image: bytes


class Restored(NamedTuple):
    """Be a state made of a snapshot."""

    state: Any
    version: int
    size: int  # bytes of the image


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def snapshot_key(stream: str) -> bytes:
    """Return the state key of a stream's snapshot."""
    return PREFIX + stream.encode()


class Snapshots:
    """Make and read the snapshots of one domain's states.

    every: events after which a small state's is due; 0: none is made or read
    """

    def __init__(self, log: EventLog, domain: Domain, every: int = EVERY) -> None:
        self.every = every
        self.ignored = 0  # that did not fit
        self._log = log
        self._domain = domain

    def due(self, version: int, size: int) -> int:
        """Return the version at which the next snapshot is due, after one of `size` bytes at `version`."""
        return version + max(self.every, size // EVENT_BYTES) if self.every else 1 << 62

    def make(self, stream: str, state: Any, version: int, event_id: bytes) -> tuple[bytes, int]:
        """Return the value to append as state, empty if it is too large to be kept; and the image's bytes."""
        image = self._domain.snapshot(state)
        if len(image) > MOST_BYTES:
            return b"", len(image)
        domain = self._domain
        made = Snapshot(FORM, domain.name, domain.schema, stream, version, event_id, checksum(image), image)
        return _encode(made), len(image)

    def restore(self, stream: str, most: int | None = None) -> Restored | None:
        """Return the state of a stream's snapshot, of version `most` or before; None: none that fits."""
        value = self._log.get_state(snapshot_key(stream)) if self.every else None
        if value is None:
            return None
        try:
            found = _decode(value)
            if most is not None and found.version > most:
                return None
            wrong = self._wrong(found, stream)
            if not wrong:
                state = self._domain.restore(stream, found.image)
                return Restored(state, found.version, len(found.image))
        except Exception as error:  # whatever a domain makes of bytes that it never wrote
            wrong = f"it cannot be read: {type(error).__name__}: {error}"
        self.ignored += 1
        logger.warning("the snapshot of %s is left aside: %s", stream, wrong)
        return None

    def _wrong(self, found: Snapshot, stream: str) -> str:
        """Return what keeps a snapshot from being used."""
        if found.form != FORM or found.domain != self._domain.name:
            return "it is another domain's or form's"
        if found.stream != stream:
            return f"it is of {found.stream}"
        if found.schema != self._domain.schema:
            return "its schema is another"
        if checksum(found.image) != found.checksum:
            return "its checksum is wrong"
        last = self._log.read(stream, found.version, 1)
        if not last or last[0].version != found.version or last[0].id.bytes != found.event_id:
            return f"its last event, version {found.version}, is not in the stream"
        return ""
