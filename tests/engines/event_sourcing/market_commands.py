"""Commands of the market, for tests that let the command bus decide them."""

from __future__ import annotations

from typing import Any

from engines import market


def command(name: str, id: str, /, **fields: Any) -> market.Command:
    """Return a command of the market."""
    return market.make_command(market.COMMANDS[name], id=id, **fields)


def order(id: str, user: str, **fields: Any) -> market.Command:
    """Return an order of ten YES shares at 40 cents, unless told otherwise."""
    terms: dict[str, Any] = {"side": "buy", "share": "yes", "price": 40, "size": 10, "kind": "limit"}
    return command("PlaceOrder", id, market="m", user=user, **(terms | fields))
