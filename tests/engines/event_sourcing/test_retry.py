"""Waits between attempts, and what is never tried again."""

from random import Random

import pytest

from core.event_log.errors import LogFull
from engines.event_sourcing.errors import CommandContended
from engines.event_sourcing.retry import Retry, is_refusal, told
from tests.engines.event_sourcing.bank import BalanceTooLow


def test_waits_grow_twofold_up_to_a_bound() -> None:
    retry = Retry(first=0.5, most=3.0)
    assert [retry.limit(failed) for failed in (1, 2, 3, 4, 5000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_waits_are_drawn_evenly_from_nothing_to_their_limit() -> None:
    retry, random = Retry(first=1.0, most=8.0), Random(1)
    drawn = sorted(retry.delay(3, random) for _ in range(4_000))
    assert 0 <= drawn[0] < 0.05
    assert 3.95 < drawn[-1] <= 4.0
    assert drawn[2_000] == pytest.approx(2.0, abs=0.1)


def test_only_a_refusal_is_the_same_next_time() -> None:
    assert is_refusal(BalanceTooLow("no"))
    assert not is_refusal(CommandContended("busy"))
    assert not is_refusal(LogFull("full"))
    assert not is_refusal(ValueError("no"))


def test_tells_an_error_with_its_kind() -> None:
    assert told(ValueError("no such user")) == "ValueError: no such user"
    assert told(TimeoutError()) == "TimeoutError"
