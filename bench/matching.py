"""Time the market's matching, in nanoseconds an order: ``python -m bench.matching [--json]``.

The same seeded mix for the compiled book alone and for the whole decider (validated commands in, events
applied to the states of the market and the accounts): limit orders around a wandering price, one in six
immediate, one cancel for three orders. Processor time; the median of some rounds, each from an empty book.
"""

import json
import random
import sys
import time
from statistics import median

from core._fast.order_book import Kind, OrderBook
from engines.market import (
    Command,
    Fact,
    Market,
    State,
    decide,
    decode_event,
    encode_event,
    evolve,
    initial,
    make_command,
    streams_of,
)
from engines.market import commands as c
from engines.market.views import VIEWS

ORDERS = 200_000  # of the book, in one round
COMMANDS = 20_000  # of the decider, in one round
USERS = 500
ROUNDS = 5

Order = tuple[int, int, int, int, int, int]  # id, owner, side, price, size, kind; kind -1: cancel that id


def mixed(count: int, seed: int) -> list[Order]:
    """Return a mix of orders and cancels."""
    rng = random.Random(seed)
    middle, orders, live = 50.0, list[Order](), list[int]()
    for number in range(count):
        if live and rng.random() < 0.25:
            orders.append((live.pop(rng.randrange(max(len(live) - 200, 0), len(live))), 0, 0, 0, 0, -1))
            continue
        middle = min(max(middle + rng.gauss(0, 0.05), 20), 80)
        side = rng.randrange(2)
        price = round(middle + (rng.gauss(-1.5, 1.5) if side == 0 else rng.gauss(1.5, 1.5)))
        kind = Kind.IMMEDIATE if rng.random() < 0.17 else Kind.LIMIT
        orders.append((number, rng.randrange(USERS), side, min(max(price, 1), 99), rng.randint(1, 100), kind))
        live.append(number)
    return orders


def time_book(orders: list[Order]) -> tuple[float, dict[str, float]]:
    """Return the nanoseconds an order of the compiled book, and what it did."""
    book = OrderBook()
    place, cancel, fills, most = book.place, book.cancel, 0, 0
    begin = time.thread_time_ns()
    for order, owner, side, price, size, kind in orders:
        if kind < 0:
            cancel(order)
        else:
            met = len(place(order, owner, side, price, size, kind) or ()) // 3
            fills += met
            if met > most:
                most = met
    spent = time.thread_time_ns() - begin
    return spent / len(orders), {"fills an order": fills / len(orders), "most fills": most, "open": len(book)}


class Platform:
    """Streams, their states and all their events."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.log: list[Fact] = []
        for number in range(USERS):
            user = f"u{number}"
            self.do(c.RegisterUser, user=user, name=user, email=f"{user}@example.test")
            self.do(c.RequestDeposit, payment=user, user=user, amount=10**12)
            self.do(c.ConfirmDeposit, payment=user)
        self.do(c.CreateMarket, market="m", question="Which?", fee=100)
        self.do(c.OpenMarket, market="m")
        for number in range(USERS):
            self.do(c.BuySets, market="m", user=f"u{number}", size=10**7)

    def do(self, kind: type[Command], **fields: object) -> None:
        """Run a command under the next id."""
        self.run(make_command(kind, id=f"setup{len(self.log)}", **fields))

    def run(self, command: Command) -> None:
        """Decide a command and apply its events."""
        states = self.states
        for name in streams_of(command):
            if name not in states:
                states[name] = initial(name)
        for write in decide(command, states, len(self.log)).writes:
            state = states.get(write.stream)
            if state is None:
                state = states[write.stream] = initial(write.stream)
            for event in write.events:
                evolve(state, event)
            self.log += write.events


def commands_of(orders: list[Order]) -> list[Command]:
    """Return the mix as commands; shares are bought and sold in equal parts."""
    made: list[Command] = []
    users: dict[int, str] = {}
    for number, (order, owner, side, price, size, kind) in enumerate(orders):
        if kind < 0:
            fields = {"id": f"x{number}", "market": "m", "user": users[order], "order": f"o{order}"}
            made.append(make_command(c.CancelOrder, **fields))
            continue
        users[order] = f"u{owner}"
        yes = number % 2 == 0
        made.append(
            make_command(
                c.PlaceOrder, id=f"o{order}", market="m", user=users[order], share="yes" if yes else "no",
                side="buy" if (side == 0) == yes else "sell", price=price if yes else 100 - price, size=size,
                kind="ioc" if kind == Kind.IMMEDIATE else "limit",
            )
        )  # fmt: skip
    return made


def placed(commands: list[Command]) -> tuple[Platform, float]:
    """Run the commands on a new platform; return it and the nanoseconds an order.

    Orders that are gone already are not cancelled.
    """
    platform, count = Platform(), 0
    market = platform.states["market-m"]
    assert isinstance(market, Market)
    run, is_open = platform.run, market.book.get
    begin = time.thread_time_ns()
    for command in commands:
        if type(command) is c.CancelOrder and is_open(command.order) is None:
            continue
        run(command)
        count += 1
    return platform, (time.thread_time_ns() - begin) / count


def time_views(commands: list[Command]) -> dict[str, float]:
    """Return the nanoseconds an event of each view, and of decoding."""
    log = placed(commands)[0].log
    encoded = [encode_event(event) for event in log]
    costs: dict[str, float] = {}
    for name, kind in VIEWS.items():
        apply = kind().apply
        begin = time.thread_time_ns()
        for event in log:
            apply(event)
        costs[f"(view of {name}, an event)"] = (time.thread_time_ns() - begin) / len(log)
    begin = time.thread_time_ns()
    for data in encoded:
        decode_event(data)
    costs["(decoding an event)"] = (time.thread_time_ns() - begin) / len(log)
    return costs


def run() -> dict[str, float]:
    """Return label to nanoseconds."""
    orders = mixed(ORDERS, 7)
    commands = commands_of(mixed(COMMANDS, 7))
    return {
        "compiled book, an order": median(time_book(orders)[0] for _ in range(ROUNDS)),
        "(whole decider, an order)": median(placed(commands)[1] for _ in range(ROUNDS)),
        **time_views(commands),
    }


def main() -> None:
    """Print the figures."""
    figures = run()
    if "--json" in sys.argv[1:]:
        print(json.dumps(figures))
        return
    for label, nanoseconds in figures.items():
        print(f"{label:40} {nanoseconds:10.0f} ns {1e9 / nanoseconds:14,.0f} a second")
    told = time_book(mixed(ORDERS, 7))[1]
    print("the mix: " + ", ".join(f"{value:,.2f} {name}" for name, value in told.items()))


if __name__ == "__main__":
    main()
