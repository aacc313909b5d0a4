import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import FieldInvalid
from core.units import LARGEST, LONGEST, Duration, Size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (10, 10.0),
        (0.25, 0.25),
        ("0s", 0.0),
        ("250ms", 0.25),
        ("57ms", 0.057),
        ("10s", 10.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("2 h", 7200.0),
        ("7d", 604800.0),
    ],
)
def test_reads_durations(written: Any, seconds: float) -> None:
    assert Duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "10",
        "s",
        "10 parsecs",
        "10S",
        "-1s",
        "1e3s",
        "1_0s",
        ".5s",
        "1.s",
        "10s\n",
        " 10s",
        "10  s",
        "١s",
        -1,
        True,
        float("nan"),
        float("inf"),
        4e9,
        "40000d",
        None,
        [],
        {},
    ],
)
def test_refuses_what_is_no_duration(written: Any) -> None:
    with pytest.raises(FieldInvalid, match="must be a duration"):
        Duration(written)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (0, 0),
        (512, 512),
        ("512B", 512),
        ("16KiB", 16384),
        ("1.5KiB", 1536),
        ("1 MiB", 1 << 20),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
        ("1kB", 1000),
        ("3MB", 3_000_000),
        ("1GB", 10**9),
        ("1TB", 10**12),
    ],
)
def test_reads_sizes(written: Any, count: int) -> None:
    assert Size(written) == count


@pytest.mark.parametrize(
    "written",
    [
        "",
        "10",
        "KiB",
        "1K",
        "1KB",
        "1kib",
        "-1B",
        "0.3B",
        "1.0001KiB",
        "1B\n",
        -1,
        1.5,
        True,
        1 << 63,
        None,
        [],
        {},
    ],
)
def test_refuses_what_is_no_size(written: Any) -> None:
    with pytest.raises(FieldInvalid, match="must be a"):
        Size(written)


@given(st.floats(0, LONGEST))
def test_a_duration_prints_as_what_reads_as_the_same(seconds: float) -> None:
    duration = Duration(seconds)
    again = Duration(str(duration)) if duration else Duration(0)
    assert again == pytest.approx(seconds, rel=1e-11, abs=1e-9)


@given(st.integers(0, LARGEST))
def test_a_size_prints_as_what_reads_as_the_same(count: int) -> None:
    size = Size(count)
    assert (Size(str(size)) if size else 0) == count


@given(st.integers(0, 10**5), st.sampled_from(["ms", "s", "m", "h"]))
def test_whole_durations_keep_their_value_through_printing(count: int, unit: str) -> None:
    duration = Duration(f"{count}{unit}")
    assert not duration or Duration(str(duration)) == duration


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(0), "0"),
        (Duration(90), "90s"),
        (Duration(120), "2m"),
        (Duration(0.25), "250ms"),
        (Duration(1.5), "1500ms"),
        (Duration(86400), "1d"),
        (Duration(1e-6), "0.000001s"),
        (Size(0), "0"),
        (Size(8192), "8KiB"),
        (Size(1000), "1kB"),
        (Size(1001), "1001B"),
    ],
)
def test_prints_the_largest_unit_that_is_whole(value: Any, text: str) -> None:
    assert str(value) == text
    assert f"{value}" == text
    assert eval(repr(value)) == value


def test_they_are_plain_numbers() -> None:
    assert Duration("5s") + 1 == 6.0
    assert Size("1KiB") * 2 == 2048
    assert isinstance(Duration("5s"), float)
    assert isinstance(Size("1KiB"), int)


@given(st.text("0123456789.smhdkKMGTiB ", max_size=8))
def test_the_published_patterns_admit_what_is_read_and_nothing_else(text: str) -> None:
    for kind in (Duration, Size):
        admitted = re.search(json.loads(json.dumps(kind.json_schema))["pattern"], text) is not None
        try:
            kind(text)
        except FieldInvalid as error:
            assert not admitted or "between" in str(error) or "whole" in str(error)  # noqa: PT017
        else:
            assert admitted
