"""The basic-auth plugin."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator

import pytest

import plugins.basic_auth
from core.authentication.consumers import Consumer, Credential
from core.authentication.password import NOBODY, hash_password, is_hash, verify
from core.config import ConsumerConfig
from core.decode import ConfigInvalid, Decoder
from core.site import Site
from core.testing import PluginChain, Sent, site_for
from tests.harness import Recorder, serving, upstream
from tests.plugins.make import plugin

PASSWORD = "a pässword: of ada"
HASHED = hash_password(PASSWORD)


@pytest.fixture
def site() -> Iterator[Site]:
    made = site_for(route="test")
    fill(made, "ada")
    return made  # type: ignore[return-value]


def fill(site: Site, *names: str) -> None:
    site.consumers.fill(
        [Consumer(name=name, groups=frozenset({"staff"})) for name in names],
        {},
        {name: (Credential(consumer=name, id=f"{name}/password"), HASHED) for name in names},
    )


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def ask(chain: PluginChain, headers: dict[str, str]) -> Sent:
    return await chain.send_waiting(headers=headers)


async def test_lets_in_who_has_the_password_and_tells_the_target_who_that_is(site: Site) -> None:
    chain = PluginChain(plugin("basic-auth", site))
    for _ in range(2):
        sent = await ask(chain, basic("ada", PASSWORD))
        assert sent.status == 200
        assert sent.forwarded is not None
        told = dict(sent.forwarded.headers)
        assert (told[b"x-consumer-name"], told[b"x-consumer-groups"]) == (b"ada", b"staff")
        assert told[b"x-credential-id"] == b"ada/password"
        assert b"authorization" not in told


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("ada", "wrong"),
        basic("eve", PASSWORD),
        basic("ada", ""),
        basic("ada", "p" * 2000),
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"nocolon").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"authorization": "Bearer abc"},
    ],
)
async def test_refuses_anybody_else_with_a_challenge(site: Site, headers: dict[str, str]) -> None:
    sent = await ask(PluginChain(plugin("basic-auth", site, realm="the shop")), headers)
    assert (sent.status, sent.forwarded) == (401, None)
    assert sent.headers.get(b"www-authenticate") == b'Basic realm="the shop", charset="UTF-8"'


async def test_a_password_that_was_right_is_compared_once_until_consumers_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def counted(hashed: str, password: bytes) -> bool:
        compared.append(hashed)
        return verify(hashed, password)

    monkeypatch.setattr(plugins.basic_auth, "verify", counted)
    chain = PluginChain(plugin("basic-auth", site))
    for _ in range(3):
        assert (await ask(chain, basic("ada", PASSWORD))).status == 200
    assert len(compared) == 1
    await ask(chain, basic("eve", PASSWORD))
    assert compared[1:] == [NOBODY]
    fill(site, "bob")
    assert (await ask(chain, basic("ada", PASSWORD))).status == 401


async def test_more_than_may_wait_are_turned_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def held(hashed: str, password: bytes) -> bool:
        return go.wait(10)

    monkeypatch.setattr(plugins.basic_auth, "verify", held)
    chain = PluginChain(plugin("basic-auth", site, checks=1, waiting=1))
    first = [asyncio.create_task(ask(chain, basic("ada", str(number)))) for number in range(2)]
    await asyncio.sleep(0)
    busy = await ask(chain, basic("ada", "another"))
    go.set()
    assert (busy.status, [sent.status for sent in await asyncio.gather(*first)]) == (503, [200, 200])


async def test_who_sends_nothing_goes_on_where_it_is_optional(site: Site) -> None:
    sent = await ask(PluginChain(plugin("basic-auth", site, optional=True)), {})
    assert (sent.status, sent.exchange.consumer) == (200, None)


def test_what_nobody_is_compared_with_is_a_hash_of_the_usual_cost() -> None:
    assert is_hash(NOBODY)
    assert NOBODY.split("$")[:4] == HASHED.split("$")[:4]
    assert not verify(NOBODY, b"")


def test_a_password_in_a_configuration_is_a_hash() -> None:
    assert Decoder().decode({"name": "ada", "password": HASHED}, ConsumerConfig).password is not None
    with pytest.raises(ConfigInvalid, match="is not an argon2 hash; `agora hash-password` makes one"):
        Decoder().decode({"name": "ada", "password": "secret"}, ConsumerConfig)


async def test_over_sockets() -> None:
    async with Recorder() as origin:
        config = upstream(origin) | {"consumer": [{"name": "ada", "password": HASHED}]}
        config["route"][0]["plugin"] = [{"use": "basic-auth"}]
        async with serving(config) as gateway:
            head = f"authorization: {basic('ada', PASSWORD)['authorization']}\r\n"
            answer = await gateway.ask(f"GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
            assert answer.status == 200
            assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 401
