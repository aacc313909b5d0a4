"""The configuration: frozen, strict structs that a file's tables decode to.

The fields' names are the keys of the file. In durations and limits 0 means "no limit", unless a line says
otherwise. Nothing here reads a file or the environment: `gateway/config.py` does, and checks what needs more
than one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.address import ListenAddresses, Network
from core.authentication.password import is_hash
from core.decode import ConfigInvalid, ConfigProblem, Decoder, FieldInvalid
from core.describe import describe_value
from core.errors import PluginInvalid, PluginUnknown
from core.plugin import Plugin, PluginConfig
from core.plugins import find_plugin
from core.route_pattern import RoutePatternInvalid, parse_host, parse_path
from core.secret import Secret
from core.table import END, Name, Table, TlsVersion
from core.units import Duration, Size
from core.upstream_config import UpstreamConfig

TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, section 5.6.2
Method = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_-]*" + END, title='method in capitals, such as "GET"')]
HeaderName = Annotated[str, Meta(pattern=f"^{TCHARS}{END}", title="name of a header")]
HeaderValue = Annotated[
    str,
    Meta(
        pattern=r"^([!-~\x80-\xff]([ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?" + END,
        title="value of a header, on one line",
    ),
]
HostPattern = Annotated[
    str,
    Meta(
        pattern=r"^((\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])" + END,
        title='host without a port, such as "example.test" or "*.example.test"',
    ),
]
ImportPath = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*" + END,
        title='import path such as "package.module:name"',
    ),
]
SMALLEST_MAP = Size("1MiB")
SMALLEST_HEAD, LARGEST_HEAD = Size("256B"), Size("16MiB")


class TimeoutsConfig(Table, frozen=True):
    """How long a client may take."""

    head: Annotated[Duration, Meta(description="a request's head, from its first byte; then 408")] = Duration(
        "10s"
    )
    body: Annotated[
        Duration, Meta(description="a request's body must bring 240 bytes a second over this time; else 408")
    ] = Duration("30s")
    keep_alive: Annotated[Duration, Meta(description="an idle connection between requests")] = Duration("75s")
    exchange: Annotated[Duration, Meta(description="a whole exchange, from head to last byte")] = Duration(0)
    write: Annotated[Duration, Meta(description="a client that reads nothing of its answer")] = Duration(
        "30s"
    )
    drain: Annotated[Duration, Meta(description="open exchanges at shutdown; then they are cut")] = Duration(
        "30s"
    )


class LimitsConfig(Table, frozen=True):
    """How much a client may send and hold."""

    request_line: Annotated[Size, Meta(description="longest request line; more is 414")] = Size("8KiB")
    header_block: Annotated[Size, Meta(description="largest header block; more is 431")] = Size("32KiB")
    header_count: Annotated[int, Meta(ge=1, le=65535, description="most header fields; more is 431")] = 128
    body: Annotated[Size, Meta(description="largest request body; more is 413")] = Size(0)
    chunk_extensions: Annotated[Size, Meta(description="chunk extensions of a whole message; 0: none")] = (
        Size("1KiB")
    )
    connections: Annotated[int, Meta(ge=0, description="open client connections of each worker")] = 20_000
    connections_per_address: Annotated[int, Meta(ge=0, description="those from one address")] = 0

    def __post_init__(self) -> None:
        for key in ("request_line", "header_block"):
            if not SMALLEST_HEAD <= getattr(self, key) <= LARGEST_HEAD:
                raise FieldInvalid(
                    f"must be from {SMALLEST_HEAD} to {LARGEST_HEAD}", "heads are held in memory", key
                )


class SniConfig(Table, frozen=True):
    """The certificate shown for certain host names."""

    hosts: Annotated[
        tuple[HostPattern, ...], Meta(min_length=1, description="names, or *.name for one label more")
    ]
    certificate: Annotated[Path, Meta(description="PEM file: the certificate and its chain")]
    key: Annotated[Path, Meta(description="PEM file: the private key")]


class ServerTlsConfig(Table, frozen=True):
    """TLS on every TCP address listened on."""

    json_schema: ClassVar[dict[str, Any]] = {"dependentRequired": {"client_ca": ["client_auth"]}}

    certificate: Annotated[Path, Meta(description="PEM file: the certificate and its chain")]
    key: Annotated[Path, Meta(description="PEM file: the private key")]
    client_ca: Annotated[Path | None, Meta(description="PEM file: who signs clients' certificates")] = None
    client_auth: Annotated[
        Literal["none", "optional", "required"], Meta(description="whether clients show a certificate")
    ] = "none"
    min_version: Annotated[TlsVersion, Meta(description="oldest TLS version spoken")] = "1.2"
    sni: Annotated[tuple[SniConfig, ...], Meta(description="further certificates, chosen by host name")] = ()

    def __post_init__(self) -> None:
        if (self.client_auth == "none") != (self.client_ca is None):
            wrong = "is needed to check clients' certificates" if self.client_ca is None else "is never used"
            right = 'client_ca and client_auth = "optional" or "required" go together'
            raise FieldInvalid(wrong, right, key="client_ca")


class ServerConfig(Table, frozen=True):
    """Where and how the gateway listens."""

    listen: Annotated[ListenAddresses, Meta(description="addresses to listen on")] = ListenAddresses(
        "127.0.0.1:8000"
    )
    workers: Annotated[int, Meta(ge=0, le=1024, description="worker processes; 0: one for each core")] = 1
    data_dir: Annotated[Path, Meta(description="folder of logs and state, made at first start")] = Path("var")
    name: Annotated[
        Name | None,
        Meta(description="pseudonym in Via, by which loops are found; left out: made from host and port"),
    ] = None
    trusted_proxies: Annotated[
        tuple[Network, ...], Meta(description="peers whose Forwarded and X-Forwarded-* headers are believed")
    ] = ()
    forwarded: Annotated[
        Literal["x-forwarded", "forwarded", "both", "none"],
        Meta(description="forwarding headers sent to targets"),
    ] = "both"
    via: Annotated[bool, Meta(description="add Via to requests and responses")] = True
    identity_headers: Annotated[
        tuple[HeaderName, ...],
        Meta(
            description="headers removed from requests, besides X-Consumer-*, X-Userinfo, X-Authenticated-* "
            "and X-Credential-*"
        ),
    ] = ()
    tls: Annotated[ServerTlsConfig | None, Meta(description="certificates; left out: plain HTTP")] = None
    timeouts: Annotated[TimeoutsConfig, Meta(description="how long clients may take")] = TimeoutsConfig()
    limits: Annotated[LimitsConfig, Meta(description="how much clients may send and hold")] = LimitsConfig()


class AdminConfig(Table, frozen=True):
    """Who may see and steer the gateway."""

    token: Annotated[
        Secret | None,
        Meta(description="token of the control API; left out: made at first start, kept in data_dir"),
    ] = None
    metrics_allow: Annotated[
        tuple[Network, ...], Meta(description="who may read /metrics without the token")
    ] = (
        Network("127.0.0.0/8"),
        Network("::1/128"),
    )


class PluginUse:
    """One plugin at one place; written as a table of `use` and the plugin's own options."""

    __slots__ = ("config", "plugin", "use")
    noun: ClassVar[str] = "table"
    right: ClassVar[str] = "the name of a plugin, or its import path; `agora plugins` lists them"

    use: str  # as written: a built-in's or entry point's name, or `package.module:Class`
    plugin: type  # its class
    config: PluginConfig  # its options, decoded into its own struct

    def __init__(self, use: str, plugin: type, config: PluginConfig) -> None:
        self.use, self.plugin, self.config = use, plugin, config

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Find the plugin's class and decode the other keys into its options; raise ConfigInvalid."""
        if not isinstance(value, dict):
            raise FieldInvalid(
                f"must be a table, not {describe_value(value)}", 'write use = "NAME" and its options'
            )
        use = value.get("use")
        if not isinstance(use, str):
            wrong = f"must be a string, not {describe_value(use)}" if "use" in value else "is missing"
            raise FieldInvalid(
                wrong, "the name of a plugin, or its import path; `agora plugins` lists them", "use"
            )
        try:
            plugin = find_plugin(use)
        except (PluginUnknown, PluginInvalid) as error:
            wrong, _, right = str(error).partition("; ")
            raise FieldInvalid(wrong, right or cls.right, key="use") from error
        except Exception as error:  # the module's own mistake
            wrong = f"{use!r} cannot be imported: {type(error).__name__}: {error}"
            raise FieldInvalid(wrong, cls.right, key="use") from error
        options = {key: option for key, option in value.items() if key != "use"}
        return cls(use, plugin, decoder.decode(options, cast(type[Plugin], plugin).Config))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PluginUse):
            return NotImplemented
        return (self.use, self.plugin, self.config) == (other.use, other.plugin, other.config)

    def __hash__(self) -> int:
        return hash((self.use, self.plugin))

    def __repr__(self) -> str:
        return f"PluginUse({self.use!r}, {self.config!r})"


