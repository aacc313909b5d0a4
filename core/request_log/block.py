"""The frame of a block: a header that says what is inside and proves it.

    magic 4 | version 1 | flags 1 | worker 2 | records 4 | bytes of records 4 | first sequence number 8
    oldest time 8 | newest time 8 | records lost before it 4 | process id 4
    CRC-32 of records 4 | CRC-32 of header 4

All little endian; times are wall clock in nanoseconds. Rule: a block is used only if both checksums and its
place in the log fit, so a flipped bit or a moved block is noticed. The store seals blocks, readers open them.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from core._fast.record import HEADER_SIZE, Block

MAGIC = b"AgRq"
VERSION = 1
LAYOUT = struct.Struct("<4sBBHIIQqqIII")  # all but the header's own checksum
CHECKSUM = struct.Struct("<I")
LARGEST_COUNT = 0xFFFFFFFF


class Header(msgspec.Struct, frozen=True):
    """Be what a block says of itself."""

    worker: int
    count: int  # records
    first: int  # sequence number of the first record
    oldest_ns: int
    newest_ns: int
    dropped: int  # records that were lost before the first one, in the same process
    pid: int

    @property
    def last(self) -> int:
        """Return the sequence number of the last record."""
        return self.first + self.count - 1


class Damage(msgspec.Struct, frozen=True):
    """Be a block that cannot be trusted: the records that are missing because of it, and why."""

    first: int  # sequence number of its first record; 0: unknown
    last: int
    reason: str


class BlockDamaged(ValueError):
    """Refuse a block whose bytes are not what was written. Readers turn it into a Damage."""


def checksum(block: Block) -> int:
    """Return the checksum of a block's records; may be taken before its place in the log is known."""
    return crc32(memoryview(block)[HEADER_SIZE:])


def seal(block: Block, records_checksum: int, first: int, worker: int, pid: int) -> None:
    """Write the header of a block whose first record gets the sequence number ``first``."""
    view = memoryview(block)
    LAYOUT.pack_into(
        view, 0, MAGIC, VERSION, 0, worker, block.count, len(view) - HEADER_SIZE, first,
        block.oldest_ns, block.newest_ns, min(block.dropped, LARGEST_COUNT), pid, records_checksum,
    )  # fmt: skip
    CHECKSUM.pack_into(view, LAYOUT.size, crc32(view[: LAYOUT.size]))


def read_header(value: memoryview, last: int) -> Header:
    """Return the header of the block stored for the record ``last``; raise BlockDamaged."""
    if len(value) < HEADER_SIZE:
        raise BlockDamaged("is shorter than a header")
    magic, version, _, worker, count, size, first, oldest_ns, newest_ns, dropped, pid, _ = LAYOUT.unpack_from(
        value
    )
    if crc32(value[: LAYOUT.size]) != CHECKSUM.unpack_from(value, LAYOUT.size)[0]:
        raise BlockDamaged("has a header that fails its checksum")
    if magic != MAGIC:
        raise BlockDamaged("is not a block of a request log")
    if version != VERSION:
        raise BlockDamaged(f"has format version {version}, this program reads version {VERSION}")
    if first + count - 1 != last or size != len(value) - HEADER_SIZE:
        raise BlockDamaged("is not in its place")
    return Header(worker, count, first, oldest_ns, newest_ns, dropped, pid)


def check_records(value: memoryview) -> memoryview:
    """Return the records of a block whose header was read; raise BlockDamaged."""
    records = value[HEADER_SIZE:]
    if crc32(records) != LAYOUT.unpack_from(value)[-1]:
        raise BlockDamaged("has records that fail their checksum")
    return records
