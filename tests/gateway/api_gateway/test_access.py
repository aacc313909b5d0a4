"""Tokens and credentials: shown once, kept as hashes, void at once; roles allow what they say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway.api_gateway.asking import HELLO, TOKEN, api_served, bearer, body_of

KEYED: dict[str, Any] = {
    "consumer": [{"name": "alice", "groups": ["staff"]}],
    "route": [{"name": "k", "path": "/k", "respond": {"body": "in"}, "plugin": [{"use": "api-key"}]}],
}


async def made_token(api: httpx.AsyncClient, role: str, **wish: Any) -> str:
    answer = await api.post("/tokens", json={"name": f"a-{role}", "role": role, **wish})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    secret: str = answer.json()["secret"]
    return secret


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody", "Basic YTpi", f"Bearer {TOKEN}x"])
async def test_nothing_is_answered_without_a_token(header: str) -> None:
    async with api_served() as (api, _):
        for path in ("/status", "/routes", "/tokens", "/requests", "/nothing"):
            answer = await api.get(path, headers={"authorization": header})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="agora"')


async def test_a_role_allows_what_it_says() -> None:
    async with api_served() as (api, _):
        viewer, operator = bearer(await made_token(api, "viewer")), bearer(await made_token(api, "operator"))
        assert (await api.get("/routes", headers=viewer)).status_code == 200
        refused = await api.post("/routes", json=HELLO, headers=viewer)
        assert refused.status_code == 403
        assert refused.json()["detail"] == "a-viewer is viewer; this needs operator"
        made = await api.post("/routes", json=HELLO, headers=operator)
        assert (made.status_code, made.json()["actor"]) == (201, "a-operator")
        for given in (viewer, operator):
            assert (await api.get("/tokens", headers=given)).status_code == 403
            wish = {"name": "mine", "role": "admin"}
            assert (await api.post("/tokens", json=wish, headers=given)).status_code == 403
            assert (await api.delete("/tokens/a-viewer", headers=given)).status_code == 403
        admin = bearer(await made_token(api, "admin"))
        assert (await api.get("/tokens", headers=admin)).status_code == 200


async def test_a_token_is_shown_once_and_void_when_it_is_removed() -> None:
    async with api_served() as (api, gateway):
        secret = await made_token(api, "viewer")
        everything = "".join(
            [(await api.get(path)).text for path in ("/tokens", "/tokens/a-viewer", "/history", "/dashboard")]
        )
        assert secret not in everything
        assert "sha256" not in everything
        log = gateway.plane.engines.log
        assert log is not None
        assert all(secret.encode() not in event.data for event in log.read_all().events)
        assert (await api.get("/status", headers=bearer(secret))).status_code == 200
        assert (await api.delete("/tokens/a-viewer")).status_code == 204
        assert (await api.get("/status", headers=bearer(secret))).status_code == 401


async def test_a_token_expires() -> None:
    async with api_served() as (api, gateway):
        secret = await made_token(api, "viewer", seconds=60)
        control = gateway.plane.engines.api_gateway
        expires = (await api.get("/tokens/a-viewer")).json()["expires"]
        assert control._access.find(secret, expires - 1) is not None
        assert control._access.find(secret, expires) is None


@pytest.mark.parametrize(
    "wish", [{"name": "a", "role": "king"}, {"name": "a"}, {"name": "a", "role": "viewer", "seconds": -1}]
)
async def test_a_token_that_cannot_be_is_refused(wish: dict[str, Any]) -> None:
    async with api_served() as (api, _):
        assert (await api.post("/tokens", json=wish)).status_code == 422


async def test_a_credential_opens_a_route_until_it_is_revoked() -> None:
    async with api_served(**KEYED) as (api, gateway):
        issued = (await api.post("/credentials", json={"consumer": "alice"})).json()
        head = f"x-api-key: {issued['secret']}\r\n"
        assert await body_of(gateway, "/k", head) == (200, b"in")
        assert issued["secret"] not in (await api.get("/credentials")).text + (await api.get("/history")).text
        assert (await api.delete(f"/credentials/{issued['name']}")).status_code == 204
        assert (await body_of(gateway, "/k", head))[0] == 401


async def test_a_rotated_credential_holds_a_while_beside_the_new_one() -> None:
    async with api_served(**KEYED) as (api, gateway):
        old = (await api.post("/credentials", json={"consumer": "alice"})).json()
        new = (await api.post(f"/credentials/{old['name']}/rotate", params={"overlap": 60})).json()
        for one in (old, new):
            assert await body_of(gateway, "/k", f"x-api-key: {one['secret']}\r\n") == (200, b"in")
        at_once = (await api.post(f"/credentials/{new['name']}/rotate", params={"overlap": 0})).json()
        assert (await body_of(gateway, "/k", f"x-api-key: {new['secret']}\r\n"))[0] == 401
        assert await body_of(gateway, "/k", f"x-api-key: {at_once['secret']}\r\n") == (200, b"in")
        assert (await api.post("/credentials/nobody/rotate")).status_code == 404
        assert (await api.post(f"/credentials/{new['name']}/rotate?overlap=long")).status_code == 422


async def test_a_consumer_goes_with_its_credentials() -> None:
    async with api_served(route=KEYED["route"]) as (api, gateway):
        assert (await api.post("/consumers", json={"name": "bob"})).status_code == 201
        issued = (await api.post("/credentials", json={"consumer": "bob"})).json()
        head = f"x-api-key: {issued['secret']}\r\n"
        assert await body_of(gateway, "/k", head) == (200, b"in")
        assert (await api.delete("/consumers/bob")).status_code == 204
        assert (await body_of(gateway, "/k", head))[0] == 401
        assert (await api.get("/credentials")).json()["credentials"] == []
        assert (await api.post("/credentials", json={"consumer": "bob"})).status_code == 404


async def test_a_secret_is_declared_by_reference_and_by_admins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "a-key-of-at-least-thirty-two-bytes!")
    route = HELLO | {
        "plugin": [{"use": "jwt", "keys": [{"secret": "env:SIGNING_KEY"}], "algorithms": ["HS256"]}]
    }
    literal = HELLO | {
        "plugin": [{"use": "jwt", "keys": [{"secret": "plain text"}], "algorithms": ["HS256"]}]
    }
    async with api_served() as (api, _):
        refused = await api.post("/routes", json=literal)
        assert refused.status_code == 422, refused.text
        assert "is written out" in refused.text
        assert "plain text" not in refused.text
        operator = bearer(await made_token(api, "operator"))
        refused = await api.post("/routes", json=route, headers=operator)
        assert refused.status_code == 422
        assert "only a token of role admin may use it" in refused.text
        made = await api.post("/routes", json=route)
        assert made.status_code == 201, made.text
        assert "a-key-of-at-least" not in made.text + (await api.get("/history")).text
