"""Money and sizes as integers: prices, amounts, fees.

One share pays at most one unit, UNIT cents. A price is 1 to 99 cents for one share, an amount is cents, a
size is shares. A price of YES fixes that of NO: together they are one unit. Nothing here, nor anywhere in
the market, is a float. Called by everything in this package.
"""

from typing import Annotated, Literal

from msgspec import Meta

UNIT = 100  # cents that one pair of a YES and a NO share pays
BASIS_POINTS = 10_000
MOST_SIZE = 1_000_000_000  # shares of one order
MOST_AMOUNT = 1_000_000_000_000_000  # cents of one payment
MOST_FEE = 1_000  # basis points

Side = Literal["buy", "sell"]
Share = Literal["yes", "no"]
Price = Annotated[int, Meta(ge=1, le=UNIT - 1, description="cents for one share, 1 to 99")]
Size = Annotated[int, Meta(ge=1, le=MOST_SIZE, description="shares")]
Amount = Annotated[int, Meta(ge=1, le=MOST_AMOUNT, description="cents")]
FeeRate = Annotated[int, Meta(ge=0, le=MOST_FEE, description="basis points of min(price, 100 - price)")]

YES, NO = 0, 1
INDEX: dict[str, int] = {"yes": YES, "no": NO}


def divide_up(number: int, by: int) -> int:
    """Return number / by, rounded up."""
    return -(-number // by)


def fee_basis(price: int) -> int:
    """Return the cents of a share that a fee is counted from: the same at `price` and at 100 - `price`."""
    return min(price, UNIT - price)


def fee_of(rate: int, basis: int) -> int:
    """Return the fee in cents on a basis in cents, rounded up."""
    return divide_up(rate * basis, BASIS_POINTS)


def highest_fee(rate: int, price: int, size: int) -> int:
    """Return the highest fee of a buy order: it may be filled at its price or at any lower one."""
    return fee_of(rate, min(price, UNIT // 2) * size)


def shown(amount: int) -> str:
    """Return cents as text for people: 1,234.05."""
    return f"{amount // 100:,}.{amount % 100:02}"
