"""Request heads written for ASGI scopes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core._fast.head import read_request
from core.asgi_head import ScopeMalformed, announces_body, peer_of, request_head, websocket_head

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def scope(**items: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"a")],
        **items,
    }


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        (("203.0.113.9", 1), "203.0.113.9"),
        (["fe80::1%eth0", 1], "fe80::1%eth0"),
        (("testclient", 1), "testclient"),
        (None, "unix"),
        (("", 0), "unix"),
        (('"; for=1', 1), "unknown"),
        (("1\r\nx: y", 1), "unknown"),
        (("ż", 1), "unknown"),
    ],
)
def test_names_the_peer(client: Any, peer: str) -> None:
    assert peer_of(scope(client=client)) == peer


def test_writes_what_the_scope_says() -> None:
    head = request_head(scope(method="POST", query_string=b"q=1", headers=[(b"host", b"a"), (b"x-a", b"1")]))
    assert head == b"POST /a?q=1 HTTP/1.1\r\nhost: a\r\nx-a: 1\r\n\r\n"


def test_adds_the_framing_that_only_the_server_knows() -> None:
    assert request_head(scope(), [(b"content-length", b"1")]).endswith(b"\r\ncontent-length: 1\r\n\r\n")


@pytest.mark.parametrize(
    ("version", "line"), [("1.0", b"HTTP/1.0"), ("1.1", b"HTTP/1.1"), ("2", b"HTTP/1.1"), ("3", b"HTTP/1.1")]
)
def test_names_a_version_of_http_1(version: str, line: bytes) -> None:
    assert request_head(scope(http_version=version)).split(b"\r\n")[0] == b"GET /a " + line


def test_says_whether_the_head_announces_a_body() -> None:
    assert announces_body(scope())
    assert not announces_body(scope(http_version="2"))
    assert announces_body(scope(http_version="2", headers=[(b"content-length", b"1")]))


def test_takes_the_path_as_it_was_sent_or_makes_one() -> None:
    assert request_head(scope(raw_path=b"/a%2Fb", path="/a/b")).startswith(b"GET /a%2Fb HTTP")
    without = scope(path="/a b/ż?")
    del without["raw_path"]
    assert request_head(without).startswith(b"GET /a%20b/%C5%BC%3F HTTP")


@pytest.mark.parametrize(
    ("root", "raw", "target"),
    [
        ("/in", b"/in/a", b"/a"),
        ("/in/", b"/in/a", b"/a"),
        ("/in", b"/in", b"/"),
        ("/in", b"/inner", b"/inner"),
        ("/in", b"/a", b"/a"),
        ("", b"*", b"*"),
    ],
)
def test_leaves_out_the_place_it_is_mounted_at(root: str, raw: bytes, target: bytes) -> None:
    assert request_head(scope(root_path=root, raw_path=raw)).startswith(b"GET " + target + b" HTTP")


def test_an_http_scope_cannot_be_upgraded() -> None:
    head = request_head(
        scope(headers=[(b"host", b"a"), (b"Upgrade", b"h2c"), (b"connection", b"upgrade, x-a")])
    )
    verdict, found, _ = read_request(head)
    assert verdict == len(head)
    assert not found["upgrade"]


def test_joins_the_cookies_that_http_2_splits() -> None:
    headers = [(b"cookie", b"a=1"), (b"host", b"a"), (b"cookie", b"b=2")]
    assert request_head(scope(http_version="2", headers=headers)).endswith(
        b"host: a\r\ncookie: a=1; b=2\r\n\r\n"
    )
    assert request_head(scope(headers=headers)).count(b"cookie") == 2
    assert request_head(scope(http_version="2", headers=headers[:2])).count(b"cookie: a=1\r\n") == 1


def test_makes_a_handshake_of_its_own() -> None:
    offered = [
        (b"host", b"a"),
        (b"Upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-key", b"theirs"),
        (b"sec-websocket-version", b"8"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"sec-websocket-protocol", b"x"),
        (b"origin", b"http://o"),
    ]
    head = websocket_head(
        scope(http_version="2", headers=offered, subprotocols=["a", "b"], method="CONNECT"), KEY
    )
    verdict, found, headers = read_request(head)
    assert verdict == len(head)
    assert found["upgrade"]
    assert found["method"] == b"GET"
    assert headers.items() == [
        (b"host", b"a"),
        (b"origin", b"http://o"),
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", KEY),
        (b"sec-websocket-protocol", b"a, b"),
    ]


@pytest.mark.parametrize(
    "items",
    [
        {"headers": [(b"a", b"1\r\nb: 2")]},
        {"headers": [(b"a", b"1\n")]},
        {"headers": [(b"a\r", b"1")]},
        {"raw_path": b"/a\r\nb: 2"},
        {"query_string": b"\n"},
        {"method": "GET\r\n"},
        {"method": "GĘT"},
    ],
)
def test_refuses_what_could_become_another_line(items: dict[str, Any]) -> None:
    with pytest.raises(ScopeMalformed):
        request_head(scope(**items))


@given(
    st.text(),
    st.binary(),
    st.binary(),
    st.lists(st.tuples(st.binary(), st.binary()), max_size=4),
)
def test_no_scope_becomes_more_fields_than_it_has(
    method: str, raw_path: bytes, query: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    try:
        head = request_head(scope(method=method, raw_path=raw_path, query_string=query, headers=fields))
    except ScopeMalformed:
        return
    verdict, _, headers = read_request(head)
    if verdict > 0:
        assert verdict == len(head)
        assert len(headers) <= len(fields)
