"""Exchanges without sockets: the real ones, between two stand-ins."""

from __future__ import annotations

import asyncio

import pytest

import core._fast.testing
from core._fast.testing import leave, make_exchange, pass_time, recorder_of
from core.exchange import Exchange, Response
from core.testing import PluginChain, cost_of, exchange_for, give_response, site_for


class Steps:
    """Notes the phases it is called in."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def accept(self, exchange: Exchange) -> None:
        self.seen.append("accept")

    def request(self, exchange: Exchange) -> None:
        self.seen.append("request")

    def forward(self, exchange: Exchange) -> None:
        self.seen.append("forward")

    def response(self, exchange: Exchange) -> None:
        self.seen.append("response")

    def chunk(self, exchange: Exchange, side: str, piece: bytes, last: bool) -> None:
        self.seen.append(f"{side} {piece.decode()}" + " last" * last)

    def log(self, exchange: Exchange) -> None:
        self.seen.append("log")


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert core._fast.testing.__file__.endswith(".so")


def test_an_exchange_shows_the_request_as_it_would_be_parsed() -> None:
    exchange = exchange_for(
        "PUT",
        "https://api.test/m/a%2fb?x=1",
        headers={"X-A": "1"},
        body=b"abc",
        client="192.0.2.9",
        peer="10.0.0.1",
        route="market",
        path="/m/{id}",
    )
    request = exchange.request
    assert (request.method, request.host, request.path, request.query) == (
        "PUT",
        "api.test",
        "/m/a%2Fb",
        "x=1",
    )
    assert (request.content_length, request.headers.get(b"x-a")) == (3, b"1")
    assert (exchange.client, exchange.peer, exchange.scheme) == ("192.0.2.9", "10.0.0.1", "https")
    assert (exchange.route, exchange.parameters) == ("market", {"id": "a/b"})
    assert exchange.response is None


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [("G T", "/", {}), ("GET", "/", {"x a": "1"}), ("GET", "/", {"x-a": "1\r\nx-b: 2\r\n\r\nGET"})],
)
def test_refuses_a_request_that_the_gateway_would_refuse(
    method: str, url: str, headers: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        exchange_for(method, url, headers=headers)


def test_a_response_can_be_given_by_hand() -> None:
    exchange = exchange_for()
    response = give_response(exchange, 404, {"x-a": "1"}, b"no")
    assert (response.status, response.headers.get(b"x-a"), response.body) == (404, b"1", b"no")
    assert exchange.response is not None


def test_a_chain_runs_every_phase_in_order() -> None:
    steps = Steps()
    sent = PluginChain(steps).send("POST", pieces=[b"one", b"two"])
    assert steps.seen == [
        "accept",
        "request",
        "forward",
        "request one",
        "request two",
        "request  last",
        "response",
        "response answer",
        "response  last",
        "log",
    ]
    assert (sent.status, sent.body, sent.complete) == (200, b"answer", True)


def test_keeps_what_the_target_was_sent() -> None:
    chain = PluginChain(answer=Response(201, [(b"x-a", b"1")], b""), pieces=[b"a", b"b"])
    sent = chain.send("POST", "/p?q=1", headers=[("x-b", "2")], pieces=[b"c", b"d"])
    assert sent.forwarded is not None
    assert (sent.forwarded.method, sent.forwarded.path, sent.forwarded.query) == ("POST", "/p", "q=1")
    assert (sent.forwarded.body, sent.forwarded.complete) == (b"cd", True)
    assert (b"x-b", b"2") in sent.forwarded.headers
    assert (sent.status, sent.body, sent.headers.get(b"x-a")) == (201, b"ab", b"1")


def test_a_head_request_gets_no_body() -> None:
    assert PluginChain().send("HEAD").body == b""


def test_plugins_respond_in_reverse_order() -> None:
    class Named:
        def __init__(self, name: bytes) -> None:
            self.name = name

        def response(self, exchange: Exchange) -> None:
            assert exchange.response is not None
            exchange.response.headers.add(b"x-by", self.name)

    assert PluginChain(Named(b"1"), Named(b"2")).send().headers.get_all(b"x-by") == [b"2", b"1"]


def test_leaves_out_the_phases_that_an_instance_does_not_use() -> None:
    steps = Steps()
    steps.unused = frozenset({"accept", "chunk", "forward"})  # type: ignore[attr-defined]
    PluginChain(steps).send()
    assert steps.seen == ["request", "response", "log"]


async def test_a_chain_that_waits_is_sent_to_with_await() -> None:
    class Waits:
        async def request(self, exchange: Exchange) -> None:
            await asyncio.sleep(0)
            exchange.request.headers.set(b"x-waited", b"1")

    chain = PluginChain(Waits())
    with pytest.raises(RuntimeError, match="send_waiting"):
        chain.send()
    sent = await chain.send_waiting()
    assert sent.forwarded is not None
    assert (b"x-waited", b"1") in sent.forwarded.headers


def test_a_whole_body_is_held_for_a_plugin_that_asks() -> None:
    class Reads:
        request_body_limit = 10

        def request(self, exchange: Exchange) -> None:
            exchange.request.headers.set(b"x-body", exchange.request.body or b"")

    chain = PluginChain(Reads())
    sent = chain.send("POST", pieces=[b"ab", b"cd"])
    assert sent.forwarded is not None
    assert (b"x-body", b"abcd") in sent.forwarded.headers
    assert sent.forwarded.body == b"abcd"
    assert chain.send("POST", body=b"x" * 11).status == 413


def test_a_failing_plugin_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    class Fails:
        def request(self, exchange: Exchange) -> None:
            raise KeyError("why")

    sent = PluginChain(Fails()).send()
    assert (sent.status, sent.exchange.problem) == (500, "plugin-failed")
    assert "Fails.request" in caplog.text


async def test_a_client_may_leave_and_time_may_pass() -> None:
    held: list[Exchange] = []

    class Waits:
        async def request(self, exchange: Exchange) -> None:
            held.append(exchange)
            exchange.total_timeout = 0
            await asyncio.Event().wait()

    sending = asyncio.create_task(PluginChain(Waits()).send_waiting())
    while not held:
        await asyncio.sleep(0)
    pass_time(held[0], 1000)
    assert held[0].status == 0
    leave(held[0])
    sent = await sending
    assert (sent.exchange.status, sent.exchange.problem, sent.status) == (499, "client-gone", 0)


def test_a_site_has_rates_of_its_own_and_counts_with_the_others() -> None:
    first, second = site_for(route="a"), site_for()
    assert first.limiter is not second.limiter
    assert first.metrics is second.metrics
    assert (first.route, second.parameters) == ("a", None)


def test_only_a_whole_head_makes_an_exchange() -> None:
    snapshot = PluginChain().snapshot
    with pytest.raises(ValueError, match="not the whole head"):
        make_exchange(b"GET / HTTP/1.1\r\nHost: a\r\n", snapshot)
    exchange = make_exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", snapshot)
    assert recorder_of(exchange).status == 0


def test_a_cost_is_what_a_plugin_adds() -> None:
    class Slow:
        def request(self, exchange: Exchange) -> None:
            sum(range(500))

    cost = cost_of(Slow(), url="/m/7?x=1", path="/m/{id}", headers={"x-a": "1"})
    assert 1_000 < cost < 1_000_000


def test_only_phases_that_do_not_wait_can_be_timed() -> None:
    class Waits:
        async def request(self, exchange: Exchange) -> None: ...

    with pytest.raises(RuntimeError, match="waits"):
        cost_of(Waits())
