"""A gateway whose cache's time is the test's, before servers that answer as told."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

from core.cache.http_cache import HttpCache, http_caches
from tests.harness import Answer, Gateway, Recorder, serving, upstream

START = 1_700_000_000.0


def http(status: int = 200, body: bytes = b"hello", **fields: str) -> bytes:
    """Return an answer as its bytes; underscores in names stand for hyphens."""
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {text}" for name, text in fields.items())]
    if status in (204, 304):
        body = b""
    else:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def date(offset: float = 0) -> str:
    """Return a date so many seconds after the start."""
    return formatdate(START + offset, usegmt=True)


class Cached:
    """Be the gateway, its cache, and the cache's clock."""

    def __init__(self, gateway: Gateway, cache: HttpCache) -> None:
        self.gateway = gateway
        self.cache = cache
        self.now = START
        cache.clock = lambda: self.now

    async def get(self, path: str = "/", *, method: str = "GET", body: str = "", **fields: str) -> Answer:
        """Send a request; underscores in names stand for hyphens."""
        return await self.gateway.ask(
            request(path, method=method, body=body, **fields), to_head=method == "HEAD"
        )


def request(path: str = "/", *, method: str = "GET", body: str = "", **fields: str) -> bytes:
    """Return a request as its bytes."""
    given = {"host": "a", **fields}
    if body:
        given["content_length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{n.replace('_', '-')}: {v}" for n, v in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body.encode()


def configured(*servers: Any, before: tuple[dict[str, Any], ...] = (), **options: Any) -> dict[str, Any]:
    """Return the configuration of a gateway with a cache, and plugins before it."""
    config = upstream(*servers)
    config["route"][0]["plugin"] = [*before, {"use": "cache", **options}]
    config["server"] = {"name": "gate"}
    return config


@contextlib.asynccontextmanager
async def caching(config: dict[str, Any]) -> AsyncIterator[Cached]:
    """Serve a configuration with one cache."""
    async with serving(config) as gateway:
        (cache,) = http_caches(gateway.plane.site.shared)
        yield Cached(gateway, cache)


@contextlib.asynccontextmanager
async def cached(answer: bytes, **options: Any) -> AsyncIterator[tuple[Recorder, Cached]]:
    """Serve a cache before one server that always answers the same."""
    async with Recorder(answer) as origin, caching(configured(origin, **options)) as served:
        yield origin, served


def done(answer: Answer) -> str:
    """Return what the cache says that it did, without its name and how long the answer is still good."""
    value = (answer.header(b"cache-status") or b"").decode()
    return re.sub(r"; ttl=-?\d+", "", value).removeprefix("gate; ")
