"""A market platform in memory: streams, their states and what must hold after every event.

`Platform.run` decides a command, checks every rule of the domain event by event, and keeps the log. Used by
the tests of the market.
"""

from typing import Any

from engines.market import (
    Account,
    Command,
    Decision,
    Fact,
    Market,
    Payment,
    State,
    decide,
    decode_event,
    encode_event,
    evolve,
    initial,
    make_command,
    restore,
    snapshot,
    state_hash,
    streams_of,
)
from engines.market import commands as c

UNIT = 100
SECOND = 1_000_000_000


class Platform:
    """All streams of a platform, appended to as a log would."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.versions: dict[str, int] = {}
        self.states: dict[str, State] = {}
        self.now = 1_000 * SECOND
        self.commands = 0

    def state(self, stream: str) -> State:
        if stream not in self.states:
            self.states[stream] = initial(stream)
        return self.states[stream]

    def account(self, user: str) -> Account:
        found = self.state(f"account-{user}")
        assert isinstance(found, Account)
        return found

    def market(self, market: str = "m") -> Market:
        found = self.state(f"market-{market}")
        assert isinstance(found, Market)
        return found

    def payment(self, payment: str) -> Payment:
        found = self.state(f"payment-{payment}")
        assert isinstance(found, Payment)
        return found

    def do(self, kind: type[Command], /, **fields: Any) -> Decision:
        """Make a command, under an id of its own unless one is given, and run it."""
        self.commands += 1
        return self.run(make_command(kind, **{"id": f"c{self.commands}", **fields}))

    def run(self, command: Command) -> Decision:
        """Decide a command, append what comes of it, check everything; ask again and get the same."""
        states = {name: self.state(name) for name in streams_of(command)}
        before = {name: state_hash(state) for name, state in states.items()}
        decision = decide(command, states, self.now)
        assert {name: state_hash(state) for name, state in states.items()} == before, "decide changed a state"
        assert len({write.stream for write in decision.writes}) == len(decision.writes)
        for write in decision.writes:
            assert not write.checked or write.stream in states
            for event in write.events:
                self.append(write.stream, event)
        self.check_money()
        if decision.writes:
            again = decide(command, states, self.now + SECOND)
            assert again.receipt == decision.receipt
            assert again.writes == ()
        return decision

    def append(self, stream: str, event: Fact) -> None:
        encoded = encode_event(event)
        assert decode_event(encoded) == event
        self.log.append((stream, encoded))
        self.versions[stream] = self.versions.get(stream, 0) + 1
        state = evolve(self.state(stream), event)
        if isinstance(state, Market):
            check_market(state)
        elif isinstance(state, Account):
            assert min(state.available, state.reserved, state.debt) >= 0
            assert state.debt == 0 or state.available == 0

    def check_money(self) -> None:
        """Check that every cent that came in is somewhere once."""
        accounts = sum(
            state.available + state.reserved - state.debt
            for state in self.states.values()
            if isinstance(state, Account)
        )
        markets = sum(
            sum(state.ledger.cash[name] for name in ("held", "escrow", "fees", "pool"))
            for state in self.states.values()
            if isinstance(state, Market)
        )
        outside = 0
        for state in self.states.values():
            if isinstance(state, Payment) and state.status in ("deposited", "withdrawn"):
                outside += state.amount if state.kind == "deposit" else -state.amount
        assert accounts + markets == outside

    def replayed(self, stop: int | None = None) -> dict[str, State]:
        """Return the states folded anew from the first `stop` events of the log."""
        states: dict[str, State] = {}
        for stream, event in self.log[:stop]:
            state = states.setdefault(stream, initial(stream))
            evolve(state, decode_event(event))
        return states

    def check_replay(self, cut: int) -> None:
        """Check that a replay, and snapshots after `cut` events with the tail, give the live states."""
        live = {name: state_hash(state) for name, state in self.states.items() if name in self.versions}
        assert {name: state_hash(state) for name, state in self.replayed().items()} == live
        resumed = {name: restore(type(state), snapshot(state)) for name, state in self.replayed(cut).items()}
        for stream, event in self.log[cut:]:
            evolve(resumed.setdefault(stream, initial(stream)), decode_event(event))
        assert {name: state_hash(state) for name, state in resumed.items()} == live

    # -- shortcuts ------------------------------------------------------------------------------------------

    def add_user(self, user: str, cents: int) -> None:
        self.do(c.RegisterUser, user=user, name=user.title(), email=f"{user}@example.test")
        self.pay_in(user, cents)

    def pay_in(self, user: str, cents: int) -> str:
        payment = f"in{self.commands}"
        self.do(c.RequestDeposit, payment=payment, user=user, amount=cents)
        self.do(c.ConfirmDeposit, payment=payment)
        return payment

    def open_market(self, **terms: Any) -> None:
        self.do(c.CreateMarket, market="m", question="Will it rain?", **terms)
        self.do(c.OpenMarket, market="m")

    def order(self, user: str, side: str, share: str, price: int, size: int, kind: str = "limit") -> Decision:
        return self.do(
            c.PlaceOrder, market="m", user=user, side=side, share=share, price=price, size=size, kind=kind
        )

    def settle(self, limit: int = 500) -> list[Decision]:
        """Sweep, start and finish the settlement, so many at once."""
        while self.do(c.SweepOrders, market="m", limit=limit).receipt.rest:
            pass
        decisions = [self.do(c.StartSettlement, market="m")]
        while self.market().status == "settling":
            decisions.append(self.do(c.SettleBatch, market="m", limit=limit))
        return decisions

    def take_back(self, limit: int = 500) -> None:
        self.do(c.UnresolveMarket, market="m")
        while self.market().status == "reversing":
            self.do(c.ReverseBatch, market="m", limit=limit)


def check_market(market: Market) -> None:
    """Check what must hold in a market after every single event."""
    ledger, cash, book = market.ledger, market.ledger.cash, market.book
    assert sum(cash.values()) == 0
    assert cash["clearing"] == 0
    assert all(balance >= 0 for name, balance in cash.items() if name != "outside")
    maker = market.maker
    for kind in (0, 1):
        made = sum(holding.shares(kind) for holding in ledger.holdings.values())
        assert made + (maker.free[kind] if maker else 0) == ledger.sets
        for user, holding in ledger.holdings.items():
            assert min(holding.free[kind], holding.held[kind]) >= 0
            offered = sum(o.left for o in book if (o.user, o.side, o.kind) == (user, "sell", kind))
            assert holding.held[kind] == offered
    paid = sum(holding.paid for holding in ledger.holdings.values()) + sum(market.finish[2:])
    assert cash["escrow"] + paid == ledger.sets * UNIT + market.fees_returned
    assert cash["held"] == sum(order.held for order in book)
    for order in book:
        if order.left == order.rest:
            assert order.held == (order.price * order.left if order.side == "buy" else 0)
    bid, ask = book.best(0), book.best(1)
    assert not (bid and ask) or bid < ask
    if market.status == "settled":
        assert cash["escrow"] == cash["pool"] == cash["fees"] == cash["held"] == 0
    net = sum(holding.net for holding in ledger.holdings.values())
    if market.status in ("open", "closed", "resolved", "voided"):
        put_in = maker.funded - cash["pool"] if maker else 0
        assert net + put_in == cash["escrow"] + cash["fees"]
