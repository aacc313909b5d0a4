"""What the log keeps of a change: who changed what, why, and all of it in one event.

The rule it guards: a change of several resources is one event, so that no reader sees half of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from core._fast.envelope import JSON, Draft, Event
from core.event_log.errors import EventUndecodable
from engines.api_gateway.resource import Change

STREAM = "$gateway"
TYPE = "GatewayChanged"
Cause = Literal["api", "file", "rollback"]


class GatewayChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Be a change of the gateway's resources.

    cause:   the API, the configuration file (whose documents are for the record alone), or a rollback
    reason:  in the words of who changed it
    """

    cause: Cause
    changes: list[Change]
    reason: str = ""

    def draft(self, actor: str) -> Draft:
        """Return it as an event to append."""
        return Draft(TYPE, msgspec.json.encode(self), codec=JSON, actor=actor, tags=tags_of(self.changes))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Be a change as the history shows it; `time` is ns since the epoch."""

    position: int
    version: int
    time: int
    actor: str
    cause: Cause
    reason: str
    changes: list[Change]


def entry_of(event: Event) -> Entry:
    """Return what an event of the control plane says; raise EventUndecodable."""
    try:
        told = msgspec.json.decode(event.data, type=GatewayChanged)
    except msgspec.MsgspecError as error:
        raise EventUndecodable(event.position, str(error)) from None
    return Entry(
        position=event.position,
        version=event.version,
        time=event.time_ns,
        actor=event.actor,
        cause=told.cause,
        reason=told.reason,
        changes=told.changes,
    )


def tags_of(changes: Iterable[Change], most: int = 8) -> list[str]:
    """Return by which resources an event is found; of a large change not all of them are."""
    return [f"{change.kind}:{change.name}" for change in changes][:most]
