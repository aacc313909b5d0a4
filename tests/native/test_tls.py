"""TLS on both sides, and sockets that are files: who is shown what, who is believed, who is refused."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.harness import (
    HELLO,
    Client,
    Gateway,
    Origin,
    Recorder,
    answering,
    eventually,
    responding,
    scripted,
    serving,
    upstream,
)

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
MEGABYTE = 1 << 20


class Authority:
    """Be a certificate authority with files in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.name = name
        self.file = folder / f"{name}.pem"
        self.issued = 0
        self.ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *hosts: str) -> dict[str, str]:
        """Write a certificate for these hosts and its key; return the keys of a configuration that name them."""  # noqa: E501
        issued = self.ca.issue_cert(*hosts)
        self.issued += 1
        files = {key: self.folder / f"{self.name}-{self.issued}-{key}.pem" for key in ("certificate", "key")}
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(files["certificate"]), append=True)
        issued.private_key_pem.write_to_path(str(files["key"]))
        return {key: str(file) for key, file in files.items()}

    def trusting(self, *, shows: dict[str, str] | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts this authority, and shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.file))
        if shows is not None:
            context.load_cert_chain(shows["certificate"], shows["key"])
        return context

    def serving(self, *hosts: str) -> ssl.SSLContext:
        """Return a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = self.issue(*hosts)
        context.load_cert_chain(files["certificate"], files["key"])
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


def secured(config: dict[str, Any], tls: dict[str, Any], **server: Any) -> dict[str, Any]:
    return {**config, "server": {"tls": tls, **server}}


async def connect(gateway: Gateway, context: ssl.SSLContext, name: str = "localhost") -> Client:
    return await gateway.connect(ssl=context, server_hostname=name)


async def refused(gateway: Gateway, context: ssl.SSLContext, name: str = "localhost") -> bool:
    """Tell whether a client with this context gets no answer."""
    try:
        client = await connect(gateway, context, name)
        client.send(GET)
        return await client.read_all() == b""
    except OSError:
        return True


async def test_requests_are_served_over_tls(authority: Authority) -> None:
    async with (
        Recorder() as origin,
        serving(secured(upstream(origin), authority.issue("localhost"))) as gateway,
    ):
        client = await connect(gateway, authority.trusting())
        for _ in range(3):
            client.send(GET + GET)
            for _ in range(2):
                assert (await client.response()).body == b"hello"
        assert origin.requests[0].header(b"x-forwarded-proto") == b"https"
        assert b"proto=https" in (origin.requests[0].header(b"forwarded") or b"")
        assert origin.connections == 1


async def test_plugins_know_that_a_request_came_over_tls(authority: Authority) -> None:
    seen: list[Any] = []
    look = scripted(
        log=lambda exchange: seen.append((exchange.scheme, exchange.secure, exchange.certificate))
    )
    config = {**responding(), "plugin": [look]}
    async with serving(secured(config, authority.issue("localhost"))) as gateway:
        client = await connect(gateway, authority.trusting())
        client.send(GET)
        await client.response()
        assert seen == [("https", True, None)]


async def test_large_bodies_pass_over_tls_both_ways(authority: Authority) -> None:
    body = bytes(range(256)) * 4096 * 8

    async def echo(client: Client) -> None:
        while True:
            received = await client.request()
            client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received.body) + received.body)

    own = authority.issue("localhost")
    async with Origin(echo, tls=authority.serving("localhost")) as origin:
        config = upstream(origin, tls={"ca": str(authority.file)})
        async with serving(secured(config, own)) as gateway:
            client = await connect(gateway, authority.trusting())
            for _ in range(2):
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert (await client.response()).body == body
            assert origin.connections == 1


async def test_a_tls_client_that_reads_nothing_holds_back_the_upstream(authority: Authority) -> None:
    total, poured = 200 * MEGABYTE, 0

    async def flood(client: Client) -> None:
        nonlocal poured
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        piece = bytes(1 << 18)
        while poured < total and not client.writer.is_closing():
            client.send(piece)
            await client.writer.drain()
            poured += len(piece)

    own = authority.issue("localhost")
    async with Origin(flood) as origin:
        config = secured(upstream(origin), own, timeouts={"write": "200ms"})
        async with serving(config) as gateway:
            client = await gateway.connect(ssl=authority.trusting(), server_hostname="localhost", limit=4096)
            client.send(GET)
            await eventually(lambda: origin.connections == 1)
            await eventually(lambda: origin.open == 0)
            assert poured < 32 * MEGABYTE


async def test_an_upgrade_works_over_tls(authority: Authority) -> None:
    async def echo(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while piece := await client.reader.read(65536):
            client.send(piece.upper())

    own = authority.issue("localhost")
    async with Origin(echo, tls=authority.serving("localhost")) as origin:
        config = upstream(origin, tls={"ca": str(authority.file)})
        async with serving(secured(config, own)) as gateway:
            client = await connect(gateway, authority.trusting())
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
            assert (await client.response()).status == 101
            assert await client.read_exactly(5) == b"EARLY"
            client.send(b"late")
            assert await client.read_exactly(4) == b"LATE"
            client.abort()
            await eventually(lambda: gateway.pool().connections == 0)


@pytest.mark.parametrize("request_bytes", [b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n"])
async def test_refusals_reach_tls_clients_before_the_close(
    authority: Authority, request_bytes: bytes
) -> None:
    async with serving(secured(responding(), authority.issue("localhost"))) as gateway:
        client = await connect(gateway, authority.trusting())
        client.send(request_bytes)
        received = await client.read_all()
        assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
        assert b"urn:agora:problem:" in received


async def test_a_cut_body_is_an_error_over_tls_too(authority: Authority) -> None:
    """An HTTP/1.0 client has only the connection's end to go by: it must not look like a whole body's."""

    async def dies(client: Client) -> None:
        await client.request()
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await client.drain()

    def read(port: int, context: ssl.SSLContext) -> Callable[[], bytes]:
        def reading() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                with context.wrap_socket(
                    plain, server_hostname="localhost", suppress_ragged_eofs=False
                ) as wrapped:
                    wrapped.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    received = b""
                    while piece := wrapped.recv(65536):
                        received += piece
                    return received

        return reading

    async with (
        Origin(dies) as origin,
        serving(secured(upstream(origin), authority.issue("localhost"))) as gateway,
    ):
        with pytest.raises(OSError, match=r"EOF|reset"):
            await asyncio.to_thread(read(gateway.port, authority.trusting()))


# -- certificates -----------------------------------------------------------------------------------------


async def test_the_certificate_is_chosen_by_the_name_asked_for(authority: Authority) -> None:
    tls = {
        **authority.issue("localhost"),
        "sni": [
            {"hosts": ["a.test"], **authority.issue("a.test")},
            {"hosts": ["*.b.test"], **authority.issue("*.b.test")},
        ],
    }
    async with serving(secured(responding(), tls)) as gateway:
        for name in ("localhost", "a.test", "A.TEST", "x.b.test"):
            client = await connect(gateway, authority.trusting(), name)
            client.send(GET)
            assert (await client.response()).status == 200
        for name in ("c.test", "b.test", "x.y.b.test"):
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(gateway, authority.trusting(), name)


async def test_an_older_version_than_allowed_is_refused(authority: Authority) -> None:
    tls = {**authority.issue("localhost"), "min_version": "1.3"}
    old = authority.trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(secured(responding(), tls)) as gateway:
        assert await refused(gateway, old)
        assert not await refused_with_close(gateway, authority.trusting())
    async with serving(secured(responding(), {**tls, "min_version": "1.2"})) as gateway:
        assert not await refused_with_close(gateway, old)


async def refused_with_close(gateway: Gateway, context: ssl.SSLContext) -> bool:
    client = await connect(gateway, context)
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    return await client.read_all() == b""


async def test_clients_certificates_are_asked_for_and_checked(
    authority: Authority, stranger: Authority
) -> None:
    seen: list[Any] = []
    look = scripted(log=lambda exchange: seen.append(exchange.certificate))
    config = {**responding(), "plugin": [look]}
    known, unknown = authority.issue("client.test"), stranger.issue("client.test")
    for auth in ("required", "optional"):
        tls = {**authority.issue("localhost"), "client_ca": str(authority.file), "client_auth": auth}
        async with serving(secured(config, tls)) as gateway:
            seen.clear()
            assert not await refused_with_close(gateway, authority.trusting(shows=known))
            assert ("DNS", "client.test") in seen[0]["subjectAltName"]
            assert await refused(gateway, authority.trusting(shows=unknown))
            if auth == "required":
                assert await refused(gateway, authority.trusting())
                assert len(seen) == 1
            else:
                assert not await refused_with_close(gateway, authority.trusting())
                assert seen[1:] == [{}] or seen[1:] == [None]


async def test_who_speaks_no_tls_is_dropped(authority: Authority) -> None:
    own = authority.issue("localhost")
    async with serving(secured(responding(), own, timeouts={"head": "60ms"})) as gateway:
        for sent in (GET, b"\x00" * 100, b""):
            assert not (await gateway.exchange(sent)).startswith(b"HTTP/")
        client = await connect(gateway, authority.trusting())
        client.send(GET)
        assert (await client.response()).status == 200


# -- upstreams --------------------------------------------------------------------------------------------


async def test_an_upstreams_certificate_is_checked(authority: Authority, stranger: Authority) -> None:
    async with Origin(answering(HELLO), tls=authority.serving("localhost")) as origin:
        for tls, status in [
            ({"ca": str(authority.file)}, 200),
            ({"ca": str(stranger.file)}, 502),
            ({}, 502),
            ({"verify": False}, 200),
            ({"ca": str(authority.file), "server_name": "other.test"}, 502),
        ]:
            async with serving(upstream(origin, tls=tls)) as gateway:
                assert ((await gateway.ask(GET)).status, tls) == (status, tls)
                failures = gateway.count("agora_upstream_failures_total", reason="upstream-unreachable")
                assert failures == (status == 502)


async def test_the_name_asked_of_an_upstream_can_be_chosen(authority: Authority) -> None:
    async with Origin(answering(HELLO), tls=authority.serving("inside.test")) as origin:
        chosen = {"ca": str(authority.file), "server_name": "inside.test"}
        async with serving(upstream(origin, tls=chosen)) as gateway:
            assert (await gateway.ask(GET)).status == 200


async def test_the_gateway_shows_its_own_certificate_to_upstreams(authority: Authority) -> None:
    context = authority.serving("localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    own = authority.issue("gateway.test")
    async with Origin(answering(HELLO), tls=context) as origin:
        async with serving(upstream(origin, tls={"ca": str(authority.file), **own})) as gateway:
            assert (await gateway.ask(GET)).status == 200
        async with serving(upstream(origin, tls={"ca": str(authority.file)})) as gateway:
            assert (await gateway.ask(GET)).status == 502


async def test_a_tls_connection_that_died_while_idle_is_found(authority: Authority) -> None:
    async def once(client: Client) -> None:
        await client.request()
        client.send(HELLO)

    async with Origin(once, tls=authority.serving("localhost")) as origin:
        async with serving(upstream(origin, tls={"ca": str(authority.file)})) as gateway:
            for method in ("GET", "POST"):
                for _ in range(2):
                    head = f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
                    assert (await gateway.ask(head)).status == 200
                    await eventually(lambda: gateway.pool().connections == 0)


@pytest.mark.parametrize("over_tls", [False, True])
async def test_an_upstream_that_speaks_first_is_no_http_server(authority: Authority, over_tls: bool) -> None:
    """Its greeting may come with the handshake's last flight, before anybody has asked for the connection."""

    async def greet(client: Client) -> None:
        client.send(b"220 mail.test ESMTP\r\n")
        await client.read_all()

    async with Origin(greet, tls=authority.serving("localhost") if over_tls else None) as origin:
        settings: dict[str, Any] = {"tls": {"ca": str(authority.file)}} if over_tls else {}
        async with serving(upstream(origin, **settings)) as gateway:
            for _ in range(10):
                assert (await gateway.ask(GET)).status == 502
            await eventually(lambda: gateway.pool().connections == 0 and origin.open == 0)


