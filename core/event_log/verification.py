"""Verify a log: every record, every index entry, every page of its file, and each against the others.

The rule it guards: what is reported sound was read whole. The check does not read through LMDB, so no damage
can lead it astray; it looks at one snapshot, and others may go on writing meanwhile (they cannot use freed
pages again until it is over, so under many commits the file grows). `agora log verify` and `backup` call.

What a flipped bit is found by: of a record, its checksum, its hash in the next one, its place and version; of
an index, that both sides name the same; of values and names, their checksums; of the file's structure, that
every page is used once, in order, and counted. What no check can see, for nothing else says the same:

* free pages, the room between the entries of a page and behind a long value, the byte that evens out a node;
* the older of the two meta pages, but for its number, form and list of free pages; in the newer one how far
  the file may grow;
* a key that parts two pages, as long as it parts them rightly; which transaction freed a page, within bounds.

None of it changes what is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core._fast.event_check import LogCheck

AT_ONCE = 20_000  # entries between two reports of progress

Report = Callable[[int, int], None]  # entries checked, entries there are


@dataclass(frozen=True)
class Finding:
    """Be one thing that is wrong."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Say what a verification came to."""

    findings: tuple[Finding, ...]
    events: int  # sound ones
    entries: int  # of all tables
    segments: int
    pages: int
    page_size: int  # bytes
    free_pages: int
    slack: int  # bytes of used pages that hold nothing
    snapshot: int  # number of the transaction that was looked at
    seconds: float = field(compare=False)

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.findings


def verify(path: str | Path, report: Report | None = None, *, pinned: bool = True) -> Verdict:
    """Check the log in a directory, and say what is wrong; the first hundred things of it.

    pinned: others may write meanwhile; without it nobody may, and the directory need not be writable.
    Raises LogMissing; LogInUse if this process has the log open; LogUnreadable if the file is none at all.
    """
    begun = time.perf_counter()
    check = LogCheck(str(path), pinned=pinned)
    try:
        if check.read_structure():
            entries = check.entries
            for _ in _steps(check):
                if report is not None:
                    report(check.checked, entries)
        file = check.file
        return Verdict(
            findings=tuple(Finding(where, what) for where, what in check.findings),
            events=check.events,
            entries=check.checked,
            segments=len(check.segments),
            pages=file.last_page + 1,
            page_size=file.page_size,
            free_pages=file.free_pages,
            slack=file.slack,
            snapshot=file.snapshot,
            seconds=time.perf_counter() - begun,
        )
    finally:
        check.close()


def _steps(check: LogCheck) -> Iterator[None]:
    """Go over all tables: names first, then each segment's indexes, and its events last."""
    for table in ("streams", "tags", "keys", "state"):
        yield from _walk(check, table)
    for index, (number, _, _) in enumerate(check.segments):
        check.begin_segment(index)
        for kind in "stie":
            yield from _walk(check, f"{kind}.{number:08x}")
        check.end_segment()
    check.end()


def _walk(check: LogCheck, table: str) -> Iterator[None]:
    check.begin(table)
    while check.proceed(AT_ONCE):
        yield
    yield