class RespondConfig(Table, frozen=True):
    """A fixed answer."""

    json_schema: ClassVar[dict[str, Any]] = {"not": {"required": ["body", "json"]}}

    status: Annotated[int, Meta(ge=200, le=599, description="HTTP status")] = 200
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="headers; Content-Type follows from body or json unless set here"),
    ] = {}  # noqa: RUF012 (a struct copies it)
    body: Annotated[str | None, Meta(description="the body as text (UTF-8)")] = None
    json: Annotated[Any | UnsetType, Meta(description="the body as data, sent as JSON")] = UNSET

    def __post_init__(self) -> None:
        if self.body is not None and self.json is not UNSET:
            raise FieldInvalid("has both body and json", "give one of them")
        if self.status in (204, 205, 304) and (self.body or self.json is not UNSET):
            raise FieldInvalid(f"an answer with status {self.status} has no body", "leave out body and json")
        try:
            msgspec.json.encode(None if self.json is UNSET else self.json)
        except (TypeError, RecursionError) as error:
            raise FieldInvalid("cannot be written as JSON", f"{error}", key="json") from None


class RouteConfig(Table, frozen=True):
    """What is matched, and where it goes: exactly one of upstream, app and respond."""

    json_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": ["upstream"]}, {"required": ["app"]}, {"required": ["respond"]}]
    }

    name: Annotated[Name, Meta(description="its name in metrics, logs and the control API")]
    path: Annotated[
        str,
        Meta(
            pattern="^/",
            title="path that starts with '/'",
            description="{x} is one segment, {x:path} the rest, also {x:int}, {x:float} and {x:uuid}",
        ),
    ]
    methods: Annotated[tuple[Method, ...], Meta(description="left out: all of them")] = ()
    hosts: Annotated[
        tuple[HostPattern, ...], Meta(description="left out: any; *.name is every name below")
    ] = ()
    upstream: Annotated[str | None, Meta(description="name of the upstream that answers")] = None
    app: Annotated[ImportPath | None, Meta(description="ASGI application in this process that answers")] = (
        None
    )
    respond: Annotated[RespondConfig | None, Meta(description="fixed answer")] = None
    plugin: Annotated[tuple[PluginUse, ...], Meta(description="plugins of this route, in order")] = ()

    def __post_init__(self) -> None:
        given = [name for name in ("upstream", "app", "respond") if getattr(self, name) is not None]
        problems = list(_pattern_problems(self.path, self.hosts))
        if len(given) != 1:
            wrong = f"has {' and '.join(given)}" if given else "has no target"
            problems.append(ConfigProblem("", "", wrong, "give exactly one of upstream, app and respond"))
        if problems:
            raise ConfigInvalid(problems)


