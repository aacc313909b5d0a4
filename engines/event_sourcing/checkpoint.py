"""The image of a projection's table in the log's state, with the position it has come to.

The rule it guards: position, schema and image are written in one append, and an image whose schema, length
or checksum differs is no image: the table is folded anew. So an event counts once, whatever crashes.

State keys: b"projection/" + name + b"/head"; b"projection/" + name + b"/image/" + number of the chunk.
Called by ProjectionRunner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from core._fast.crc32c import checksum
from core.event_log.log import EventLog

CHUNK = 1 << 20  # bytes of one value of state at most
CHUNKS = 1 << 14  # of one image: with its head they are read in one transaction
MOST_BYTES = (CHUNKS + 64) * CHUNK  # of an image with its head, which a value of state bounds
LENGTH = 8  # bytes before each piece

State = list[tuple[bytes, bytes | None]]


class Parked(msgspec.Struct, frozen=True):
    """An event that is left out of a table because its fold raised."""

    position: int
    type: str
    stream: str
    error: str


class Head(msgspec.Struct, frozen=True):
    """What an image is of."""

    schema: str
    position: int  # the last event that the table knows
    saved_ns: int
    chunks: int
    size: int  # bytes of the image
    checksum: int
    parked: list[Parked]


class Checkpoint(NamedTuple):
    """What was read back."""

    head: Head
    pieces: list[bytes]


class CheckpointDamaged(ValueError):
    """Say that there is an image, but not the one that was saved."""


def _key(name: str) -> bytes:
    return b"projection/" + name.encode() + b"/"


def joined(pieces: Iterable[bytes]) -> bytes:
    """Return pieces as one, from which `parted` gets them back."""
    parts: list[bytes] = []
    for piece in pieces:
        parts += (len(piece).to_bytes(LENGTH, "big"), piece)
    return b"".join(parts)


def parted(image: bytes) -> list[bytes]:
    """Return the pieces of an image."""
    pieces, start = list[bytes](), 0
    while start < len(image):
        end = start + LENGTH + int.from_bytes(image[start : start + LENGTH], "big")
        pieces.append(image[start + LENGTH : end])
        start = end
    if start != len(image):
        raise CheckpointDamaged("the image ends within a piece")
    return pieces


def state_of(
    name: str, schema: str, position: int, image: bytes, parked: list[Parked], now_ns: int, before: int
) -> State:
    """Return the state to append.

    before: chunks of the image that it takes the place of
    """
    chunks = -(-len(image) // CHUNK)
    if chunks >= CHUNKS:
        raise ValueError(f"the image of projection {name!r} is {len(image)} bytes: more than can be kept")
    head = Head(schema, position, now_ns, chunks, len(image), checksum(image), parked)
    state: State = [(_key(name) + b"head", msgspec.msgpack.encode(head))]
    for number in range(max(chunks, before)):
        piece = image[number * CHUNK : (number + 1) * CHUNK] if number < chunks else None
        state.append((_key(name) + b"image/%06d" % number, piece))
    return state


def read_head(log: EventLog, name: str) -> Head | None:
    """Return what the saved image is of; None: there is none, or it cannot be read."""
    data = log.get_state(_key(name) + b"head")
    try:
        return None if data is None else msgspec.msgpack.decode(data, type=Head)
    except msgspec.DecodeError:
        return None


def read_checkpoint(log: EventLog, name: str, schema: str) -> Checkpoint | None:
    """Return what was saved; None: nothing, or by another schema. Raises CheckpointDamaged."""
    # NOTE: head and chunks are read in one transaction: another process may be saving.
    found = dict(log.store.scan_state(_key(name), limit=CHUNKS + 1, max_bytes=MOST_BYTES))
    data = found.pop(_key(name) + b"head", None)
    if data is None:
        return None
    try:
        head = msgspec.msgpack.decode(data, type=Head)
    except msgspec.DecodeError as error:
        raise CheckpointDamaged(f"its head cannot be decoded: {error}") from error
    if head.schema != schema:
        return None
    image = b"".join(found.values())
    if len(found) != head.chunks or len(image) != head.size or checksum(image) != head.checksum:
        raise CheckpointDamaged("its image is not the one that was saved")
    if head.position > log.last_position():
        raise CheckpointDamaged(f"it is of position {head.position}, beyond the log's end")
    return Checkpoint(head, parted(image))
