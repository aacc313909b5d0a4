"""One payment: money that comes from outside or goes there.

    deposit:     requested -> deposited -> refunded
    withdrawal:  requested -> withdrawn
    either:      requested -> failed

Money outside is moved by others, so each step is a command of its own. A withdrawal sets its money aside
before anything is paid; when it fails, the money comes back. Called through domain.
"""

import msgspec

from engines.market.account import Account, require_active, require_funds, require_user
from engines.market.commands import (
    ConfirmDeposit,
    ConfirmWithdrawal,
    FailPayment,
    RefundDeposit,
    RequestDeposit,
    RequestWithdrawal,
)
from engines.market.decision import (
    Decision,
    Receipt,
    Receipts,
    Write,
    account_stream,
    payment_stream,
)
from engines.market.errors import OrderForeign, PaymentExists, PaymentStatusWrong, PaymentUnknown
from engines.market.events import (
    DepositRequested,
    Fact,
    FundsDeposited,
    FundsRefunded,
    FundsReserved,
    FundsReturned,
    FundsWithdrawn,
    PaymentDeposited,
    PaymentFailed,
    PaymentRefunded,
    PaymentWithdrawn,
    WithdrawalRequested,
)


class Payment(msgspec.Struct):
    """The state of one payment."""

    id: str
    kind: str = ""  # "", deposit, withdrawal
    status: str = ""  # "", requested, deposited, refunded, withdrawn, failed
    user: str = ""
    amount: int = 0  # cents
    receipts: Receipts = msgspec.field(default_factory=Receipts)


# -- deciding ---------------------------------------------------------------------------------------------


def _decided(payment: str, status: str, amount: int, event: Fact, *account: Write) -> Decision:
    write = Write(payment_stream(payment), (event,), checked=True)
    return Decision(Receipt(payment, status, amount=amount), (write, *account))


def _require_new(payment: Payment) -> None:
    if payment.status:
        raise PaymentExists(f"there is a payment {payment.id} already: choose another id")


def _require(payment: Payment, kind: str, status: str) -> None:
    if not payment.status:
        raise PaymentUnknown(f"there is no payment {payment.id}: request it first")
    if (payment.kind, payment.status) != (kind, status):
        raise PaymentStatusWrong(
            f"payment {payment.id} is a {payment.kind} that is {payment.status}: "
            f"this needs a {kind} that is {status}"
        )


def request_deposit(command: RequestDeposit, payment: Payment, account: Account, now: int) -> Decision:
    """Announce a payment in."""
    _require_new(payment)
    require_active(account)
    event = DepositRequested(
        at=now, command=command.id, payment=payment.id, user=command.user, amount=command.amount
    )
    return _decided(payment.id, "requested", command.amount, event)


def confirm_deposit(command: ConfirmDeposit, payment: Payment, now: int) -> Decision:
    """Credit the money that has arrived, whatever became of the user meanwhile."""
    _require(payment, "deposit", "requested")
    user, amount = payment.user, payment.amount
    event = PaymentDeposited(at=now, command=command.id, payment=payment.id, user=user, amount=amount)
    fact = FundsDeposited(at=now, command=command.id, user=user, payment=payment.id, amount=amount)
    return _decided(
        payment.id, "deposited", amount, event, Write(account_stream(user), (fact,), checked=False)
    )


def refund_deposit(command: RefundDeposit, payment: Payment, account: Account, now: int) -> Decision:
    """Give a deposit back whole, if the account still has as much available."""
    _require(payment, "deposit", "deposited")
    user, amount = payment.user, payment.amount
    if command.user != user:
        raise OrderForeign(
            f"payment {payment.id} is not a payment of {command.user}: name the user who made it"
        )
    require_funds(account, amount, "the refund takes")
    event = PaymentRefunded(at=now, command=command.id, payment=payment.id, user=user, amount=amount)
    fact = FundsRefunded(at=now, command=command.id, user=user, payment=payment.id, amount=amount)
    return _decided(payment.id, "refunded", amount, event, Write(account_stream(user), (fact,), checked=True))


def request_withdrawal(command: RequestWithdrawal, payment: Payment, account: Account, now: int) -> Decision:
    """Set aside what is to be paid out; closed users may still withdraw."""
    _require_new(payment)
    require_user(account)
    user, amount = command.user, command.amount
    require_funds(account, amount, "the withdrawal takes")
    event = WithdrawalRequested(at=now, command=command.id, payment=payment.id, user=user, amount=amount)
    fact = FundsReserved(at=now, command=command.id, user=user, payment=payment.id, amount=amount)
    return _decided(
        payment.id, "requested", amount, event, Write(account_stream(user), (fact,), checked=True)
    )


def confirm_withdrawal(command: ConfirmWithdrawal, payment: Payment, now: int) -> Decision:
    """Let go what was set aside."""
    _require(payment, "withdrawal", "requested")
    user, amount = payment.user, payment.amount
    event = PaymentWithdrawn(at=now, command=command.id, payment=payment.id, user=user, amount=amount)
    fact = FundsWithdrawn(at=now, command=command.id, user=user, payment=payment.id, amount=amount)
    return _decided(
        payment.id, "withdrawn", amount, event, Write(account_stream(user), (fact,), checked=False)
    )


def fail_payment(command: FailPayment, payment: Payment, now: int) -> Decision:
    """End a payment that will not happen; a withdrawal's money comes back."""
    _require(payment, payment.kind, "requested")
    user, amount = payment.user, payment.amount
    event = PaymentFailed(
        at=now, command=command.id, payment=payment.id, user=user, amount=amount, reason=command.reason
    )
    if payment.kind == "deposit":
        return _decided(payment.id, "failed", amount, event)
    fact = FundsReturned(at=now, command=command.id, user=user, payment=payment.id, amount=amount)
    return _decided(payment.id, "failed", amount, event, Write(account_stream(user), (fact,), checked=False))


# -- evolving ---------------------------------------------------------------------------------------------


def evolve_deposit_requested(payment: Payment, event: DepositRequested) -> None:
    """Wait for the money."""
    payment.kind, payment.user, payment.amount = "deposit", event.user, event.amount
    _become(payment, event, "requested")


def evolve_withdrawal_requested(payment: Payment, event: WithdrawalRequested) -> None:
    """Wait until the money has left."""
    payment.kind, payment.user, payment.amount = "withdrawal", event.user, event.amount
    _become(payment, event, "requested")


def evolve_deposited(payment: Payment, event: PaymentDeposited) -> None:
    """Be done; a refund is possible."""
    _become(payment, event, "deposited")


def evolve_refunded(payment: Payment, event: PaymentRefunded) -> None:
    """Be done."""
    _become(payment, event, "refunded")


def evolve_paid_out(payment: Payment, event: PaymentWithdrawn) -> None:
    """Be done."""
    _become(payment, event, "withdrawn")


def evolve_failed(payment: Payment, event: PaymentFailed) -> None:
    """Be done."""
    _become(payment, event, "failed")


def _become(payment: Payment, event: Fact, status: str) -> None:
    payment.status = status
    payment.receipts.add(event.command, Receipt(payment.id, status, amount=payment.amount))
