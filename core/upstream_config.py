"""The configuration of upstreams: their servers, how one is chosen, and when one is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta

from core.address import TargetUrl
from core.decode import Decoder, FieldInvalid
from core.pattern_text import PatternText
from core.table import END, Name, Table, TlsVersion
from core.units import Duration


class UpstreamTlsConfig(Table, frozen=True):
    """TLS towards https:// targets."""

    json_schema: ClassVar[dict[str, Any]] = {
        "dependentRequired": {"certificate": ["key"], "key": ["certificate"]}
    }

    verify: Annotated[bool, Meta(description="check certificate and host name")] = True
    ca: Annotated[Path | None, Meta(description="PEM file: trusted authorities; left out: the system's")] = (
        None
    )
    server_name: Annotated[
        str | None, Meta(description="name to ask for and to check; left out: the URL's")
    ] = None
    certificate: Annotated[Path | None, Meta(description="PEM file: the gateway's own certificate")] = None
    key: Annotated[Path | None, Meta(description="PEM file: its private key")] = None
    min_version: Annotated[TlsVersion, Meta(description="oldest TLS version spoken")] = "1.2"

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            missing = "certificate" if self.certificate is None else "key"
            raise FieldInvalid("is missing", "certificate and key go together", key=missing)


class TargetConfig(Table, frozen=True):
    """One server of an upstream."""

    url: Annotated[TargetUrl, Meta(description="where it listens")]
    weight: Annotated[int, Meta(ge=1, le=1000, description="its share, beside the others' weights")] = 1
    priority: Annotated[
        int, Meta(ge=0, le=9, description="servers of a higher number serve while all of lower ones are out")
    ] = 0
    drain: Annotated[bool, Meta(description="finish what it has, give it nothing new")] = False


class UpstreamServer:
    """One server of an upstream; written as its URL, or as a table with `url` and what differs."""

    __slots__ = ("settings",)
    noun: ClassVar[str] = TargetUrl.noun
    right: ClassVar[str] = f"{TargetUrl.right}, or a table with `url`, `weight`, `priority`, `drain`"
    json_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [
            TargetUrl.json_schema,
            {
                "type": "object",
                "properties": {
                    "url": TargetUrl.json_schema,
                    "weight": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1},
                    "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 0},
                    "drain": {"type": "boolean", "default": False},
                },
                "required": ["url"],
                "additionalProperties": False,
            },
        ]
    }

    settings: TargetConfig

    def __init__(self, settings: TargetConfig) -> None:
        self.settings = settings

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a URL or a table; raise FieldInvalid or ConfigInvalid."""
        if isinstance(value, dict):
            return cls(decoder.decode(value, TargetConfig))
        return cls(TargetConfig(url=TargetUrl.from_plain(value, decoder)))

    @property
    def url(self) -> TargetUrl:
        """Return where it listens."""
        return self.settings.url

    def __eq__(self, other: object) -> bool:
        return self.settings == other.settings if isinstance(other, UpstreamServer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.settings)

    def __str__(self) -> str:
        return str(self.url)

    def __repr__(self) -> str:
        return f"UpstreamServer({self.settings!r})"


class HashKey(PatternText):
    """Be what a consistent hash goes by: ip, path, consumer, header:NAME or cookie:NAME."""

    __slots__ = ()
    noun = "hash key"
    pattern = r"^(ip|path|consumer|(header|cookie):[!#$%&'*.^_`|~0-9A-Za-z-]+)$(?!\n)"
    examples = ("ip", "path", "consumer", "header:x-session", "cookie:session")
    wrong = "is nothing to hash by"
    right = "write ip, path, consumer, header:NAME or cookie:NAME"


class EjectConfig(Table, frozen=True):
    """When a server is left out because of its failures."""

    after: Annotated[int, Meta(ge=0, description="failures in a row; 0: never")] = 0
    on: Annotated[
        Literal["gateway", "5xx"],
        Meta(description='failures: "gateway" connects, timeouts and broken answers; "5xx" those as well'),
    ] = "gateway"
    time: Annotated[
        Duration, Meta(description="how long the first time; each further time as much longer, to ten times")
    ] = Duration("30s")


class HealthConfig(Table, frozen=True):
    """Asking servers how they are."""

    path: Annotated[
        str, Meta(pattern="^(/[!-~]*)?" + END, description="path to GET; empty: connecting is enough")
    ] = ""
    interval: Annotated[Duration, Meta(description="time between two questions")] = Duration("5s")
    timeout: Annotated[Duration, Meta(description="longest wait for an answer")] = Duration("2s")
    status: Annotated[tuple[int, ...], Meta(description="good answers; left out: 200 to 399")] = ()
    unhealthy_after: Annotated[int, Meta(ge=1, description="bad answers in a row; then it is left out")] = 3
    healthy_after: Annotated[int, Meta(ge=1, description="good answers in a row; then it is back")] = 2

    def __post_init__(self) -> None:
        if self.interval <= 0 or self.timeout <= 0:
            raise FieldInvalid("must be longer than 0", "leave out `health` to ask nothing", "interval")


class UpstreamConfig(Table, frozen=True):
    """A named group of servers that answer alike."""

    name: Annotated[Name, Meta(description="what routes call it")]
    targets: Annotated[
        tuple[UpstreamServer, ...], Meta(min_length=1, max_length=4096, description="the servers")
    ]
    balance: Annotated[
        Literal["round-robin", "weighted", "least-requests", "random-two", "ewma", "consistent-hash"],
        Meta(description="how the next server is chosen"),
    ] = "round-robin"
    hash_by: Annotated[HashKey, Meta(description="what consistent-hash goes by")] = HashKey("ip")
    slow_start: Annotated[
        Duration, Meta(description="a server that comes back gets its full share after this time; 0: at once")
    ] = Duration(0)
    panic: Annotated[
        float,
        Meta(ge=0, le=1, description="with a smaller share of servers in, all are used; 0: never"),
    ] = 0.5
    eject: Annotated[EjectConfig, Meta(description="leaving out servers that fail")] = EjectConfig()
    health: Annotated[HealthConfig | None, Meta(description="asking servers how they are; left out: no")] = (
        None
    )
    host: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._-]+(:[0-9]{1,5})?" + END,
            title='host name, "preserve" or "target"',
            description='Host header sent: "preserve" the client\'s, "target" the server\'s, or a name',
        ),
    ] = "preserve"
    connect_timeout: Annotated[Duration, Meta(description="to connect, TLS included; then 504")] = Duration(
        "5s"
    )
    first_byte_timeout: Annotated[
        Duration, Meta(description="from the request's end to the answer's first byte; then 504")
    ] = Duration("60s")
    idle_timeout: Annotated[Duration, Meta(description="silence within an answer; then it is cut")] = (
        Duration("60s")
    )
    keep_alive: Annotated[
        Duration, Meta(description="how long an idle connection is kept; choose less than the server does")
    ] = Duration("60s")
    max_connections: Annotated[int, Meta(ge=1, description="connections of each worker to each server")] = 256
    max_idle: Annotated[int, Meta(ge=0, description="idle ones kept for each server; 0: none")] = 256
    queue: Annotated[
        int, Meta(ge=0, description="requests waiting for a connection; 0: none; more is 503")
    ] = 1024
    queue_timeout: Annotated[Duration, Meta(description="longest wait for a connection; then 503")] = (
        Duration("5s")
    )
    dns_refresh: Annotated[Duration, Meta(description="how often names are looked up; 0: once")] = Duration(
        "30s"
    )
    tls: Annotated[UpstreamTlsConfig, Meta(description="TLS towards https:// servers")] = UpstreamTlsConfig()
