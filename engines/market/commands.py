"""What may be asked of the market: one frozen struct for each command, strictly validated.

`id` names the command: asked twice, it is done once and answered alike. The id of PlaceOrder is the order's
id. Made from the bytes of a request by `read_command`; decided by `engines.market.domain.decide`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engines.market.errors import CommandInvalid
from engines.market.events import OrderKind
from engines.market.money import Amount, FeeRate, Price, Share, Side, Size

MOST_NS = 2**62
END = r"$(?!\n)"  # NOTE: Python's $ alone also matches before a last line feed
PLAIN = r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}"
Id = Annotated[str, Meta(pattern=f"^{PLAIN}{END}", description="1 to 64 of A-Z a-z 0-9 _ . : @ -")]
UserId = Annotated[
    str, Meta(pattern=f"^(~house|{PLAIN}){END}", description="an id; ~house is the platform itself")
]
CommandId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}" + END)]
Line = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*" + END)]
Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+" + END, max_length=254)]
Note = Annotated[str, Meta(max_length=500)]
Time = Annotated[int, Meta(ge=0, le=MOST_NS, description="ns since the epoch")]
Batch = Annotated[int, Meta(ge=1, le=10_000)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]


class Command(
    msgspec.Struct,
    frozen=True,
    tag=True,
    tag_field="type",
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Be the root of every command."""

    id: CommandId


class RegisterUser(Command, frozen=True):
    """Open an account."""

    user: Id
    name: Line
    email: Email


class UpdateUser(Command, frozen=True):
    """Change name and address."""

    user: Id
    name: Line
    email: Email


class CloseUser(Command, frozen=True):
    """End a user's trading."""

    user: Id
    reason: Note = ""


class DeleteUser(Command, frozen=True):
    """Remove a closed user whose account is empty."""

    user: Id


class RequestDeposit(Command, frozen=True):
    """Announce a payment in."""

    payment: Id
    user: Id
    amount: Amount


class ConfirmDeposit(Command, frozen=True):
    """Say that the money has arrived."""

    payment: Id


class RefundDeposit(Command, frozen=True):
    """Give a deposit back."""

    payment: Id
    user: Id


class RequestWithdrawal(Command, frozen=True):
    """Ask to be paid out; the money is set aside."""

    payment: Id
    user: UserId
    amount: Amount


class ConfirmWithdrawal(Command, frozen=True):
    """Say that the money has left."""

    payment: Id


class FailPayment(Command, frozen=True):
    """Say that a payment will not happen; what was set aside comes back."""

    payment: Id
    reason: Note = ""


class CreateMarket(Command, frozen=True):
    """Make a market; it is not open yet."""

    market: Id
    question: Line
    fee: FeeRate = 0
    closes_at: Time = 0  # 0: when it is closed
    window: Time = 0  # ns in which a resolution may be taken back


class UpdateMarket(Command, frozen=True):
    """Put the question in other words."""

    market: Id
    question: Line


class OpenMarket(Command, frozen=True):
    """Begin trading, or begin it again."""

    market: Id


class CloseMarket(Command, frozen=True):
    """End trading."""

    market: Id


class ResolveMarket(Command, frozen=True):
    """Say the answer: 1 and 0 for yes, 0 and 1 for no, other weights for a share of both."""

    market: Id
    yes: Weight
    no: Weight


class VoidMarket(Command, frozen=True):
    """Give everybody back what he paid."""

    market: Id
    reason: Note = ""


class UnresolveMarket(Command, frozen=True):
    """Take a resolution back within its window."""

    market: Id
    reason: Note = ""


class DeleteMarket(Command, frozen=True):
    """Remove a market that never opened, or that is settled and whose window is over."""

    market: Id


class PlaceOrder(Command, frozen=True):
    """Buy or sell shares at a price or better."""

    market: Id
    user: Id
    side: Side
    share: Share
    price: Price
    size: Size
    kind: OrderKind = "limit"


class CancelOrder(Command, frozen=True):
    """Take an own order out of the book."""

    market: Id
    user: Id
    order: CommandId


class SweepOrders(Command, frozen=True):
    """Cancel the oldest orders of a market that no longer trades, so many at once."""

    market: Id
    limit: Batch = 500


class BuySets(Command, frozen=True):
    """Pay a unit for each new pair of a YES and a NO share."""

    market: Id
    user: Id
    size: Size


class RedeemSets(Command, frozen=True):
    """Give up pairs of a YES and a NO share for a unit each."""

    market: Id
    user: Id
    size: Size


class FundLiquidity(Command, frozen=True):
    """Pay in advance for a liquidity maker; `depth` is b of the LMSR, in shares."""

    market: Id
    user: Id
    depth: Annotated[int, Meta(ge=1, le=10_000_000)]


class TakeLiquidity(Command, frozen=True):
    """Trade with the liquidity maker for at most, or at least, `limit` cents in all, without fee."""

    market: Id
    user: Id
    side: Side
    share: Share
    size: Size
    limit: Annotated[int, Meta(ge=0)]


class StartSettlement(Command, frozen=True):
    """Begin to pay out."""

    market: Id


class SettleBatch(Command, frozen=True):
    """Pay the next holders, so many at once; finish when all are paid."""

    market: Id
    limit: Batch = 500


class ReverseBatch(Command, frozen=True):
    """Take back what the last holders were paid, so many at once."""

    market: Id
    limit: Batch = 500


AnyCommand = (
    RegisterUser | UpdateUser | CloseUser | DeleteUser | RequestDeposit | ConfirmDeposit | RefundDeposit
    | RequestWithdrawal | ConfirmWithdrawal | FailPayment | CreateMarket | UpdateMarket | OpenMarket
    | CloseMarket | ResolveMarket | VoidMarket | UnresolveMarket | DeleteMarket | PlaceOrder | CancelOrder
    | SweepOrders | BuySets | RedeemSets | FundLiquidity | TakeLiquidity | StartSettlement | SettleBatch
    | ReverseBatch
)  # fmt: skip
COMMANDS: dict[str, type[Command]] = {kind.__name__: kind for kind in AnyCommand.__args__}

_decoder = msgspec.json.Decoder(AnyCommand, strict=True)


def read_command(data: bytes) -> Command:
    """Return the command in JSON bytes, told apart by `type`; raise CommandInvalid."""
    try:
        command: Command = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise CommandInvalid(str(error)) from None
    return command


def make_command(kind: type[Command], /, **fields: Any) -> Command:
    """Return a command of that kind, its fields held to the same rules; raise CommandInvalid."""
    try:
        return msgspec.convert({"type": kind.__name__, **fields}, kind, strict=True)
    except msgspec.MsgspecError as error:
        raise CommandInvalid(str(error)) from None
