"""The codec of request records, slow and obvious: the measure of core/_fast/record and record_scan."""

from __future__ import annotations

from dataclasses import dataclass, field

TEXTS = (
    "method", "path", "query", "host", "route", "upstream", "target", "client", "request_id", "trace_id",
    "consumer", "problem", "protocol", "user_agent",
)  # fmt: skip
LIMITS = {"path": 1024, "query": 1024}
ABSENT, SAME, NEW, CUT = range(4)


@dataclass
class Fields:
    """One record: numbers and texts."""

    status: int = 0
    time_ns: int = 0
    duration_ns: int = 0
    upstream_ns: int = -1
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: int = 0
    flags: int = 0
    texts: dict[str, bytes] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()


def encode(records: list[Fields]) -> bytes:
    """Return the records of one block."""
    out = b""
    last_time = 0
    seen: dict[str, tuple[int, bytes]] = {}
    for record in records:
        codes, body = 0, b""
        for index, name in enumerate(TEXTS):
            text = record.texts.get(name, b"")
            if not text:
                continue
            limit = LIMITS.get(name, 256)
            written = (CUT if len(text) > limit else NEW, text[:limit])
            if seen.get(name) == written:
                codes |= SAME << 2 * index
            else:
                seen[name] = written
                codes |= written[0] << 2 * index
                body += varint(len(written[1])) + written[1]
        out += codes.to_bytes(4, "little") + numbers(record, last_time) + body
        last_time = record.time_ns
    return out


def numbers(record: Fields, last_time: int) -> bytes:
    """Return the eight numbers of a record."""
    moved = signed(record.time_ns - last_time)
    zigzag = 2 * moved if moved >= 0 else -2 * moved - 1
    return b"".join(
        varint(max(0, number))
        for number in (
            record.status,
            zigzag,
            record.duration_ns,
            record.upstream_ns + 1,
            record.bytes_in,
            record.bytes_out,
            record.attempts,
            record.flags,
        )
    )


def signed(number: int) -> int:
    """Wrap a number into 64 bits with a sign."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def varint(number: int) -> bytes:
    """Write seven bits a byte, the lowest first; the top bit says that more follow."""
    out = b""
    while number >= 128:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def decode(data: bytes, count: int) -> list[Fields]:
    """Read exactly ``count`` records; raise ValueError if the bytes are anything else."""
    reader = Reader(data)
    seen: dict[str, tuple[int, bytes]] = {}
    records = []
    time_ns = 0
    for _ in range(count):
        mask = int.from_bytes(reader.take(4), "little")
        codes = [mask >> 2 * index & 3 for index in range(16)]
        status, zigzag, duration, upstream, bytes_in, bytes_out, attempts, flags = (
            reader.varint() for _ in range(8)
        )
        if max(status, attempts, flags) >= 1 << 32 or max(duration, bytes_in, bytes_out) >= 1 << 63:
            raise ValueError("number out of range")
        if upstream > 1 << 63 or any(codes[len(TEXTS) :]):
            raise ValueError("number out of range")
        time_ns = signed(time_ns + (zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2))
        for name, code in zip(TEXTS, codes, strict=False):
            if code == SAME and name not in seen:
                raise ValueError("the same as nothing")
            if code in (NEW, CUT):
                size = reader.varint()
                if not 0 < size <= LIMITS.get(name, 256):
                    raise ValueError("size out of range")
                seen[name] = (code, reader.take(size))
        present = {name: seen[name] for name, code in zip(TEXTS, codes, strict=False) if code != ABSENT}
        texts = {name: text for name, (_, text) in present.items()}
        cut = frozenset(name for name, (code, _) in present.items() if code == CUT)
        records.append(
            Fields(status, time_ns, duration, upstream - 1, bytes_in, bytes_out, attempts, flags, texts, cut)
        )
    if reader.data:
        raise ValueError("bytes follow")
    return records


class Reader:
    """Take bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        """Return the next bytes; raise ValueError if there are fewer."""
        if len(self.data) < size:
            raise ValueError("too short")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def varint(self) -> int:
        """Return the next number of at most 64 bits."""
        number = 0
        for place in range(10):
            byte = self.take(1)[0]
            number += byte % 128 << 7 * place
            if byte < 128:
                if number >= 1 << 64:
                    raise ValueError("more than 64 bits")
                return number
        raise ValueError("more than 64 bits")
