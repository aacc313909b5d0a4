"""Ask the servers of an upstream how they are, and take them out or in accordingly.

The rule it guards: questions never wait for each other, and none outlives its time; a server is thought well
until it has answered badly often enough. Each worker asks for itself: what one cannot reach, another may.
Started by gateway/data_plane when the upstream is used, stopped with it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Sequence

import httpx

from core._fast.upstream import Upstream
from core.address import TargetUrl
from core.health import Health
from core.upstream_config import HealthConfig

log = logging.getLogger("agora.upstream")


class HealthChecks:
    """Ask each server in a task of its own."""

    def __init__(
        self,
        upstream: Upstream,
        servers: Sequence[TargetUrl],
        settings: HealthConfig,
        *,
        host: str | None = None,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._upstream = upstream
        self._settings = settings
        self._headers = {"user-agent": "agora-health"} | ({"host": host} if host else {})
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._tls = tls
        self._servers = servers
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(index, url)) for index, url in enumerate(self._servers)]

    def close(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()

    async def _follow(self, index: int, url: TargetUrl) -> None:
        settings = self._settings
        health = Health(settings.unhealthy_after, settings.healthy_after)
        while True:
            trouble = await self._ask(url)
            if health.note(not trouble):
                self._upstream.set_healthy(index, health.healthy)
                what = "is well again" if health.healthy else f"is taken out: {trouble}"
                log.warning("%s of upstream %s %s", url, self._upstream.name, what)
            # NOTE: a little apart from the others, so that not all workers ask at the same moment.
            await asyncio.sleep(float(settings.interval) * random.uniform(0.9, 1.1))  # noqa: S311 (no secret)

    async def _ask(self, url: TargetUrl) -> str:
        """Return what is wrong with a server; empty: nothing."""
        try:
            async with asyncio.timeout(float(self._settings.timeout)):
                return await (self._get(url) if self._settings.path else self._connect(url))
        except TimeoutError:
            return f"no answer in {self._settings.timeout}"
        except (OSError, httpx.HTTPError) as error:
            return str(error) or type(error).__name__

    async def _get(self, url: TargetUrl) -> str:
        transport = httpx.AsyncHTTPTransport(uds=url.path or None, verify=self._tls or False)
        base = "http://localhost" if url.path else str(url)
        timeout = float(self._settings.timeout)
        async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
            request = client.build_request(
                "GET", base + self._settings.path, headers=self._headers, extensions=self._extensions
            )
            answer = await client.send(request, stream=True)
            await answer.aclose()
        good = self._settings.status or range(200, 400)
        return "" if answer.status_code in good else f"it answers {answer.status_code}"

    async def _connect(self, url: TargetUrl) -> str:
        if url.path:
            _, writer = await asyncio.open_unix_connection(url.path)
        else:
            _, writer = await asyncio.open_connection(
                url.host, url.port, ssl=self._tls if url.tls else None, server_hostname=self._server_name(url)
            )
        writer.close()
        return ""

    def _server_name(self, url: TargetUrl) -> str | None:
        if not url.tls:
            return None
        return str(self._extensions.get("sni_hostname", url.host))