def _pattern_problems(path: str, hosts: tuple[str, ...]) -> Iterator[ConfigProblem]:
    """Yield what the router would refuse in a route's path and hosts."""
    parts: list[tuple[str, str, Callable[[str], object]]] = [("path", path, parse_path)]
    parts += [(f"hosts[{index}]", host, parse_host) for index, host in enumerate(hosts)]
    for key, text, parse in parts:
        try:
            parse(text)
        except RoutePatternInvalid as error:
            wrong, _, right = str(error).rpartition("; ")
            yield ConfigProblem("", key, wrong.partition(f"{text!r}: ")[2] or wrong, right)


class ConsumerConfig(Table, frozen=True):
    """Who an authenticated request speaks for."""

    name: Annotated[Name, Meta(description="the consumer's name")]
    keys: Annotated[tuple[Secret, ...], Meta(description="keys that prove it")] = ()
    password: Annotated[
        Secret | None, Meta(description="argon2 hash of its password; `agora hash-password` makes one")
    ] = None
    groups: Annotated[tuple[Name, ...], Meta(description="groups it belongs to")] = ()

    def __post_init__(self) -> None:
        if self.password is not None and not is_hash(self.password.reveal()):
            raise FieldInvalid("is not an argon2 hash", "`agora hash-password` makes one", key="password")


