"""The gateway as an ASGI application: Starlette's TestClient, event loops, start and stop, mounting."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import StarletteDeprecationWarning
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

from core.decode import ConfigInvalid
from core.errors import AgoraError
from gateway.app import AsgiGateway, create_app
from gateway.config import from_data
from gateway.identity import lock_data_dir
from tests.gateway.both_doors import ROOT, Backend, agree, config_for, request
from tests.harness import PATIENCE, Answer, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore", StarletteDeprecationWarning)  # about the client library under it
    from starlette.testclient import TestClient, WebSocketDenialResponse


def settings(folder: Path, **tables: Any) -> dict[str, Any]:
    """Return a small configuration as data."""
    route = {"name": "fixed", "path": "/fixed", "respond": {"body": "fixed"}}
    return {"server": {"data_dir": str(folder / "data")}, "route": [route], **tables}


def client_of(app: Any, **options: Any) -> TestClient:
    """Return a client that says no more than it is told to."""
    options.setdefault("client", ("127.0.0.1", 1))
    client = TestClient(app, base_url="http://example.test", follow_redirects=False, **options)
    client.headers.clear()
    return client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(create_app(from_data(settings(tmp_path)))) as made:
        yield made


# -- the same answers as the native door --------------------------------------------------------------

ASKED: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/fixed?a=1", {}, b""),
    ("HEAD", "/fixed", {}, b""),
    ("POST", "/fixed", {}, b"hello"),
    ("DELETE", "/fixed", {}, b""),
    ("GET", "/moved", {}, b""),
    ("GET", "/nowhere", {}, b""),
    ("GET", "/denied", {}, b""),
    ("GET", "/healthz", {}, b""),
    ("GET", "/up/a%2Fb/%7ec?q=%20", {"X-A": "1", "X-Forwarded-For": "203.0.113.9"}, b""),
    ("HEAD", "/up/a", {}, b""),
    ("POST", "/up/a", {"Content-Type": "text/plain"}, b"hello"),
    ("POST", "/small/a", {}, b"hello world"),
    ("GET", "/edited/a", {"X-Gone": "1"}, b""),
    ("GET", "/app/%20/scope?q=1", {"X-A": "1"}, b""),
    ("POST", "/app/echo", {}, b"hello" * 100_000),
    ("GET", "/app/empty", {}, b""),
    ("GET", "/app/cookies", {}, b""),
    ("GET", "/app/large", {}, b""),
    ("GET", "/app/fails", {}, b""),
]


async def test_gives_the_same_answers_as_the_native_door(tmp_path: Path) -> None:
    backend = Backend()

    def ask_all(config: dict[str, Any]) -> list[Answer]:
        with client_of(create_app(from_data(config))) as client:
            return [
                told(client.request(method, path, headers=fields, content=body or None))
                for method, path, fields, body in ASKED
            ]

    async with backend.origin, serving(config_for(backend.origin.port), system=True) as native:
        config = config_for(backend.origin.port)
        config["server"]["data_dir"] = str(tmp_path)
        answers = await asyncio.to_thread(ask_all, config)
        for (method, path, fields, body), theirs in zip(ASKED, answers, strict=True):
            lines = [f"{name}: {value}" for name, value in fields.items()]
            lines += [f"Content-Length: {len(body)}"] if body or method == "POST" else []
            ours = await native.ask(request(f"{method} {path}", *lines, body=body), to_head=method == "HEAD")
            agree(ours, theirs, *([b"via"] if ours.status == 413 else []))


def told(response: Any) -> Answer:
    """Return a response of the client's library as the harness has them."""
    fields = b"".join(b"%b: %b\r\n" % pair for pair in response.headers.raw)
    answer = Answer(b"HTTP/1.1 %d \r\n%b\r\n" % (response.status_code, fields))
    answer.body += response.content
    return answer


def test_carries_websockets(tmp_path: Path) -> None:
    route = {"name": "app", "path": "/app/{rest:path}", "app": "tests.gateway.apps:app"}
    with client_of(create_app(from_data(settings(tmp_path, route=[route])))) as client:
        with client.websocket_connect("/app/echo", subprotocols=["a"]) as socket:
            assert socket.accepted_subprotocol == "a"
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
            socket.send_bytes(b"hello")
            assert socket.receive_bytes() == b"hello"
            socket.send_text("close")
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert (closed.value.code, closed.value.reason) == (4003, "as asked")
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/app/denies"):
            pass
        assert (denied.value.status_code, denied.value.content) == (418, b"teapot")


