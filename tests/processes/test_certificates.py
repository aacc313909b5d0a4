import asyncio
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.harness import Client, Origin, answering
from tests.processes.conftest import Start
from tests.processes.served import Served, fixed, proxied


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def write_certificate(folder: Path, certificate: trustme.LeafCert) -> None:
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")


def with_tls(folder: Path, certificate: trustme.LeafCert, workers: int = 1, **tls: Any) -> dict[str, Any]:
    """Put a certificate where the configuration looks for it; return the configuration."""
    write_certificate(folder, certificate)
    names = {"certificate": "certificate.pem", "key": "key.pem"}
    return fixed("secret", workers=workers, tls={**names, **tls})


def trusting(authority: trustme.CA, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if own is not None:
        own.configure_cert(context)
    return context


async def ask(served: Served, context: ssl.SSLContext) -> tuple[int, bytes]:
    """Return the serial number of the certificate shown and the answer's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
    shown = writer.get_extra_info("peercert")
    try:
        writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    return int(shown["serialNumber"], 16), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("workers", [1, 2])
async def test_renewed_certificates_are_shown_after_a_reload(
    agora: Start, tmp_path: Path, authority: trustme.CA, workers: int
) -> None:
    context = trusting(authority)
    served = await agora(with_tls(tmp_path, authority.issue_cert("127.0.0.1"), workers))
    first, body = await ask(served, context)
    assert body == b"secret"
    config = with_tls(tmp_path, authority.issue_cert("127.0.0.1"), workers)
    await served.reload(config, workers=workers)
    second, body = await ask(served, context)
    assert body == b"secret"
    assert second != first


async def test_a_connection_outlives_the_certificate_it_began_with(
    agora: Start, tmp_path: Path, authority: trustme.CA
) -> None:
    served = await agora(with_tls(tmp_path, authority.issue_cert("127.0.0.1")))
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=trusting(authority))
    await served.reload(with_tls(tmp_path, authority.issue_cert("127.0.0.1")))
    writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\nsecret")
    writer.close()


async def test_a_certificate_that_is_damaged_is_refused_and_the_old_one_stays(
    agora: Start, tmp_path: Path, authority: trustme.CA
) -> None:
    context = trusting(authority)
    config = with_tls(tmp_path, authority.issue_cert("127.0.0.1"))
    served = await agora(config)
    before = await ask(served, context)
    (tmp_path / "certificate.pem").write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    served.signal(signal.SIGHUP)
    why = await served.line("reload refused")
    assert "agora.json: server.tls.key: cannot be used: it or the certificate is damaged" in why
    assert await ask(served, context) == before


async def test_clients_need_certificates_once_a_reload_says_so(
    agora: Start, tmp_path: Path, authority: trustme.CA
) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    served = await agora(with_tls(tmp_path, certificate))
    assert (await ask(served, trusting(authority)))[1] == b"secret"
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    await served.reload(with_tls(tmp_path, certificate, client_ca="clients.pem", client_auth="required"))
    with suppress(ssl.SSLError, ConnectionError):
        assert (await ask(served, trusting(authority)))[1] == b""
    assert (await ask(served, trusting(authority, authority.issue_cert("alice"))))[1] == b"secret"


async def test_renewed_certificates_are_shown_to_upstreams_after_a_reload(
    agora: Start, tmp_path: Path, authority: trustme.CA
) -> None:
    shown: list[int] = []

    async def script(client: Client) -> None:
        certificate = client.writer.get_extra_info("peercert")
        shown.append(int(certificate["serialNumber"], 16))
        await answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(client)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    async with Origin(script, tls=context) as origin:
        config = proxied(origin.url)
        names = {"certificate": "certificate.pem", "key": "key.pem"}
        config["upstream"][0]["tls"] = {"ca": "authority.pem", **names}
        write_certificate(tmp_path, authority.issue_cert("agora"))
        served = await agora(config)
        assert (await served.get("/")).status == 200
        write_certificate(tmp_path, authority.issue_cert("agora"))
        await served.reload(config)
        assert (await served.get("/")).status == 200
        await served.stop()
    assert len(set(shown)) == 2
