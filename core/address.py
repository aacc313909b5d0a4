"""Addresses as a configuration writes them: where to listen, where to forward, which networks.

Each is a string in its normal form that also knows its parts: it is compared, printed and logged as it is.
Nothing here resolves a name or opens a socket.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar, Self

from core.decode import Decoder, FieldInvalid
from core.describe import describe_value

UNIX = "unix:"
HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?)"
DEFAULT_PORTS = {"http": 80, "https": 443}


class ListenAddress(str):
    """Be an address to accept connections on: `host:port`, `[ipv6]:port` or `unix:/path`."""

    __slots__ = ("host", "path", "port")
    noun: ClassVar[str] = "address"
    pattern: ClassVar[str] = rf"^{HOST}:([0-9]{{1,5}})$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": rf"^{HOST}:[0-9]{{1,5}}$|^unix:.+$",
        "examples": ["127.0.0.1:8000", "[::1]:8000", "unix:/run/agora.sock"],
    }
    right: ClassVar[str] = 'write "127.0.0.1:8000", "[::1]:8000" or "unix:/run/agora.sock"'

    host: str  # without brackets; empty for a unix socket
    port: int  # 0: any free port
    path: str  # of the unix socket; empty for TCP

    def __new__(cls, text: str) -> Self:
        """Read an address; raise FieldInvalid."""
        if text.startswith(UNIX) and len(text) > len(UNIX):
            made = super().__new__(cls, text)
            made.host, made.port, made.path = "", 0, text.removeprefix(UNIX)
            return made
        match = re.fullmatch(cls.pattern, text)
        if not match:
            raise FieldInvalid(f"must be an address to listen on, not {describe_value(text)}", cls.right)
        host, port = _host(match[1]), _port(match[2])
        made = super().__new__(cls, f"{match[1].lower()}:{port}")
        made.host, made.port, made.path = host, port, ""
        return made

    def __getnewargs__(self) -> tuple[str]:
        """Rebuild from the text (pickle, copy)."""
        return (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode an address; the path of a unix socket is relative to the configuration's folder."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be an address, not {describe_value(value)}", cls.right)
        return cls(_absolute(value, decoder))


class ListenAddresses(tuple[ListenAddress, ...]):
    """Be one or several addresses to listen on; a single one may be written without a list."""

    __slots__ = ()
    noun: ClassVar[str] = "address, or list of them"
    json_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            ListenAddress.json_schema,
            {"type": "array", "items": ListenAddress.json_schema, "minItems": 1, "uniqueItems": True},
        ]
    }

    def __new__(cls, *addresses: str) -> Self:
        """Read each address; raise FieldInvalid."""
        return super().__new__(cls, map(ListenAddress, addresses))

    def __getnewargs__(self) -> tuple[str, ...]:
        """Rebuild from the addresses (pickle, copy)."""
        return tuple(self)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a string or a list of strings."""
        if isinstance(value, list):
            made = cls(*decoder.decode(value, list[ListenAddress]))
        else:
            made = cls(ListenAddress.from_plain(value, decoder))
        fixed = [address for address in made if address.path or address.port]  # port 0 is a new one each time
        if not made or len(set(fixed)) < len(fixed):
            raise FieldInvalid("must name each address once, and at least one", ListenAddress.right)
        return made

    def __str__(self) -> str:
        return ", ".join(self)


class TargetUrl(str):
    """Be one server of an upstream: `http://host:port`, `https://host:port` or `unix:/path`."""

    __slots__ = ("host", "path", "port", "tls")
    noun: ClassVar[str] = "server URL"
    pattern: ClassVar[str] = rf"^(https?)://{HOST}(?::([0-9]{{1,5}}))?/?$"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": rf"^https?://{HOST}(:[0-9]{{1,5}})?/?$|^unix:.+$",
        "examples": ["http://127.0.0.1:9000", "https://api.example.test", "unix:/run/app.sock"],
    }
    right: ClassVar[str] = 'write "http://host:port", "https://host:port" or "unix:/run/app.sock"'

    tls: bool
    host: str  # without brackets; empty for a unix socket
    port: int
    path: str  # of the unix socket; empty for TCP

    def __new__(cls, text: str) -> Self:
        """Read a server's URL; raise FieldInvalid."""
        if text.startswith(UNIX) and len(text) > len(UNIX):
            made = super().__new__(cls, text)
            made.tls, made.host, made.port, made.path = False, "", 0, text.removeprefix(UNIX)
            return made
        match = re.fullmatch(cls.pattern, text)
        if not match:
            deeper = re.match(r"^https?://[^/?#@]+[/?#].", text)
            right = (
                f"{cls.right}, without a path; the `rewrite` plugin changes paths" if deeper else cls.right
            )
            raise FieldInvalid(f"must be a server's URL, not {describe_value(text)}", right)
        scheme, port = match[1], _port(match[3]) if match[3] else DEFAULT_PORTS[match[1]]
        if not port:
            raise FieldInvalid(f"must have a port from 1 to 65535: {describe_value(text)}", cls.right)
        made = super().__new__(cls, f"{scheme}://{match[2].lower()}:{port}")
        made.tls, made.host, made.port, made.path = scheme == "https", _host(match[2]), port, ""
        return made

    def __getnewargs__(self) -> tuple[str]:
        """Rebuild from the text (pickle, copy)."""
        return (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a server's URL; the path of a unix socket is relative to the configuration's folder."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a server's URL, not {describe_value(value)}", cls.right)
        return cls(_absolute(value, decoder))


class Network(str):
    """Be a range of IP addresses in CIDR form; a single address is a range of one."""

    __slots__ = ()
    noun: ClassVar[str] = "network"
    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "examples": ["10.0.0.0/8", "::1/128", "192.0.2.7"],
    }
    right: ClassVar[str] = 'write a network such as "10.0.0.0/8" or an address such as "192.0.2.7"'

    def __new__(cls, text: str) -> Self:
        """Read a network or an address; raise FieldInvalid."""
        try:
            return super().__new__(cls, ipaddress.ip_network(text))
        except ValueError:
            pass
        try:
            right = f"did you mean {str(ipaddress.ip_network(text, strict=False))!r}?"
        except ValueError:
            right = cls.right
        raise FieldInvalid(f"must be a network, not {describe_value(text)}", right)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a network."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a network, not {describe_value(value)}", cls.right)
        return cls(value)

    @property
    def range(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """Return the network as numbers."""
        return ipaddress.ip_network(str(self))


def _absolute(text: str, decoder: Decoder) -> str:
    if not text.startswith(UNIX) or text == UNIX:
        return text
    return f"{UNIX}{decoder.folder / text.removeprefix(UNIX)}"


def _host(text: str) -> str:
    """Check a host that is written as numbers; return it in lower case and without brackets."""
    bare = text.strip("[]").lower()
    if text.startswith("[") or re.fullmatch(r"[0-9.]+", bare):
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            address = None
        if address is None or text.startswith("[") != (address.version == 6):
            raise FieldInvalid(f"{text} is not an IP address", 'write "127.0.0.1" or "[::1]"')
    return bare


def _port(text: str) -> int:
    port = int(text)
    if port > 65535:
        raise FieldInvalid(f"port {port} does not exist", "ports go up to 65535")
    return port
