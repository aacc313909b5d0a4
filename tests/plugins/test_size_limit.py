"""The size-limit plugin."""

from __future__ import annotations

from typing import Any

import pytest

from core.exchange import Response
from core.testing import PluginChain
from tests.plugins.make import plugin


def chain(**options: Any) -> PluginChain:
    """Return a chain with the plugin alone."""
    return PluginChain(plugin("size-limit", **options))


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
def test_refuses_a_body_that_announces_too_much(size: int, status: int) -> None:
    sent = chain(request=10).send("POST", body=b"x" * size)
    assert sent.status == status
    assert (sent.forwarded is None) is (status == 413)


def test_refuses_a_body_that_turns_out_too_large() -> None:
    sent = chain(request=10).send(
        "POST", headers={"transfer-encoding": "chunked"}, pieces=[b"x" * 6, b"x" * 6, b"x" * 6]
    )
    assert (sent.status, sent.exchange.problem) == (413, "body-too-large")


def test_takes_the_place_of_the_servers_own_limit() -> None:
    sent = chain(request="1KiB").send("POST", body=b"x")
    assert sent.exchange.max_request_body == 1024
    assert chain().send("POST", body=b"x").exchange.max_request_body == 0


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 502)])
def test_refuses_an_answer_that_announces_too_much(size: int, status: int) -> None:
    gate = plugin("size-limit", response=10)
    sent = PluginChain(gate, answer=Response(200, [(b"x-of", b"target")], b"x" * size)).send()
    assert (sent.status, sent.complete) == (status, True)
    assert (b"x-of" in sent.headers) is (status == 200)
    assert sent.exchange.problem == (None if status == 200 else "response-too-large")


def test_cuts_off_an_answer_that_turns_out_too_large() -> None:
    class Unannounced:
        """Makes the answer longer than was announced."""

        rewrites_bodies = True

        def chunk(self, exchange: object, side: str, piece: bytes, last: bool) -> bytes:
            return piece * 2

    gate = plugin("size-limit", response=10)
    sent = PluginChain(gate, Unannounced(), pieces=[b"x" * 4, b"x" * 4]).send()
    assert (sent.complete, sent.body) == (False, b"x" * 8)
    assert sent.exchange.problem == "response-too-large"


def test_lets_the_gateways_own_answers_through() -> None:
    class Closed:
        def request(self, exchange: object) -> Response:
            return Response(403, [], b"x" * 100)

    assert PluginChain(plugin("size-limit", response=10), Closed()).send().status == 403


@pytest.mark.parametrize(
    ("options", "url", "status"),
    [
        ({"uri": 8}, "/1234567", 200),
        ({"uri": 8}, "/12345678", 414),
        ({"uri": 8}, "/12?45678", 414),
        ({"query": 3}, "/12345678?abc", 200),
        ({"query": 3}, "/?abcd", 414),
        ({"query": 3}, "/", 200),
    ],
)
def test_refuses_a_target_that_is_too_long(options: dict[str, Any], url: str, status: int) -> None:
    assert chain(**options).send(url=url).status == status


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"header_count": 3}, 200),
        ({"header_count": 2}, 431),
        ({"headers": 8 + 10 + 4}, 200),
        ({"headers": 8 + 10 + 3}, 431),
        ({"header": 10}, 200),
        ({"header": 9}, 431),
    ],
)
def test_refuses_a_head_that_is_too_large(options: dict[str, Any], status: int) -> None:
    sent = chain(**options).send(headers=[("host", "test"), ("x-long", "1234"), ("x-b", "2")])
    assert sent.status == status


def test_has_no_limits_unless_told() -> None:
    made = plugin("size-limit")
    assert made.unused == {"response"}
    assert PluginChain(made).send("POST", "/" + "x" * 4000, body=b"x" * 100_000).status == 200
