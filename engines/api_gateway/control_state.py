"""What the events of the control plane add up to: the resources that are declared.

A pure fold. The API's resources are what the gateway goes by; the file's are kept beside them as a record of
what the file said, to tell what differs and what changed when.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from engines.api_gateway.control_event import Entry
from engines.api_gateway.resource import Change, Document, Key, Kind, Resource

Value = TypeVar("Value")


class ControlState:
    """Hold the resources as of one version of the control plane's stream."""

    def __init__(self) -> None:
        self.version = 0  # of the stream
        self.position = 0  # of its last event in the log; 0: there is none
        self.declared: dict[Key, Resource] = {}
        self.filed: dict[Key, Document] = {}

    def apply(self, entry: Entry) -> None:
        """Take in the next change."""
        self.version, self.position = entry.version, entry.position
        for change in entry.changes:
            if entry.cause == "file":
                put(self.filed, change.key, change.document)
            else:
                put(self.declared, change.key, resource_of(change, entry))

    def copy(self) -> ControlState:
        """Return another one, to try changes on."""
        other = copy.copy(self)
        other.declared, other.filed = dict(self.declared), dict(self.filed)
        return other

    def of_kind(self, kind: Kind) -> Iterator[Resource]:
        """Yield the API's resources of a kind."""
        return (resource for resource in self.declared.values() if resource.kind == kind)


def resource_of(change: Change, entry: Entry) -> Resource | None:
    """Return what a change of the API makes of a resource; None: nothing any more."""
    if change.document is None:
        return None
    return Resource(
        kind=change.kind,
        name=change.name,
        document=change.document,
        position=entry.position,
        time=entry.time,
        actor=entry.actor,
    )


def put(table: dict[Key, Value], key: Key, value: Value | None) -> None:
    """Set a value; None removes it."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def differences(now: Mapping[Key, Document], then: Mapping[Key, Document]) -> list[Change]:
    """Return the changes that lead from one set of documents to another, in a fixed order."""
    keys = sorted({*now, *then})
    return [Change(key.kind, key.name, then.get(key)) for key in keys if now.get(key) != then.get(key)]


def documents(resources: Iterable[Resource]) -> dict[Key, Document]:
    """Return the documents of resources by their keys."""
    return {Key(resource.kind, resource.name): resource.document for resource in resources}
