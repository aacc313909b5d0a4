import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Origin, answering
from tests.processes.conftest import Start
from tests.processes.load import Load
from tests.processes.served import Served, eventually, fixed, get, proxied, write_config

RELOADS = 50
ORIGIN = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def rate_limited(limit: str, body: str = "hi", **server: Any) -> dict[str, Any]:
    config = fixed(body, **server)
    config["route"][0]["plugin"] = [{"use": "rate-limit", "limit": limit}]
    return config


async def answers(served: Served, body: str) -> None:
    """Wait until /hello answers with a body."""

    async def seen() -> bool:
        return bytes((await served.get("/hello")).body) == body.encode()

    await eventually(seen, f"/hello answers {body!r}")


async def test_hang_up_puts_the_file_in_force(agora: Start) -> None:
    served = await agora(fixed("old"))
    client = await served.connect()
    assert (await get(client, "/hello")).body == b"old"
    await served.reload(fixed("new"))
    assert (await get(client, "/hello")).body == b"new"  # also on connections that are open
    client.abort()


async def test_a_file_that_is_written_in_place_is_put_in_force(agora: Start) -> None:
    served = await agora(fixed("old"))
    served.file.write_text(json.dumps(fixed("new")))
    await served.line("reloaded")
    await answers(served, "new")
    served.file.write_text(json.dumps(fixed("newer")))
    await served.line("reloaded", 2)
    await answers(served, "newer")


async def test_a_file_that_is_replaced_is_put_in_force(agora: Start) -> None:
    served = await agora(fixed("old"))
    for turn in range(1, 3):
        write_config(served.file, fixed(f"new {turn}"))
        await served.line("reloaded", turn)
        await answers(served, f"new {turn}")


async def test_a_link_that_comes_to_lead_elsewhere_is_followed(agora: Start, tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "agora.json").write_text(
            json.dumps(fixed(version, data_dir=str(tmp_path / "var")))
        )
    (tmp_path / "current").symlink_to("one")
    served = await agora(fixed("unused"))
    await served.stop()
    served.file.unlink()
    served.file.symlink_to("current/agora.json")
    linked = await Served.start(served.file)
    try:
        await linked.ready()
        await answers(linked, "one")
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(tmp_path / "current")  # how a mounted volume of settings changes
        await linked.line("reloaded")
        await answers(linked, "two")
        changed = json.dumps(fixed("three", data_dir=str(tmp_path / "var")))
        (tmp_path / "two" / "agora.json").write_text(changed)
        await linked.line("reloaded", 2)
        await answers(linked, "three")
    finally:
        linked.kill()
        await linked.code()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_broken_file_is_refused_and_the_old_one_stays(agora: Start, workers: int) -> None:
    served = await agora(fixed("old", workers=workers))
    wrong = fixed("new", workers=workers)
    wrong["route"][0]["respond"]["stauts"] = 200
    write_config(served.file, wrong)
    served.signal(signal.SIGHUP)
    why = await served.line("reload refused")
    place = "agora.json: route[0].respond.stauts"
    assert why.endswith(f"reload refused: {served.file.parent}/{place}: unknown key; did you mean 'status'?")
    await answers(served, "old")
    served.file.write_text("{")
    assert "agora.json" in await served.line("reload refused", 2)
    await answers(served, "old")
    served.file.unlink()
    served.signal(signal.SIGHUP)
    assert "cannot be read: No such file or directory" in await served.line("reload refused.*cannot be read")
    await answers(served, "old")
    assert not served.matching("reloaded")
    await served.reload(fixed("mended", workers=workers), workers=workers)
    await answers(served, "mended")


async def test_what_only_shows_when_a_file_is_put_in_force_is_refused_too(
    agora: Start, tmp_path: Path
) -> None:
    served = await agora(fixed("old"))
    (tmp_path / "broken.py").write_text("raise RuntimeError('not today')\n")
    broken = fixed("new")
    broken["route"].append({"name": "app", "path": "/app", "app": "broken:app"})
    write_config(served.file, broken)
    assert "not today" in await served.line("reload refused")
    await answers(served, "old")


