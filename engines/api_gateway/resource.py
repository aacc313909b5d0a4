"""A resource: one thing that the control plane knows by kind and name, as plain data.

The rule it guards: a document is what was declared, never what follows from it; a secret is in it as a
reference or a hash alone.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["route", "upstream", "consumer", "credential", "token", "drain", "purge"]
KINDS: tuple[Kind, ...] = ("upstream", "route", "consumer", "credential", "token", "drain", "purge")
Document = dict[str, Any]


class Key(NamedTuple):
    """Name a resource."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Be a declared resource.

    position: in the log, of the change that made it so; its version
    time:     of that change, ns since the epoch
    """

    kind: Kind
    name: str
    document: Document
    position: int
    time: int
    actor: str


class Change(msgspec.Struct, frozen=True):
    """Be what becomes of one resource: another document, or None: it is gone."""

    kind: Kind
    name: str
    document: Document | None

    @property
    def key(self) -> Key:
        """Return which resource it is about."""
        return Key(self.kind, self.name)
