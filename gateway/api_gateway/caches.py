"""What answers are cached, and letting go of them, over HTTP.

A purge is a change as any other: every worker does it, and the history tells of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from core.cache.http_cache import http_caches
from core.decode import Decoder, FieldInvalid
from core.table import Name
from engines.api_gateway.control_state import ControlState
from engines.api_gateway.resource import Change
from gateway.access import caller_of
from gateway.api_exchange import Query, read_object, shown
from gateway.api_gateway.control import Control

Text = Annotated[str, Meta(min_length=1, max_length=8192)]


class PurgeWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Say which answers are to go: exactly one of url, prefix, tag and all; in one store, or in every one."""

    url: Text | None = None
    prefix: Text | None = None
    tag: Text | None = None
    all: bool = False
    store: Name | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("url", "prefix", "tag", "all") if getattr(self, name)]
        if len(given) != 1:
            wrong = f"has {' and '.join(given)}" if given else "names nothing to purge"
            raise FieldInvalid(wrong, "give exactly one of url, prefix, tag and all")


async def list_caches(control: Control, request: Request) -> Response:
    """List the caches of this worker, and how full they are."""
    Query(request)
    found = [
        {
            "store": cache.name,
            "answers": len(cache.store),
            "bytes": cache.store.used,
            "limit": cache.store.limit,
            "redis": cache.redis is not None,
        }
        for cache in http_caches(control.plane.site.shared)
    ]
    return shown({"worker": control.plane.worker, "caches": found})


async def purge(control: Control, request: Request) -> Response:
    """Let go of answers in every worker."""
    Query(request)
    wish = Decoder().decode(await read_object(request), PurgeWish)
    document = msgspec.to_builtins(wish)

    def decide(_: ControlState) -> list[Change]:
        return [Change("purge", wish.store or "every-store", document)]

    await control.engine.change(decide, caller_of(request).name)
    return shown({"purged": document}, position=control.engine.position)
