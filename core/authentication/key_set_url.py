"""A key set at a URL: fetched off the request path, renewed by time and for keys that are not there.

The rule it guards: while the issuer cannot be reached, the last set stays in use; a stranger's tokens make
no more than one fetch in so many seconds. RFC 7517. Used by plugins/jwt.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import httpx

from core.authentication.token_keys import TokenKey, TokenKeyInvalid, jwk_keys

log = logging.getLogger("agora.jwt")

LARGEST = 1 << 20  # bytes of a key set
MOST_KEYS = 100


class KeySetUrl:
    """Keep what a URL says."""

    def __init__(
        self,
        url: str,
        *,
        refresh: float,
        pause: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one that is not open yet; refresh, pause and timeout in seconds.

        pause: the least time between two fetches that tokens ask for
        """
        self.url = url
        self.keys: list[TokenKey] = []
        self.version = 0  # goes up when the keys change
        self._refresh = refresh
        self._pause = pause
        self._timeout = timeout
        self._clock = clock
        self._last = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Fetch the set, and keep it fresh; an issuer that is away does not stop the start."""
        self._client = httpx.AsyncClient(timeout=self._timeout, follow_redirects=False)
        await self.fetch()
        self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def close(self) -> None:
        """Stop, and let go of the connection."""
        for task in (self._renewing, self._fetching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._client is not None:
            await self._client.aclose()

    @property
    def may_fetch(self) -> bool:
        """Tell whether a token may ask for a fetch now."""
        return self._fetching is not None or self._clock() - self._last >= self._pause

    async def fetch(self) -> None:
        """Fetch the set now; whoever asks meanwhile waits for the same answer."""
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._last = self._clock()
        try:
            async with asyncio.timeout(self._timeout):
                keys = jwk_keys(await self._read(), secrets=False)[:MOST_KEYS]
        except (httpx.HTTPError, TimeoutError, OSError, TokenKeyInvalid) as error:
            kept = f"; the {len(self.keys)} keys known so far stay in use" if self.keys else ""
            log.warning("the key set at %s: %s%s", self.url, error or type(error).__name__, kept)
        else:
            self.keys = keys
            self.version += 1
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        assert self._client is not None
        async with self._client.stream("GET", self.url, headers={"accept": "application/json"}) as answer:
            if answer.status_code != 200:
                raise TokenKeyInvalid(f"it answers {answer.status_code}")
            data = b""
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > LARGEST:
                    raise TokenKeyInvalid(f"it is larger than {LARGEST} bytes")
        return data

    async def _renew(self) -> None:
        while True:
            # NOTE: without a set there is nothing to serve by: ask again soon.
            await asyncio.sleep(self._refresh if self.keys else min(self._pause, self._refresh))
            await self.fetch()
