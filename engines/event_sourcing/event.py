"""An event as the engine shows it, and the reading of stored ones as if they had been written today.

The rule it guards: whoever sees an event sees it opened (personal data, while its subject's key is there) and
upcast to today's schema; what is stored stays as it was. The engine, the APIs and the states' folds read
through one EventReader.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from core._fast import envelope
from core._fast.envelope import JSON, MSGPACK, Draft
from core.event_log.errors import EventInvalid, EventSealed, EventUndecodable
from core.event_log.subjects import Subjects
from core.event_log.upcasting import Upcaster


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Be something that happened to an aggregate.

    aggregate_id: the name of its stream
    version, position: its place in the stream and in the whole log, both from 1
    type, schema_version: as the event would be written today
    time: ns since the epoch
    data: plain values; None if it is sealed and its subject's key is erased
    """

    event_id: str
    aggregate_id: str
    version: int
    position: int
    type: str
    schema_version: int
    time: int
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str = ""
    tags: tuple[str, ...] = ()
    sealed: bool = False
    data: Any = None


class EventReader:
    """Read stored events: open what is sealed, lead old schemas to today's."""

    def __init__(self, upcaster: Upcaster | None = None, subjects: Subjects | None = None) -> None:
        self.upcaster = upcaster or Upcaster()
        self.subjects = subjects
        self._current: dict[str, int] = {}

    def current(self, type: str) -> int:
        """Return the schema version that new events of a type have."""
        version = self._current.get(type)
        if version is None:
            version = self._current[type] = self.upcaster.current(type)
        return version

    def data(self, event: envelope.Event) -> bytes:
        """Return what an event says today, as MessagePack or whatever it was appended as if it is current.

        Raises EventSealed if its subject's key is erased, EventUndecodable, and EventInvalid if it cannot be
        upcast.
        """
        if event.sealed:
            event = self.opened(event)
        if event.schema_version >= self.current(event.type):
            return event.data
        return msgspec.msgpack.encode(self._upcast(event)[2])

    def event(self, stored: envelope.Event) -> Event:
        """Return a stored event as it is shown; raises EventUndecodable and EventInvalid."""
        try:
            kind, version, data = self._upcast(self.opened(stored) if stored.sealed else stored)
        except EventSealed:
            kind, version, data = stored.type, stored.schema_version, None
        correlation, causation = stored.correlation_id, stored.causation_id
        return Event(
            event_id=str(stored.id),
            aggregate_id=stored.stream,
            version=stored.version,
            position=stored.position,
            type=kind,
            schema_version=version,
            time=stored.time_ns,
            correlation_id=None if correlation is None else str(correlation),
            causation_id=None if causation is None else str(causation),
            actor=stored.actor,
            tags=stored.tags,
            sealed=stored.sealed,
            data=data,
        )

    def opened(self, event: envelope.Event) -> envelope.Event:
        """Return a sealed event with its data in clear; raise EventSealed if that cannot be."""
        if self.subjects is None:
            raise EventSealed(event.position)
        return self.subjects.open(event)

    def _upcast(self, event: envelope.Event) -> tuple[str, int, Any]:
        kind, version = event.type, event.schema_version
        if event.codec not in (MSGPACK, JSON):
            return kind, version, event.data
        data = event.value()
        if not self.upcaster.path(kind, version):
            return kind, version, data
        if not isinstance(data, dict):
            raise EventUndecodable(event.position, "its data is no object, which its upcasting needs")
        new_kind, version, data = self.upcaster.upcast(kind, version, data)
        if data.get("type") == kind:  # a fact that names its own type
            data = {**data, "type": new_kind}
        return new_kind, version, data


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Be an event that is to be appended.

    type:    may be given as `event_type` instead
    expected_version: of the stream before it; None: any
    event_id: the same id twice is one event
    """

    aggregate_id: Annotated[str, Meta(min_length=1)]
    type: str = ""
    event_type: str = ""
    data: Any = None
    event_id: UUID | None = None
    expected_version: Annotated[int, Meta(ge=0)] | None = None
    schema_version: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    actor: str = ""
    tags: tuple[str, ...] = ()

    def draft(self, reader: EventReader) -> Draft:
        """Return it as the log takes it; raise EventInvalid."""
        kind = self.type or self.event_type
        return Draft(
            kind,
            msgspec.msgpack.encode(self.data),
            id=self.event_id,
            schema_version=self.schema_version or reader.current(kind),
            tags=self.tags,
            actor=self.actor,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
        )


def new_event(event_data: Mapping[str, Any]) -> NewEvent:
    """Return an event given as plain data; raise EventInvalid naming the field that is wrong."""
    try:
        event = msgspec.convert(event_data, NewEvent, strict=True)
    except msgspec.ValidationError as error:
        raise EventInvalid(f"the event cannot be: {error}") from None
    if bool(event.type) == bool(event.event_type):
        raise EventInvalid("the event cannot be: it has one `type`, or one `event_type`")
    return event
