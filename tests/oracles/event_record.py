"""The stored record of an event, slow and obvious: the measure of core/_fast/envelope, sha256 and crc32c."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

BYTES, MSGPACK, JSON, ENCRYPTED = 0, 1, 2, 128
FORMAT = 1
NONE = bytes(16)
FIRST = bytes(32)  # the previous hash of position 1
# after the CRC: format, codec, schema version, position, version, time, id, correlation, causation, previous
# hash, previous position of the stream, then the lengths of stream, type, actor, tags and data
HEAD = struct.Struct("<BBHQQq16s16s16s32sQHHHHI")
TAG_END = "\x1f"


@dataclass(frozen=True)
class Record:
    """One event, as it is stored."""

    stream: str
    type: str
    data: bytes
    id: bytes
    position: int = 1
    version: int = 1
    time_ns: int = 0
    codec: int = MSGPACK
    schema_version: int = 1
    correlation_id: bytes | None = None
    causation_id: bytes | None = None
    previous_hash: bytes = FIRST
    previous_position: int = 0
    actor: str = ""
    tags: tuple[str, ...] = ()


def encode(record: Record) -> bytes:
    """Return the bytes that are stored."""
    parts = [
        record.stream.encode(),
        record.type.encode(),
        record.actor.encode(),
        TAG_END.join(record.tags).encode(),
        record.data,
    ]
    head = HEAD.pack(
        FORMAT,
        record.codec,
        record.schema_version,
        record.position,
        record.version,
        record.time_ns,
        record.id,
        record.correlation_id or NONE,
        record.causation_id or NONE,
        record.previous_hash,
        record.previous_position,
        *map(len, parts),
    )
    checked = head + b"".join(parts)
    return crc32c(checked).to_bytes(4, "little") + checked


def decode(stored: bytes) -> Record:
    """Return what the stored bytes say; raise ValueError unless they are sound."""
    if len(stored) < 4 + HEAD.size:
        raise ValueError("too short")
    checked = stored[4:]
    head = HEAD.unpack_from(checked)
    format_, codec, schema, position, version, time_ns, id_, correlation, causation = head[:9]
    previous, previous_position, *sizes = head[9:]
    if int.from_bytes(stored[:4], "little") != crc32c(checked):
        raise ValueError("checksum")
    if format_ != FORMAT:
        raise ValueError("format")
    if len(checked) != HEAD.size + sum(sizes):
        raise ValueError("size")
    parts, left = [], checked[HEAD.size :]
    for size in sizes:
        parts.append(left[:size])
        left = left[size:]
    stream, type_, actor, tags = (part.decode() for part in parts[:4])
    return Record(
        stream,
        type_,
        parts[4],
        id_,
        position,
        version,
        time_ns,
        codec,
        schema,
        None if correlation == NONE else correlation,
        None if causation == NONE else causation,
        previous,
        previous_position,
        actor,
        tuple(tags.split(TAG_END)) if tags else (),
    )


def hash_of(record: Record) -> bytes:
    """Return the hash of a record: of its place, of the hash of its content, and of its stream."""
    content = replace(
        record, stream="", position=0, version=0, time_ns=0, previous_hash=FIRST, previous_position=0
    )
    place = struct.pack("<QQq", record.position, record.version, record.time_ns)
    before = record.previous_hash + record.previous_position.to_bytes(8, "little")
    return sha256(place + before + sha256(bytes(4) + encode(content)[4:]) + record.stream.encode())


def sha256(data: bytes) -> bytes:
    """Return the hash that chains records."""
    return hashlib.sha256(data).digest()


def crc32c(data: bytes, before: int = 0) -> int:
    """Return the CRC-32C of bytes that follow those whose CRC is ``before``."""
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def table_entry(byte: int) -> int:
    """Divide one byte by the polynomial, lowest bit first."""
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


TABLE = [table_entry(byte) for byte in range(256)]
