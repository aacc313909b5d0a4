import asyncio
import ctypes
import re
import shlex
import socket
import stat
from pathlib import Path

import pytest

from tests.harness import Answer, Origin, answering, free_port
from tests.processes.conftest import Start
from tests.processes.served import Served, fixed

PR_CAPBSET_DROP = 24
CAPABILITIES_OVER_FILES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
MANY_ROUTES = {
    "route": [
        {"name": "welcome", "path": "/", "methods": ["GET"], "respond": {"json": {"hello": "world"}}},
        {"name": "item", "path": "/items/{id:int}/{rest:path}", "respond": {"status": 201}},
        {"name": "entry", "path": "/entries/{id:uuid}", "methods": ["PUT"], "respond": {"status": 202}},
        {"name": "hosted", "path": "/hosted", "hosts": ["*.example.test"], "respond": {"status": 203}},
    ],
}


async def curl(command: str) -> Answer:
    """Run a line of the banner as it stands."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), "-s", "--noproxy", "*", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    head, _, body = out.partition(b"\r\n\r\n")
    answer = Answer(head + b"\r\n\r\n")
    answer.body += body
    return answer


async def refused(served: Served) -> str:
    """Return why it did not start, in one line."""
    assert await served.code() == 1, served.output
    assert len(served.lines) == 1, served.output
    return served.lines[0]


async def test_the_banner_names_addresses_and_routes_and_its_curl_lines_work(
    agora: Start, tmp_path: Path
) -> None:
    async with Origin(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as origin:
        upstream = {"upstream": [{"name": "origin", "targets": [origin.url]}]}
        proxied = {"name": "proxied", "path": "/proxied", "upstream": "origin"}
        config = {**MANY_ROUTES, **upstream, "route": [*MANY_ROUTES["route"], proxied]}
        listen = ["127.0.0.1:0", f"unix:{tmp_path}/agora.sock"]
        served = await agora({"server": {"listen": listen}, **config})
        assert (
            f"Agora listens on http://127.0.0.1:{served.port}, http://unix:{tmp_path}/agora.sock"
            in served.lines
        )
        routes = [line.split(maxsplit=1) for line in served.matching(" -> ")]
        assert routes == [
            ["welcome", "GET / -> fixed answer"],
            ["item", "any method /items/{id:int}/{rest:path} -> fixed answer"],
            ["entry", "PUT /entries/{id:uuid} -> fixed answer"],
            ["hosted", "any method /hosted -> fixed answer"],
            ["proxied", "any method /proxied -> upstream origin"],
        ]
        answers = [await curl(line) for line in served.matching("^ +curl ")]
        assert [answer.status for answer in answers] == [200, 201, 202, 203, 200]
        assert (await served.get("/healthz")).status == 200
        assert (await served.get("/readyz")).status == 200
        assert await served.stop() == 0


async def test_the_token_is_shown_once_and_kept_for_the_owner_alone(agora: Start, tmp_path: Path) -> None:
    first = await agora(fixed("hi"))
    shown = re.search(r"its token +(\S+) \(shown once; kept in (.*)\)", first.output)
    assert shown is not None
    token, file = shown.groups()
    assert Path(file) == tmp_path / "var" / "admin-token"
    assert Path(file).read_text() == token
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    status = "/api/v1/api-gateway/status"
    assert (await first.get(status, f"Authorization: Bearer {token}")).status == 200
    assert (await first.get(status, f"Authorization: Bearer {token[:-1]}")).status == 401
    assert (await first.get(status)).status == 401
    assert await first.stop() == 0
    second = await agora(fixed("hi"))
    assert token not in second.output
    assert second.matching(f"its token +in {file}")
    assert (await second.get(status, f"Authorization: Bearer {token}")).status == 200


async def test_a_token_from_the_configuration_is_neither_shown_nor_kept(agora: Start, tmp_path: Path) -> None:
    served = await agora({**fixed("hi"), "admin": {"token": "x" * 32}})
    assert "x" * 32 not in served.output
    assert not served.matching("its token")
    assert not (tmp_path / "var" / "admin-token").exists()
    answer = await served.get("/api/v1/api-gateway/status", f"Authorization: Bearer {'x' * 32}")
    assert answer.status == 200


async def test_a_second_gateway_on_the_same_data_is_refused(agora: Start, tmp_path: Path) -> None:
    first = await agora(fixed("hi"))
    second = await agora(fixed("hi"), wait=False)
    why = await refused(second)
    assert f"{tmp_path}/var is in use by another gateway (process {first.process.pid})" in why
    assert (await first.get("/hello")).status == 200


async def test_data_left_by_a_gateway_that_was_killed_is_taken_over(agora: Start) -> None:
    first = await agora(fixed("hi"))
    first.kill()
    await first.code()
    second = await agora(fixed("hi"))
    assert (await second.get("/hello")).status == 200


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_address_in_use_is_named(agora: Start, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        why = await refused(await agora(fixed("hi", listen=address, workers=workers), wait=False))
    assert f"cannot listen on {address}: Address already in use; is another program listening there?" in why


async def test_two_gateways_never_share_a_port(agora: Start, tmp_path: Path) -> None:
    first = await agora(fixed("hi", workers=2))
    address = f"127.0.0.1:{first.port}"
    config = fixed("hi", workers=2, listen=address, data_dir="other")
    why = await refused(await agora(config, name="other.json", wait=False))
    assert "Address already in use" in why


async def test_a_port_is_taken_over_at_once_from_a_gateway_that_ended(agora: Start) -> None:
    port = free_port()
    for _ in range(2):
        served = await agora(fixed("hi", listen=f"127.0.0.1:{port}"))
        client = await served.connect()
        client.send(b"GET /hello HTTP/1.1\r\nHost: agora.test\r\n\r\n")
        assert (await client.response()).status == 200
        assert await served.stop() == 0  # it closes first: its side of the connection stays in TIME_WAIT
        assert await client.closed()
        client.abort()


async def test_an_address_of_another_machine_is_named(agora: Start) -> None:
    why = await refused(await agora(fixed("hi", listen="192.0.2.1:8000"), wait=False))
    assert "cannot listen on 192.0.2.1:8000: Cannot assign requested address; check the address" in why


async def test_a_data_dir_that_is_a_file_is_named(agora: Start, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("precious")
    why = await refused(await agora(fixed("hi"), wait=False))
    assert f"the data directory {tmp_path}/var cannot be used: File exists" in why
    assert (tmp_path / "var").read_text() == "precious"


async def test_a_data_dir_that_may_not_be_written_to_is_named(agora: Start, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o500)

    def renounce() -> None:
        for capability in CAPABILITIES_OVER_FILES:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

    why = await refused(await agora(fixed("hi"), wait=False, preexec_fn=renounce))
    assert f"the data directory {tmp_path}/var cannot be used: Permission denied" in why


async def test_a_configuration_that_is_wrong_is_refused_before_anything_is_made(
    agora: Start, tmp_path: Path
) -> None:
    wrong = fixed("hi", worker=1)
    why = await refused(await agora(wrong, wait=False))
    assert why.endswith("agora.json: server.worker: unknown key; did you mean 'workers'?")
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_application_that_cannot_start_ends_the_gateway(
    agora: Start, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "broken.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'lifespan'\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    config = {**fixed("hi", workers=workers), "route": [{"name": "app", "path": "/", "app": "broken:app"}]}
    served = await agora(config, wait=False)
    assert await served.code() == 1
    assert served.matching("no database"), served.output
    assert not served.matching("listens on")


async def test_a_unix_socket_is_served_and_found_by_its_path(agora: Start, tmp_path: Path) -> None:
    path = tmp_path / "agora.sock"
    served = await agora(fixed("over unix", listen=f"unix:{path}"))
    assert f"Agora listens on http://unix:{path}" in served.lines
    assert await over_unix(path) == b"over unix"


async def test_a_unix_socket_that_nobody_listens_on_is_replaced(agora: Start, tmp_path: Path) -> None:
    path = tmp_path / "agora.sock"
    first = await agora(fixed("first", listen=f"unix:{path}"))
    first.kill()
    await first.code()
    assert path.is_socket()
    await agora(fixed("second", listen=f"unix:{path}"))
    assert await over_unix(path) == b"second"


async def test_a_unix_socket_that_is_listened_on_is_left_alone(agora: Start, tmp_path: Path) -> None:
    path = tmp_path / "agora.sock"
    await agora(fixed("first", listen=f"unix:{path}"))
    config = fixed("second", listen=f"unix:{path}", data_dir="other")
    why = await refused(await agora(config, name="other.json", wait=False))
    assert f"cannot listen on unix:{path}: Address already in use; is another program listening there?" in why
    assert await over_unix(path) == b"first"


async def test_a_file_where_the_unix_socket_should_be_is_left_alone(agora: Start, tmp_path: Path) -> None:
    path = tmp_path / "agora.sock"
    path.write_text("precious")
    why = await refused(await agora(fixed("hi", listen=f"unix:{path}"), wait=False))
    assert "a file that is no socket is there" in why
    assert path.read_text() == "precious"


async def over_unix(path: Path) -> bytes:
    """Return the body of /hello, asked for on a unix socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /hello HTTP/1.1\r\nHost: agora.test\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]
