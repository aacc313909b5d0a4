"""The market's API behind a real gateway, asked over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from tests.harness import Gateway, serving

CONFIG: dict[str, Any] = {
    "event_log": {},
    "event_sourcing": {"install": ["gateway.market.installation:install"]},
    "route": [{"name": "market", "path": "/market/{rest:path}", "app": "gateway.market.app:app"}],
}


class Market:
    """A client of the market that counts its commands, to give each an id."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self.client = client
        self.made = 0

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else None
        return await self.client.request(
            method, path, content=content, json=None if content is not None else body, headers=headers
        )

    async def do(self, path: str, **fields: Any) -> dict[str, Any]:
        """Give a command that is not refused."""
        self.made += 1
        answer = await self.ask("POST", path, {"id": f"c{self.made}", **fields})
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    async def get(self, path: str, at_least: int = 0) -> Any:
        """Return what a query shows when it knows a position."""
        place = f"{path}{'&' if '?' in path else '?'}at_least={at_least}"
        answer = await self.ask("GET", place)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def add_user(self, user: str, cents: int = 100_000) -> None:
        await self.do("/users", user=user, name=user, email=f"{user}@example.test")
        await self.do("/payments", payment=f"in-{user}", user=user, amount=cents)
        await self.do(f"/payments/in-{user}/confirm")

    async def add_market(self, market: str = "m", **fields: Any) -> None:
        await self.do("/markets", market=market, question="Will it rain?", **fields)
        await self.do(f"/markets/{market}/open")

    async def order(self, user: str, side: str, share: str, price: int, size: int, **fields: Any) -> Any:
        terms = {"market": "m", "user": user, "side": side, "share": share, "price": price, "size": size}
        return await self.do("/orders", **terms, **fields)


@contextlib.asynccontextmanager
async def market_served(folder: Path | None = None) -> AsyncIterator[Market]:
    """Serve the market; in a data directory of its own, or in one that stays."""
    config = CONFIG if folder is None else CONFIG | {"server": {"data_dir": str(folder)}}
    async with serving(config) as gateway:
        base = f"http://127.0.0.1:{gateway.port}/market"
        async with httpx.AsyncClient(base_url=base, timeout=20) as client:
            yield Market(gateway, client)
