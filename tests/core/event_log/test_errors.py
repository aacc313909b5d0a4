"""The errors of the event log: what they say, and what each knows of itself."""

from __future__ import annotations

import errno
import pickle
from typing import Any

import pytest

from core.errors import AgoraError
from core.event_log import errors
from core.event_log.errors import (
    ConditionFailed,
    EventDamaged,
    EventIdConflict,
    EventLogError,
    EventSealed,
    EventUndecodable,
    ImportRefused,
    LogUnwritable,
    SubjectErased,
    VersionConflict,
)

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EventLogError)]
SAID: list[tuple[EventLogError, str]] = [
    (EventDamaged(7, "it is torn"), "the event at position 7 is damaged: it is torn"),
    (EventDamaged(0, "it is torn"), "an event is damaged: it is torn"),
    (EventUndecodable(7, "no JSON"), "the data of the event at position 7 cannot be decoded: no JSON"),
    (EventSealed(0), "the data of an event is encrypted, and was not opened with its subject's key"),
    (SubjectErased("ab"), "the key of subject ab is erased, or not in this log; it gets no other"),
    (VersionConflict(3, 5, "market-7"), "stream 'market-7' is at version 5, not at version 3"),
    (VersionConflict(0, 5, "market-7"), "stream 'market-7' is at version 5, not without events"),
    (VersionConflict(3, 0, "market-7"), "stream 'market-7' is without events, not at version 3"),
    (VersionConflict(-2, 0, "market-7"), "stream 'market-7' is without events, not at any version but none"),
    (ConditionFailed(4, 9), "an event at position 9, after 4, matches the append's condition"),
    (
        EventIdConflict("ab", 9),
        "event id ab is taken at position 9, and this append is not a repeat of that one",
    ),
    (
        ImportRefused(7, "it is no JSON", 5),
        "line 7: it is no JSON; 5 events of the lines before it are in the log",
    ),
    (LogUnwritable("it is closed"), "the event log cannot be written: it is closed"),
    (
        LogUnwritable("a commit failed", errno.EIO),
        "the event log cannot be written: a commit failed: Input/output error (EIO)",
    ),
]


@pytest.mark.parametrize(("error", "said"), SAID, ids=[type(error).__name__ for error, _ in SAID])
def test_says_what_happened(error: EventLogError, said: str) -> None:
    assert str(error) == said


@pytest.mark.parametrize("error", [error for error, _ in SAID], ids=lambda error: type(error).__name__)
def test_passes_between_processes_whole(error: EventLogError) -> None:
    copy: Any = pickle.loads(pickle.dumps(error))
    assert (type(copy), vars(copy), str(copy)) == (type(error), vars(error), str(error))


@pytest.mark.parametrize("kind", KINDS)
def test_knows_its_status_its_source_and_its_name(kind: type[EventLogError]) -> None:
    assert issubclass(kind, AgoraError)
    assert (kind.source == "client") == (kind.status in (400, 409))
    assert kind.slug.startswith("event-") or kind in (VersionConflict, ConditionFailed, SubjectErased)
    assert kind.title[0].isupper()


def test_no_two_have_the_same_name() -> None:
    assert len({kind.slug for kind in KINDS}) == len({kind.title for kind in KINDS}) == len(KINDS)
