"""The compiled sampler."""

import pytest

import core._fast.sampler
from core._fast.sampler import Sampler

TRACES = [b"%032x" % (number * 0x9E3779B97F4A7C15) for number in range(20_000)]
NUMBERS = [b"%d" % number for number in range(20_000)]


def test_is_the_compiled_module() -> None:
    assert core._fast.sampler.__file__.endswith(".so")


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("keys", [TRACES, NUMBERS], ids=["traces", "numbers"])
def test_keeps_about_its_share(share: float, keys: list[bytes]) -> None:
    kept = sum(map(Sampler(share).wants, keys)) / len(keys)
    assert kept == pytest.approx(share, abs=0.02)


def test_keeps_all_or_nothing_at_the_ends() -> None:
    assert all(map(Sampler(1.0).wants, [*TRACES, b""]))
    assert not any(map(Sampler(0.0).wants, [*TRACES, b""]))


def test_decides_the_same_for_the_same_key_everywhere() -> None:
    assert [Sampler(0.3).wants(key) for key in TRACES] == [Sampler(0.3).wants(key) for key in TRACES]


def test_a_larger_share_keeps_what_a_smaller_one_keeps() -> None:
    small, large = Sampler(0.1), Sampler(0.4)
    assert all(large.wants(key) for key in TRACES if small.wants(key))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Sampler(share)
