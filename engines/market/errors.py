"""Why a command is refused: each refusal says what was wrong and what would be right.

A refusal leaves no event behind. LedgerBroken alone is no refusal but a defect: an event that would make a
balance negative. Raised by the deciders, translated to problem details by the market's API.
"""

from typing import ClassVar

from core.errors import AgoraError, Source


class MarketError(AgoraError):
    """Be the root of what the market raises."""

    status = 409
    slug = "market-refused"
    title = "Command refused"
    source: ClassVar[Source] = "client"


class CommandInvalid(MarketError, ValueError):
    """Refuse a command whose fields are missing, unknown, of the wrong type or out of range."""

    status = 422
    slug = "command-invalid"
    title = "Command invalid"


class CommandReused(MarketError):
    """Refuse a command under the id of another user's."""

    slug = "command-reused"
    title = "Command id in use"


class UserUnknown(MarketError, LookupError):
    """Refuse to act for a user who is not registered."""

    status = 404
    slug = "user-unknown"
    title = "User unknown"


class UserExists(MarketError):
    """Refuse to register a user twice."""

    slug = "user-exists"
    title = "User exists"


class UserInactive(MarketError):
    """Refuse what only an active user may do."""

    slug = "user-inactive"
    title = "User closed or deleted"


class AccountNotEmpty(MarketError):
    """Refuse to delete a user whose money is still here."""

    slug = "account-not-empty"
    title = "Account not empty"


class FundsInsufficient(MarketError):
    """Refuse what costs more than the account has available."""

    slug = "funds-insufficient"
    title = "Funds insufficient"


class SharesInsufficient(MarketError):
    """Refuse to sell or redeem more shares than are free."""

    slug = "shares-insufficient"
    title = "Shares insufficient"


class MarketUnknown(MarketError, LookupError):
    """Refuse to act on a market that was never created."""

    status = 404
    slug = "market-unknown"
    title = "Market unknown"


class MarketExists(MarketError):
    """Refuse to create a market twice."""

    slug = "market-exists"
    title = "Market exists"


class MarketStatusWrong(MarketError):
    """Refuse what a market does not allow in its present status."""

    slug = "market-status-wrong"
    title = "Market not in the right status"


class WindowOver(MarketError):
    """Refuse to take a resolution back when its window is over."""

    slug = "window-over"
    title = "Window over"


class OrdersOpen(MarketError):
    """Refuse to settle while orders hold funds and shares."""

    slug = "orders-open"
    title = "Orders still open"


class OrderUnknown(MarketError, LookupError):
    """Refuse to cancel an order that is not open."""

    status = 404
    slug = "order-unknown"
    title = "Order unknown"


class OrderExists(MarketError):
    """Refuse a second order under the id of an open one."""

    slug = "order-exists"
    title = "Order exists"


class OrderForeign(MarketError):
    """Refuse to touch another user's order or payment."""

    status = 403
    slug = "order-foreign"
    title = "Order or payment of another user"


class OrderUnfillable(MarketError):
    """Refuse a fill-or-kill order that cannot be filled whole."""

    slug = "order-unfillable"
    title = "Order cannot be filled whole"


class OrderWouldTrade(MarketError):
    """Refuse a post-only order that would trade at once."""

    slug = "order-would-trade"
    title = "Order would trade at once"


class LiquidityMissing(MarketError):
    """Refuse to trade with a liquidity maker where none is funded, or to fund a second one."""

    slug = "liquidity-missing"
    title = "No such liquidity maker"


class LimitPassed(MarketError):
    """Refuse a trade with the liquidity maker that is worse than the limit given."""

    slug = "limit-passed"
    title = "Limit passed"


class PaymentUnknown(MarketError, LookupError):
    """Refuse to act on a payment that was never requested."""

    status = 404
    slug = "payment-unknown"
    title = "Payment unknown"


class PaymentExists(MarketError):
    """Refuse a second payment under one id."""

    slug = "payment-exists"
    title = "Payment exists"


class PaymentStatusWrong(MarketError):
    """Refuse what a payment does not allow in its present status."""

    slug = "payment-status-wrong"
    title = "Payment not in the right status"


class LedgerBroken(MarketError):
    """Stop at an event that would make a balance negative: the log or a decider is damaged."""

    status = 500
    slug = "ledger-broken"
    title = "Ledger broken"
    source = "internal"
