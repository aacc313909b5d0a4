"""The market's queries over HTTP: each reads tables, once they know the position that it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.engine import WAIT_SECONDS
from engines.market import HOUSE
from engines.market.book import ASK, BID
from engines.market.errors import MarketUnknown, PaymentUnknown, UserUnknown
from engines.market.views import Depth, Leaders, Markets, Portfolios, Prices, Trades
from engines.market.views.portfolio import Portfolio
from gateway.event_sourcing.waiting import wait_for_position
from gateway.market.commands import Endpoint
from gateway.market.exchange import Answer, Request, encode, number, seconds

WAITS = ("at_least", "timeout")
MOST = 1_000  # rows in an answer
ACCOUNT = ("user", "status", "name", "email", "available", "reserved", "debt")
PAYMENT = ("id", "kind", "status", "user", "amount")


def shown(content: Any) -> Answer:
    """Return data as an answer."""
    return Answer(200, encode(content))


async def table(engine: EventSourcingEngine, name: str, query: dict[str, str]) -> Any:
    """Return a table when it knows the position that the query asks for; raise ProjectionBehind."""
    at_least = number(query, "at_least", 0)
    return await engine.table(name, at_least=at_least, seconds=seconds(query, WAIT_SECONDS))


async def in_log(engine: EventSourcingEngine, request: Request) -> None:
    """Return when the log has the position that a query asks for; raise PositionAhead."""
    query = request.query(*WAITS)
    await wait_for_position(engine, number(query, "at_least", 0), seconds(query, WAIT_SECONDS))


# -- markets ---------------------------------------------------------------------------------------------


async def markets(engine: EventSourcingEngine, request: Request) -> Answer:
    """List markets by id, a page at a time."""
    query = request.query(*WAITS, "status", "after", "limit")
    found: Markets = await table(engine, "markets", query)
    status, after = query.get("status"), query.get("after", "")
    wanted = (name for name in sorted(found.rows) if name > after)
    rows = (found.rows[name] for name in wanted if status is None or found.rows[name].status == status)
    return shown({"markets": list(islice(rows, number(query, "limit", 100, MOST)))})


async def market(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show a market."""
    found: Markets = await table(engine, "markets", request.query(*WAITS))
    return shown(found.rows[known_market(found, request)])


async def book(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show the best prices of a market's book, both sides in prices of YES."""
    query = request.query(*WAITS, "depth")
    name = known_market(await table(engine, "markets", query), request)
    found: Depth = await table(engine, "depth", query)
    depth, count = found.markets.get(name), number(query, "depth", 20, 99)
    sides = {"bids": BID, "asks": ASK}
    return shown(
        {"market": name}
        | {
            side: levels(depth.side(number_of_side, count) if depth is not None else ())
            for side, number_of_side in sides.items()
        }
    )


def levels(found: Iterable[tuple[int, int, int]]) -> list[dict[str, int]]:
    """Return prices of a book as objects."""
    return [{"price": price, "size": size, "orders": orders} for price, size, orders in found]


async def prices(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show the history of a market's prices in spans of some minutes."""
    query = request.query(*WAITS, "minutes", "after")
    name = known_market(await table(engine, "markets", query), request)
    found: Prices = await table(engine, "prices", query)
    minutes = max(number(query, "minutes", 1, 525_600), 1)
    candles = found.candles(name, minutes, number(query, "after", 0))
    keys = ("start", "first", "high", "low", "last", "volume")
    return shown({"market": name, "candles": [{key: getattr(one, key) for key in keys} for one in candles]})


async def market_trades(engine: EventSourcingEngine, request: Request) -> Answer:
    """List a market's latest trades, newest first."""
    query = request.query(*WAITS, "limit")
    name = known_market(await table(engine, "markets", query), request)
    found: Trades = await table(engine, "trades", query)
    return shown({"market": name, "trades": found.of_market(name, number(query, "limit", 100, MOST))})


def known_market(found: Markets, request: Request) -> str:
    """Return the market that the path names; raise MarketUnknown."""
    name = request.names["market"]
    if name not in found.rows:
        raise MarketUnknown(f"there is no market {name}")
    return name


# -- users -----------------------------------------------------------------------------------------------


async def user(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show who a user is and what is in the account."""
    await in_log(engine, request)
    stream = f"account-{known_user(engine, request)}"
    state = (await engine.aggregate(stream)).state
    return shown({key: state[key] for key in ACCOUNT})


async def portfolio(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show what a user has."""
    found: Portfolios = await table(engine, "portfolios", request.query(*WAITS))
    name = known_user(engine, request)
    return shown(found.users.get(name) or Portfolio())


async def open_orders(engine: EventSourcingEngine, request: Request) -> Answer:
    """List a user's orders in the books: market, order and the shares left."""
    found: Portfolios = await table(engine, "portfolios", request.query(*WAITS))
    name = known_user(engine, request)
    positions = (found.users.get(name) or Portfolio()).positions
    rows = [
        {"market": market, "order": order, "rest": rest}
        for market, position in positions.items()
        for order, rest in position.orders.items()
    ]
    return shown({"user": name, "orders": rows})


async def user_trades(engine: EventSourcingEngine, request: Request) -> Answer:
    """List a user's latest trades, newest first."""
    query = request.query(*WAITS, "limit")
    found: Trades = await table(engine, "trades", query)
    name = known_user(engine, request)
    return shown({"user": name, "trades": found.of_user(name, number(query, "limit", 100, MOST))})


def known_user(engine: EventSourcingEngine, request: Request) -> str:
    """Return the user that the path names; raise UserUnknown. The platform's own is always there."""
    name = request.names["user"]
    if name != HOUSE and not engine.log.head(f"account-{name}"):
        raise UserUnknown(f"there is no user {name}")
    return name


async def payment(engine: EventSourcingEngine, request: Request) -> Answer:
    """Show a payment."""
    await in_log(engine, request)
    stream = f"payment-{request.names['payment']}"
    if not engine.log.head(stream):
        raise PaymentUnknown(f"there is no payment {request.names['payment']}")
    state = (await engine.aggregate(stream)).state
    return shown({key: state[key] for key in PAYMENT})


async def leaders(engine: EventSourcingEngine, request: Request) -> Answer:
    """List the users with the highest profit in settled markets."""
    query = request.query(*WAITS, "limit")
    found: Leaders = await table(engine, "leaders", query)
    return shown({"leaders": found.top(number(query, "limit", 10, MOST))})


ENDPOINTS: dict[str, Endpoint] = {
    "GET markets": markets,
    "GET markets/{market}": market,
    "GET markets/{market}/book": book,
    "GET markets/{market}/prices": prices,
    "GET markets/{market}/trades": market_trades,
    "GET users/{user}": user,
    "GET users/{user}/portfolio": portfolio,
    "GET users/{user}/orders": open_orders,
    "GET users/{user}/trades": user_trades,
    "GET payments/{payment}": payment,
    "GET leaderboard": leaders,
}
