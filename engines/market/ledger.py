"""The ledger of one market: where each cent and each share is.

Cash is booked twice: every entry takes from one account what it adds to another, so that the accounts
always sum to zero. `outside` stands for the users' own accounts and alone goes below zero. Shares come and
go in sets of one YES and one NO, each covered by one unit in escrow. The rule: no balance but `outside` is
ever negative; an event that would make one is LedgerBroken. Called by `evolve` of the market.

    held      behind open buy orders
    escrow    one unit for each set
    fees      for the house
    pool      of the liquidity maker
    clearing  empty between two events
"""

import msgspec

from engines.market.errors import LedgerBroken
from engines.market.money import NO, UNIT, YES


class Holding(msgspec.Struct):
    """What one user has in a market."""

    number: int  # tells users apart in the book
    free: list[int]  # YES and NO shares that may be sold
    held: list[int]  # YES and NO shares in open sell orders
    net: int = 0  # cents paid for shares less cents got for them, fees counted as paid
    paid: int = 0  # cents paid out by the settlement

    def shares(self, kind: int) -> int:
        """Return all shares of a kind, free or held."""
        return self.free[kind] + self.held[kind]

    def value(self, yes: int, no: int) -> int:
        """Return the cents that the shares pay when yes : no is the answer, rounded down."""
        return UNIT * (self.shares(YES) * yes + self.shares(NO) * no) // (yes + no)


def new_cash() -> dict[str, int]:
    """Return the accounts, all empty."""
    return {"outside": 0, "held": 0, "escrow": 0, "fees": 0, "pool": 0, "clearing": 0}


class Ledger(msgspec.Struct):
    """Be one market's ledger."""

    cash: dict[str, int] = msgspec.field(default_factory=new_cash)
    holdings: dict[str, Holding] = msgspec.field(default_factory=dict)  # in the order they came
    sets: int = 0

    def holding(self, user: str) -> Holding:
        """Return a user's holding; a new one for who had none."""
        found = self.holdings.get(user)
        if found is None:
            found = self.holdings[user] = Holding(len(self.holdings) + 1, [0, 0], [0, 0])
        return found

    def number_of(self, user: str) -> int:
        """Return the number that tells a user apart, also of one who has no holding yet."""
        found = self.holdings.get(user)
        return len(self.holdings) + 1 if found is None else found.number

    def free(self, user: str, kind: int) -> int:
        """Return how many shares of a kind a user may sell."""
        found = self.holdings.get(user)
        return 0 if found is None else found.free[kind]

    def move(self, source: str, target: str, amount: int) -> None:
        """Book cents from one account to another."""
        cash = self.cash
        left = cash[source] - amount
        if amount < 0 or (left < 0 and source != "outside"):
            raise LedgerBroken(f"{amount} cents from {source} to {target}: {source} has {cash[source]}")
        cash[source] = left
        cash[target] += amount

    def mint(self, source: str, size: int) -> None:
        """Make sets: a unit each goes into escrow."""
        self.move(source, "escrow", UNIT * size)
        self.sets += size

    def merge(self, target: str, size: int) -> None:
        """Unmake sets: a unit each comes out of escrow."""
        self.move("escrow", target, UNIT * size)
        self.sets -= size


def add_shares(shares: list[int], kind: int, size: int) -> None:
    """Add shares of a kind, or take them away if `size` is negative."""
    left = shares[kind] + size
    if left < 0:
        raise LedgerBroken(f"{-size} {('YES', 'NO')[kind]} shares taken of {shares[kind]}")
    shares[kind] = left
