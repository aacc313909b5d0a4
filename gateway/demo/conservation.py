"""Whether all the money is still there: what users have, what markets hold and what the platform got.

Two ledgers are held against each other, cent by cent: the users' accounts, and the trades and payouts of the
markets. The simulation calls it at its end, when the orders of its markets are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

UNIT = 100  # cents that a YES and a NO share are worth together


@dataclass(frozen=True)
class Holding:
    """A user in a market."""

    yes: int  # shares bought less shares sold
    no: int
    net: int  # cents got less cents paid by trading
    payout: int  # cents paid by the settlement


@dataclass(frozen=True)
class Owner:
    """A user: cash in his account, and what he did in each market."""

    user: str
    cash: int  # cents, with what is reserved
    deposits: int
    holdings: Mapping[str, Holding]


class Conservation(msgspec.Struct, frozen=True):
    """The sums, in cents; `wrong` says what does not add up."""

    deposits: int
    cash: int  # of the users
    escrow: int  # that markets hold for shares
    platform: int  # fees, and what rounding left
    wrong: list[str] = []

    @property
    def holds(self) -> bool:
        """Tell whether no cent was lost or made."""
        return not self.wrong


def conservation(owners: Iterable[Owner], settled: set[str], gained: int) -> Conservation:
    """Add up what there is.

    settled: markets that have paid out
    gained:  cents that came to the platform's own account meanwhile, from these markets or from others too
    """
    everyone = list(owners)
    wrong: list[str] = []
    for owner in everyone:
        moved = sum(holding.net + holding.payout for holding in owner.holdings.values())
        if owner.cash != owner.deposits + moved:
            wrong.append(
                f"{owner.user} paid in {owner.deposits} and gained {moved}, but has {owner.cash} cents"
            )
    escrow = platform = paid = 0
    for market in sorted({market for owner in everyone for market in owner.holdings}):
        holdings = [owner.holdings[market] for owner in everyone if market in owner.holdings]
        yes, no = sum(held.yes for held in holdings), sum(held.no for held in holdings)
        kept = -sum(held.net + held.payout for held in holdings)
        if yes != no:
            wrong.append(f"market {market} has {yes} YES shares and {no} NO shares")
        held = 0 if market in settled else UNIT * yes
        if kept < held:
            wrong.append(f"market {market} has {kept} cents left for {held} that it owes")
        escrow += held
        platform += kept - held
        paid += kept if market in settled else 0
    cash, deposits = sum(owner.cash for owner in everyone), sum(owner.deposits for owner in everyone)
    if cash + escrow + platform != deposits:
        wrong.append(f"{cash} + {escrow} + {platform} cents are there, {deposits} were paid in")
    if gained < paid:
        wrong.append(f"settled markets left {paid} cents to the platform, whose account got {gained}")
    return Conservation(deposits, cash, escrow, platform, wrong)
