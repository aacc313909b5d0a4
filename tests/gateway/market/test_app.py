"""The market over HTTP: what it does, what it shows, and what it refuses with which words."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engines import market as pure
from engines.event_sourcing import event_sourcing_engine
from tests.gateway.market.asking import CONFIG, Market, market_served
from tests.harness import serving

ORDER = {"id": "o1", "market": "m", "user": "ann", "side": "buy", "share": "yes", "price": 40, "size": 10}


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    async with market_served() as served:
        yield served


async def test_orders_trade_and_portfolios_show_it(market: Market) -> None:
    for user in ("ann", "bob"):
        await market.add_user(user)
    await market.add_market()
    resting = await market.order("ann", "buy", "yes", 40, 10)
    assert (resting["status"], resting["rest"]) == ("resting", 10)
    filled = await market.order("bob", "buy", "no", 60, 4)
    assert (filled["status"], filled["filled"]) == ("filled", 4)
    position = filled["position"]
    ann = await market.get("/users/ann/portfolio", position)
    assert (ann["available"], ann["positions"]["m"]["yes"]) == (100_000 - 400, 4)
    assert list(ann["positions"]["m"]["orders"].values()) == [6]
    book = await market.get("/markets/m/book", position)
    assert book == {"market": "m", "bids": [{"price": 40, "size": 6, "orders": 1}], "asks": []}
    assert (await market.get("/markets/m", position))["price"] == 40
    assert [trade["size"] for trade in (await market.get("/markets/m/trades", position))["trades"]] == [4]
    assert [trade["size"] for trade in (await market.get("/users/bob/trades", position))["trades"]] == [4]
    assert [candle["volume"] for candle in (await market.get("/markets/m/prices", position))["candles"]] == [
        4
    ]
    assert (await market.get("/users/ann/orders", position))["orders"][0]["rest"] == 6


async def test_a_resolved_market_pays_out_by_itself_and_takes_it_back(market: Market) -> None:
    for user in ("ann", "bob"):
        await market.add_user(user)
    await market.add_market(window=10**15)
    await market.order("ann", "buy", "yes", 40, 10)
    await market.order("bob", "buy", "no", 60, 10)
    await market.order("ann", "buy", "yes", 10, 5)
    await market.do("/markets/m/close")
    await market.do("/markets/m/resolve", yes=1, no=0)
    await becomes(market, "settled")
    assert (await market.get("/users/ann"))["available"] == 100_000 - 400 + 1000
    await market.do("/markets/m/unresolve", reason="wrong")
    await becomes(market, "closed")
    assert (await market.get("/users/ann"))["available"] == 100_000 - 400
    await market.do("/markets/m/resolve", yes=0, no=1)
    await becomes(market, "settled")
    assert (await market.get("/users/bob"))["available"] == 100_000 - 600 + 1000
    last = event_sourcing_engine.log.last_position()
    leaders = (await market.get("/leaderboard", last))["leaders"]
    assert [(leader["user"], leader["profit"]) for leader in leaders] == [("bob", 400), ("ann", -400)]


async def becomes(market: Market, status: str) -> None:
    """Return when a market has a status, following the log."""
    async for page in event_sourcing_engine.follow():
        if (await market.get("/markets/m", page.reached))["status"] == status:
            return


async def test_a_command_is_done_once_and_answered_alike(market: Market) -> None:
    await market.add_user("ann")
    await market.add_market()
    first = await market.ask("POST", "/orders", ORDER)
    again = await market.ask("POST", "/orders", ORDER)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() | {"repeated": True} == again.json()
    assert first.headers["x-event-position"] == str(first.json()["position"])
    other = await market.ask("POST", "/orders", ORDER | {"price": 41})
    assert (other.status_code, other.json()["type"]) == (409, "urn:agora:problem:command-id-reused")
    assert (await market.get("/users/ann"))["available"] == 100_000 - 400


async def test_the_id_may_come_in_a_header(market: Market) -> None:
    await market.add_user("ann")
    await market.add_market()
    body = {key: value for key, value in ORDER.items() if key != "id"}
    first = await market.ask("POST", "/orders", body, **{"idempotency-key": "k1"})
    again = await market.ask("POST", "/orders", body, **{"idempotency-key": "k1"})
    assert (first.json()["subject"], again.json()["repeated"]) == ("k1", True)
    torn = await market.ask("POST", "/orders", ORDER, **{"idempotency-key": "k2"})
    assert torn.status_code == 422
    assert "Idempotency-Key says id 'k2', the body says 'o1'" in torn.json()["detail"]


async def test_an_order_is_cancelled_once(market: Market) -> None:
    await market.add_user("ann")
    await market.add_market()
    await market.ask("POST", "/orders", ORDER)
    first = await market.ask("DELETE", "/orders/m/o1?user=ann")
    assert (first.status_code, first.json()["status"], first.json()["amount"]) == (200, "cancelled", 400)
    assert (await market.ask("DELETE", "/orders/m/o1?user=ann")).json()["repeated"]
    assert (await market.ask("DELETE", "/orders/m/o9?user=ann")).status_code == 404
    assert (await market.ask("DELETE", "/orders/m/o1")).status_code == 422


async def test_money_comes_and_goes(market: Market) -> None:
    await market.add_user("ann", 1000)
    await market.do("/withdrawals", payment="out", user="ann", amount=300)
    assert (await market.get("/users/ann"))["reserved"] == 300
    await market.do("/payments/out/confirm")
    await market.do("/withdrawals", payment="out2", user="ann", amount=200)
    await market.do("/payments/out2/fail", reason="no such bank")
    ann = await market.get("/users/ann")
    assert (ann["available"], ann["reserved"]) == (700, 0)
    assert (await market.ask("GET", "/payments/out")).json()["status"] == "withdrawn"
    assert (await market.ask("GET", "/payments/none")).status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"price": 0}, "`$.price`"),
        ({"price": 100}, "`$.price`"),
        ({"price": -1}, "`$.price`"),
        ({"price": 40.5}, "`$.price`"),
        ({"price": "40"}, "`$.price`"),
        ({"price": 10**30}, "price"),
        ({"size": 0}, "`$.size`"),
        ({"size": True}, "`$.size`"),
        ({"side": "hold"}, "`$.side`"),
        ({"user": "../x"}, "`$.user`"),
        ({"id": ""}, "`$.id`"),
        ({"colour": "red"}, "colour"),
        ({"type": "CloseMarket"}, "CloseMarket"),
    ],
)
async def test_tells_which_field_is_wrong(market: Market, change: dict[str, Any], words: str) -> None:
    before = event_sourcing_engine.log.last_position()
    for headers in ({}, {"idempotency-key": "o1"}):
        if "id" in change and headers:
            continue
        answer = await market.ask("POST", "/orders", ORDER | change, **headers)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert words in answer.json()["detail"]
    assert event_sourcing_engine.log.last_position() == before


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"1", b"\xff", b"{" * 5000, b'{"id": "a"'])
async def test_refuses_a_body_that_is_no_command(market: Market, body: bytes) -> None:
    for path in ("/orders", "/users"):
        answer = await market.ask("POST", path, body)
        assert (answer.status_code, answer.json()["status"]) == (422, 422)


async def test_refuses_a_body_that_no_command_has(market: Market) -> None:
    answer = await market.ask("POST", "/orders", b'{"id": "' + b"a" * 1_000_000 + b'"}')
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:agora:problem:body-too-large")


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/markets/m/nothing", 404, "not-found"),
        ("PUT", "/markets", 405, "method-not-allowed"),
        ("GET", "/markets/none", 404, "market-unknown"),
        ("GET", "/markets/none/book", 404, "market-unknown"),
        ("GET", "/users/none", 404, "user-unknown"),
        ("GET", "/users/none/portfolio", 404, "user-unknown"),
        ("GET", "/markets?colour=red", 422, "query-invalid"),
        ("GET", "/markets?limit=many", 422, "query-invalid"),
        ("GET", "/markets?limit=1&limit=2", 422, "query-invalid"),
        ("GET", "/markets?at_least=-1", 422, "query-invalid"),
        ("GET", "/markets?timeout=1000", 422, "query-invalid"),
        ("GET", "/markets?timeout=nan", 422, "query-invalid"),
        ("GET", "/markets?at_least=99&timeout=0", 503, "projection-behind"),
        ("GET", "/users/~house?at_least=99&timeout=0", 503, "position-ahead"),
    ],
)
async def test_tells_what_there_is(market: Market, method: str, path: str, status: int, slug: str) -> None:
    answer = await market.ask(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:agora:problem:{slug}")


async def test_orders_of_a_market_that_does_not_trade_are_refused(market: Market) -> None:
    await market.add_user("ann")
    assert (await market.ask("POST", "/orders", ORDER)).status_code == 404
    await market.add_market()
    await market.do("/markets/m/close")
    closed = await market.ask("POST", "/orders", ORDER)
    assert (closed.status_code, closed.json()["type"]) == (409, "urn:agora:problem:market-status-wrong")
    poor = await market.ask("POST", "/orders", ORDER | {"user": "bob"})
    assert poor.status_code == 409


async def test_without_an_engine_it_says_what_the_configuration_lacks() -> None:
    async with serving({"route": CONFIG["route"]}) as gateway:
        answer = await gateway.ask(b"GET /market/markets HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert answer.status == 503
        assert b"[event_log]" in answer.body
    async with serving({"route": CONFIG["route"], "event_log": {}}) as gateway:
        answer = await gateway.ask(b"GET /market/markets HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert answer.status == 503
        assert b"gateway.market.installation:install" in answer.body


async def test_money_is_conserved_and_a_restart_shows_the_same(tmp_path: Path) -> None:
    rng = random.Random(11)
    users = [f"u{number}" for number in range(6)]
    async with market_served(tmp_path) as market:
        for user in users:
            await market.add_user(user)
        await market.add_market(fee=100)
        for number in range(150):
            terms = {
                "id": f"o{number}",
                "market": "m",
                "user": rng.choice(users),
                "side": rng.choice(("buy", "sell")),
                "share": rng.choice(("yes", "no")),
                "price": rng.randint(30, 70),
                "size": rng.randint(1, 20),
                "kind": rng.choice(("limit", "ioc", "fok", "post-only")),
            }
            assert (await market.ask("POST", "/orders", terms)).status_code in (201, 409)
        shown, states = await everything(market, users)
    async with market_served(tmp_path) as market:
        assert await everything(market, users) == (shown, states)


async def everything(market: Market, users: list[str]) -> tuple[list[Any], dict[str, str]]:
    """Return tables and state hashes; hold them to the rules on the way."""
    log = event_sourcing_engine.log
    position = log.last_position()
    book = await market.get("/markets/m/book", position)
    bids, asks = ([level["price"] for level in book[side]] for side in ("bids", "asks"))
    assert not bids or not asks or max(bids) < min(asks)
    portfolios = [await market.get(f"/users/{user}/portfolio", position) for user in users]
    states: dict[str, pure.State] = {}
    for event in log.read_all(0, limit=100_000).events:
        if event.stream.startswith("$"):
            continue  # the gateway's own
        state = states.setdefault(event.stream, pure.initial(event.stream))
        states[event.stream] = pure.evolve(state, pure.decode_event(event.data))
    held = states["market-m"]
    assert isinstance(held, pure.Market)
    accounts = [state for state in states.values() if isinstance(state, pure.Account)]
    cash = sum(account.available + account.reserved - account.debt for account in accounts)
    assert sum(held.ledger.cash.values()) == 0
    assert cash - held.ledger.cash["outside"] == 100_000 * len(users)
    assert held.ledger.cash["escrow"] == 100 * held.ledger.sets
    return [book, portfolios], {name: pure.state_hash(state) for name, state in states.items()}
