"""The market's commands over HTTP: which request is which command, and what is answered.

The rule it guards: a command's fields come from its path and from its body, its id from the body or from the
header Idempotency-Key; whatever says two different things is refused. A command is answered when its events
are on disk, with their position; asked again under the same id, it is answered alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from engines import market
from engines.event_sourcing import EventSourcingEngine
from engines.event_sourcing.request import CommandResult
from engines.market import commands as kinds
from engines.market.errors import CommandInvalid
from gateway.market.domain import MARKET
from gateway.market.exchange import Answer, Request, encode, read_object

Endpoint = Callable[[EventSourcingEngine, Request], Awaitable[Answer]]

# What a request asks for. A new command is one line here.
PATHS: dict[str, tuple[type[market.Command], int]] = {
    "POST users": (kinds.RegisterUser, 201),
    "POST users/{user}/update": (kinds.UpdateUser, 200),
    "POST users/{user}/close": (kinds.CloseUser, 200),
    "DELETE users/{user}": (kinds.DeleteUser, 200),
    "POST withdrawals": (kinds.RequestWithdrawal, 201),
    "POST payments": (kinds.RequestDeposit, 201),
    "POST payments/{payment}/refund": (kinds.RefundDeposit, 200),
    "POST payments/{payment}/fail": (kinds.FailPayment, 200),
    "POST markets": (kinds.CreateMarket, 201),
    "POST markets/{market}/update": (kinds.UpdateMarket, 200),
    "POST markets/{market}/open": (kinds.OpenMarket, 200),
    "POST markets/{market}/close": (kinds.CloseMarket, 200),
    "POST markets/{market}/resolve": (kinds.ResolveMarket, 200),
    "POST markets/{market}/void": (kinds.VoidMarket, 200),
    "POST markets/{market}/unresolve": (kinds.UnresolveMarket, 200),
    "DELETE markets/{market}": (kinds.DeleteMarket, 200),
    "POST markets/{market}/sets/buy": (kinds.BuySets, 200),
    "POST markets/{market}/sets/redeem": (kinds.RedeemSets, 200),
    "POST markets/{market}/liquidity": (kinds.FundLiquidity, 201),
    "POST markets/{market}/liquidity/trade": (kinds.TakeLiquidity, 200),
}


def command_endpoint(kind: type[market.Command], status: int) -> Endpoint:
    """Return the endpoint that does a command of one kind."""

    async def do(engine: EventSourcingEngine, request: Request) -> Answer:
        request.query()
        given = read_object(await request.body())
        return await done(engine, made(kind, given, request), status)

    return do


_order_of = msgspec.json.Decoder(kinds.PlaceOrder).decode


async def place_order(engine: EventSourcingEngine, request: Request) -> Answer:
    """Place an order. PERF: its body is decoded into the command; bench/orders.py."""
    body = await request.body()
    if request.header(b"idempotency-key") is not None:
        return await done(engine, made(kinds.PlaceOrder, read_object(body), request), 201)
    try:
        command = _order_of(body)
    except msgspec.MsgspecError as error:
        raise CommandInvalid(str(error)) from None
    return await done(engine, command, 201)


async def cancel_order(engine: EventSourcingEngine, request: Request) -> Answer:
    """Cancel an order; without an id of its own, the command's follows from the order's."""
    user = request.query("user").get("user")
    given: dict[str, Any] = {} if user is None else {"user": user}
    if request.header(b"idempotency-key") is None:
        given["id"] = f"{request.names['order'][:120]}:cancel"
    return await done(engine, made(kinds.CancelOrder, given, request), 200)


async def confirm_payment(engine: EventSourcingEngine, request: Request) -> Answer:
    """Say that the money of a deposit has arrived, or that of a withdrawal has left."""
    request.query()
    given = read_object(await request.body())
    first = engine.log.read(f"payment-{request.names['payment']}", 1, 1)
    is_withdrawal = bool(first) and first[0].type == "WithdrawalRequested"
    kind = kinds.ConfirmWithdrawal if is_withdrawal else kinds.ConfirmDeposit
    return await done(engine, made(kind, given, request), 200)


def made(kind: type[market.Command], given: Mapping[str, Any], request: Request) -> market.Command:
    """Return the command of a request; raise CommandInvalid."""
    fields = dict(given)
    kind_told = fields.pop("type", kind.__name__)
    if kind_told != kind.__name__:
        raise CommandInvalid(f"this path is for {kind.__name__}, the body says {kind_told!r}")
    key = request.header(b"idempotency-key")
    names = request.names if key is None else {**request.names, "id": key}
    for name, value in names.items():
        if fields.setdefault(name, value) != value:
            place = "the header Idempotency-Key" if name == "id" else "the path"
            raise CommandInvalid(f"{place} says {name} {value!r}, the body says {fields[name]!r}")
    return market.make_command(kind, **fields)


async def done(engine: EventSourcingEngine, command: market.Command, status: int) -> Answer:
    """Do a command and answer."""
    result = await engine.bus(MARKET.name).execute(command)
    return Answer(status, encode(answer_of(result)), result.position)


class CommandAnswer(msgspec.Struct):
    """Be what a command is answered with: the market's receipt, and the place in the log."""

    subject: str
    status: str
    filled: int
    rest: int
    amount: int
    fee: int
    position: int
    repeated: bool


def answer_of(result: CommandResult) -> CommandAnswer:
    """Return the answer to a command."""
    receipt: market.Receipt = result.receipt
    return CommandAnswer(
        receipt.subject,
        receipt.status,
        receipt.filled,
        receipt.rest,
        receipt.amount,
        receipt.fee,
        result.position,
        result.repeated,
    )


ENDPOINTS: dict[str, Endpoint] = {
    **{path: command_endpoint(kind, status) for path, (kind, status) in PATHS.items()},
    "POST orders": place_order,
    "DELETE orders/{market}/{order}": cancel_order,
    "POST payments/{payment}/confirm": confirm_payment,
}
