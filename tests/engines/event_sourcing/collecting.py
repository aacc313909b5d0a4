"""A process over several accounts of a bank: take something from each, give it all to one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engines.event_sourcing import (
    Complete,
    Deadline,
    Event,
    EventSourcingEngine,
    Fail,
    Process,
    Remember,
    Step,
)
from engines.event_sourcing.process import Action
from engines.event_sourcing.process_instance import Instance
from engines.event_sourcing.process_store import stream_of


def take(account: str, cents: int) -> dict[str, Any]:
    return {"type": "Withdraw", "account": account, "cents": cents}


def give(account: str, cents: int) -> dict[str, Any]:
    return {"type": "Deposit", "account": account, "cents": cents}


def react(instance: Instance, event: Event) -> Iterable[Action]:
    data = event.data
    match event.type:
        case "CollectionAsked":
            for account in data["sources"]:
                yield Step(f"take {account}", take(account, data["cents"]), undo=give(account, data["cents"]))
            if data.get("confirm"):
                yield Remember(data)
                yield Deadline(data["confirm"], "nobody confirmed")
            else:
                yield from pay(data)
        case "CollectionConfirmed":
            yield from pay(instance.data)
        case "CollectionCancelled":
            yield Fail(data["why"])


def pay(data: Any) -> Iterable[Action]:
    yield Step("pay", give(data["target"], data["cents"] * len(data["sources"])))
    yield Complete()


def collecting(**changes: Any) -> Process:
    fields: dict[str, Any] = {
        "name": "collecting",
        "starts_with": ("CollectionAsked",),
        "listens_to": ("CollectionConfirmed", "CollectionCancelled"),
        "key": lambda event: event.data["collection"],
        "react": react,
    }
    return Process(**(fields | changes))


async def ask(
    engine: EventSourcingEngine,
    collection: str,
    sources: str,
    target: str = "till",
    cents: int = 10,
    **more: Any,
) -> Event:
    data = {"collection": collection, "sources": sources.split(), "target": target, "cents": cents, **more}
    return await note(engine, "CollectionAsked", **data)


async def note(engine: EventSourcingEngine, kind: str, **data: Any) -> Event:
    return await engine.create_event(
        {"aggregate_id": f"collection-{data.get('collection', '')}", "type": kind, "data": data}
    )


def story(engine: EventSourcingEngine, collection: str) -> list[str]:
    """Return what was recorded of an instance, without the prefix of its steps' names."""
    records = engine.events_of(stream_of("collecting", collection))
    return [" ".join(filter(None, [event.type, event.data.get("name", "")])) for event in records]


async def balance(engine: EventSourcingEngine, account: str) -> tuple[int, int]:
    """Return what an account has, and how often it moved."""
    state = (await engine.aggregate(f"bank-{account}")).state
    return state["balance"], state["movements"]
