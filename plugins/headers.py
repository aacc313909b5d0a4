"""The headers plugin: set, add and remove headers on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from core._fast.headers import FieldFlag
from core.config import HeaderName
from core.decode import FieldInvalid
from core.exchange import Exchange, Headers
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.template import HeaderTemplate, HeaderTemplates, check_parameters

KEPT_BACK = FieldFlag.FIELD_FRAMING | FieldFlag.FIELD_HOP_BY_HOP


class Edits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Changes to the headers of one side, made in this order: remove, set, add."""

    remove: Annotated[tuple[HeaderName, ...], Meta(description="headers that go")] = ()
    set: Annotated[
        dict[HeaderName, HeaderTemplate],
        Meta(description="headers that have this value alone; one that comes out empty goes"),
    ] = {}
    add: Annotated[
        dict[HeaderName, HeaderTemplates],
        Meta(description="values that come beside those there are; empty ones do not"),
    ] = {}

    def __post_init__(self) -> None:
        for key, names in (("remove", self.remove), ("set", self.set), ("add", self.add)):
            for name in names:
                if Headers([(name.encode("ascii"), b"")]).flags(name.encode("ascii")) & KEPT_BACK:
                    raise FieldInvalid(
                        f"{name!r} frames messages or belongs to one connection",
                        "the gateway writes it itself",
                        f"{key}.{name}" if key != "remove" else key,
                    )


class HeaderEditor(Plugin):
    """Set, add and remove headers of requests on their way to the target, and of responses.

    Values may have variables: ``{client}``, ``{consumer}``, ``{host}``, ``{method}``, ``{path}``,
    ``{peer}``, ``{query}``, ``{request_id}``, ``{route}``, ``{scheme}``, ``{server}``, ``{trace_id}``,
    ``{param:NAME}`` (of the route's path) and ``{header:NAME}`` (of the request); ``{{`` and ``}}`` stand
    for braces.
    """

    class Config(PluginConfig, frozen=True):
        """Options of headers."""

        request: Annotated[Edits, Meta(description="changes on the way to the target")] = Edits()
        response: Annotated[Edits, Meta(description="changes on the way to the client")] = Edits()

        def __post_init__(self) -> None:
            for name in (*self.request.remove, *self.request.set, *self.request.add):
                if name.lower() == "host":
                    raise FieldInvalid("Host is not edited here", "the rewrite plugin has `host`", "request")

    def __init__(self, config: Config, site: Site) -> None:
        self.inwards = Editor(config.request, site, "request")
        self.outwards = Editor(config.response, site, "response")
        sides = {"forward": self.inwards, "response": self.outwards}
        self.unused = frozenset(phase for phase, editor in sides.items() if not editor.busy)

    def forward(self, exchange: Exchange) -> None:
        """Edit what the target gets."""
        self.inwards.edit(exchange.request.headers, exchange)

    def response(self, exchange: Exchange) -> None:
        """Edit what the client gets."""
        assert exchange.response is not None
        self.outwards.edit(exchange.response.headers, exchange)


class Editor:
    """Make one side's changes."""

    def __init__(self, edits: Edits, site: Site, side: str) -> None:
        self.removed = [name.lower().encode("ascii") for name in edits.remove]
        set_ = [(name.lower().encode("ascii"), value) for name, value in edits.set.items()]
        self.fixed = [(name, value.constant) for name, value in set_ if value.constant]
        self.filled = [(name, value) for name, value in set_ if not value.constant]
        self.added = [
            (name.lower().encode("ascii"), value) for name, values in edits.add.items() for value in values
        ]
        self.busy = bool(self.removed or set_ or self.added)
        for key, pairs in (("set", set_), ("add", self.added)):
            _check(pairs, site, f"{side}.{key}")

    def edit(self, headers: Headers, exchange: Exchange) -> None:
        """Make the changes."""
        for name in self.removed:
            headers.remove(name)
        for name, fixed in self.fixed:
            headers.set(name, fixed)
        for name, template in self.filled:
            value = template.fill(exchange)
            if value:
                headers.set(name, value)
            else:
                # NOTE: nothing of a client's own may pass under a name that the configuration sets.
                headers.remove(name)
        for name, template in self.added:
            value = template.fill(exchange)
            if value:
                headers.add(name, value)


def _check(pairs: Iterable[tuple[bytes, HeaderTemplate]], site: Site, key: str) -> None:
    for name, template in pairs:
        check_parameters(template.parameters, site.parameters, f"{key}.{name.decode('ascii')}")
