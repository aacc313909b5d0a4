"""The errors of the event log: what a caller asked that cannot be, and what the disk did.

Of an append that raises one of them nothing is in the log, but for `LogUnwritable`, which cannot tell. So a
retry with the same event ids is always harmless; `retry_safe` says whether one may be sent unchanged without
thought. Raised by core/_fast/envelope, core/_fast/event_store and core/event_log.

NOTE: compiled modules are built on this file: it imports nothing compiled in return.
"""

from __future__ import annotations

import errno as codes
import os

from core.errors import AgoraError

EXPECTATIONS = {-2: "at any version but none", -1: "at any version", 0: "without events"}


class EventLogError(AgoraError):
    """Be the root of what the event log raises on purpose."""

    slug = "event-log"
    title = "Event log error"


class EventInvalid(EventLogError, ValueError):
    """Refuse an event, a stream's name or a query that cannot be; names the part and its limit."""

    status = 400
    slug = "event-invalid"
    title = "Event invalid"
    source = "client"


class EventDamaged(EventLogError):
    """Say that a stored record is not what was written: ``position`` (0: it cannot be told) and ``what``."""

    slug = "event-damaged"
    title = "Event damaged"

    def __init__(self, position: int, what: str) -> None:
        super().__init__(position, what)
        self.position = position
        self.what = what

    def __str__(self) -> str:
        where = f"the event at position {self.position}" if self.position else "an event"
        return f"{where} is damaged: {self.what}"


class EventUndecodable(EventLogError, ValueError):
    """Say that an event is stored as it was appended, but its data is not what its codec says."""

    slug = "event-undecodable"
    title = "Event undecodable"

    def __init__(self, position: int, what: str) -> None:
        super().__init__(position, what)
        self.position = position
        self.what = what

    def __str__(self) -> str:
        where = f"the event at position {self.position}" if self.position else "an event"
        return f"the data of {where} cannot be decoded: {self.what}"


class EventSealed(EventLogError):
    """Say that an event's data is encrypted, and its subject's key is erased or was not used."""

    status = 410
    slug = "event-sealed"
    title = "Event sealed"

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position

    def __str__(self) -> str:
        where = f"the event at position {self.position}" if self.position else "an event"
        return f"the data of {where} is encrypted, and was not opened with its subject's key"


class SubjectErased(EventLogError):
    """Refuse to seal data for a subject whose key is erased, or was left behind in another log."""

    status = 409
    slug = "subject-erased"
    title = "Subject erased"
    source = "client"

    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"the key of subject {self.number} is erased, or not in this log; it gets no other"


class VersionConflict(EventLogError):
    """Say that a stream is not at the version that an append expected; read it again, decide again."""

    status = 409
    slug = "version-conflict"
    title = "Version conflict"
    source = "client"
    retry_safe = True

    def __init__(self, expected: int, actual: int, stream: str) -> None:
        super().__init__(expected, actual, stream)
        self.expected = expected
        self.actual = actual
        self.stream = stream

    def __str__(self) -> str:
        wanted = EXPECTATIONS.get(self.expected, f"at version {self.expected}")
        found = f"at version {self.actual}" if self.actual else "without events"
        return f"stream {self.stream!r} is {found}, not {wanted}"


class ConditionFailed(EventLogError):
    """Say that an event which an append's condition rules out stands in the log, at ``position``."""

    status = 409
    slug = "condition-failed"
    title = "Condition failed"
    source = "client"
    retry_safe = True

    def __init__(self, after: int, position: int) -> None:
        super().__init__(after, position)
        self.after = after
        self.position = position

    def __str__(self) -> str:
        return f"an event at position {self.position}, after {self.after}, matches the append's condition"


class EventIdConflict(EventLogError):
    """Say that an event id is taken: by another event, or by some but not all events of the same append."""

    status = 409
    slug = "event-id-conflict"
    title = "Event id conflict"
    source = "client"

    def __init__(self, event_id: str, position: int) -> None:
        super().__init__(event_id, position)
        self.event_id = event_id
        self.position = position

    def __str__(self) -> str:
        taken = f"event id {self.event_id} is taken at position {self.position}"
        return f"{taken}, and this append is not a repeat of that one"


class ImportRefused(EventLogError):
    """Refuse a line that is no event, or not one for this log; the events before it are in the log."""

    status = 400
    slug = "event-import-refused"
    title = "Event import refused"
    source = "client"

    def __init__(self, line: int, what: str, events: int) -> None:
        super().__init__(line, what, events)
        self.line = line
        self.what = what
        self.events = events

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}; {self.events} events of the lines before it are in the log"


class BackupRefused(EventLogError):
    """Refuse to write a backup where something is, or to keep one that is not sound."""

    status = 409
    slug = "event-backup-refused"
    title = "Event backup refused"
    source = "client"


class LogUnwritable(EventLogError):
    """Say that a commit failed (``errno``); reopening the log shows whether its events are there."""

    status = 503
    slug = "event-log-unwritable"
    title = "Event log unwritable"

    def __init__(self, what: str, errno: int = 0) -> None:
        super().__init__(what, errno)
        self.what = what
        self.errno = errno

    def __str__(self) -> str:
        if not self.errno:
            return f"the event log cannot be written: {self.what}"
        name = codes.errorcode.get(self.errno, str(self.errno))
        return f"the event log cannot be written: {self.what}: {os.strerror(self.errno)} ({name})"


class LogFull(EventLogError):
    """Refuse an append for which there is no room; nothing of it was written, nothing else is lost."""

    status = 507
    slug = "event-log-full"
    title = "Event log full"
    retry_safe = True


class LogClosed(EventLogError):
    """Refuse work on a log that is closed, or is about to be."""

    status = 503
    slug = "event-log-closed"
    title = "Event log closed"
    retry_safe = True


class LogInUse(EventLogError):
    """Refuse to open a log that is held in a way which rules this opening out; names the holder."""

    status = 503
    slug = "event-log-in-use"
    title = "Event log in use"
    retry_safe = True


class LogMissing(EventLogError, LookupError):
    """Say that there is no event log in a directory."""

    status = 404
    slug = "event-log-missing"
    title = "Event log missing"


class LogUnreadable(EventLogError):
    """Say that a log cannot be opened or walked: another format, another LMDB, or damage."""

    slug = "event-log-unreadable"
    title = "Event log unreadable"
