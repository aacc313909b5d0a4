"""The headers plugin."""

from __future__ import annotations

from typing import Any

import pytest

from core.decode import ConfigInvalid, FieldInvalid
from core.exchange import Response
from core.testing import PluginChain, Sent, site_for
from tests.plugins.make import plugin


def got(sent: Sent, name: str) -> list[bytes]:
    """Return the values of a header as the target got them."""
    assert sent.forwarded is not None
    return [value for key, value in sent.forwarded.headers if key.lower() == name.encode()]


def test_sets_a_header_in_place_of_the_clients() -> None:
    chain = PluginChain(plugin("headers", request={"set": {"X-A": "ours"}}))
    assert got(chain.send(headers=[("x-a", "1"), ("x-a", "2")]), "x-a") == [b"ours"]


def test_adds_values_beside_the_clients() -> None:
    chain = PluginChain(plugin("headers", request={"add": {"X-A": ["2", "3"], "x-b": "4"}}))
    sent = chain.send(headers={"x-a": "1"})
    assert got(sent, "x-a") == [b"1", b"2", b"3"]
    assert got(sent, "x-b") == [b"4"]


def test_removes_every_value_whatever_its_case() -> None:
    chain = PluginChain(plugin("headers", request={"remove": ["X-Debug", "cookie"]}))
    sent = chain.send(headers=[("x-debug", "1"), ("X-DEBUG", "2"), ("cookie", "a=b"), ("x-kept", "1")])
    assert got(sent, "x-debug") == got(sent, "cookie") == []
    assert got(sent, "x-kept") == [b"1"]


def test_removes_before_it_sets_and_sets_before_it_adds() -> None:
    edits = {"remove": ["x-a"], "set": {"x-a": "set"}, "add": {"x-a": "added"}}
    assert got(PluginChain(plugin("headers", request=edits)).send(headers={"x-a": "1"}), "x-a") == [
        b"set",
        b"added",
    ]


def test_edits_the_response() -> None:
    edits = {"remove": ["server"], "set": {"x-frame-options": "DENY"}, "add": {"vary": "origin"}}
    answer = Response(200, [(b"server", b"secret/1"), (b"vary", b"accept")], b"")
    sent = PluginChain(plugin("headers", response=edits), answer=answer).send()
    assert b"server" not in sent.headers
    assert sent.headers.get(b"x-frame-options") == b"DENY"
    assert sent.headers.get_all(b"vary") == [b"accept", b"origin"]
    assert got(sent, "x-frame-options") == []


def test_edits_an_answer_of_the_gateways_own() -> None:
    class Closed:
        def request(self, exchange: object) -> Response:
            return Response.refusal(403, "closed", "Closed")

    sent = PluginChain(Closed(), plugin("headers", response={"set": {"x-a": "1"}})).send()
    assert (sent.status, sent.headers.get(b"x-a")) == (403, b"1")


def test_fills_in_variables() -> None:
    value = "{client} {method} {scheme} {host} {path} {query} {route} {param:id} {header:x-b} {{x}}"
    chain = PluginChain(plugin("headers", request={"set": {"x-a": value}}), route="market", path="/m/{id}")
    sent = chain.send("PUT", "https://api.test/m/caf%C3%A9?a=b", headers={"x-b": "bee"}, client="192.0.2.5")
    expected = "192.0.2.5 PUT https api.test /m/caf%C3%A9 a=b market café bee {x}"
    assert got(sent, "x-a") == [expected.encode()]


def test_fills_in_what_other_plugins_found_out() -> None:
    value = "{request_id}|{trace_id}|{consumer}|{server}"
    chain = PluginChain(
        plugin("request-id"), plugin("trace"), plugin("headers", response={"set": {"x-a": value}})
    )
    sent = chain.send()
    assert sent.exchange.request_id is not None
    assert sent.exchange.trace_id is not None
    made = b"|".join([sent.exchange.request_id, sent.exchange.trace_id, b"", b"stand-in"])
    assert sent.headers.get(b"x-a") == made


def test_a_value_that_comes_out_empty_removes_the_clients_own() -> None:
    chain = PluginChain(
        plugin("headers", request={"set": {"x-user": "{consumer}"}, "add": {"x-b": "{consumer}"}})
    )
    sent = chain.send(headers={"x-user": "admin"})
    assert got(sent, "x-user") == got(sent, "x-b") == []


def test_an_empty_value_removes_too() -> None:
    assert (
        got(PluginChain(plugin("headers", request={"set": {"x-a": ""}})).send(headers={"x-a": "1"}), "x-a")
        == []
    )


def test_what_a_client_sends_is_not_read_for_variables() -> None:
    chain = PluginChain(plugin("headers", request={"set": {"x-a": "{header:x-b}"}}))
    assert got(chain.send(headers={"x-b": "{client}"}), "x-a") == [b"{client}"]


def test_joins_only_the_phases_that_it_has_work_in() -> None:
    assert plugin("headers").unused == {"forward", "response"}
    assert plugin("headers", request={"remove": ["a"]}).unused == {"response"}
    assert plugin("headers", response={"add": {"a": "1"}}).unused == {"forward"}


@pytest.mark.parametrize(
    ("edits", "where"),
    [
        ({"set": {"x-a": "{nobody}"}}, r"request\.set\.x-a: \{nobody\} is no variable"),
        ({"set": {"x-a": "{clinet}"}}, r"did you mean 'client'"),
        ({"add": {"x-a": ["1", "{header:a b}"]}}, r"request\.add\.x-a\[1\]: \{header:a b\} is no variable"),
        ({"set": {"x-a": "{"}}, r"request\.set\.x-a: has a stray '\{'"),
        ({"set": {"x-a": "a\nb"}}, r"request\.set\.x-a: must be a header's value"),
        ({"set": {"x-a": 1}}, r"request\.set\.x-a: must be a text"),
        ({"set": {"x a": "1"}}, r"x a"),
        ({"set": {"content-length": "1"}}, r"request.*Content-Length|request.*content-length"),
        ({"remove": ["Connection"]}, r"request\.remove: 'Connection' frames messages"),
        ({"set": {"host": "a"}}, r"request: Host is not edited here; the rewrite plugin has `host`"),
        ({"change": {}}, r"request\.change: unknown key"),
    ],
)
def test_refuses_what_it_cannot_do(edits: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigInvalid, match=where):
        plugin("headers", request=edits)


def test_refuses_a_parameter_that_the_route_does_not_have() -> None:
    site = site_for(route="test", parameters=("id",))
    assert plugin("headers", site, request={"set": {"x-a": "{param:id}"}})
    with pytest.raises(FieldInvalid, match="'market' is no parameter") as caught:
        plugin("headers", site, request={"set": {"x-a": "{param:market}"}})
    assert caught.value.key == "request.set.x-a"
