"""What the log remembers of a command beside its events: that it was done, and what was answered.

The rule it guards: a record is appended with the events of its command, at a version that its first event's
stream had before. So a command is done once, by whichever process, also after a crash.
State key: ``command/DOMAIN/ID``.

NOTE: two different commands that are given one id, at the same moment, to two processes, and that touch
different streams, are both done; the record of one stays. Any later one is refused.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

PREFIX = b"command/"


class CommandRecord(msgspec.Struct, frozen=True, array_like=True):
    """Be the answer that a command got."""

    time_ns: int
    fingerprint: bytes  # of the command, 16 bytes
    receipt: bytes
    stream: (
        str  # of an event of the same append, at `version`; empty: it made none, and `beyond` is its place
    )
    version: int
    beyond: int  # events of the append from that one to the last of the command


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CommandRecord)


def record_key(domain: str, command: str) -> bytes:
    """Return the state key of a command's record."""
    return PREFIX + domain.encode() + b"/" + command.encode()


def encode_record(record: CommandRecord) -> bytes:
    """Return a record as bytes."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> CommandRecord:
    """Return the record of such bytes; raise msgspec.ValidationError if there is none."""
    return _decoder.decode(data)


def fingerprint_of(command: Any) -> bytes:
    """Return 16 bytes that are the same for equal commands."""
    return hashlib.blake2b(_encoder.encode(command), digest_size=16).digest()