class EventLogConfig(Table, frozen=True):
    """The event log: with this table the gateway keeps one, and runs the event sourcing engine on it."""

    path: Annotated[str, Meta(min_length=1, description="its folder, in data_dir")] = "events"
    retention_days: Annotated[
        int, Meta(ge=1, le=36_500, description="days that events are kept at least; then their segment goes")
    ] = 365
    segment_days: Annotated[
        int, Meta(ge=0, le=3650, description="days of a segment, the part that goes as a whole; 0: a month")
    ] = 0
    map_size: Annotated[
        Size, Meta(description="address space set aside for the log; it grows by itself when that is used")
    ] = Size("64GiB")

    def __post_init__(self) -> None:
        if self.map_size < SMALLEST_MAP:
            raise FieldInvalid(f"must be {SMALLEST_MAP} at least", "an empty log needs as much", "map_size")


class EventSourcingConfig(Table, frozen=True):
    """What is decided, projected and handled on the event log."""

    install: Annotated[
        tuple[ImportPath, ...],
        Meta(description="functions that register domains, projections, handlers and processes"),
    ] = ()
    snapshot_every: Annotated[
        int, Meta(ge=0, description="events of a stream between two snapshots of its aggregate; 0: none")
    ] = 100
    verify_snapshots: Annotated[
        bool, Meta(description="hold every snapshot that is used to a replay; slow")
    ] = False
    kept: Annotated[int, Meta(ge=1, description="aggregates kept in memory, of each domain")] = 10_000


class Config(Table, frozen=True):
    """Agora's configuration."""

    server: Annotated[ServerConfig, Meta(description="where and how the gateway listens")] = ServerConfig()
    admin: Annotated[AdminConfig, Meta(description="who may see and steer the gateway")] = AdminConfig()
    upstream: Annotated[tuple[UpstreamConfig, ...], Meta(description="named groups of servers")] = ()
    route: Annotated[tuple[RouteConfig, ...], Meta(description="what is matched, and where it goes")] = ()
    plugin: Annotated[tuple[PluginUse, ...], Meta(description="plugins of every route, before its own")] = ()
    consumer: Annotated[tuple[ConsumerConfig, ...], Meta(description="who requests may speak for")] = ()
    event_log: Annotated[EventLogConfig | None, Meta(description="the event log; left out: none is kept")] = (
        None
    )
    event_sourcing: Annotated[EventSourcingConfig, Meta(description="what runs on the event log")] = (
        EventSourcingConfig()
    )