async def test_settings_that_are_fixed_at_start_are_named(agora: Start) -> None:
    served = await agora(fixed("old"))
    await served.reload(fixed("new", listen="127.0.0.1:1", workers=3, data_dir="elsewhere"))
    line = await served.line("restart the gateway")
    assert "server.listen, server.workers, server.data_dir" in line
    await answers(served, "new")


async def test_fifty_reloads_under_load_fail_no_request(agora: Start, tmp_path: Path) -> None:
    async with Origin(ORIGIN) as origin:

        def version(number: int) -> dict[str, Any]:
            """Lead to another upstream every other time, so that pools are taken over and also made anew."""
            config = proxied(origin.url)
            config["upstream"][0]["max_idle"] = 8 + number % 2
            config["route"].append({"name": "hello", "path": "/hello", "respond": {"body": str(number)}})
            return config

        served = await agora(version(0))
        async with Load(served) as fixed_load, Load(served, "/ok") as proxied_load:
            for number in range(1, RELOADS + 1):
                await served.reload(version(number))
                await asyncio.gather(fixed_load.more(8), proxied_load.more(8))
                assert (await served.get("/hello")).body == str(number).encode()
    assert fixed_load.broken == proxied_load.broken == 0
    assert {status for status, _ in fixed_load.answers} == {200}
    assert {body for _, body in fixed_load.answers} <= {b"%d" % number for number in range(RELOADS + 1)}
    assert set(proxied_load.answers) == {(200, b"ok")}


async def test_changes_of_the_file_under_load_fail_no_request(agora: Start) -> None:
    served = await agora(fixed("0"))
    async with Load(served) as load:
        for number in range(1, 4):
            write_config(served.file, fixed(str(number)))
            await served.line("reloaded", number)
            await load.more(8)
    assert load.broken == 0
    assert set(load.answers) == {(200, b"%d" % number) for number in range(4)}


async def test_all_workers_reload(agora: Start) -> None:
    served = await agora(fixed("old", workers=2))
    async with Load(served, clients=16) as load:
        for number in range(1, 6):
            await served.reload(fixed(str(number), workers=2), workers=2)
            for _ in range(16):  # whichever worker it comes to
                assert (await served.get("/hello")).body == str(number).encode()
            await load.more(16)
    assert load.broken == 0
    assert {status for status, _ in load.answers} == {200}


async def test_a_worker_can_be_reloaded_alone(agora: Start) -> None:
    served = await agora(fixed("old", workers=2))
    os.kill(served.workers()[0], signal.SIGHUP)
    await served.line("reloaded")
    await answers(served, "old")


async def test_no_reload_is_lost_on_a_gateway_that_is_starting(agora: Start, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    pathlib.Path('starting').touch()\n"
        "    while not pathlib.Path('go').exists():\n"
        "        await __import__('asyncio').sleep(0.01)\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.shutdown.complete'})\n"
    )

    def version(body: str) -> dict[str, Any]:
        config = fixed(body)
        config["route"].append({"name": "slow", "path": "/slow", "app": "slow:app"})
        return config

    served = await agora(version("old"), wait=False)
    await eventually((tmp_path / "starting").exists, "the application is starting")
    write_config(served.file, version("new"))
    served.signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    await served.ready()
    await served.line("reloaded")
    await answers(served, "new")


async def test_rates_outlive_reloads_and_restarts(agora: Start) -> None:
    served = await agora(rate_limited("3/day"))
    statuses = [(await served.get("/hello")).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    await served.reload(rate_limited("3/day", "new"))
    assert (await served.get("/hello")).status == 429
    served.kill()
    await served.code()
    again = await agora(rate_limited("3/day"))
    assert (await again.get("/hello")).status == 429
