"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from typing import Any


def merged(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return a document with a patch's members set; a null removes one, tables are merged in turn."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = value
    return result
