"""The demonstration itself: traders come, pay in, trade; markets close and answer; the money is counted.

Rules: what is asked for follows from the seed; in which order it is answered, and so who trades with whom,
does not. Every command has an id made of the run's name, so that a run can share a market with others and a
request can be repeated. Nothing is left open at the end: each market pays out, or gives back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec

from gateway.demo.connection import Address, Connection
from gateway.demo.conservation import Conservation, Owner, conservation
from gateway.demo.errors import DemoFailed
from gateway.demo.market_api import MarketApi, Refusal
from gateway.demo.questions import QUESTIONS
from gateway.demo.tally import Progress, Tally
from gateway.demo.trader import Cancel, MarketSeen, Order, Trader

Item = TypeVar("Item")
Report = Callable[[Progress], None]
HOUSE = "~house"
CHECKING, FURNISHING = "looking for the market", "making users and markets"
EARLY = ("", CHECKING, FURNISHING)  # stages in which the markets are not there yet
LOOK = 0.5  # seconds between two looks at the markets
SETTLED_WITHIN = 60.0  # seconds
FEE = 100  # basis points
WINDOW = 3_600 * 10**9  # ns in which an answer may be taken back
LEAST, MOST = 50_000, 500_000  # cents that a trader pays in


@dataclass(frozen=True)
class Plan:
    """What is asked for; rate: orders a second, 0: as fast as they are answered."""

    seed: int = 1
    traders: int = 50
    markets: int = 4
    orders: int = 5_000
    rate: float = 0.0
    connections: int = 16
    name: str = "demo"


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    seed: int
    name: str
    address: str
    traders: int
    progress: Progress
    answers: dict[str, str]  # market -> what it was answered
    leaders: list[dict[str, Any]]
    money: Conservation


class Simulation:
    """Run a plan against the market at an address; `report` is told how far it is."""

    def __init__(self, address: Address, plan: Plan, report: Report) -> None:
        self.address = address
        self.plan = plan
        self.report = report
        self.random = random.Random(plan.seed)  # noqa: S311 - to be repeated, not to be secret
        self.tally = Tally(time.perf_counter)
        self.tally.wanted = plan.orders
        self.apis = [MarketApi(Connection(address)) for _ in range(plan.connections)]
        self.markets = [
            MarketSeen(
                f"{plan.name}-m{number}", QUESTIONS[number % len(QUESTIONS)], self.random.uniform(0.1, 0.9)
            )
            for number in range(1, plan.markets + 1)
        ]
        self.traders = [
            Trader(user, f"{plan.seed}/{number}")
            for number in range(1, plan.traders + 1)
            for user in [f"{plan.name}-u{number}"]
        ]
        self.deposits = {trader.user: self.random.randint(LEAST, MOST) for trader in self.traders}
        self.answers: dict[str, str] = {}
        self.left = plan.orders
        self.house = 0  # cents that the platform had before

    async def run(self) -> Outcome:
        """Do it all; raise DemoFailed."""
        try:
            async with self._watching():
                await self._furnish()
                await self._trade()
                await self._settle()
            return await self._outcome()
        except ExceptionGroup as failures:
            told = failures.subgroup(DemoFailed)
            if told is None:
                raise
            raise first_of(told) from None
        finally:
            for api in self.apis:
                api.connection.close()

    # -- the stages ----------------------------------------------------------------------------------------

    async def _furnish(self) -> None:
        self._stage(CHECKING)
        self.house = await self.apis[0].cash(HOUSE)
        self._stage(FURNISHING)
        await self._each(self.traders, self._welcome)
        await self._each(self.markets, self._open)

    async def _welcome(self, api: MarketApi, trader: Trader) -> None:
        await api.register(trader.user, f"Trader {trader.user}")
        await api.deposit(trader.user, self.deposits[trader.user])

    async def _open(self, api: MarketApi, seen: MarketSeen) -> None:
        await api.create_market(seen.market, seen.question, FEE, WINDOW)

    async def _trade(self) -> None:
        self._stage("trading")
        idle = list(self.traders)
        self.random.shuffle(idle)
        begun = time.perf_counter()

        async def call(api: MarketApi) -> None:
            while self.left > 0:
                number = self.plan.orders - self.left
                self.left -= 1
                if self.plan.rate:
                    await asyncio.sleep(begun + number / self.plan.rate - time.perf_counter())
                trader = idle.pop(0)
                await self._step(api, trader)
                idle.append(trader)

        async with asyncio.TaskGroup() as group:
            for api in self.apis[: len(idle)]:
                group.create_task(call(api))

    async def _step(self, api: MarketApi, trader: Trader) -> None:
        """Let a trader do one thing, and tell him what came of it."""
        wanted = trader.next(self.markets)
        begun = time.perf_counter()
        answer = await (api.place(wanted) if isinstance(wanted, Order) else api.cancel(wanted))
        self.tally.answered(time.perf_counter() - begun)
        if isinstance(answer, Refusal):
            self.tally.refused[answer.slug] += 1
        if isinstance(wanted, Cancel):
            trader.cancelled(wanted.order)
            self.tally.cancelled += not isinstance(answer, Refusal)
        elif not isinstance(answer, Refusal):
            trader.placed(wanted, answer.filled, answer.rest)

    async def _settle(self) -> None:
        """Close each market, answer it, and wait until it has paid out."""
        self._stage("settling")
        await self._each(list(enumerate(self.markets)), self._answer)

    async def _answer(self, api: MarketApi, numbered: tuple[int, MarketSeen]) -> None:
        """Answer a market by its truth. NOTE: the first is answered wrongly first, the third given back."""
        number, seen = numbered
        await api.close(seen.market)
        yes = random.Random(f"{self.plan.seed}/{seen.market}").random() < seen.truth  # noqa: S311 - as above
        if number == 2:
            await api.void(seen.market, "The question cannot be answered.")
            self.answers[seen.market] = "void"
        else:
            if number == 0:
                await api.resolve(seen.market, yes=not yes)
                await api.unresolve(seen.market, "That was the wrong answer.")
                await api.becomes("closed", seen.market, SETTLED_WITHIN)
            await api.resolve(seen.market, yes=yes, again=number == 0)
            self.answers[seen.market] = "yes" if yes else "no"
        await api.becomes("settled", seen.market, SETTLED_WITHIN)

    async def _outcome(self) -> Outcome:
        self._stage("counting the money")
        owners: list[Owner] = []
        position = self.position

        async def count(api: MarketApi, trader: Trader) -> None:
            cash, holdings = await api.portfolio(trader.user, position)
            owners.append(Owner(trader.user, cash, self.deposits[trader.user], holdings))

        await self._each(self.traders, count)
        gained = await self.apis[0].cash(HOUSE, self.position) - self.house
        await self._look()
        return Outcome(
            seed=self.plan.seed,
            name=self.plan.name,
            address=str(self.address),
            traders=len(self.traders),
            progress=self._progress(whole=True),
            answers=self.answers,
            leaders=leaders_of(owners),
            money=conservation(owners, set(self.answers), gained),
        )

    # -- what goes on beside -------------------------------------------------------------------------------

    async def _each(self, items: Iterable[Item], what: Callable[[MarketApi, Item], Awaitable[None]]) -> None:
        """Do something with each item, on all connections at once."""
        left = iter(list(items))

        async def work(api: MarketApi) -> None:
            for item in left:
                await what(api, item)

        async with asyncio.TaskGroup() as group:
            for api in self.apis:
                group.create_task(work(api))

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Look at the markets again and again, for the traders and for the report."""

        async def watch() -> None:
            api = MarketApi(Connection(self.address))
            try:
                while True:
                    await asyncio.sleep(LOOK)
                    if self.tally.stage not in EARLY:
                        await self._look(api)
                    self.report(self._progress())
            finally:
                api.connection.close()

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            yield
            watching.cancel()

    async def _look(self, api: MarketApi | None = None) -> None:
        position = self.position
        for seen in self.markets:
            await (api or self.apis[0]).look(seen, position)

    @property
    def position(self) -> int:
        """Return the position of the last command that was answered."""
        return max(api.position for api in self.apis)

    def _progress(self, *, whole: bool = False) -> Progress:
        self.tally.trades = sum(seen.trades for seen in self.markets)
        self.tally.repeated = sum(api.connection.repeated for api in self.apis)
        return self.tally.look([asdict(seen) for seen in self.markets], whole=whole)

    def _stage(self, name: str) -> None:
        self.tally.stage = name
        self.report(self._progress())


def new_name() -> str:
    """Return a name that no run had before."""
    return f"demo-{time.time_ns() // 10**6:x}"


def leaders_of(owners: list[Owner], count: int = 5) -> list[dict[str, Any]]:
    """Return who gained most, and how much."""
    gains = sorted(((owner.cash - owner.deposits, owner.user) for owner in owners), reverse=True)
    return [{"user": user, "profit": gain} for gain, user in gains[:count]]


def first_of(failures: BaseExceptionGroup[DemoFailed]) -> DemoFailed:
    """Return one of the failures of several tasks."""
    for failure in failures.exceptions:
        return first_of(failure) if isinstance(failure, BaseExceptionGroup) else failure
    raise AssertionError("a group has at least one")
