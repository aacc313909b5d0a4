"""Changes by API in a gateway of several workers: each worker has them, and nobody's is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import Any

import httpx

from tests.harness import PATIENCE, Client
from tests.processes.conftest import Start
from tests.processes.served import Served, fixed, get
from tests.processes.test_workers import abort, on_each

PREFIX = "/api/v1/api-gateway"


def control(served: Served) -> httpx.AsyncClient:
    token = (served.file.parent / "var" / "admin-token").read_text().strip()
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{served.port}{PREFIX}",
        headers={"authorization": f"Bearer {token}", "connection": "close"},
        timeout=PATIENCE,
    )


def two_workers(**config: Any) -> dict[str, Any]:
    return fixed("of the file", workers=2) | {"event_log": {"map_size": "64MiB"}} | config


async def status_of(client: Client, path: str, *fields: str) -> int:
    return (await get(client, path, *fields)).status


async def until_all(clients: list[Client], path: str, status: int, *fields: str) -> float:
    """Ask on each connection until each worker answers so; return the seconds that it took."""
    began = time.perf_counter()
    async with asyncio.timeout(PATIENCE):
        for client in clients:
            while await status_of(client, path, *fields) != status:
                await asyncio.sleep(0)
    return time.perf_counter() - began


async def test_a_change_is_in_force_in_every_worker(agora: Start) -> None:
    served = await agora(two_workers())
    clients = await on_each(served, 1)
    both = [clients[0][0], clients[1][0]]
    async with control(served) as api:
        for number in range(5):
            document = {"name": f"r{number}", "path": f"/r{number}", "respond": {"body": "declared"}}
            assert (await api.post("/routes", json=document)).status_code == 201
            await until_all(both, f"/r{number}", 200)
        assert (await api.delete("/routes/r0")).status_code == 204
        await until_all(both, "/r0", 404)
    abort(clients)


async def test_a_revoked_credential_is_void_in_every_worker(agora: Start) -> None:
    keyed = {
        "consumer": [{"name": "alice"}],
        "route": [{"name": "k", "path": "/k", "respond": {"body": "in"}, "plugin": [{"use": "api-key"}]}],
    }
    served = await agora(two_workers(**keyed))
    clients = await on_each(served, 1)
    both = [clients[0][0], clients[1][0]]
    async with control(served) as api:
        issued = (await api.post("/credentials", json={"consumer": "alice"})).json()
        await until_all(both, "/k", 200, f"x-api-key: {issued['secret']}")
        assert (await api.delete(f"/credentials/{issued['name']}")).status_code == 204
        await until_all(both, "/k", 401, f"x-api-key: {issued['secret']}")
    abort(clients)


async def test_changes_made_through_both_workers_at_once_all_count(agora: Start) -> None:
    served = await agora(two_workers())
    async with control(served) as api:

        async def declare(number: int) -> None:
            document = {"name": f"r{number}", "path": f"/r{number}", "respond": {"body": "declared"}}
            assert (await api.post("/routes", json=document)).status_code == 201

        await asyncio.gather(*[declare(number) for number in range(20)])
        listed = (await api.get("/routes", params={"owner": "api"})).json()["routes"]
        history = (await api.get("/history", params={"kind": "route"})).json()["changes"]
    assert len(listed) == 20
    assert sorted(entry["version"] for entry in history) == list(range(1, 22))


async def test_of_two_changes_of_one_version_one_is_refused(agora: Start) -> None:
    served = await agora(two_workers())
    async with control(served) as api:
        made = await api.post("/routes", json={"name": "r", "path": "/r", "respond": {"body": "0"}})
        tag = {"if-match": made.headers["etag"]}
        answers = await asyncio.gather(
            *[api.patch("/routes/r", json={"respond": {"body": str(n)}}, headers=tag) for n in range(6)]
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5


async def test_a_killed_worker_comes_back_with_what_was_declared(agora: Start) -> None:
    served = await agora(two_workers())
    async with control(served) as api:
        await api.post("/routes", json={"name": "r", "path": "/r", "respond": {"body": "declared"}})
    os.kill(served.workers()[0], signal.SIGKILL)
    await served.line(r"worker 0 is process", 2)
    clients = await on_each(served, 1)
    await until_all([clients[0][0], clients[1][0]], "/r", 200)
    abort(clients)


async def test_the_file_is_read_again_beside_what_was_declared(agora: Start) -> None:
    served = await agora(two_workers())
    async with control(served) as api:
        await api.post("/routes", json={"name": "r", "path": "/r", "respond": {"body": "declared"}})
        await served.reload(json.loads(json.dumps(two_workers())), workers=2)
        assert (await served.get("/r")).status == 200
        latest = (await api.get("/history")).json()["changes"]
        assert [entry["cause"] for entry in latest] == ["api", "file"]
