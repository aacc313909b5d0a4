"""The request-id plugin."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.exchange import Response
from core.testing import PluginChain, exchange_for, give_response
from tests.plugins.make import plugin

UUID7 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_gives_each_exchange_an_id_of_its_own() -> None:
    chain = PluginChain(plugin("request-id"))
    made = [chain.send().exchange.request_id for _ in range(3)]
    assert len(set(made)) == 3
    assert all(UUID7.fullmatch(one or b"") for one in made)


def test_tells_the_target_and_the_client_the_same_id() -> None:
    sent = PluginChain(plugin("request-id")).send()
    assert sent.forwarded is not None
    assert sent.exchange.request_id is not None
    assert sent.headers.get(b"x-request-id") == sent.exchange.request_id
    assert (b"x-request-id", sent.exchange.request_id) in sent.forwarded.headers


def test_makes_hex_ids_if_asked() -> None:
    made = PluginChain(plugin("request-id", format="hex")).send().exchange.request_id
    assert re.fullmatch(rb"[0-9a-f]{32}", made or b"")


def test_uses_the_header_that_is_configured() -> None:
    sent = PluginChain(plugin("request-id", header="X-Correlation-Id")).send()
    assert sent.headers.get(b"x-correlation-id") == sent.exchange.request_id
    assert b"x-request-id" not in sent.headers


@pytest.mark.parametrize(
    ("believe", "trusted", "kept"),
    [
        ("nobody", True, False),
        ("trusted", False, False),
        ("trusted", True, True),
        ("anyone", False, True),
    ],
)
def test_keeps_the_id_of_those_it_believes(believe: str, trusted: bool, kept: bool) -> None:
    chain = PluginChain(plugin("request-id", believe=believe))
    sent = chain.send(headers={"x-request-id": "Root=1-abc"}, trusted=trusted)
    assert (sent.exchange.request_id == b"Root=1-abc") is kept
    assert sent.forwarded is not None
    assert [name for name, _ in sent.forwarded.headers].count(b"x-request-id") == 1
    assert (b"x-request-id", sent.exchange.request_id) in sent.forwarded.headers


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), min_size=1))
def test_replaces_an_id_with_characters_that_could_do_harm(text: str) -> None:
    kept = PluginChain(plugin("request-id", believe="anyone")).send(headers={"x-request-id": text})
    harmless = re.fullmatch(r"[A-Za-z0-9._~:+/=@-]{1,128}", text) is not None
    assert (kept.exchange.request_id == text.encode("latin-1")) is harmless


@pytest.mark.parametrize(("size", "kept"), [(16, True), (17, False)])
def test_replaces_an_id_that_is_too_long(size: int, kept: bool) -> None:
    chain = PluginChain(plugin("request-id", believe="anyone", max_length=16))
    assert (chain.send(headers={"x-request-id": "a" * size}).exchange.request_id == b"a" * size) is kept


def test_of_several_ids_only_the_first_goes_on() -> None:
    chain = PluginChain(plugin("request-id", believe="anyone"))
    sent = chain.send(headers=[("x-request-id", "one"), ("x-request-id", "two")])
    assert sent.forwarded is not None
    assert [value for name, value in sent.forwarded.headers if name.lower() == b"x-request-id"] == [b"one"]


def test_takes_the_place_of_an_id_in_the_targets_answer() -> None:
    answer = Response(200, [(b"x-request-id", b"theirs")], b"")
    sent = PluginChain(plugin("request-id"), answer=answer).send()
    assert sent.headers.get_all(b"x-request-id") == [sent.exchange.request_id]


def test_keeps_silent_towards_the_client_if_asked() -> None:
    sent = PluginChain(plugin("request-id", response=False)).send()
    assert b"x-request-id" not in sent.headers
    assert sent.exchange.request_id is not None


def test_names_an_exchange_that_was_refused_before_its_request_phase() -> None:
    class Door:
        def accept(self, exchange: object) -> Response:
            return Response.refusal(403, "closed", "Closed")

    sent = PluginChain(Door(), plugin("request-id")).send()
    assert sent.status == 403
    assert UUID7.fullmatch(sent.headers.get(b"x-request-id") or b"")


def test_the_response_phase_alone_keeps_the_id_that_there_is() -> None:
    exchange = exchange_for()
    exchange.request_id = b"known"
    response = give_response(exchange)
    plugin("request-id").response(exchange)
    assert response.headers.get(b"x-request-id") == b"known"
