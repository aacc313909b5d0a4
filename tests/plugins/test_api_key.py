"""The api-key plugin."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from core.authentication.consumers import Consumer, Credential, key_digest
from core.site import Site
from core.testing import PluginChain, Sent, site_for
from tests.harness import Recorder, serving, upstream
from tests.plugins.make import plugin

KEY = "a key of alice"


@pytest.fixture
def site() -> Iterator[Site]:
    made = site_for(route="test")
    fill(made)
    return made  # type: ignore[return-value]


def fill(site: Site, *keys: str, expires_ns: int = 0) -> None:
    site.consumers.fill(
        [Consumer(name="alice", groups=frozenset({"staff", "admins"}))],
        {
            key_digest(key): Credential(consumer="alice", id=f"alice/{number}", expires_ns=expires_ns)
            for number, key in enumerate(keys or (KEY,))
        },
    )


def forwarded(sent: Sent) -> dict[bytes, bytes]:
    assert sent.forwarded is not None
    return dict(sent.forwarded.headers)


def test_lets_in_who_has_a_key_and_tells_the_target_who_that_is(site: Site) -> None:
    chain = PluginChain(plugin("api-key", site))
    for _ in range(2):
        sent = chain.send(headers={"x-api-key": KEY})
        assert sent.status == 200
        assert sent.exchange.consumer.name == "alice"
        told = forwarded(sent)
        assert told[b"x-consumer-name"] == b"alice"
        assert told[b"x-consumer-groups"] == b"admins,staff"
        assert told[b"x-credential-id"] == b"alice/0"
        assert b"x-api-key" not in told


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": ""}, {"x-api-key": KEY + "x"}, {"x-api-key": "k" * 600}]
)
def test_refuses_who_has_none_with_a_challenge(site: Site, headers: dict[str, str]) -> None:
    sent = PluginChain(plugin("api-key", site)).send(headers=headers)
    assert sent.status == 401
    assert sent.forwarded is None
    assert (sent.headers.get(b"www-authenticate") or b"").startswith(b"ApiKey realm=")
    assert KEY.encode() not in sent.body


def test_lets_anyone_in_where_it_is_optional_but_not_a_wrong_key(site: Site) -> None:
    chain = PluginChain(plugin("api-key", site, optional=True))
    assert chain.send().status == 200
    assert chain.send().exchange.consumer is None
    assert chain.send(headers={"x-api-key": "wrong"}).status == 401


@pytest.mark.parametrize(
    ("url", "headers", "query", "cookie"),
    [
        ("/?a=1&key=a%20key+of%20alice&b=2", {}, "a=1&b=2", None),
        ("/?a=1", {"cookie": f"a=b; key={KEY}; c=d"}, "a=1", b"a=b; c=d"),
        ("/", {"cookie": f"key={KEY}"}, "", None),
        ("/", {"x-key": KEY}, "", None),
    ],
)
def test_finds_and_hides_the_key_wherever_it_is(
    site: Site, url: str, headers: dict[str, str], query: str, cookie: bytes | None
) -> None:
    places = ["header:X-Key", "query:key", "cookie:key"]
    sent = PluginChain(plugin("api-key", site, places=places)).send("GET", url, headers=headers)
    assert sent.status == 200
    assert sent.exchange.request.query == query
    told = forwarded(sent)
    assert told.get(b"cookie") == cookie
    assert b"x-key" not in told


def test_a_key_that_is_taken_away_holds_no_longer(site: Site) -> None:
    chain = PluginChain(plugin("api-key", site))
    assert chain.send(headers={"x-api-key": KEY}).status == 200
    fill(site, "another key")
    assert chain.send(headers={"x-api-key": KEY}).status == 401
    assert chain.send(headers={"x-api-key": "another key"}).status == 200


def test_a_key_that_has_expired_holds_no_longer(site: Site) -> None:
    chain = PluginChain(plugin("api-key", site))
    fill(site, KEY, expires_ns=time.time_ns() + 3600 * 10**9)
    assert chain.send(headers={"x-api-key": KEY}).status == 200
    fill(site, KEY, expires_ns=time.time_ns() - 1)
    assert chain.send(headers={"x-api-key": KEY}).status == 401


async def test_serves_with_the_consumers_of_the_configuration_and_nobody_can_forge_them() -> None:
    async with Recorder() as origin:
        config = upstream(origin)
        config["route"][0]["plugin"] = [{"use": "api-key"}]
        config["consumer"] = [{"name": "bob", "keys": ["the key of bob"], "groups": ["g"]}]
        async with serving(config) as gateway:
            forged = b"x-consumer-name: root\r\nX_Consumer_Groups: root\r\nx-credential-id: 1\r\n"
            request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: x-consumer-groups\r\n" + forged
            assert (await gateway.ask(request + b"\r\n")).status == 401
            assert (await gateway.ask(request + b"x-api-key: the key of bob\r\n\r\n")).status == 200
            seen = origin.requests[-1]
            assert seen.all(b"x-consumer-name") == [b"bob"]
            assert seen.all(b"x-consumer-groups") == [b"g"]
            assert seen.all(b"x_consumer_groups") == []
            config["consumer"][0]["keys"] = ["a new key of bob"]
            await gateway.configure(config)
            assert (await gateway.ask(request + b"x-api-key: the key of bob\r\n\r\n")).status == 401
