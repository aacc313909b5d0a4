"""Say in words what a struct accepts: the type, default and purpose of each field.

One source, the struct itself: error messages (core/decode.py), `agora plugins` and the published JSON
Schema all read a field's purpose from its `Meta(description=...)` or, failing that, from the comment at the
end of its line.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import textwrap
import tokenize
from collections.abc import Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec import inspect as types

PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+(\[\d+\])*")
LONGEST_QUOTE = 60  # characters of a wrong value that are repeated in a message


class FieldDoc(msgspec.Struct, frozen=True):
    """Be what there is to say about one field of a struct."""

    name: str  # as written in a file
    kind: Any  # its type, with annotations
    required: bool
    default: Any  # NODEFAULT if required; never a factory
    description: str  # what it is for; may be empty

    @property
    def default_text(self) -> str:
        """Return the default as a person would write it in a file; empty if there is none."""
        return "" if self.default is NODEFAULT or self.default in ((), [], {}) else literal(self.default)

    @property
    def words(self) -> str:
        """Return what the field accepts, such as `list of durations`, without an article."""
        return type_words(self.kind).removeprefix("a ").removeprefix("an ")

    @property
    def advice(self) -> str:
        """Return purpose and default in one line."""
        default = self.default_text
        return self.description + f" (default: {default})" * bool(default)


@cache
def field_docs(struct: type[msgspec.Struct]) -> dict[str, FieldDoc]:
    """Return a struct's fields by the names they have in a file."""
    comments: dict[str, str] | None = None
    docs = {}
    for field in msgspec.structs.fields(struct):
        description = _meta_description(field.type)
        if not description:
            comments = _line_comments(struct) if comments is None else comments
            description = comments.get(field.name, "")
        default = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        docs[field.encode_name] = FieldDoc(
            field.encode_name, field.type, field.required, default, description
        )
    return docs


def _meta_description(kind: Any) -> str:
    for meta in reversed(getattr(kind, "__metadata__", ())):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return ""


def _line_comments(struct: type) -> dict[str, str]:
    """Return the comments at the ends of the lines that declare fields, of a struct and its bases."""
    comments: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base in (object, msgspec.Struct):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
            body = ast.parse(source).body[0]
            tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        except (OSError, TypeError, SyntaxError, tokenize.TokenError):
            continue  # made at run time, or shipped without source
        by_line = {
            token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT
        }
        for node in getattr(body, "body", ()):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found = by_line.get(node.end_lineno or 0, "")
                if found and not found.startswith(("noqa", "type:")):
                    comments[node.target.id] = found
    return comments


def type_words(kind: Any) -> str:
    """Return what a type accepts, with an article: `a list of whole numbers of at least 1`."""
    return _words(types.type_info(kind))[0]


def _words(info: types.Type) -> tuple[str, str]:
    """Return the words for one of a type and for several."""
    if isinstance(info, types.Metadata):
        noun, _, rest = (info.extra_json_schema or {}).get("title", "").partition(" ")
        return _counted(noun, f" {rest}" * bool(rest)) if noun else _words(info.type)
    if isinstance(info, types.BoolType):
        return "true or false", "true or false"
    if isinstance(info, types.LiteralType):
        return _choice(info.values)
    if isinstance(info, types.EnumType):
        return _choice([member.value for member in info.cls])
    if isinstance(info, types.UnionType):
        members = [_words(member) for member in info.types if not isinstance(member, types.NoneType)]
        return " or ".join(one for one, _ in members), " or ".join(many for _, many in members)
    return _counted(*_noun(info))


def _choice(values: Sequence[object]) -> tuple[str, str]:
    words = "one of " * (len(values) > 1) + ", ".join(map(literal, values))
    return words, words


def _counted(noun: str, rest: str) -> tuple[str, str]:
    article = "an" if noun[0] in "aeiou" else "a"
    return f"{article} {noun}{rest}", noun + ("es" if noun[-1] == "s" else "s") + rest


def _noun(info: types.Type) -> tuple[str, str]:
    """Return the word for a type and what follows it in the singular and in the plural."""
    if isinstance(info, types.CustomType):
        return getattr(info.cls, "noun", "path" if issubclass(info.cls, PurePath) else info.cls.__name__), ""
    if isinstance(info, types.IntType | types.FloatType):
        return "whole number" if isinstance(info, types.IntType) else "number", _bounds(info)
    if isinstance(info, types.StrType):
        return "string", (f" that matches {info.pattern}" if info.pattern else "") + _length(
            info, " characters"
        )
    if isinstance(info, types.VarTupleType | types.CollectionType):
        return "list", " of " + _words(info.item_type)[1] + _length(info)
    if isinstance(info, types.StructType | types.DictType | types.DataclassType | types.TypedDictType):
        return "table", ""
    return "value", ""


def _bounds(info: types.IntType | types.FloatType) -> str:
    parts = [
        f"{words} {literal(limit)}"
        for words, limit in (
            ("of at least", info.ge), ("above", info.gt), ("of at most", info.le), ("below", info.lt),
        )
        if limit is not None
    ]  # fmt: skip
    if info.ge is not None and info.le is not None:
        parts = [f"from {literal(info.ge)} to {literal(info.le)}"]
    return " " * bool(parts) + " and ".join(parts)


def _length(info: types.StrType | types.VarTupleType | types.CollectionType, unit: str = "") -> str:
    if info.min_length and info.max_length:
        return f" ({info.min_length} to {info.max_length}{unit})"
    if info.max_length:
        return f" (at most {info.max_length}{unit})"
    return f" (at least {info.min_length}{unit})" if info.min_length else ""


def describe_value(value: object, *, hidden: bool = False) -> str:
    """Say what a wrong value is, in words for TOML, YAML and JSON alike; a hidden one by its type alone."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return literal(value)
    if isinstance(value, str):
        return "a string" if hidden and value else "the string " + literal(value)
    if hidden:
        return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"
    return f"the number {value}" if isinstance(value, int | float) else f"the {type(value).__name__} {value}"


def literal(value: object) -> str:
    """Write a value as TOML would, on one line; a struct or an empty value is an empty string."""
    if value is None or value is UNSET or isinstance(value, msgspec.Struct):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, int | float) and (type(value) in (int, float) or not value):
        return str(value) if value else "0"
    text = str(value)
    if len(text) > LONGEST_QUOTE:
        text = text[: LONGEST_QUOTE - 3] + "..."
    return json.dumps(text, ensure_ascii=False)


def key_is_plain(key: str) -> bool:
    """Tell whether a key can stand in a key path without quotes."""
    return PLAIN_KEY.fullmatch(key) is not None
