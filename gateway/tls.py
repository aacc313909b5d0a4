"""Make TLS contexts for the native door and for upstreams, from their configuration."""

from __future__ import annotations

import ssl
from pathlib import Path

from core.config import ServerTlsConfig
from core.table import TlsVersion
from core.upstream_config import UpstreamTlsConfig

VERSIONS: dict[TlsVersion, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
CLIENT_AUTH = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class RenewableContext(ssl.SSLContext):
    """Be the context of a listening socket; connections to come take their settings from ``current``."""

    current: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin TLS on one connection, with the settings of now."""
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def renewable_context(config: ServerTlsConfig) -> RenewableContext:
    """Return a context whose settings can be replaced while sockets listen with it."""
    context = RenewableContext(ssl.PROTOCOL_TLS_SERVER)
    context.current = server_context(config)
    return context


def server_context(config: ServerTlsConfig) -> ssl.SSLContext:
    """Return the context of listening sockets: certificates by name, least version, clients' certificates."""
    context = _server_context(config, config.certificate, config.key)
    named = {
        host.lower(): _server_context(config, entry.certificate, entry.key)
        for entry in config.sni
        for host in entry.hosts
    }

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        host = (name or "").lower()
        chosen = named.get(host) or named.get("*." + host.partition(".")[2])
        if chosen is not None:
            connection.context = chosen

    if named:
        context.sni_callback = choose
    return context


def _server_context(config: ServerTlsConfig, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[config.min_version]
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = CLIENT_AUTH[config.client_auth]
    if config.client_ca is not None:
        context.load_verify_locations(config.client_ca)
    return context


def client_context(config: UpstreamTlsConfig) -> ssl.SSLContext:
    """Return the context of connections to upstream servers; verifies unless told not to."""
    context = ssl.create_default_context(cafile=config.ca)
    context.minimum_version = VERSIONS[config.min_version]
    context.set_alpn_protocols(["http/1.1"])
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate is not None and config.key is not None:
        context.load_cert_chain(config.certificate, config.key)
    return context


def file_times(config: UpstreamTlsConfig) -> list[int]:
    """Return when the files of a configuration were last changed."""
    files = (config.ca, config.certificate, config.key)
    return [file.stat().st_mtime_ns for file in files if file is not None]
