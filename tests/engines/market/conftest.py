"""A platform with three users and an open market."""

import pytest

from tests.engines.market.platform import SECOND, Platform


@pytest.fixture
def platform() -> Platform:
    found = Platform()
    for user in ("ann", "bob", "cat"):
        found.add_user(user, 100_000)
    found.open_market(window=100 * SECOND)
    return found


@pytest.fixture
def dear_platform() -> Platform:
    """The same with a fee of 2 %."""
    found = Platform()
    for user in ("ann", "bob", "cat"):
        found.add_user(user, 100_000)
    found.open_market(fee=200)
    return found