async def test_an_upstream_that_speaks_no_tls_is_502(authority: Authority) -> None:
    async def plain(client: Client) -> None:
        await client.reader.read(1)
        client.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Origin(plain) as origin:
        async with serving(upstream(f"https://127.0.0.1:{origin.port}")) as gateway:
            assert (await gateway.ask(GET)).status == 502


async def test_an_upstream_that_never_ends_its_handshake_is_504() -> None:
    async with Recorder() as origin:
        late = upstream(f"https://127.0.0.1:{origin.port}", connect_timeout="50ms")
        async with serving(late) as gateway:
            assert (await gateway.ask(GET)).status == 504
            await eventually(lambda: gateway.pool().connections == 0)


# -- sockets that are files -------------------------------------------------------------------------------


async def test_unix_sockets_serve_both_sides(tmp_path: Path) -> None:
    own, behind = str(tmp_path / "own.sock"), str(tmp_path / "behind.sock")
    body = bytes(1 << 20)
    async with Recorder(path=behind) as origin, serving(upstream(origin), path=own) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            client.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await client.response()).body == b"hello"
        assert origin.requests[2].body == body
        assert origin.requests[0].header(b"host") == b"a.test"
        assert gateway.plane.door.connections == 1
        client.abort()
        await eventually(lambda: gateway.plane.door.connections == 0)


async def test_a_unix_socket_that_is_gone_is_502(tmp_path: Path) -> None:
    async with serving(upstream(f"unix:{tmp_path}/none.sock")) as gateway:
        assert (await gateway.ask(GET)).status == 502


async def test_the_address_of_a_unix_peer_is_unknown_upstream(tmp_path: Path) -> None:
    own = str(tmp_path / "own.sock")
    async with Recorder() as origin, serving(upstream(origin), path=own) as gateway:
        client = await gateway.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.response()).status == 200
        # RFC 7239, 6: a node without an address is "unknown"
        assert origin.requests[0].header(b"forwarded") == b"for=unknown;proto=http"
        assert origin.requests[0].header(b"x-forwarded-for") == b"unknown"
        client.abort()
