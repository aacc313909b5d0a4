"""A short name for how a state is laid out, which changes when the layout does.

The rule it guards: an image of a state is read back only into the layout that it was made of. Whoever gives a
domain its `schema` calls `schema_of`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec


def schema_of(*kinds: type[Any], form: str = "") -> str:
    """Return 16 hex digits that stand for the fields of structs, and of the structs in them.

    kinds: the structs; those that only a custom encoding reaches are named here too
    form:  is part of it: change it when the same fields come to mean something else
    """
    seen: dict[type[Any], str] = {}
    for kind in kinds:
        _walk(kind, seen)
    told = "\n".join(sorted(seen.values())) + "\n" + form
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _walk(kind: type[Any], seen: dict[type[Any], str]) -> None:
    if kind in seen or not hasattr(kind, "__annotations__"):
        return
    hints = get_type_hints(kind, include_extras=True)
    names = (
        [field.encode_name for field in msgspec.structs.fields(kind)]
        if issubclass(kind, msgspec.Struct)
        else list(hints)
    )
    fields = sorted((name, _told(hint)) for name, hint in hints.items())
    seen[kind] = f"{kind.__qualname__}({', '.join(names)}): {fields}"
    for hint in hints.values():
        for inner in _classes_in(hint):
            _walk(inner, seen)


def _told(hint: Any) -> str:
    """Return a type without where it is defined."""
    args = get_args(hint)
    name = getattr(hint, "__qualname__", None) or str(hint).partition("[")[0]
    return f"{name}[{', '.join(map(_told, args))}]" if args else name


def _classes_in(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type) and hint.__module__ != "builtins":
        yield hint
    for inner in get_args(hint):
        yield from _classes_in(inner)
