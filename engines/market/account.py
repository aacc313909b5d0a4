"""One user's account: who it is, and the cash that is not in a market.

    available  may be spent
    reserved   set aside for withdrawals
    debt       owed: payouts that were taken back after they had been spent; whatever comes in repays it first

None of them is ever negative, and there is a debt only while nothing is available. Money that comes in
needs no decision. Called through domain, and by the deciders that spend from it.
"""

import msgspec

from engines.market.commands import CloseUser, DeleteUser, RegisterUser, UpdateUser
from engines.market.decision import HOUSE, Decision, Receipt, Receipts, Write, account_stream
from engines.market.errors import (
    AccountNotEmpty,
    FundsInsufficient,
    LedgerBroken,
    UserExists,
    UserInactive,
    UserUnknown,
)
from engines.market.events import (
    Fact,
    FundsDeposited,
    FundsHeld,
    FundsReclaimed,
    FundsRefunded,
    FundsReleased,
    FundsReserved,
    FundsReturned,
    FundsWithdrawn,
    UserClosed,
    UserDeleted,
    UserRegistered,
    UserUpdated,
)
from engines.market.money import shown


class Account(msgspec.Struct):
    """The state of one account. The house's own is open from the start."""

    user: str
    status: str = ""  # "", active, closed, deleted
    name: str = ""
    email: str = ""
    available: int = 0  # cents
    reserved: int = 0
    debt: int = 0
    receipts: Receipts = msgspec.field(default_factory=Receipts)

    def __post_init__(self) -> None:
        if self.user == HOUSE:
            self.status = "active"


def require_user(account: Account) -> None:
    """Raise UserUnknown unless the user is registered and not deleted."""
    if account.status in ("", "deleted"):
        raise UserUnknown(f"there is no user {account.user}: register first")


def require_active(account: Account) -> None:
    """Raise UserUnknown or UserInactive unless the user may trade and pay in."""
    require_user(account)
    if account.status != "active":
        raise UserInactive(f"user {account.user} is {account.status}: only withdrawals are possible")


def require_funds(account: Account, amount: int, what: str) -> None:
    """Raise FundsInsufficient unless so many cents are available."""
    if account.available < amount:
        raise FundsInsufficient(
            f"{what} {shown(amount)}, {shown(account.available)} is available: "
            f"deposit {shown(amount - account.available)} more or ask for less"
        )


# -- deciding ---------------------------------------------------------------------------------------------


def _decided(account: Account, status: str, event: Fact) -> Decision:
    write = Write(account_stream(account.user), (event,), checked=True)
    return Decision(Receipt(account.user, status), (write,))


def register_user(command: RegisterUser, account: Account, now: int) -> Decision:
    """Open an account; the id of a deleted user is not given again."""
    if account.status:
        raise UserExists(f"user {account.user} is registered already: choose another id")
    event = UserRegistered(
        at=now, command=command.id, user=account.user, name=command.name, email=command.email
    )
    return _decided(account, "active", event)


def update_user(command: UpdateUser, account: Account, now: int) -> Decision:
    """Change name and address."""
    require_user(account)
    event = UserUpdated(at=now, command=command.id, user=account.user, name=command.name, email=command.email)
    return _decided(account, account.status, event)


def close_user(command: CloseUser, account: Account, now: int) -> Decision:
    """End a user's trading."""
    require_active(account)
    event = UserClosed(at=now, command=command.id, user=account.user, reason=command.reason)
    return _decided(account, "closed", event)


def delete_user(command: DeleteUser, account: Account, now: int) -> Decision:
    """Remove a closed user whose account is empty."""
    require_user(account)
    if account.status != "closed":
        raise UserInactive(f"user {account.user} is {account.status}: close the user first")
    if account.available or account.reserved or account.debt:
        raise AccountNotEmpty(
            f"user {account.user} has {shown(account.available)} available, {shown(account.reserved)} "
            f"reserved and {shown(account.debt)} of debt: all must be 0"
        )
    return _decided(account, "deleted", UserDeleted(at=now, command=command.id, user=account.user))


# -- evolving ---------------------------------------------------------------------------------------------


def credit(account: Account, amount: int) -> None:
    """Add cents; they repay a debt first."""
    repaid = min(account.debt, amount)
    account.debt -= repaid
    account.available += amount - repaid


def _debit(account: Account, amount: int) -> None:
    if not 0 <= amount <= account.available:
        raise LedgerBroken(f"{amount} cents from account {account.user}, which has {account.available}")
    account.available -= amount


def _unreserve(account: Account, amount: int) -> None:
    if not 0 <= amount <= account.reserved:
        raise LedgerBroken(f"{amount} cents reserved by {account.user}, who has reserved {account.reserved}")
    account.reserved -= amount


def evolve_registered(account: Account, event: UserRegistered) -> None:
    """Be active."""
    account.name, account.email = event.name, event.email
    _become(account, event, "active")


def evolve_user_updated(account: Account, event: UserUpdated) -> None:
    """Take over name and address."""
    account.name, account.email = event.name, event.email
    _become(account, event, account.status)


def evolve_user_closed(account: Account, event: UserClosed) -> None:
    """Trade no more."""
    _become(account, event, "closed")


def evolve_user_deleted(account: Account, event: UserDeleted) -> None:
    """Be gone, with name and address."""
    account.name = account.email = ""
    _become(account, event, "deleted")


def _become(account: Account, event: Fact, status: str) -> None:
    account.status = status
    account.receipts.add(event.command, Receipt(account.user, status))


def evolve_credited(account: Account, event: FundsDeposited | FundsReleased) -> None:
    """Take money in."""
    credit(account, event.amount)


def evolve_debited(account: Account, event: FundsHeld | FundsRefunded) -> None:
    """Let money go."""
    _debit(account, event.amount)


def evolve_reserved(account: Account, event: FundsReserved) -> None:
    """Set money aside."""
    _debit(account, event.amount)
    account.reserved += event.amount


def evolve_withdrawn(account: Account, event: FundsWithdrawn) -> None:
    """Let go what was set aside."""
    _unreserve(account, event.amount)


def evolve_returned(account: Account, event: FundsReturned) -> None:
    """Take back what was set aside."""
    _unreserve(account, event.amount)
    credit(account, event.amount)


def evolve_reclaimed(account: Account, event: FundsReclaimed) -> None:
    """Give a payout back; what is not there any more is a debt."""
    taken = min(account.available, event.amount)
    account.available -= taken
    account.debt += event.amount - taken
