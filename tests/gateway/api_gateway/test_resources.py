"""Routes, upstreams and consumers by API: they serve at once, are kept, and lose nobody's change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.api_gateway.asking import HELLO, api_served, body_of
from tests.harness import HELLO as ANSWER
from tests.harness import Origin, answering

FILED = {"route": [{"name": "filed", "path": "/filed", "respond": {"body": "of the file"}}]}


async def test_a_route_serves_as_soon_as_it_is_declared() -> None:
    async with api_served() as (api, gateway):
        assert (await body_of(gateway, "/hello"))[0] == 404
        made = await api.post("/routes", json=HELLO)
        assert made.status_code == 201
        assert made.headers["location"] == "/api/v1/api-gateway/routes/hello"
        assert made.headers["etag"] == f'"{made.json()["version"]}"'
        assert await body_of(gateway, "/hello") == (200, b"hello")


async def test_a_route_is_replaced_patched_and_removed() -> None:
    async with api_served() as (api, gateway):
        await api.post("/routes", json=HELLO)
        await api.put("/routes/hello", json=HELLO | {"respond": {"body": "two"}})
        assert await body_of(gateway, "/hello") == (200, b"two")
        patched = await api.patch("/routes/hello", json={"respond": {"status": 418}, "methods": ["GET"]})
        assert patched.json()["document"]["respond"] == {"body": "two", "status": 418}
        assert await body_of(gateway, "/hello") == (418, b"two")
        await api.patch("/routes/hello", json={"respond": {"status": None}})
        assert await body_of(gateway, "/hello") == (200, b"two")
        assert (await api.delete("/routes/hello")).status_code == 204
        assert (await body_of(gateway, "/hello"))[0] == 404
        assert (await api.get("/routes/hello")).status_code == 404
        assert (await api.delete("/routes/hello")).status_code == 404


async def test_a_put_makes_what_is_not_there() -> None:
    async with api_served() as (api, gateway):
        answer = await api.put("/routes/hello", json={"path": "/hello", "respond": {"body": "hello"}})
        assert answer.status_code == 201
        assert await body_of(gateway, "/hello") == (200, b"hello")
        again = await api.put("/routes/hello", json=HELLO, headers={"if-none-match": "*"})
        assert again.status_code == 409


async def test_with_if_match_nobodys_change_is_lost() -> None:
    async with api_served() as (api, _):
        first = (await api.post("/routes", json=HELLO)).headers["etag"]
        mine = await api.patch("/routes/hello", json={"path": "/mine"}, headers={"if-match": first})
        assert mine.status_code == 200
        for answer in [
            await api.patch("/routes/hello", json={"path": "/yours"}, headers={"if-match": first}),
            await api.put("/routes/hello", json=HELLO, headers={"if-match": first}),
            await api.delete("/routes/hello", headers={"if-match": first}),
            await api.delete("/routes/hello", headers={"if-match": '"of-a-file"'}),
            await api.put("/routes/other", json=HELLO | {"name": "other"}, headers={"if-match": first}),
        ]:
            assert answer.status_code == 412, answer.text
        assert (await api.get("/routes/hello")).json()["document"]["path"] == "/mine"
        known = {"if-none-match": mine.headers["etag"]}
        assert (await api.get("/routes/hello", headers=known)).status_code == 304
        assert (await api.delete("/routes/hello", headers={"if-match": "hello"})).status_code == 422


async def test_what_the_file_declares_is_shown_and_the_files_own() -> None:
    async with api_served(**FILED) as (api, gateway):
        shown = (await api.get("/routes/filed")).json()
        assert (shown["owner"], shown["document"]["path"]) == ("file", "/filed")
        for answer in [
            await api.post("/routes", json=HELLO | {"name": "filed"}),
            await api.put("/routes/filed", json=HELLO | {"name": "filed"}),
            await api.patch("/routes/filed", json={"path": "/other"}),
            await api.delete("/routes/filed"),
        ]:
            assert answer.status_code == 409
            assert "configuration file declares route 'filed': change it there" in answer.json()["detail"]
        assert await body_of(gateway, "/filed") == (200, b"of the file")


@pytest.mark.parametrize(
    ("document", "key", "words"),
    [
        ({"name": "x"}, "route 'x'.path", "is missing"),
        (HELLO | {"pat": 1}, "route 'hello'.pat", "unknown key"),
        (HELLO | {"upstream": "nowhere"}, "route 'hello'", "has upstream and respond"),
        ({"name": "x", "path": "/x", "upstream": "nowhere"}, "route 'x'.upstream", "no upstream is called"),
        (HELLO | {"path": "/healthz"}, "route 'hello'", "takes the same requests as the gateway's own path"),
        (HELLO | {"name": "other", "path": "/filed"}, "route 'other'", "takes the same requests as"),
        (HELLO | {"plugin": [{"use": "rate-limi"}]}, "route 'hello'.plugin[0].use", "did you mean"),
        (HELLO | {"name": "a b"}, "route 'a b'.name", ""),
    ],
)
async def test_what_cannot_be_is_refused_before_it_is_kept(document: Any, key: str, words: str) -> None:
    async with api_served(**FILED) as (api, gateway):
        before = gateway.plane.engines.api_gateway.position
        answer = await api.post("/routes", json=document)
        assert answer.status_code == 422
        [error, *_] = answer.json()["errors"]
        assert error["key"] == key
        assert words in error["wrong"] + error["right"]
        assert gateway.plane.engines.api_gateway.position == before


async def test_an_upstream_that_is_used_stays() -> None:
    async with Origin(answering(ANSWER)) as origin, api_served() as (api, gateway):
        assert (await api.post("/upstreams", json={"name": "u", "targets": [origin.url]})).status_code == 201
        route = {"name": "r", "path": "/r", "upstream": "u"}
        assert (await api.post("/routes", json=route)).status_code == 201
        assert await body_of(gateway, "/r") == (200, b"hello")
        refused = await api.delete("/upstreams/u")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["key"] == "route 'r'.upstream"
        assert await body_of(gateway, "/r") == (200, b"hello")
        assert (await api.delete("/routes/r")).status_code == 204
        assert (await api.delete("/upstreams/u")).status_code == 204


async def test_lists_are_paged_and_filtered() -> None:
    async with api_served(**FILED) as (api, _):
        for number in range(3):
            await api.post("/routes", json=HELLO | {"name": f"r{number}", "path": f"/{number}"})
        page = (await api.get("/routes", params={"limit": 2})).json()
        assert [one["name"] for one in page["routes"]] == ["filed", "r0"]
        rest = (await api.get("/routes", params={"after": page["next"], "owner": "api"})).json()
        assert ([one["name"] for one in rest["routes"]], rest["next"]) == (["r1", "r2"], None)
        assert (await api.get("/routes", params={"owners": "api"})).status_code == 422


async def test_without_an_event_log_changes_are_refused() -> None:
    async with api_served(event_log=None, **FILED) as (api, _):
        answer = await api.post("/routes", json=HELLO)
        assert answer.status_code == 503
        assert "[event_log]" in answer.json()["detail"]
        assert (await api.get("/routes")).json()["routes"][0]["name"] == "filed"
        assert (await api.get("/status")).status_code == 200
