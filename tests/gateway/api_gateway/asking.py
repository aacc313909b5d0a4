"""The control plane's API behind a real gateway, asked over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

from gateway.api_gateway.routes import PREFIX
from tests.harness import Gateway, serving

TOKEN = "secret-of-the-tests"
HELLO = {"name": "hello", "path": "/hello", "respond": {"body": "hello"}}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def api_served(**config: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Gateway]]:
    """Serve; the client has the admin token, and asks below the API's prefix."""
    base = {"event_log": {"map_size": "16MiB"}, "admin": {"token": TOKEN}}
    async with serving(base | config, system=True) as gateway:
        url = f"http://127.0.0.1:{gateway.port}{PREFIX}"
        async with httpx.AsyncClient(base_url=url, headers=bearer(TOKEN), timeout=20) as client:
            yield client, gateway


async def body_of(gateway: Gateway, path: str, head: str = "") -> tuple[int, bytes]:
    """Ask the gateway itself; return status and body."""
    answer = await gateway.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
    return answer.status, bytes(answer.body)
