"""One logged exchange as a Python value, and as a line of JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from core._fast.record import HEADER_SIZE, Block
from core._fast.record_scan import RecordFilter, decode
from core.request_log.block import BlockDamaged, Header


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Be one exchange. Texts are "" when unknown; cut ones are named in ``cut``.

    The order of the fields is that of the tuples of core/_fast/record_scan.
    """

    sequence: int  # place in the log, from 1; 0: not yet stored
    time_ns: int  # wall clock when it began
    worker: int
    status: int  # 0: no answer was sent
    duration_ns: int
    upstream_ns: int | None  # until the upstream or application answered; None: none was asked
    bytes_in: int
    bytes_out: int
    attempts: int  # how often one was asked
    flags: tuple[str, ...] = ()  # aborted, upgraded, cached, tls
    cut: tuple[str, ...] = ()  # texts of which only the beginning was kept
    method: str = ""
    path: str = ""
    query: str = ""
    host: str = ""
    route: str = ""
    upstream: str = ""
    target: str = ""
    client: str = ""
    request_id: str = ""
    trace_id: str = ""
    consumer: str = ""
    problem: str = ""  # slug of the refusal or failure
    protocol: str = ""
    user_agent: str = ""

    @property
    def time(self) -> datetime:
        """Return when it began, in UTC, to the microsecond."""
        seconds, nanoseconds = divmod(self.time_ns, 10**9)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)


def read_records(
    records: memoryview,
    header: Header,
    wanted: RecordFilter | None = None,
    after: int = 0,
    before: int = 0,
) -> list[Record]:
    """Return the wanted records of a block with after < sequence < before (0: no end); raise BlockDamaged."""
    try:
        found = decode(records, header.count, header.first, header.worker, wanted, after, before)
    except ValueError as error:
        raise BlockDamaged(f"does not hold what it says: {error}") from None
    return [Record(*fields) for fields in found]


def unstored_records(block: Block, worker: int) -> list[Record]:
    """Return the records of a block that has no place in the log yet."""
    found = decode(memoryview(block)[HEADER_SIZE:], block.count, 1, worker)
    return [Record(0, *fields[1:]) for fields in found]


def json_line(record: Record) -> bytes:
    """Return a record as one line of JSON that begins with its time in RFC 3339, without the line's end."""
    time = record.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    known = 1 if record.sequence else len('{"sequence":0,')
    return b'{"time":"%b",' % time.encode() + msgspec.json.encode(record)[known:]
