"""The rewrite plugin: another path, query or host for the target than the client asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote, quote_plus, unquote_plus

import msgspec
from msgspec import Meta

from core.decode import Decoder, FieldInvalid, did_you_mean
from core.describe import describe_value
from core.errors import AgoraError
from core.exchange import Exchange
from core.plugin import Plugin, PluginConfig
from core.site import Site
from core.table import END
from core.template import Template, check_parameters

PATH_CHARACTERS = r"A-Za-z0-9._~!$&'()*+,;=:@%/-"
# Besides letters, digits and "_.-", what a segment holds as it is. NOTE: not ";", behind which some servers
# do not see a dot segment.
SEGMENT_SAFE = "~!$&'()*+,=:@"
REFERENCE = re.compile(r"\\(?:(?P<number>[0-9]{1,2})|g<(?P<name>\w+)>|(?P<slash>\\)|(?P<stray>.?))", re.ASCII)
MOST_MEMORY = 1 << 20  # bytes that one pattern's automaton may take

Prefix = Annotated[
    str,
    Meta(
        pattern=rf"^(/[{PATH_CHARACTERS}]*[{PATH_CHARACTERS.replace('/', '')}])?" + END,
        title="path that starts with '/' and does not end with it",
    ),
]
Ascii = Annotated[str, Meta(pattern=r"^[!-~]*" + END, title="text in visible ASCII characters")]
Host = Annotated[
    str,
    Meta(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?" + END, title="host, or host:port"),
]


class RewriteFailed(AgoraError, ValueError):
    """Report that a rewrite made a path with dot segments, which could lead anywhere."""

    slug = "rewrite-failed"
    title = "Rewrite failed"


class PathTemplate(str):
    """Be a path with the route's parameters: ``{x}`` is one segment's text, ``{x:path}`` keeps slashes."""

    __slots__ = ("parameters", "parts")
    noun: ClassVar[str] = "path with parameters"
    pattern: ClassVar[str] = rf"^/([{PATH_CHARACTERS}]|\{{\w+(:path)?\}})*$"
    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": pattern}

    parts: tuple[str | tuple[str, str], ...]  # text, or a parameter's name and the characters it keeps
    parameters: frozenset[str]

    def __new__(cls, text: str) -> Self:
        """Read a path; raise FieldInvalid."""
        if not re.fullmatch(cls.pattern, text):
            raise FieldInvalid(
                f"is no path: {describe_value(text)}",
                'write a path such as "/v2/{id}" or "/files/{rest:path}"',
            )
        made = super().__new__(cls, text)
        made.parts = tuple(
            (token[1], SEGMENT_SAFE + "/" * bool(token[2])) if token[1] else token[0]
            for token in re.finditer(r"\{(\w+)(:path)?\}|[^{]+", text)
        )
        made.parameters = frozenset(part[0] for part in made.parts if isinstance(part, tuple))
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Rebuild from the text (pickle, copy)."""
        return type(self), (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode a path."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a path, not {describe_value(value)}")
        return cls(value)

    def fill(self, parameters: dict[str, str]) -> str | None:
        """Return the path; None if the route that was taken lacks a parameter."""
        if not self.parameters <= parameters.keys():
            return None
        return "".join(
            [
                part if isinstance(part, str) else quote(parameters[part[0]], safe=part[1])
                for part in self.parts
            ]
        )


