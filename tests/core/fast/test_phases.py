"""Phases that wait: coroutine functions, and plain methods that return a coroutine."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from core.exchange import Exchange, Response
from core.plugin import Plugin, PluginConfig
from core.private_site import private_site
from core.testing import PluginChain
from tests.harness import serving

CONFIG = PluginConfig()


class Order:
    """Hold what ran, in order."""

    ran: list[str]


class Sometimes(Plugin):
    """Waits if the request asks for it."""

    def request(self, exchange: Exchange) -> object:
        """Answer from memory, or go and ask."""
        Order.ran.append("request")
        return self.ask(exchange) if b"x-ask" in exchange.request.headers else None

    async def ask(self, exchange: Exchange) -> Response | None:
        """Ask."""
        await asyncio.sleep(0)
        Order.ran.append("asked")
        wanted = exchange.request.headers.get(b"x-ask")
        if wanted == b"fail":
            raise ValueError("no")
        return Response(403) if wanted == b"refuse" else None

    def response(self, exchange: Exchange) -> object:
        """Wait in the response phase as well."""
        return self.late(exchange) if b"x-ask" in exchange.request.headers else None

    async def late(self, exchange: Exchange) -> None:
        """Set a header after waiting."""
        await asyncio.sleep(0)
        exchange.response.headers.set(b"x-late", b"1")


class After(Plugin):
    """Notes that it was reached."""

    def request(self, exchange: Exchange) -> None:
        """Note it."""
        Order.ran.append("after")


@pytest.fixture(autouse=True)
def order() -> None:
    Order.ran = []


@pytest.mark.parametrize(
    ("ask", "status", "ran"),
    [
        (None, 200, ["request", "after"]),
        ("pass", 200, ["request", "asked", "after"]),
        ("refuse", 403, ["request", "asked"]),
        ("fail", 500, ["request", "asked"]),
    ],
)
async def test_a_plain_method_may_return_a_coroutine(
    ask: str | None, status: int, ran: list[str], tmp_path: Path
) -> None:
    site = private_site(tmp_path)
    chain = PluginChain(Sometimes(CONFIG, site), After(CONFIG, site))
    sent = await chain.send_waiting("GET", "/", headers={"x-ask": ask} if ask else {})
    assert (sent.status, Order.ran) == (status, ran)
    assert (b"x-late" in sent.headers) == (ask in ("pass", "refuse"))


async def test_a_client_that_goes_before_the_coroutine_began_leaves_nothing_behind() -> None:
    route = {
        "name": "r",
        "path": "/",
        "respond": {"body": "ok"},
        "plugin": [{"use": f"{__name__}:Sometimes"}],
    }
    async with serving({"route": [route]}) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-ask: pass\r\n\r\n")
        client.reset()
        assert (await gateway.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")).status == 200
        gc.collect()  # a coroutine that was never awaited would be reported, and fail the test
