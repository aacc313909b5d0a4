"""The market's API as the demonstration uses it: paths and fields, by docs/market.md.

Rule: what the market refuses is returned as a Refusal, not raised, for a trader may be refused; whoever
expects no refusal calls `done`. When the market is busy (503), it is asked again.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import PROBLEM_TYPE
from gateway.demo.connection import Answer, Connection
from gateway.demo.conservation import Holding
from gateway.demo.errors import AnswerUnexpected, MarketMissing
from gateway.demo.trader import Cancel, MarketSeen, Order

BUSY = 503
NO_MARKET = ("no-route", "not-found", "market-missing")  # what the gateway, or the market, calls it
TRIES = 8  # when the market is busy
LOOK_AGAIN = 0.05  # seconds
WAIT = 0.05  # seconds before the second; each further one waits twice as long


@dataclass(frozen=True)
class Refusal:
    """What the market did not do, and why."""

    status: int
    slug: str
    detail: str


@dataclass(frozen=True)
class Placed:
    """What became of an order: shares traded at once, and left in the book."""

    filled: int
    rest: int


class MarketApi:
    """Talk to the market on one connection; position: in the log, the last that was told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.position = 0

    async def command(self, method: str, path: str, body: Any = None) -> dict[str, Any] | Refusal:
        """Give a command; return its answer or the market's refusal."""
        wait = WAIT
        for _ in range(TRIES):
            answer = await self.connection.ask(method, path, body)
            if answer.status < 300:
                done: dict[str, Any] = answer.json()
                self.position = max(self.position, done.get("position", 0))
                return done
            refusal = self._refusal(method, path, answer)
            if answer.status != BUSY:
                return refusal
            await asyncio.sleep(wait)
            wait *= 2
        raise self._unexpected(method, path, answer)

    async def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Give a command that is not refused; raise AnswerUnexpected if it is."""
        answer = await self.command(method, path, body)
        if isinstance(answer, Refusal):
            raise AnswerUnexpected(
                f"{method} {self.connection.address}{path} was refused: {answer.slug}: {answer.detail}"
            )
        return answer

    async def read(self, path: str, at_least: int = 0) -> Any:
        """Return what a query shows, once it knows a position."""
        place = f"{path}{'&' if '?' in path else '?'}at_least={at_least}" if at_least else path
        return await self.done("GET", place)

    # -- users and money -----------------------------------------------------------------------------------

    async def register(self, user: str, name: str) -> None:
        """Make a user."""
        body = {"id": f"{user}-new", "user": user, "name": name, "email": f"{user}@example.test"}
        await self.done("POST", "/users", body)

    async def deposit(self, user: str, amount: int) -> None:
        """Pay in, and have it confirmed."""
        payment = f"{user}-in"
        await self.done(
            "POST", "/payments", {"id": payment, "payment": payment, "user": user, "amount": amount}
        )
        await self.done("POST", f"/payments/{payment}/confirm", {"id": f"{payment}-ok"})

    async def cash(self, user: str, at_least: int = 0) -> int:
        """Return what is in an account, in cents."""
        portfolio = await self.read(f"/users/{user}/portfolio", at_least)
        return int(portfolio["available"] + portfolio["reserved"])

    async def portfolio(self, user: str, at_least: int = 0) -> tuple[int, dict[str, Holding]]:
        """Return the cash of a user, and what he did in each market."""
        portfolio = await self.read(f"/users/{user}/portfolio", at_least)
        holdings = {
            market: Holding(held["yes"], held["no"], held["net"], held["payout"])
            for market, held in portfolio["positions"].items()
        }
        return int(portfolio["available"] + portfolio["reserved"]), holdings

    # -- markets -------------------------------------------------------------------------------------------

    async def create_market(self, market: str, question: str, fee: int, window: int) -> None:
        """Make a market and begin trading."""
        body = {"id": f"{market}-new", "market": market, "question": question, "fee": fee, "window": window}
        await self.done("POST", "/markets", body)
        await self.done("POST", f"/markets/{market}/open", {"id": f"{market}-open"})

    async def look(self, seen: MarketSeen, at_least: int = 0) -> None:
        """Bring what traders see of a market up to date."""
        row = await self.read(f"/markets/{seen.market}", at_least)
        book = await self.read(f"/markets/{seen.market}/book?depth=1", at_least)
        seen.status, seen.price, seen.volume, seen.trades = (
            row["status"], row["price"], row["volume"], row["trades"]
        )  # fmt: skip
        seen.bid = book["bids"][0]["price"] if book["bids"] else 0
        seen.ask = book["asks"][0]["price"] if book["asks"] else 0

    async def close(self, market: str) -> None:
        """End trading."""
        await self.done("POST", f"/markets/{market}/close", {"id": f"{market}-close"})

    async def resolve(self, market: str, *, yes: bool, again: bool = False) -> None:
        """Answer a market."""
        body = {"id": f"{market}-answer{2 if again else 1}", "yes": int(yes), "no": int(not yes)}
        await self.done("POST", f"/markets/{market}/resolve", body)

    async def unresolve(self, market: str, reason: str) -> None:
        """Take an answer back."""
        await self.done("POST", f"/markets/{market}/unresolve", {"id": f"{market}-undo", "reason": reason})

    async def void(self, market: str, reason: str) -> None:
        """Give everybody back what he paid."""
        await self.done("POST", f"/markets/{market}/void", {"id": f"{market}-void", "reason": reason})

    async def becomes(self, wanted: str, market: str, seconds: float) -> None:
        """Wait until a market has a status; raise AnswerUnexpected if it takes longer."""
        status = ""
        try:
            async with asyncio.timeout(seconds):
                while status != wanted:
                    status = (await self.read(f"/markets/{market}", self.position))["status"]
                    await asyncio.sleep(LOOK_AGAIN)
        except TimeoutError:
            raise AnswerUnexpected(
                f"market {market} is still {status} after {seconds:.0f} s, not {wanted}"
            ) from None

    # -- orders --------------------------------------------------------------------------------------------

    async def place(self, order: Order) -> Placed | Refusal:
        """Place an order."""
        return placed(await self.command("POST", "/orders", asdict(order)))

    async def cancel(self, cancel: Cancel) -> Placed | Refusal:
        """Take an order back."""
        path = f"/orders/{cancel.market}/{cancel.order}?user={cancel.user}"
        return placed(await self.command("DELETE", path))

    def _refusal(self, method: str, path: str, answer: Answer) -> Refusal:
        problem = answer.json()
        kind = problem.get("type", "") if isinstance(problem, dict) else ""
        slug = kind.removeprefix(PROBLEM_TYPE)
        if slug == kind or (answer.status >= 500 and answer.status != BUSY):
            raise self._unexpected(method, path, answer)
        detail = problem.get("detail", problem.get("title", ""))
        if slug in NO_MARKET:
            raise MarketMissing(
                f"the gateway serves no market at {self.connection.address}: {detail}; "
                "start one with `agora serve examples/market.toml`, or name its address"
            )
        return Refusal(answer.status, slug, detail)

    def _unexpected(self, method: str, path: str, answer: Answer) -> AnswerUnexpected:
        shown = answer.body[:300].decode(errors="replace")
        return AnswerUnexpected(
            f"{method} {self.connection.address}{path} was answered {answer.status}: {shown}"
        )


def placed(answer: dict[str, Any] | Refusal) -> Placed | Refusal:
    """Return what became of an order."""
    if isinstance(answer, Refusal):
        return answer
    return Placed(answer["filled"], answer["rest"])
