"""The engine's API behind a real gateway, asked over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

from core._fast.envelope import Event as Stored
from core.event_log.filter import Filter
from engines.event_sourcing import Event, EventSourcingEngine, Handler, Projection, Retry
from gateway.event_sourcing.routes import PREFIX
from tests.engines.event_sourcing.bank import make_bank
from tests.harness import serving

TOKEN = "secret-of-the-tests"
HERE = "tests.gateway.event_sourcing.asking"
CONFIG: dict[str, Any] = {
    "event_log": {},
    "event_sourcing": {"install": [f"{HERE}:install"]},
    "admin": {"token": TOKEN},
}
broken = {"on": True}  # whether the handler fails


def fold(table: dict[str, int], events: Any) -> None:
    event: Stored
    for event in events:
        table[event.stream] = table.get(event.stream, 0) + 1


def handle(event: Event) -> None:
    if broken["on"]:
        raise RuntimeError("the mail server is away")


def install(engine: EventSourcingEngine) -> None:
    broken["on"] = True
    engine.register(make_bank())
    engine.register_projection(
        Projection(
            name="counts",
            schema="1",
            make=dict,
            fold=fold,
            image=lambda table: [repr(table).encode()],
            restore=lambda pieces: {},
        )
    )
    engine.register_handler(
        Handler(name="mails", handle=handle, where=Filter(types=("Withdrawn",)), retry=Retry(attempts=1))
    )


@contextlib.asynccontextmanager
async def api_served(**config: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API; the client has the token."""
    async with serving(CONFIG | config, system=True) as gateway:
        headers = {"authorization": f"Bearer {TOKEN}"}
        base = f"http://127.0.0.1:{gateway.port}{PREFIX}"
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as client:
            yield client


async def deposit(client: httpx.AsyncClient, number: int, account: str = "ann") -> httpx.Response:
    body = {"type": "Deposit", "id": f"d{number}", "account": account, "cents": 5}
    return await client.post("/commands", json=body)
