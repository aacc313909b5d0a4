"""The grammar of trace context headers, compared with an oracle."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import core._fast.trace
from core._fast.trace import count_tracestate, parse_traceparent, shorten_tracestate
from tests.oracles import trace as oracle

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
VALID = b"00-" + TRACE + b"-" + SPAN + b"-01"

hex_digits = st.sampled_from(b"0123456789abcdef")
near_misses = st.builds(
    lambda at, byte, cut, more: (VALID[:at] + bytes([byte]) + VALID[at + 1 :])[: len(VALID) - cut] + more,
    st.integers(0, len(VALID) - 1),
    st.integers(0, 255) | hex_digits,
    st.sampled_from([0, 0, 0, 1, 2, 20]),
    st.sampled_from([b"", b"", b"-", b"-ab", b"0", b"."]),
)
versions = st.builds(
    lambda version, flags, more: b"%02x-%b-%b-%02x%b" % (version, TRACE, SPAN, flags, more),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([b"", b"-", b"-future", b"00", b" "]),
)
members = st.builds(
    lambda key, value, equals: key + equals + value,
    st.text("abcz019_-*/@A =", max_size=6).map(str.encode),
    st.text("aZ09 !~,=\t\x7f", max_size=6).map(str.encode),
    st.sampled_from([b"=", b"=", b"=", b""]),
)
states = st.lists(members | st.sampled_from([b"", b" ", b"a=b", b"t@v=1"]), max_size=6).map(b", ".join)


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert core._fast.trace.__file__.endswith(".so")


@given(near_misses | versions | st.binary(max_size=80))
@example(VALID)
@example(b"ff-" + TRACE + b"-" + SPAN + b"-01")
@example(b"01-" + TRACE + b"-" + SPAN + b"-01-more")
@example(b"00-" + b"0" * 32 + b"-" + SPAN + b"-01")
@example(b"00-" + TRACE + b"-" + b"0" * 16 + b"-01")
@example(VALID.upper())
@example(b"")
def test_reads_a_traceparent_as_the_oracle_does(value: bytes) -> None:
    assert parse_traceparent(value) == oracle.parse_traceparent(value)


@given(states | st.binary(max_size=40))
@example(b"a=" + b"b" * 256)
@example(b"a=" + b"b" * 257)
@example(b"k" * 256 + b"=v")
@example(b"k" * 257 + b"=v")
@example(b"a=b ")
@example(b"a= b")
@example(b"=b")
@example(b"a=")
def test_reads_a_tracestate_as_the_oracle_does(value: bytes) -> None:
    assert count_tracestate(value) == oracle.count_tracestate(value)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=20), st.integers(0, 600))
def test_a_shortened_tracestate_fits_and_keeps_the_order(sizes: list[int], most: int) -> None:
    members = [b"%02d=" % index + b"v" * size for index, size in enumerate(sizes)]
    left = shorten_tracestate(b", ".join(members), most)
    kept = [member for member in left.split(b",") if member]
    assert len(left) <= most
    assert kept == [member for member in members if member in kept]


def test_long_members_go_first_when_a_tracestate_is_shortened() -> None:
    long = b"long=" + b"v" * 200
    assert shorten_tracestate(b"a=1," + long + b",b=2", 100) == b"a=1,b=2"


def test_the_last_members_go_next() -> None:
    assert shorten_tracestate(b"a=1,b=2,c=3", 8) == b"a=1,b=2"


@pytest.mark.parametrize("most", [0, 2])
def test_nothing_is_left_where_nothing_fits(most: int) -> None:
    assert shorten_tracestate(b"a=1", most) == b""
