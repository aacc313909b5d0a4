"""The logarithmic market scoring rule in integers (Hanson 2003): what a liquidity maker asks.

With `yes` and `no` shares sold, the maker's cost function is C = b ln(e^(yes/b) + e^(no/b)) units, b is its
depth. A trade costs the difference of C before and after. The rule: rounding is always against the trader,
the maker's price is the same on every machine, and it never loses more than C(0, 0) = b ln 2 units, paid in
advance. Numbers are fixed-point integers with BITS binary places. Called by liquidity.
"""

from engines.market.money import UNIT

BITS = 96
ONE = 1 << BITS
# Each step below is off by less than one unit in the last place; all of them together by less than this.
SLACK = 1 << 8


def _natural_log_of_1_plus(y: int) -> int:
    """Return ln(1 + y) for 0 <= y <= 1, by the series of 2 artanh(y / (2 + y))."""
    z = (y << BITS) // (2 * ONE + y)
    square = (z * z) >> BITS
    total, power, n = 0, z, 1
    while power:
        total += power // n
        power = (power * square) >> BITS
        n += 2
    return 2 * total


LN_2 = _natural_log_of_1_plus(ONE)


def _exp_of_minus(x: int) -> int:
    """Return e^-x for x >= 0: halved so many times, then the series for less than ln 2."""
    halvings, rest = divmod(x, LN_2)
    if halvings > BITS:
        return 0
    total = term = ONE
    n = 1
    while term:
        term = ((term * rest) >> BITS) // n
        total += -term if n % 2 else term
        n += 1
    return total >> halvings


def cost_function(depth: int, yes: int, no: int) -> tuple[int, int]:
    """Return a lower and an upper bound of C in cents, with BITS binary places."""
    apart = abs(yes - no)
    soft = _natural_log_of_1_plus(_exp_of_minus((apart << BITS) // depth))
    middle = UNIT * ((max(yes, no) << BITS) + depth * soft)
    slack = UNIT * depth * SLACK
    return middle - slack, middle + slack


def funding(depth: int) -> int:
    """Return the cents that cover every loss of a maker of this depth."""
    return -(-cost_function(depth, 0, 0)[1] >> BITS)


def price_to_buy(depth: int, sold: list[int], kind: int, size: int) -> int:
    """Return the cents for `size` more shares of a kind, rounded up."""
    after = sold.copy()
    after[kind] += size
    difference = cost_function(depth, *after)[1] - cost_function(depth, *sold)[0]
    return min(-(-difference >> BITS), UNIT * size)


def price_to_sell(depth: int, sold: list[int], kind: int, size: int) -> int:
    """Return the cents that the maker pays for `size` shares of a kind, rounded down."""
    after = sold.copy()
    after[kind] -= size
    difference = cost_function(depth, *sold)[0] - cost_function(depth, *after)[1]
    return max(difference >> BITS, 0)


def price_of_yes(depth: int, sold: list[int]) -> int:
    """Return the maker's price of YES in cents, 1 to 99: that of the dearer share rounded up."""
    small = _exp_of_minus((abs(sold[0] - sold[1]) << BITS) // depth)
    lower = UNIT * small // (ONE + small)  # of the share that is sold less
    return min(max(UNIT - lower if sold[0] > sold[1] else lower, 1), UNIT - 1)
