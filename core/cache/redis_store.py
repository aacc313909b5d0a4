"""Share what caches keep among workers and machines, in Redis.

The rule it guards: no request waits long for Redis, and none fails because of it: what cannot be had at once
is not there. Whoever lets go of something tells the others; who may have missed that lets go of its memory.
Needs Redis 7. Used by core/cache/enhanced_cache and core/cache/http_cache.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.errors import CacheUnreachable

log = logging.getLogger("agora.cache")

PATIENCE = 0.25  # seconds for one question
REST = 2.0  # seconds without questions after one that failed
SCANNED = 500  # keys at a time
TROUBLE = (RedisError, OSError, TimeoutError)
ESCAPED = {ord(char): f"\\{char}" for char in "*?[]\\"}

Kind = Literal["key", "name", "prefix", "names", "all"]
T = TypeVar("T")


class News(msgspec.Struct, array_like=True, frozen=True):
    """Tell what was let go of."""

    sender: bytes
    kind: Kind  # a key; a name; all whose keys, or names, begin so; everything
    what: bytes


class RedisStore:
    """Keep bytes under keys for a time, and find them by the names that they have besides.

    space:   what all keys in Redis begin with: whose caches share it
    on_news: called with what somebody else has let go of
    """

    def __init__(
        self,
        url: str,
        space: str,
        on_news: Callable[[Kind, bytes], object],
        *,
        patience: float = PATIENCE,
        rest: float = REST,
    ) -> None:
        self.trouble = False  # the last question failed
        self._space = space.encode()
        self._on_news = on_news
        self._rest = rest
        self._again = 0.0  # when there may be questions again
        self._me = os.urandom(8)
        once: Any = {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": patience}
        self._redis: Redis = Redis.from_url(url, socket_timeout=patience, **once)
        # NOTE: who listens waits without a limit; a connection of its own keeps that apart.
        self._ear: Redis = Redis.from_url(url, socket_keepalive=True, **once)
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen; Redis need not be there yet."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Let go of the connections."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        for client in (self._redis, self._ear):
            with suppress(*TROUBLE):
                await client.aclose()

    async def fetch(self, key: bytes) -> tuple[bytes, float] | None:
        """Return what is kept and for how many seconds yet; None: nothing, or it cannot be had."""

        async def ask() -> tuple[bytes, float] | None:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(self._value(key))
                pipe.pttl(self._value(key))
                data, left = await pipe.execute()
            return (data, left / 1000) if data is not None and left > 0 else None

        return await self._asked(ask, None)

    async def put(self, key: bytes, data: bytes, ttl: float, names: Iterable[bytes]) -> bool:
        """Keep something for so many seconds; tell whether that was possible."""
        milliseconds = max(1, int(ttl * 1000))

        async def ask() -> bool:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(self._value(key), data, px=milliseconds)
                for name in names:
                    # NOTE: the first sets a limit where there is none yet, the second moves it on.
                    pipe.sadd(self._name(name), key)
                    pipe.pexpire(self._name(name), milliseconds, nx=True)
                    pipe.pexpire(self._name(name), milliseconds, gt=True)
                await pipe.execute()
            return True

        return await self._asked(ask, False)

    async def tell(self, kind: Kind, what: bytes = b"") -> None:
        """Tell the others that they are to let go of something."""
        news = msgspec.msgpack.encode(News(self._me, kind, what))
        await self._asked(lambda: self._redis.publish(self._space + b":news", news), None)

    async def drop(self, kind: Kind, what: bytes = b"") -> int:
        """Let go of something, and tell the others; return how much there was. Raises CacheUnreachable."""

        async def ask() -> int:
            found = await self._found(kind, what)
            gone = await self._redis.unlink(*found) if found else 0
            await self.tell(kind, what)
            return int(gone)

        self._again = 0  # what is to be gone must be gone: it is worth a try
        gone = await self._asked(ask, -1)
        if gone < 0:
            raise CacheUnreachable("Redis does not answer: what is there will come back; purge again later")
        return gone

    async def keys_named(self, name: bytes) -> set[bytes]:
        """Return the keys that have a name; none, if that cannot be had."""
        return await self._asked(lambda: self._members(self._name(name)), set())

    async def _found(self, kind: Kind, what: bytes) -> list[bytes]:
        """Return the values' keys in Redis."""
        if kind == "key":
            return [self._value(what)]
        if kind == "name":
            return [self._value(key) for key in await self._members(self._name(what))]
        pattern = what.decode("latin-1").translate(ESCAPED).encode("latin-1") + b"*"
        if kind == "names":
            names = [name async for name in self._redis.scan_iter(self._name(pattern), SCANNED)]
            return list({self._value(key) for name in names for key in await self._members(name)})
        return [key async for key in self._redis.scan_iter(self._value(pattern), SCANNED)]

    async def _members(self, name: bytes) -> set[bytes]:
        members: Any = self._redis.smembers(name)
        return set(await members)

    async def _asked(self, ask: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Ask, unless Redis has just failed to answer."""
        if time.monotonic() < self._again:
            return otherwise
        try:
            answer = await ask()
        except TROUBLE as error:
            if not self.trouble:
                log.warning("Redis does not answer, caches do without it: %s", error)
            self.trouble = True
            self._again = time.monotonic() + self._rest
            return otherwise
        if self.trouble:
            log.warning("Redis answers again")
        self.trouble = False
        return answer

    async def _listen(self) -> None:
        """Hear what others let go of, for ever."""
        while True:
            try:
                async with self._ear.pubsub() as pubsub:
                    await pubsub.subscribe(self._space + b":news")
                    async for message in pubsub.listen():
                        self._hear(message)
            except TROUBLE:
                await asyncio.sleep(self._rest)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._on_news("all", b"")  # nobody knows what was missed
            return
        try:
            news = msgspec.msgpack.decode(message["data"], type=News)
        except (msgspec.MsgspecError, TypeError):
            return  # no word of ours
        if news.sender != self._me:
            self._on_news(news.kind, news.what)

    def _value(self, key: bytes) -> bytes:
        return self._space + b":v:" + key

    def _name(self, name: bytes) -> bytes:
        return self._space + b":n:" + name
