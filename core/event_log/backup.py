"""Copy a log, while others write to it, into a directory of its own.

The rule it guards: a directory with a backup's name holds a whole, verified one: it is written beside its
place, verified, and only then given its name. `agora log backup` calls.

A backup is a log like any other: the gateway starts on it. It holds the subjects' keys; what is erased later
stays readable in it.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from core._fast.event_store import EventStore
from core.event_log.errors import BackupRefused, LogUnreadable
from core.event_log.verification import Verdict, verify

STEP = 0.1  # seconds between two reports

Report = Callable[[int, int], None]  # bytes copied, bytes there are at most


def back_up(
    store: EventStore, target: str | Path, *, compact: bool = True, report: Report | None = None
) -> Verdict:
    """Copy a log to a directory which is empty or not there yet, and verify the copy.

    compact: leave out free pages, and with them what was erased or dropped; else the copy is made faster.
    Raises BackupRefused if something is in the way or the copy is not sound, LogFull, OSError.

    NOTE: a copy under way cannot be stopped. An interrupt is raised at once, but the log can be closed only
    when it is through; a process that wants to end now exits without closing.
    """
    target = Path(target).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupRefused(f"there is something in {target}; a backup needs a place of its own")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.{os.getpid()}.partial"
    try:
        _copy(store, partial, compact, report)
        verdict = _verified(partial)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _keep_entry(target.parent)
    return verdict


def _copy(store: EventStore, target: Path, compact: bool, report: Report | None) -> None:
    failures: list[BaseException] = []

    def copy() -> None:
        try:
            store.copy(str(target), compact=compact)
        except BaseException as error:
            failures.append(error)

    most = store.map_size()[1]
    thread = threading.Thread(target=copy, name="backup", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(STEP)
        if report is not None:
            file = target / "data.mdb"
            report(min(file.stat().st_size, most) if file.exists() else 0, most)
    if failures:
        raise failures[0]
    if report is not None:
        report(most, most)


def _verified(copy: Path) -> Verdict:
    try:
        verdict = verify(copy, pinned=False)
    except LogUnreadable as error:
        raise BackupRefused(f"the copy is not sound, so the log itself may not be: {error}") from error
    if not verdict.sound:
        found = "; ".join(map(str, verdict.findings[:3]))
        raise BackupRefused(f"the copy is not sound, so the log itself may not be: {found}")
    return verdict


def _keep_entry(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
