"""The trace plugin."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.testing import PluginChain, Sent
from tests.plugins.make import plugin

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([0-3])")


def forwarded(sent: Sent, name: str) -> list[str]:
    """Return the values of a header as the target got them."""
    assert sent.forwarded is not None
    return [value.decode() for key, value in sent.forwarded.headers if key.lower() == name.encode()]


def parent(sent: Sent) -> tuple[str, str, int]:
    """Return trace id, parent id and flags of the one traceparent that the target got."""
    (value,) = forwarded(sent, "traceparent")
    match = TRACEPARENT.fullmatch(value)
    assert match is not None
    return match[1], match[2], int(match[3])


def test_begins_a_trace_where_there_is_none() -> None:
    sent = PluginChain(plugin("trace")).send()
    trace_id, parent_id, flags = parent(sent)
    assert sent.exchange.trace_id == trace_id.encode()
    assert int(trace_id, 16)
    assert int(parent_id, 16)
    assert flags == 3


def test_continues_a_valid_trace_with_a_parent_id_of_its_own() -> None:
    sent = PluginChain(plugin("trace")).send(headers={"traceparent": VALID})
    trace_id, parent_id, flags = parent(sent)
    assert (trace_id, flags) == (TRACE, 1)
    assert parent_id != SPAN
    assert sent.exchange.trace_id == TRACE.encode()


def test_every_exchange_of_a_trace_gets_another_parent_id() -> None:
    chain = PluginChain(plugin("trace"))
    assert len({parent(chain.send(headers={"traceparent": VALID}))[1] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        VALID.upper(),
        VALID + "-more",
        VALID[:-1],
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}-{SPAN}-01",
    ],
)
def test_begins_anew_and_drops_the_state_when_the_parent_is_not_valid(value: str) -> None:
    sent = PluginChain(plugin("trace")).send(headers={"traceparent": value, "tracestate": "a=b"})
    assert parent(sent)[0] != TRACE
    assert forwarded(sent, "tracestate") == []


def test_begins_anew_when_there_are_two_parents() -> None:
    headers = [("traceparent", VALID), ("traceparent", VALID), ("tracestate", "a=b")]
    sent = PluginChain(plugin("trace")).send(headers=headers)
    assert parent(sent)[0] != TRACE
    assert forwarded(sent, "tracestate") == []


def test_drops_a_state_without_a_parent() -> None:
    assert forwarded(PluginChain(plugin("trace")).send(headers={"tracestate": "a=b"}), "tracestate") == []


def test_continues_a_trace_of_a_later_version_as_version_0() -> None:
    sent = PluginChain(plugin("trace")).send(headers={"traceparent": f"cc-{TRACE}-{SPAN}-ff-what-comes"})
    assert parent(sent)[0] == TRACE
    assert parent(sent)[2] == 3


@pytest.mark.parametrize(
    ("believe", "trusted", "kept"),
    [("nobody", True, False), ("trusted", False, False), ("trusted", True, True), ("anyone", False, True)],
)
def test_continues_the_traces_of_those_it_believes(believe: str, trusted: bool, kept: bool) -> None:
    headers = {"traceparent": VALID, "tracestate": "a=b"}
    sent = PluginChain(plugin("trace", believe=believe)).send(headers=headers, trusted=trusted)
    assert (parent(sent)[0] == TRACE) is kept
    assert forwarded(sent, "tracestate") == (["a=b"] if kept else [])


@pytest.mark.parametrize("state", ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=b, ,c=d", "t1@v=x y"])
def test_passes_a_valid_state_on_as_it_is(state: str) -> None:
    sent = PluginChain(plugin("trace")).send(headers={"traceparent": VALID, "tracestate": state})
    assert forwarded(sent, "tracestate") == [state]


@pytest.mark.parametrize(
    "state", ["", ",", "A=b", "a", "a=b=c", "a=b;\x80", ",".join(f"k{i}=v" for i in range(33))]
)
def test_drops_a_state_that_is_not_valid_and_keeps_the_trace(state: str) -> None:
    sent = PluginChain(plugin("trace")).send(headers={"traceparent": VALID, "tracestate": state})
    assert forwarded(sent, "tracestate") == []
    assert parent(sent)[0] == TRACE


def test_a_state_in_several_fields_counts_as_one() -> None:
    fields = [("tracestate", ",".join(f"k{i}{j}=v" for i in range(17))) for j in range(2)]
    sent = PluginChain(plugin("trace")).send(headers=[("traceparent", VALID), *fields])
    assert forwarded(sent, "tracestate") == []
    sent = PluginChain(plugin("trace")).send(headers=[("traceparent", VALID), fields[0]])
    assert forwarded(sent, "tracestate") == [fields[0][1]]


def test_shortens_a_state_that_is_too_long() -> None:
    state = f"a=1,big={'v' * 150},b=2"
    sent = PluginChain(plugin("trace", max_tracestate="100B")).send(
        headers={"traceparent": VALID, "tracestate": state}
    )
    assert forwarded(sent, "tracestate") == ["a=1,b=2"]


def test_drops_a_state_of_which_nothing_fits() -> None:
    sent = PluginChain(plugin("trace", max_tracestate=2)).send(
        headers={"traceparent": VALID, "tracestate": "a=1"}
    )
    assert forwarded(sent, "tracestate") == []


@pytest.mark.parametrize(("sample", "flags"), [(1, 3), (0, 2)])
def test_samples_all_new_traces_or_none(sample: float, flags: int) -> None:
    chain = PluginChain(plugin("trace", sample=sample))
    assert {parent(chain.send())[2] for _ in range(50)} == {flags}


def test_samples_about_the_share_of_new_traces() -> None:
    chain = PluginChain(plugin("trace", sample=0.25))
    assert 350 < sum(parent(chain.send())[2] & 1 for _ in range(2000)) < 650


@given(st.integers(1, (1 << 128) - 1), st.floats(0, 1))
def test_the_decision_follows_from_the_trace_id(number: int, sample: float) -> None:
    value = f"00-{number:032x}-{SPAN}-00"
    chain = PluginChain(plugin("trace", sample=sample, follow=False))
    decided = {parent(chain.send(headers={"traceparent": value}))[2] & 1 for _ in range(2)}
    assert decided == {int(number % (1 << 56) >= int((1 - sample) * (1 << 56)))}


def test_keeps_the_decision_of_a_trace_that_goes_on() -> None:
    for share, flags in ((0, "01"), (1, "00")):
        chain = PluginChain(plugin("trace", sample=share))
        sent = chain.send(headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
        assert parent(sent)[2] == int(flags)


def test_tells_the_client_the_trace_if_asked() -> None:
    sent = PluginChain(plugin("trace", response_header="X-Trace-Id")).send()
    assert sent.headers.get(b"x-trace-id") == sent.exchange.trace_id
    assert b"x-trace-id" not in PluginChain(plugin("trace")).send().headers
