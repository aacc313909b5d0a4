import asyncio
import json
import os
import resource
import signal
from pathlib import Path

from tests.harness import Origin, answering
from tests.processes.conftest import Start
from tests.processes.load import Load
from tests.processes.served import AGORA, Served, eventually, fixed, get, proxied

SPARE = 20  # file descriptors that the gateway is left with
ORIGIN = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def leave_descriptors(process: int, spare: int) -> None:
    """Let a process open so many more files than it has open."""
    highest = max(int(name) for name in os.listdir(f"/proc/{process}/fd"))
    _, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))


async def test_without_descriptors_connections_wait_and_are_served_later(agora: Start) -> None:
    served = await agora(fixed("hi"))
    leave_descriptors(served.process.pid, SPARE)
    clients = [await served.connect() for _ in range(3 * SPARE)]
    for client in clients:
        client.send(b"GET /hello HTTP/1.1\r\nHost: agora.test\r\n\r\n")
    await served.line("no file descriptors left")
    for client in clients[:SPARE]:
        assert (await client.response()).status == 200
    for client in clients[:SPARE]:  # those that have one are served on
        assert (await get(client, "/hello")).status == 200
    waiting = clients
    while waiting:
        now, waiting = waiting[:SPARE], waiting[SPARE:]
        for client in now:
            client.abort()
        for client in waiting[:SPARE]:
            assert (await client.response()).body == b"hi"
    assert (await served.get("/hello")).status == 200
    assert await served.stop() == 0


async def test_without_descriptors_for_the_upstream_requests_fail_one_by_one(agora: Start) -> None:
    async with Origin(ORIGIN) as origin:
        served = await agora(proxied(origin.url))
        clients = [await served.connect() for _ in range(4)]
        for client in clients:
            assert (await served.worker_of(client)) == 0  # it is accepted
        leave_descriptors(served.process.pid, 0)
        for client in clients:
            assert (await get(client, "/ok")).status in (502, 503)
        leave_descriptors(served.process.pid, SPARE)
        for client in clients:
            assert (await get(client, "/ok")).status == 200
            client.abort()
        assert await served.stop() == 0


async def test_a_reload_without_descriptors_is_refused(agora: Start) -> None:
    served = await agora(fixed("old"))
    client = await served.connect()
    assert (await get(client, "/hello")).body == b"old"
    leave_descriptors(served.process.pid, 0)
    served.file.write_text(json.dumps(fixed("new")))
    served.signal(signal.SIGHUP)
    await served.line("reload refused")
    assert (await get(client, "/hello")).body == b"old"
    leave_descriptors(served.process.pid, SPARE)
    await served.reload()
    assert (await get(client, "/hello")).body == b"new"
    client.abort()


async def requests_logged(served: Served) -> int:
    """Return how many exchanges `agora requests` finds in the log."""
    process = await asyncio.create_subprocess_exec(
        AGORA, "requests", str(served.file), "--json", "--number", "0", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return len(out.splitlines())


async def test_a_full_disk_stops_the_request_log_and_nothing_else(agora: Start, tmp_path: Path) -> None:
    config = fixed("hi")
    config["route"][0]["plugin"] = [{"use": "request-log", "flush_interval": "10ms"}]
    served = await agora(config)
    async with Load(served) as load:
        await load.more(1_000)
        size = (tmp_path / "var" / "requests" / "data.mdb").stat().st_size
        _, hard = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (size, hard))
        await served.line("ERROR.*request log .*File too large")
        await load.more(2_000)
        assert (await served.get("/healthz")).status == 200
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await load.more(1_000)
    assert load.broken == 0
    assert set(load.answers) == {(200, b"hi")}

    async def caught_up() -> bool:
        return await requests_logged(served) == load.answered

    await eventually(caught_up, "what waited for the disk is in the log")
    assert await served.stop() == 0
