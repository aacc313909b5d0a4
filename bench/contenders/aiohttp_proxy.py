"""A proxy of a few lines on aiohttp and uvloop, as Python teams write it, as a contender.

`python -m bench.contenders.aiohttp_proxy PORT UPSTREAM` is the proxy itself. Called by the list of
contenders.
"""

import importlib.metadata
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from bench.contenders.contender import UPSTREAM_CONNECTIONS, Contender, Scenario

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}


class AiohttpProxy(Contender):
    """An aiohttp server whose handler asks an aiohttp client."""

    name = "aiohttp"
    scenarios = frozenset({Scenario.PROXIED, Scenario.IDLE})

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of this file as a program."""
        return [sys.executable, "-m", __name__, str(port), str(upstream)]

    def version(self) -> str:
        """Return the versions of aiohttp and uvloop."""
        return (
            f"aiohttp {importlib.metadata.version('aiohttp')}, uvloop {importlib.metadata.version('uvloop')}"
        )


def build_app(upstream: int) -> web.Application:
    """Return an application that forwards every request to 127.0.0.1:`upstream`."""

    session: aiohttp.ClientSession

    async def client(_: web.Application) -> AsyncIterator[None]:
        nonlocal session
        connector = aiohttp.TCPConnector(limit=UPSTREAM_CONNECTIONS, keepalive_timeout=3600)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        url = f"http://127.0.0.1:{upstream}{request.rel_url}"
        body = request.content if request.can_read_body else None
        async with session.request(request.method, url, headers=headers, data=body) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main(port: int, upstream: int) -> None:
    """Serve until terminated."""
    app = build_app(upstream)
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
        backlog=4096,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
