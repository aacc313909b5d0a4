"""Tokens are verified as PyJWT verifies them."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.authentication.token_keys import secret_key
from core.authentication.token_verifier import TokenRefused, TokenVerifier

SECRET = "a secret of sixty-four bytes, which is what HS512 asks of one, and more"
KEYS = [secret_key(SECRET)]
NOW = int(time.time())
times = st.none() | st.integers(-90, -30) | st.integers(30, 90)  # seconds from the moment of the test
names = st.none() | st.sampled_from(["us", "them", ""])


def ours(token: bytes, rules: dict[str, Any]) -> dict[str, Any] | None:
    verifier = TokenVerifier(
        algorithms=["HS256", "HS512"],
        issuers=rules["issuers"],
        audiences=rules["audiences"],
        required=rules["required"],
        leeway=rules["leeway"],
    )
    try:
        return verifier.verify(token, KEYS, time.time())
    except TokenRefused:
        return None


def theirs(token: bytes, rules: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return dict(
            jwt.decode(
                token,
                SECRET,
                algorithms=["HS256", "HS512"],
                issuer=rules["issuers"] or None,
                audience=rules["audiences"] or None,
                leeway=rules["leeway"],
                options={
                    "require": rules["required"],
                    "verify_aud": bool(rules["audiences"]),
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        )
    except (jwt.PyJWTError, ValueError):
        return None


rules = st.fixed_dictionaries(
    {
        "issuers": st.lists(st.sampled_from(["us", "i"]), max_size=2),
        "audiences": st.lists(st.sampled_from(["us", "a"]), max_size=2),
        "required": st.lists(st.sampled_from(["exp", "nbf", "sub"]), max_size=2),
        "leeway": st.sampled_from([0, 60]),
    }
)
claims = st.fixed_dictionaries(
    {
        "exp": times,
        "nbf": times,
        "iss": names,
        "aud": names | st.lists(names.filter(bool), max_size=2),
        "sub": names,
    }
)


@given(claims, rules, st.sampled_from(["HS256", "HS512"]))
def test_agrees_about_claims(said: dict[str, Any], held_to: dict[str, Any], algorithm: str) -> None:
    now = int(time.time())
    dated = {
        name: now + value if name in ("exp", "nbf") else value
        for name, value in said.items()
        if value is not None
    }
    token = jwt.encode(dated, SECRET, algorithm).encode()
    assert ours(token, held_to) == theirs(token, held_to)


EASY: dict[str, Any] = {"issuers": [], "audiences": [], "required": [], "leeway": 0}
TOKEN = jwt.encode({"sub": "a", "exp": NOW + 86_400}, SECRET, "HS256").encode()


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, 255))
def test_a_changed_byte_is_found(place: int, byte: int) -> None:
    changed = TOKEN[:place] + bytes([byte]) + TOKEN[place + 1 :]
    assert (ours(changed, EASY) is not None) == (changed == TOKEN)


@given(st.binary(max_size=60), st.integers(0, len(TOKEN)))
def test_nothing_may_be_added_or_left_out(data: bytes, place: int) -> None:
    if data:
        assert ours(TOKEN[:place] + data + TOKEN[place:], EASY) is None
    if place < len(TOKEN):
        assert ours(TOKEN[:place], EASY) is None


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["1", True, [], {}, float("1e400")])
def test_times_are_numbers(name: str, value: Any) -> None:
    token = jwt.api_jws.PyJWS().encode(json.dumps({name: value}).encode(), SECRET.encode(), "HS256")
    assert ours(token.encode(), EASY) is None
