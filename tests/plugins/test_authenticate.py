"""The authenticate plugin: the members are real ones, those that wait and those that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.authentication.authenticator import Authenticator, Found
from core.authentication.consumers import Consumer, Credential, key_digest
from core.authentication.identity import Identity
from core.decode import ConfigInvalid
from core.exchange import Exchange
from core.plugin import PluginConfig
from core.site import Site
from core.testing import PluginChain, Sent, site_for
from tests.plugins.make import plugin
from tests.plugins.test_basic_auth import HASHED, PASSWORD, basic

KEY = {"use": "api-key"}
BASIC = {"use": "basic-auth"}
OPENED = {"use": f"{__name__}:Opened"}
GOOD_KEY, BAD_KEY = {"x-api-key": "of bob"}, {"x-api-key": "of nobody"}
ADA = basic("ada", PASSWORD)
WRONG = basic("ada", "wrong")


class Opened(Authenticator):
    """Knows who names itself; counts openings."""

    opened = 0

    def __init__(self, config: PluginConfig, site: Any) -> None:
        super().__init__(config, site, challenge="Opened")

    async def open(self) -> None:
        Opened.opened += 1

    async def close(self) -> None:
        Opened.opened -= 1

    def authenticate(self, exchange: Exchange) -> Found:
        name = exchange.request.headers.get(b"x-i-am")
        return Identity(name.decode(), scheme="opened") if name else None


@pytest.fixture
def site() -> Iterator[Site]:
    made = site_for(route="test")
    made.consumers.fill(
        [Consumer(name="ada"), Consumer(name="bob")],
        {key_digest("of bob"): Credential(consumer="bob", id="bob/0")},
        {"ada": (Credential(consumer="ada", id="ada/password"), HASHED)},
    )
    return made  # type: ignore[return-value]


async def ask(site: Site, headers: dict[str, str], **options: Any) -> tuple[int, str | None]:
    sent = await sent_by(site, headers, **options)
    consumer = sent.exchange.consumer
    return sent.status, consumer and consumer.name


async def sent_by(site: Site, headers: dict[str, str], **options: Any) -> Sent:
    chain = PluginChain(plugin("authenticate", site, **options))
    return await chain.send_waiting(headers=headers)


@pytest.mark.parametrize("members", [[KEY, BASIC, OPENED], [BASIC, OPENED, KEY], [OPENED, BASIC, KEY]])
async def test_any_lets_in_who_one_of_them_knows(site: Site, members: list[Any]) -> None:
    assert await ask(site, GOOD_KEY, any=members) == (200, "bob")
    assert await ask(site, ADA, any=members) == (200, "ada")
    assert await ask(site, {"x-i-am": "eve"}, any=members) == (200, "eve")
    assert await ask(site, {}, any=members) == (401, None)
    assert await ask(site, {}, any=members, optional=True) == (200, None)


async def test_of_any_the_first_that_recognises_a_credential_decides(site: Site) -> None:
    assert await ask(site, BAD_KEY | ADA, any=[KEY, BASIC]) == (401, None)
    assert await ask(site, GOOD_KEY | WRONG, any=[BASIC, KEY]) == (401, None)
    assert await ask(site, GOOD_KEY | WRONG, any=[KEY, BASIC]) == (200, "bob")
    assert await ask(site, GOOD_KEY | ADA, any=[BASIC, KEY]) == (200, "ada")


@pytest.mark.parametrize("members", [[KEY, BASIC], [BASIC, KEY]])
async def test_all_lets_in_whom_each_knows_as_the_first_says(site: Site, members: list[Any]) -> None:
    first = "bob" if members[0] is KEY else "ada"
    assert await ask(site, GOOD_KEY | ADA, all=members) == (200, first)
    for lacking in ({}, GOOD_KEY, ADA, BAD_KEY | ADA, GOOD_KEY | WRONG):
        assert (await ask(site, lacking, all=members))[0] == 401
    assert await ask(site, {}, all=members, optional=True) == (200, None)
    assert (await ask(site, GOOD_KEY, all=members, optional=True))[0] == 401


async def test_a_refusal_names_all_ways_and_the_target_sees_no_credential(site: Site) -> None:
    refused = await sent_by(site, {}, any=[KEY, BASIC, BASIC])
    assert (
        refused.headers.get(b"www-authenticate")
        == b'ApiKey realm="test", Basic realm="agora", charset="UTF-8"'
    )
    sent = await sent_by(site, GOOD_KEY | ADA, any=[KEY, BASIC])
    assert sent.forwarded is not None
    assert not {b"x-api-key", b"authorization"} & dict(sent.forwarded.headers).keys()


async def test_members_are_opened_and_closed(site: Site) -> None:
    made = plugin("authenticate", site, any=[OPENED])
    await made.open()
    assert Opened.opened == 1
    await made.close()
    assert Opened.opened == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "has neither any nor all"),
        ({"any": [KEY], "all": [BASIC]}, "has any and all"),
        ({"any": [{"use": "request-id"}]}, "'request-id' does not authenticate"),
        ({"any": [{"use": "api-key", "place": "x"}]}, "unknown key"),
    ],
)
def test_what_cannot_be_is_refused(site: Site, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        plugin("authenticate", site, **options)
