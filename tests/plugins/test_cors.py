"""The cors plugin, held to the Fetch standard."""

from __future__ import annotations

from typing import Any

import pytest

from core.decode import ConfigInvalid
from core.errors import PluginInvalid
from core.exchange import Response
from core.testing import PluginChain, Sent
from tests.harness import Recorder, serving, upstream
from tests.plugins.make import plugin

ALLOWED = b"access-control-allow-origin"


def preflight(chain: PluginChain, origin: str = "https://a.test", **more: str) -> Sent:
    asked = {"origin": origin, "access-control-request-method": "PUT", **more}
    return chain.send(
        "OPTIONS", "/", headers={name.replace("_", "-"): value for name, value in asked.items()}
    )


def chain(*origins: str, **options: Any) -> PluginChain:
    return PluginChain(plugin("cors", origins=origins or ["https://a.test"], **options))


def test_answers_a_preflight_of_an_origin_that_may_read() -> None:
    sent = preflight(chain(headers=["X-One", "X-Two"]), access_control_request_headers="x-one")
    assert (sent.status, sent.forwarded) == (204, None)
    told = dict(sent.headers)
    assert told[ALLOWED] == b"https://a.test"
    assert told[b"access-control-allow-methods"] == b"GET, HEAD, POST, PUT, PATCH, DELETE"
    assert told[b"access-control-allow-headers"] == b"x-one, x-two"
    assert told[b"access-control-max-age"] == b"600"
    assert b"access-control-allow-credentials" not in told
    assert b"access-control-request-headers" in told[b"vary"]


def test_answers_another_origins_preflight_without_permission() -> None:
    sent = preflight(chain(), "https://b.test")
    assert (sent.status, sent.forwarded) == (204, None)
    assert not [name for name, _ in sent.headers if name.startswith(b"access-control")]


def test_permits_the_headers_asked_for_if_none_are_listed() -> None:
    told = dict(preflight(chain(), access_control_request_headers="x-any, content-type").headers)
    assert told[b"access-control-allow-headers"] == b"x-any, content-type"


def test_permits_a_private_network_only_where_told() -> None:
    asked = {"access_control_request_private_network": "true"}
    name = b"access-control-allow-private-network"
    assert name not in preflight(chain(), **asked).headers
    assert preflight(chain(private_network=True), **asked).headers.get(name) == b"true"


@pytest.mark.parametrize(
    ("patterns", "origin", "may"),
    [
        (["https://a.test"], "https://a.test", True),
        (["https://a.test"], "http://a.test", False),
        (["https://a.test"], "https://a.test:8443", False),
        (["https://a.test"], "https://a.test.evil", False),
        (["https://*.a.test"], "https://x.a.test", True),
        (["https://*.a.test"], "https://x.y-z.a.test", True),
        (["https://*.a.test"], "https://a.test", False),
        (["https://*.a.test"], "https://.a.test", False),
        (["https://*.a.test"], "https://evil.test/.a.test", False),
        (["https://*.a.test"], "https://evil.test#.a.test", False),
        (["https://*.a.test"], "https://xa.test", False),
        (["https://*.a.test:8443"], "https://x.a.test:8443", True),
        (["null"], "null", True),
        (["https://a.test"], "null", False),
        (["*"], "https://anyone.test", True),
    ],
)
def test_goes_by_the_whole_origin(patterns: list[str], origin: str, may: bool) -> None:
    sent = chain(*patterns).send(headers={"origin": origin})
    expected = (b"*" if patterns == ["*"] else origin.encode()) if may else None
    assert sent.headers.get(ALLOWED) == expected
    assert (sent.status, sent.body) == (200, b"answer")


def test_answers_vary_by_origin_unless_all_may_read() -> None:
    assert chain().send().headers.get(b"vary") == b"origin"
    assert b"vary" not in chain("*").send().headers


@pytest.mark.parametrize(
    ("said", "expected"),
    [(b"accept", b"accept, origin"), (b"Accept, Origin", b"Accept, Origin"), (b"*", b"*")],
)
def test_keeps_what_the_answer_varies_by(said: bytes, expected: bytes) -> None:
    made = PluginChain(
        plugin("cors", origins=["https://a.test"]), answer=Response(200, [(b"vary", said)], b"")
    )
    assert made.send().headers.get(b"vary") == expected


def test_permits_credentials_and_exposes_headers() -> None:
    sent = chain(credentials=True, expose=["X-Total"]).send(headers={"origin": "https://a.test"})
    assert sent.headers.get(b"access-control-allow-credentials") == b"true"
    assert sent.headers.get(b"access-control-expose-headers") == b"x-total"


def test_refuses_credentials_for_everyone() -> None:
    with pytest.raises(PluginInvalid, match="name the origins"):
        chain("*", credentials=True)


@pytest.mark.parametrize(
    "origin", ["a.test", "https://a.test/", "https://A.test", "https://*", "https://a.*.test", 5]
)
def test_refuses_what_is_no_origin(origin: Any) -> None:
    with pytest.raises(ConfigInvalid, match="is no origin"):
        chain(origin)


def test_an_options_request_that_is_no_preflight_goes_on() -> None:
    assert chain().send("OPTIONS", "/", headers={"origin": "https://a.test"}).forwarded is not None
    assert chain().send("OPTIONS", "/").forwarded is not None


async def test_its_word_counts_and_not_the_targets() -> None:
    answer = b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\ncontent-length: 0\r\n\r\n"
    async with Recorder(answer) as origin:
        config = upstream(origin)
        config["plugin"] = [{"use": "cors", "origins": ["https://a.test"]}]
        config["route"][0]["methods"] = ["GET"]
        async with serving(config) as gateway:
            got = await gateway.ask(b"GET / HTTP/1.1\r\nhost: a\r\norigin: https://a.test\r\n\r\n")
            assert got.all(ALLOWED) == [b"https://a.test"]
            got = await gateway.ask(b"GET / HTTP/1.1\r\nhost: a\r\norigin: https://b.test\r\n\r\n")
            assert got.all(ALLOWED) == []
            asked = b"origin: https://a.test\r\naccess-control-request-method: GET\r\n"
            got = await gateway.ask(b"OPTIONS / HTTP/1.1\r\nhost: a\r\n" + asked + b"\r\n")
            assert (got.status, got.all(ALLOWED)) == (204, [b"https://a.test"])