# -- event loops --------------------------------------------------------------------------------------


def test_starts_by_itself_where_the_server_sends_no_lifespan(tmp_path: Path) -> None:
    client = client_of(create_app(from_data(settings(tmp_path))))
    for _ in range(20):  # each request has a loop of its own here, and so a data plane
        assert client.get("/fixed").text == "fixed"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_new_loop_gets_a_new_data_plane(tmp_path: Path, new_loop: Any) -> None:
    gateway = AsgiGateway(from_data(settings(tmp_path)))

    async def twice() -> Any:
        first, second = await asyncio.gather(gateway.plane(), gateway.plane())
        assert first is second
        return first

    planes = []
    for _ in range(2):
        loop = new_loop()
        planes.append(loop.run_until_complete(twice()))
        loop.close()
    assert planes[0] is not planes[1]


async def test_a_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "agora.json"
    gateway = AsgiGateway(file)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        await gateway.plane()
    file.write_text(json.dumps(settings(tmp_path)))
    plane = await gateway.plane()
    assert plane.ready
    await plane.close()


# -- starting and stopping ----------------------------------------------------------------------------


def test_nothing_is_read_at_import() -> None:
    environment = {**os.environ, "AGORA_CONFIG": "/nowhere/agora.toml"}
    code = "import gateway.app; print(type(gateway.app.app).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"Starlette"]


def test_the_file_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "agora.json"
    file.write_text(json.dumps(settings(tmp_path)))
    monkeypatch.setenv("AGORA_CONFIG", str(file))
    with client_of(create_app()) as client:
        assert client.get("/fixed").text == "fixed"
    monkeypatch.delenv("AGORA_CONFIG")
    with pytest.raises(ConfigInvalid, match="AGORA_CONFIG: is not set"), client_of(create_app()):
        pass


def test_an_application_that_cannot_start_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    route = {"name": "app", "path": "/app", "app": f"{__name__}:broken"}
    app = create_app(from_data(settings(tmp_path, route=[route])))
    with pytest.raises(AgoraError, match="no database"), client_of(app):
        pass


async def broken(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def test_shares_its_data_directory_with_its_like_but_not_with_a_gateway_of_its_own(tmp_path: Path) -> None:
    config = from_data(settings(tmp_path))
    with client_of(create_app(config)), client_of(create_app(config)) as second:
        assert second.get("/fixed").text == "fixed"
        with pytest.raises(AgoraError, match="in use"):
            lock_data_dir(Path(config.server.data_dir))
    with lock_data_dir(Path(config.server.data_dir)), pytest.raises(AgoraError, match="in use"):
        client_of(create_app(config)).__enter__()


def test_follows_its_file(tmp_path: Path) -> None:
    file = tmp_path / "agora.json"
    file.write_text(json.dumps(settings(tmp_path)))
    with client_of(create_app(file)) as client:
        assert client.get("/fixed").text == "fixed"
        route = {"name": "fixed", "path": "/fixed", "respond": {"body": "changed"}}
        file.write_text(json.dumps(settings(tmp_path, route=[route])))
        wait_until(lambda: client.get("/fixed").text == "changed")
        file.write_text("nonsense")
        assert client.get("/fixed").text == "changed"


def wait_until(true: Any) -> None:
    """Ask again and again."""
    loop = asyncio.new_event_loop()
    deadline = loop.time() + PATIENCE
    while not true():
        assert loop.time() < deadline
    loop.close()


# -- among other applications -------------------------------------------------------------------------


def test_routes_added_to_it_stand_before_its_own(tmp_path: Path) -> None:
    app = create_app(from_data(settings(tmp_path)))
    app.router.routes.append(Route("/hello", lambda _: PlainTextResponse("hello")))
    with client_of(app) as client:
        assert client.get("/hello").text == "hello"
        assert client.get("/fixed").text == "fixed"
        assert client.get("/fixed/").status_code == 404


def test_below_a_mount_paths_start_at_the_mount(tmp_path: Path) -> None:
    outer = Starlette(routes=[Mount("/inner", create_app(from_data(settings(tmp_path))))])
    client = client_of(outer)
    assert client.get("/inner/fixed").text == "fixed"
    assert client.get("/inner/elsewhere").status_code == 404
