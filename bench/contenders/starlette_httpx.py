"""A proxy of a few lines on Starlette and httpx under uvicorn with uvloop, as a contender.

`python -m bench.contenders.starlette_httpx PORT UPSTREAM` is the proxy itself. Called by the list of
contenders.
"""

import importlib.metadata
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.contenders.contender import UPSTREAM_CONNECTIONS, Contender, Scenario

HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"host"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PACKAGES = ("starlette", "httpx", "uvicorn", "uvloop")


class StarletteHttpx(Contender):
    """A Starlette route whose handler asks an httpx client."""

    name = "starlette+httpx"
    scenarios = frozenset({Scenario.PROXIED})

    def command(self, scenario: Scenario, directory: Path, port: int, upstream: int) -> list[str]:
        """Return the argv of this file as a program."""
        return [sys.executable, "-m", __name__, str(port), str(upstream)]

    def version(self) -> str:
        """Return the versions of the packages involved."""
        return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)


def build_app(upstream: int) -> Starlette:
    """Return an application that forwards every request to 127.0.0.1:`upstream`."""
    client: httpx.AsyncClient

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal client
        limits = httpx.Limits(
            max_connections=UPSTREAM_CONNECTIONS,
            max_keepalive_connections=UPSTREAM_CONNECTIONS,
            keepalive_expiry=3600,
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{upstream}", limits=limits) as client:
            yield

    async def forward(request: Request) -> Response:
        headers = [(k, v) for k, v in request.headers.raw if k not in HOP_BY_HOP]
        answer = await client.request(
            request.method, request.url.path, headers=headers, content=await request.body()
        )
        kept = {k: v for k, v in answer.headers.items() if k.encode() not in HOP_BY_HOP}
        return Response(answer.content, answer.status_code, kept)

    return Starlette(routes=[Route("/{path:path}", forward, methods=METHODS)], lifespan=lifespan)


def main(port: int, upstream: int) -> None:
    """Serve until terminated."""
    uvicorn.run(
        build_app(upstream),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=3600,
        backlog=4096,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
