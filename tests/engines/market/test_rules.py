"""Any commands in any order: the rules of the market hold after every event (platform.py has them)."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
)

from engines.market import MarketError, initial, state_hash
from engines.market import commands as c
from tests.engines.market.platform import SECOND, Platform

WINDOW = 50 * SECOND
users = st.sampled_from(["ann", "bob", "cat", "dan"])
sizes = st.one_of(st.integers(1, 9), st.integers(10, 60))
prices = st.one_of(st.integers(45, 55), st.integers(1, 99))
limits = st.integers(1, 3)
shares = st.sampled_from(["yes", "no"])
sides = st.sampled_from(["buy", "sell"])
kinds = st.sampled_from(["limit", "limit", "limit", "ioc", "fok", "post-only"])


class AnyCommands(RuleBasedStateMachine):
    orders = Bundle("orders")
    withdrawals = Bundle("withdrawals")

    def __init__(self) -> None:
        super().__init__()
        self.platform = Platform()

    @initialize(fee=st.sampled_from([0, 1, 70, 1000]), cents=st.integers(0, 20_000))
    def open(self, fee: int, cents: int) -> None:
        for user in ("ann", "bob", "cat", "dan"):
            self.platform.add_user(user, 10_000 + cents)
        self.platform.open_market(fee=fee, window=WINDOW)
        for user in ("ann", "bob"):
            self.platform.do(c.BuySets, market="m", user=user, size=30)

    def attempt(self, kind: type[c.Command], /, **fields: Any) -> str | None:
        """Run a command; a refusal must leave everything as it was."""
        before = len(self.platform.log)
        try:
            self.platform.do(kind, **fields)
        except MarketError as error:
            refused = error
        else:
            return f"c{self.platform.commands}"
        assert refused.source == "client", refused
        assert len(str(refused)) > 20
        assert len(self.platform.log) == before
        return None

    @rule(target=orders, user=users, side=sides, share=shares, price=prices, size=sizes, kind=kinds)
    def place(self, user: str, side: str, share: str, price: int, size: int, kind: str) -> Any:
        order = self.attempt(
            c.PlaceOrder, market="m", user=user, side=side, share=share, price=price, size=size, kind=kind
        )
        return multiple() if order is None else order

    @rule(user=users, order=consumes(orders))
    def cancel(self, user: str, order: str) -> None:
        self.attempt(c.CancelOrder, market="m", user=user, order=order)

    @rule(order=consumes(orders))
    def cancel_own(self, order: str) -> None:
        found = self.platform.market().book.get(order)
        if found is not None:
            self.attempt(c.CancelOrder, market="m", user=found.user, order=order)

    @rule(user=users, size=sizes, kind=st.sampled_from([c.BuySets, c.RedeemSets]))
    def trade_sets(self, user: str, size: int, kind: type[c.Command]) -> None:
        self.attempt(kind, market="m", user=user, size=size)

    @rule(user=users, depth=st.integers(1, 60))
    def fund(self, user: str, depth: int) -> None:
        self.attempt(c.FundLiquidity, market="m", user=user, depth=depth)

    @precondition(lambda self: self.platform.market().maker is not None)
    @rule(user=users, side=sides, share=shares, size=sizes)
    def take(self, user: str, side: str, share: str, size: int) -> None:
        limit = 10**9 if side == "buy" else 0
        self.attempt(c.TakeLiquidity, market="m", user=user, side=side, share=share, size=size, limit=limit)

    @rule(kind=st.sampled_from([c.OpenMarket, c.CloseMarket, c.DeleteMarket, c.StartSettlement]))
    def turn(self, kind: type[c.Command]) -> None:
        if kind is not c.CloseMarket or len(self.platform.log) % 3 == 0:
            self.attempt(kind, market="m")

    @rule(yes=st.integers(0, 3), no=st.integers(0, 3))
    def resolve(self, yes: int, no: int) -> None:
        self.attempt(c.ResolveMarket, market="m", yes=yes, no=no)

    @precondition(lambda self: len(self.platform.log) % 4 == 0)
    @rule()
    def void(self) -> None:
        self.attempt(c.VoidMarket, market="m")

    @rule(limit=limits, kind=st.sampled_from([c.SweepOrders, c.SettleBatch, c.SettleBatch, c.ReverseBatch]))
    def go_on(self, limit: int, kind: type[c.Command]) -> None:
        self.attempt(kind, market="m", limit=limit)

    @precondition(lambda self: self.platform.market().status in ("closed", "resolved", "voided"))
    @rule(limit=limits)
    def settle_whole(self, limit: int) -> None:
        if self.platform.market().status == "closed":
            self.attempt(c.ResolveMarket, market="m", yes=1, no=2)
        self.platform.settle(limit)

    @precondition(lambda self: self.platform.market().status in ("resolved", "voided", "settling", "settled"))
    @rule()
    def take_back(self) -> None:
        self.attempt(c.UnresolveMarket, market="m")

    @precondition(lambda self: self.platform.market().status == "closed" and not self.platform.market().book)
    @rule(limit=limits, void=st.booleans(), stop=st.integers(0, 9))
    def resolving_and_taking_back_changes_nothing(self, limit: int, void: bool, stop: int) -> None:
        platform = self.platform
        before = self.hashes()
        if void:
            platform.do(c.VoidMarket, market="m")
        else:
            platform.do(c.ResolveMarket, market="m", yes=2, no=1)
        if stop:
            platform.do(c.StartSettlement, market="m")
        for _ in range(stop - 1):
            if platform.market().status == "settling":
                platform.do(c.SettleBatch, market="m", limit=limit)
        platform.take_back(limit)
        assert self.hashes() == before

    def hashes(self) -> dict[str, str]:
        """Return the hash of every state that is not as at first, but for what it remembers of commands."""
        found = {}
        for name, state in self.platform.replayed().items():
            state.receipts = type(state.receipts)()
            found[name] = state_hash(state)
        return {name: told for name, told in found.items() if told != state_hash(initial(name))}

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.platform.now += seconds * SECOND

    @rule(user=users, cents=st.integers(1, 5000))
    def pay_in(self, user: str, cents: int) -> None:
        self.platform.pay_in(user, cents)

    @rule(target=withdrawals, user=st.one_of(users, st.just("~house")), cents=st.integers(1, 9000))
    def withdraw(self, user: str, cents: int) -> Any:
        payment = f"out{self.platform.commands}"
        done = self.attempt(c.RequestWithdrawal, payment=payment, user=user, amount=cents)
        return multiple() if done is None else payment

    @rule(payment=consumes(withdrawals), kind=st.sampled_from([c.ConfirmWithdrawal, c.FailPayment]))
    def end_withdrawal(self, payment: str, kind: type[c.Command]) -> None:
        self.platform.do(kind, payment=payment)

    @rule(cut=st.floats(0, 1))
    def replay(self, cut: float) -> None:
        self.platform.check_replay(int(cut * len(self.platform.log)))

    def teardown(self) -> None:
        self.platform.check_replay(len(self.platform.log) // 2)


AnyCommands.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestAnyCommands = AnyCommands.TestCase
