"""What was changed is told, survives restarts, and can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gateway.api_gateway.asking import HELLO, api_served, body_of


async def test_the_history_tells_who_changed_what() -> None:
    async with api_served() as (api, _):
        await api.post("/routes", json=HELLO)
        await api.patch("/routes/hello", json={"path": "/other"})
        await api.delete("/routes/hello")
        found = (await api.get("/history", params={"limit": 2})).json()
        assert [one["changes"][0]["document"] for one in found["changes"]] == [
            None,
            HELLO | {"path": "/other"},
        ]
        [first] = (await api.get("/history", params={"before": found["next"]})).json()["changes"]
        assert first["changes"] == [{"kind": "route", "name": "hello", "document": HELLO}]
        assert (first["actor"], first["cause"]) == ("admin", "api")
        assert first["time"] > 0


async def test_what_the_file_said_is_in_the_history() -> None:
    filed = {"route": [HELLO], "consumer": [{"name": "alice", "keys": ["a secret key"]}]}
    async with api_served(**filed) as (api, gateway):
        [entry] = (await api.get("/history")).json()["changes"]
        assert (entry["cause"], [one["name"] for one in entry["changes"]]) == ("file", ["alice", "hello"])
        await gateway.configure({**filed, "event_log": {"map_size": "16MiB"}, "route": []})
        latest = (await api.get("/history")).json()["changes"][0]
        assert latest["changes"] == [{"kind": "route", "name": "hello", "document": None}]
        assert "a secret key" not in (await api.get("/history")).text


async def test_a_rollback_is_shown_first_and_then_done_as_one_change() -> None:
    async with api_served() as (api, gateway):
        first = (await api.post("/routes", json=HELLO)).json()
        await api.patch("/routes/hello", json={"respond": {"body": "two"}})
        await api.post("/routes", json=HELLO | {"name": "more", "path": "/more"})
        wish: dict[str, Any] = {"position": first["version"]}
        told = (await api.post("/rollback", json=wish)).json()
        assert not told["applied"]
        assert [(one["name"], one["then"]) for one in told["changes"]] == [("hello", HELLO), ("more", None)]
        assert await body_of(gateway, "/hello") == (200, b"two")
        done = (await api.post("/rollback", json=wish | {"apply": True, "reason": "it was wrong"})).json()
        assert done["applied"]
        assert await body_of(gateway, "/hello") == (200, b"hello")
        assert (await body_of(gateway, "/more"))[0] == 404
        [latest, *_] = (await api.get("/history")).json()["changes"]
        assert (latest["cause"], latest["reason"], len(latest["changes"])) == ("rollback", "it was wrong", 2)
        assert (await api.post("/rollback", json=wish)).json()["changes"] == []
        for wrong in ({"position": 10_000}, {"position": -1}, {}, {"position": 1, "aply": True}):
            assert (await api.post("/rollback", json=wrong)).status_code in (404, 422)


async def test_a_rollback_brings_no_revoked_secret_back() -> None:
    async with api_served(consumer=[{"name": "alice"}]) as (api, _):
        issued = (await api.post("/credentials", json={"consumer": "alice"})).json()
        at = issued["version"]
        await api.delete(f"/credentials/{issued['name']}")
        done = await api.post("/rollback", json={"position": at, "apply": True})
        assert done.json()["changes"] == []
        assert (await api.get("/credentials")).json()["credentials"] == []


async def test_what_was_declared_survives_a_restart(tmp_path: Path) -> None:
    server = {"data_dir": str(tmp_path)}
    async with api_served(server=server) as (api, _):
        await api.post("/routes", json=HELLO)
    async with api_served(server=server) as (api, gateway):
        assert await body_of(gateway, "/hello") == (200, b"hello")
        assert (await api.get("/routes/hello")).json()["owner"] == "api"


async def test_what_does_not_fit_the_file_any_more_is_left_out_and_told(tmp_path: Path) -> None:
    server = {"data_dir": str(tmp_path)}
    upstream = [{"name": "u", "targets": ["http://127.0.0.1:9"]}]
    async with api_served(server=server, upstream=upstream) as (api, _):
        await api.post("/routes", json={"name": "lost", "path": "/lost", "upstream": "u"})
        await api.post("/routes", json=HELLO)
        await api.post("/routes", json=HELLO | {"name": "taken", "path": "/taken"})
    filed = [{"name": "taken", "path": "/taken", "respond": {"body": "of the file"}}]
    async with api_served(server=server, route=filed) as (api, gateway):
        assert await body_of(gateway, "/hello") == (200, b"hello")
        assert await body_of(gateway, "/taken") == (200, b"of the file")
        assert (await body_of(gateway, "/lost"))[0] == 404
        shown = (await api.get("/routes/lost")).json()
        assert "no upstream is called 'u'" in shown["not_in_force"]
        left_out = (await api.get("/status")).json()["not_in_force"]
        assert set(left_out) == {"route 'lost'", "route 'taken'"}
        assert (await api.post("/routes", json=HELLO | {"name": "h2", "path": "/h2"})).status_code == 201
        assert (await api.post("/upstreams", json=upstream[0])).status_code == 201
        assert (await api.get("/routes/lost")).json().get("not_in_force", "") == ""