class LinearPattern(str):
    """Be a regular expression in the syntax of RE2, whose time on any path is linear in its length."""

    __slots__ = ("compiled",)
    noun: ClassVar[str] = "regular expression"
    json_schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["^/old/(.*)$"]}

    compiled: Any  # of re2, over bytes

    def __new__(cls, text: str) -> Self:
        """Compile an expression; raise FieldInvalid."""
        import re2  # NOTE: 10 ms, and only for those who use it

        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        options.max_mem = MOST_MEMORY
        made = super().__new__(cls, text)
        try:
            made.compiled = re2.compile(text.encode("ascii"), options)
        except UnicodeEncodeError:
            raise FieldInvalid("is not ASCII", "paths are matched percent-encoded, such as %C3%A9") from None
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            right = "RE2's syntax has no look-around and no back-references"
            raise FieldInvalid(f"is no regular expression: {reason}", right) from None
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Rebuild from the text (pickle, copy)."""
        return type(self), (str(self),)

    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> Self:
        """Decode an expression."""
        if not isinstance(value, str):
            raise FieldInvalid(f"must be a regular expression, not {describe_value(value)}")
        return cls(value)

    def parts_of(self, replacement: str) -> list[bytes | int]:
        """Take a replacement apart into text and groups; raise FieldInvalid."""
        names = {name.decode("ascii"): number for name, number in self.compiled.groupindex.items()}
        parts: list[bytes | int] = []
        end = 0
        for found in REFERENCE.finditer(replacement):
            parts.append(replacement[end : found.start()].encode("ascii"))
            end = found.end()
            if found["slash"]:
                parts.append(b"\\")
            elif found["number"] and int(found["number"]) <= self.compiled.groups:
                parts.append(int(found["number"]))
            elif found["name"] in names:
                parts.append(names[found["name"]])
            else:
                known = ["\\" + str(number) for number in range(1, self.compiled.groups + 1)]
                known += [f"\\g<{name}>" for name in names]
                wrong = f"{found[0]!r} is no group of the pattern"
                raise FieldInvalid(wrong, did_you_mean(found[0], known), "replacement")
        return [*parts, replacement[end:].encode("ascii")]


class Rewrite(Plugin):
    """Change what the target is asked for; which route was taken stays as it is.

    The path is changed by one of: a prefix taken off, put on or both; a new path with the route's
    parameters; a regular expression, whose first match is replaced (``\\1`` and ``\\g<name>`` are its
    groups). A path that a rule does not fit is left alone.
    """

    class Config(PluginConfig, frozen=True):
        """Options of rewrite."""

        strip_prefix: Annotated[Prefix, Meta(description="segments taken off the beginning")] = ""
        add_prefix: Annotated[Prefix, Meta(description="put before the path, after strip_prefix")] = ""
        path: Annotated[
            PathTemplate | None, Meta(description='new path with the route\'s parameters, such as "/v2/{id}"')
        ] = None
        pattern: Annotated[
            LinearPattern | None, Meta(description="RE2 expression looked for in the path; needs replacement")
        ] = None
        replacement: Annotated[Ascii | None, Meta(description="what its first match becomes")] = None
        query_set: Annotated[
            dict[str, Template], Meta(description="query parameters with this value alone")
        ] = msgspec.field(default_factory=dict)
        query_remove: Annotated[tuple[str, ...], Meta(description="query parameters that go")] = ()
        host: Annotated[
            Host | None,
            Meta(description='Host for the target; counts where the upstream\'s host is "preserve"'),
        ] = None

        def __post_init__(self) -> None:
            if (self.pattern is None) != (self.replacement is None):
                missing = "pattern" if self.pattern is None else "replacement"
                raise FieldInvalid("is missing", "pattern and replacement go together", missing)
            prefixes = bool(self.strip_prefix or self.add_prefix)
            if prefixes + (self.path is not None) + (self.pattern is not None) > 1:
                raise FieldInvalid(
                    "has several ways to change the path",
                    "choose strip_prefix and add_prefix, or path, or pattern and replacement",
                )
            if self.pattern is not None and self.replacement is not None:
                self.pattern.parts_of(self.replacement)

    def __init__(self, config: Config, site: Site) -> None:
        if config.path is not None:
            check_parameters(config.path.parameters, site.parameters, "path")
        for name, value in config.query_set.items():
            check_parameters(value.parameters, site.parameters, f"query_set.{name}")
        self.new_path = _path_changer(config)
        self.host = config.host
        self.query_set = {quote_plus(name): value for name, value in config.query_set.items()}
        self.query_dropped = frozenset((*config.query_set, *config.query_remove))
        if not (self.new_path or self.host or self.query_dropped):
            self.unused = frozenset({"forward"})

    def forward(self, exchange: Exchange) -> None:
        """Change path, query and host."""
        request = exchange.request
        if self.new_path is not None:
            path = self.new_path(exchange)
            if path is not None:
                if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
                    raise RewriteFailed(f"{request.path!r} would become {path!r}")
                request.path = path
        if self.query_dropped:
            request.query = self.new_query(request.query, exchange)
        if self.host is not None:
            request.host = self.host

    def new_query(self, query: str, exchange: Exchange) -> str:
        """Return a query without what is set or removed, and with what is set at its end."""
        kept = [
            field
            for field in query.split("&")
            if field and unquote_plus(field.partition("=")[0]) not in self.query_dropped
        ]
        kept += [f"{name}={quote_plus(value.fill(exchange))}" for name, value in self.query_set.items()]
        return "&".join(kept)


def _path_changer(config: Rewrite.Config) -> Callable[[Exchange], str | None] | None:
    """Return what gives a path its new form, or None to leave it; None: paths are never changed."""
    if config.path is not None:
        template = config.path
        return lambda exchange: template.fill(exchange.parameters)
    if config.pattern is not None and config.replacement is not None:
        return _replacer(config.pattern, config.replacement)
    if config.strip_prefix or config.add_prefix:
        return _prefixer(config.strip_prefix, config.add_prefix)
    return None


def _prefixer(strip: str, add: str) -> Callable[[Exchange], str | None]:
    def new_path(exchange: Exchange) -> str | None:
        path = exchange.request.path
        if path != strip and not path.startswith(strip + "/"):
            return None
        return add + (path[len(strip) :] or "/")

    return new_path


def _replacer(pattern: LinearPattern, replacement: str) -> Callable[[Exchange], str | None]:
    parts = pattern.parts_of(replacement)

    def new_path(exchange: Exchange) -> str | None:
        path = exchange.request.path.encode("ascii")
        match = pattern.compiled.search(path)
        if match is None:
            return None
        made = [part if isinstance(part, bytes) else match.group(part) or b"" for part in parts]
        return b"".join([path[: match.start()], *made, path[match.end() :]]).decode("ascii")

    return new_path
