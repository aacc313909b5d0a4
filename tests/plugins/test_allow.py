"""The allow plugin."""

from __future__ import annotations

from typing import Any

import pytest

from core.authentication.identity import Identity
from core.errors import PluginInvalid
from core.exchange import Exchange
from core.testing import PluginChain
from tests.plugins.make import plugin


class Known:
    """Says who the request speaks for."""

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer

    def request(self, exchange: Exchange) -> None:
        """Say it."""
        exchange.consumer = self.consumer


def status(consumer: Any, **rules: Any) -> int:
    chain = PluginChain(Known(consumer), plugin("allow", **rules))
    first, second = chain.send().status, chain.send().status
    assert first == second
    return first


def alice(**claims: Any) -> Identity:
    return Identity("alice", scheme="jwt", groups=["staff"], claims=claims)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"consumers": ["alice"]}, 200),
        ({"consumers": ["bob"]}, 403),
        ({"groups": ["staff", "x"]}, 200),
        ({"groups": ["x"]}, 403),
        ({"groups": ["x"], "consumers": ["alice"]}, 200),
        ({"deny": ["alice"]}, 403),
        ({"deny": ["staff"], "consumers": ["alice"]}, 403),
        ({"deny": ["bob"]}, 200),
    ],
)
def test_goes_by_names_and_groups(rules: dict[str, Any], expected: int) -> None:
    assert status(alice(), **rules) == expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "orders:read orders:write"}, 200),
        ({"scope": ["orders:read"]}, 200),
        ({"scope": "orders:read"}, 200),
        ({"scope": "orders:readx"}, 403),
        ({"scope": [["orders:read"]]}, 403),
        ({"scope": {"orders:read": 1}}, 403),
        ({"scope": None}, 403),
        ({}, 403),
    ],
)
def test_goes_by_claims(claims: dict[str, Any], expected: int) -> None:
    assert status(alice(**claims), claims={"scope": ["orders:read", "orders:all"]}) == expected


def test_all_claims_must_hold() -> None:
    rules = {"scope": ["a"], "level": ["2"], "staff": ["true"]}
    assert status(alice(scope="a", level=2, staff=True), claims=rules) == 200
    assert status(alice(scope="a", level=3, staff=True), claims=rules) == 403


def test_asks_nobody_in_particular_to_say_who_they_are() -> None:
    assert status(None, consumers=["alice"]) == 401
    assert status("alice", consumers=["alice"]) == 200


def test_refuses_to_be_without_a_rule() -> None:
    with pytest.raises(PluginInvalid, match="has no rule"):
        plugin("allow")


def test_the_refusal_tells_nothing_of_the_rules() -> None:
    sent = PluginChain(Known(alice()), plugin("allow", consumers=["the boss"])).send()
    assert b"boss" not in sent.body
    assert sent.forwarded is None
