"""Decode plain data (parsed TOML, YAML or JSON) into structs, and report every mistake, not just the first.

A right document costs one `msgspec.convert`. Only a wrong one is walked piece by piece beside its type, and
each mistake becomes a `ConfigProblem`: the key path, what is wrong, what would be right. The gateway's
loader decodes files with it, plugins' options are decoded with it, and so is whatever an API is sent.

A type of one's own (`core.units.Duration`) takes part by two class attributes: `from_plain(value, decoder)`
builds it or raises `FieldInvalid`, and `json_schema` describes what it accepts.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from core.describe import FieldDoc, describe_value, field_docs, key_is_plain, type_words
from core.errors import AgoraError

T = TypeVar("T")
COLLECTIONS = (list, tuple, set, frozenset)
MAPPINGS = (dict, Mapping)


class ConfigProblem(msgspec.Struct, frozen=True):
    """Be one mistake: where it is, what is wrong and what would be right."""

    file: str  # the file as it was named, or what else the data came from; may be empty
    key: str  # path of the key, such as `route[2].plugin[0].limit`; empty for the document itself
    wrong: str  # what is wrong, such as `must be a whole number, not the string "ten"`
    right: str = ""  # what would be right; may be empty
    line: int = 0  # where the file's syntax breaks, from 1; 0: the key says where
    column: int = 0  # from 1; 0: somewhere in the line

    @property
    def location(self) -> str:
        """Return the file, with line and column if they are known, as editors and terminals link them."""
        return ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.location, self.key) if part)
        return f"{place}: " * bool(place) + self.wrong + f"; {self.right}" * bool(self.right)


class ConfigInvalid(AgoraError, ValueError):
    """Refuse data that does not fit, with every problem found in it."""

    status = 422
    slug = "config-invalid"
    title = "Configuration invalid"
    source = "client"

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class FieldInvalid(AgoraError, ValueError):
    """Refuse one value: what is wrong, what would be right, and the key below it that is meant, if any."""

    status = 422
    slug = "field-invalid"
    title = "Field invalid"
    source = "client"

    def __init__(self, wrong: str, right: str = "", key: str = "") -> None:
        self.wrong, self.right, self.key = wrong, right, key
        super().__init__(wrong)


def refuse_reference(reference: str) -> str:
    """Refuse any reference to a secret: the resolver of a decoder that was given none."""
    raise FieldInvalid(f"{reference!r} cannot be looked up here", "give the value itself")


class Decoder:
    """Decode plain data into a type; know the folder of relative paths and where secrets are looked up."""

    def __init__(
        self,
        *,
        folder: Path = Path(),
        resolve: Callable[[str], str] = refuse_reference,
        file: str = "",
        literal_secrets: bool = True,
    ) -> None:
        self.folder = folder  # relative paths in the data start here
        self.resolve = resolve  # `env:NAME` or `file:PATH` -> the secret's value, or FieldInvalid
        self.file = file  # named in problems
        self.literal_secrets = literal_secrets  # whether a secret may be written out

    def decode(self, data: object, kind: type[T], key: str = "") -> T:
        """Return `data` as a `kind`; raise ConfigInvalid with all problems, below the key path `key`."""
        try:
            return msgspec.convert(data, kind, dec_hook=self.build)
        except msgspec.ValidationError as error:
            problems: list[ConfigProblem] = []
            self._walk(data, kind, key, None, problems)
            raise ConfigInvalid(problems or [self._problem(key, str(error))]) from None

    def build(self, kind: Any, value: object) -> Any:
        """Build a value of a type that msgspec leaves to its user (its `dec_hook`)."""
        if kind is Path:
            if not isinstance(value, str) or not value or "\0" in value:
                raise FieldInvalid(f"must be the path of a file or folder, not {describe_value(value)}")
            return self.folder / value
        if hasattr(kind, "from_plain"):
            return kind.from_plain(value, self)
        raise NotImplementedError(f"{kind!r} has no `from_plain`")

    def _problem(self, key: str, wrong: str, right: str = "") -> ConfigProblem:
        return ConfigProblem(self.file, key, wrong, right)

    def _walk(
        self, value: object, kind: Any, key: str, field: FieldDoc | None, out: list[ConfigProblem]
    ) -> None:
        """Add the problems of the parts; if those are well, the problem of the whole."""
        before = len(out)
        for part, part_kind, part_key, part_field in self._parts(value, kind, key, out):
            self._walk(part, part_kind, part_key, part_field or field, out)
        if len(out) > before:
            return
        try:
            msgspec.convert(value, kind, dec_hook=self.build)
        except msgspec.ValidationError as error:
            advice = field.advice if field else ""
            out.extend(self._blame(value, kind, key, advice, error))

    def _parts(
        self, value: object, kind: Any, key: str, out: list[ConfigProblem]
    ) -> list[tuple[object, Any, str, FieldDoc | None]]:
        """List what a value is made of, with the type and key path of each part; none for a leaf."""
        kind = _member_for(value, kind)
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._fields(value, kind, key, out)
        arguments = get_args(kind)
        if isinstance(value, dict) and get_origin(kind) in MAPPINGS:
            pairs = [(arguments[0], name, name) for name in value] + [
                (arguments[1], part, name) for name, part in value.items()
            ]
            return [(part, part_kind, join_key(key, name), None) for part_kind, part, name in pairs]
        if isinstance(value, list) and get_origin(kind) in COLLECTIONS:
            return [(part, arguments[0], f"{key}[{index}]", None) for index, part in enumerate(value)]
        return []

    def _fields(
        self, value: dict[Any, object], kind: type[msgspec.Struct], key: str, out: list[ConfigProblem]
    ) -> list[tuple[object, Any, str, FieldDoc | None]]:
        fields = field_docs(kind)
        unknown = [
            name for name in value if name not in fields and kind.__struct_config__.forbid_unknown_fields
        ]
        missing = [name for name, field in fields.items() if field.required and name not in value]
        out += [
            self._problem(join_key(key, name), "unknown key", did_you_mean(name, fields)) for name in unknown
        ]
        out += [self._problem(join_key(key, name), "is missing", fields[name].advice) for name in missing]
        known = [field for name, field in fields.items() if name in value]
        return [(value[field.name], field.kind, join_key(key, field.name), field) for field in known]

    def _blame(
        self, value: object, kind: Any, key: str, advice: str, error: Exception
    ) -> list[ConfigProblem]:
        """Turn msgspec's refusal of one value, whose parts are well, into words for a person."""
        cause = error.__cause__
        if isinstance(cause, ConfigInvalid):
            return [self._problem(nest(key, inner.key), inner.wrong, inner.right) for inner in cause.problems]
        if isinstance(cause, FieldInvalid):
            return [self._problem(nest(key, cause.key), cause.wrong, cause.right or advice)]
        if cause is not None:
            return [self._problem(key, str(cause), advice)]
        words = type_words(kind)
        if isinstance(value, dict) and words.startswith("a list of tables"):
            advice = f"write [[{key}]] in TOML, a list in YAML and JSON"
        found = describe_value(value, hidden="secret" in words)
        return [self._problem(key, f"must be {words}, not {found}", advice)]


def _member_for(value: object, kind: Any) -> Any:
    """Return the type without its annotations; of a union, the member whose shape the value has."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    for member in [_member_for(value, option) for option in get_args(kind)]:
        origin = get_origin(member) or member
        if isinstance(value, list) and origin in COLLECTIONS:
            return member
        if (
            isinstance(value, dict)
            and isinstance(origin, type)
            and issubclass(origin, (dict, msgspec.Struct))
        ):
            return member
    return kind


def join_key(key: str, name: object) -> str:
    """Append a name to a key path; a name that is not plain stands in quotes."""
    text = str(name)
    return f"{key}.{text}".lstrip(".") if key_is_plain(text) else f'{key}["{text}"]'


def nest(outer: str, inner: str) -> str:
    """Put a key path below another."""
    return outer + inner if inner.startswith("[") else ".".join(filter(None, (outer, inner)))


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """Name the known word closest to a wrong one, or all of them."""
    names = {name.replace("-", "_"): name for name in sorted(known)}
    for near in difflib.get_close_matches(str(wrong).lower().replace("-", "_"), names, n=1, cutoff=0.6):
        return f"did you mean {names[near]!r}?"
    return f"known here: {', '.join(names.values())}" if names else "nothing may stand here"
