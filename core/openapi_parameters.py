"""Parameters of OpenAPI operations: texts of paths, queries and headers, read as their schemas mean them.

The rule it guards: a text that cannot be read as what its schema asks for stays a text, and the schema says
what is wrong with it. Parameters in forms that are not known here (objects; the styles matrix and label)
are left to the target. core/openapi makes them, the validate plugin checks with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from core.json_body import JsonMalformed, read_json
from core.json_schema import Schema, Violation

Place = Literal["path", "query", "header"]
PLACES = ("path", "query", "header")
NOT_PARAMETERS = frozenset({"accept", "content-type", "authorization"})  # of headers, as OpenAPI has it
SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,300})(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")
WORDS = {"true": True, "false": False}
DEEPEST = 8  # schemas within each other that are looked at for a parameter's type

Node = dict[str, Any]
Resolve = Callable[[Node], Node]
Read = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class Parameter:
    """Check one parameter."""

    place: Place
    name: str  # of a header in small letters
    required: bool
    schema: Schema | None  # None: its form is not known here
    read: Read  # from the texts that came under its name to what the schema is about

    def violations(self, texts: Sequence[str], most: int) -> list[Violation]:
        """Return what is wrong with it; ``texts``: as many as came, percent-decoded."""
        if not texts:
            return [Violation("", "it is required")] if self.required else []
        if self.schema is None:
            return []
        try:
            value = self.read([text.encode("utf-8", "replace").decode() for text in texts])
        except JsonMalformed as error:
            return [Violation("", f"it is no JSON: {error}")]
        return self.schema.violations(value, sum(map(len, texts)), most)


def read_parameter(
    node: Node, place: tuple[str, ...], resolve: Resolve, compiled: Callable[[tuple[str, ...]], Schema]
) -> Parameter | None:
    """Make a parameter of its description, which stands at a place; None: it is of a kind not looked at.

    resolve:  follows a node's reference
    compiled: makes the schema at a place
    """
    kind, name = node.get("in"), node["name"]
    if kind not in PLACES or (kind == "header" and name.lower() in NOT_PARAMETERS):
        return None
    schema: Schema | None = None
    read: Read | None = None
    content = node.get("content")
    document = content.get("application/json") if isinstance(content, dict) else None
    if "schema" in node:
        read = _reader(node, kind, resolve)
        schema = compiled((*place, "schema")) if read else None
    elif isinstance(document, dict) and "schema" in document:
        read = _read_document
        schema = compiled((*place, "content", "application/json", "schema"))
    return Parameter(
        cast(Place, kind),
        name.lower() if kind == "header" else name,
        kind == "path" or node.get("required") is True,
        schema,
        read or _read_document,
    )


def _read_document(texts: Sequence[str]) -> Any:
    return read_json(texts[0].encode())


def _reader(node: Node, place: str, resolve: Resolve) -> Read | None:
    """Return what reads a parameter's texts; None: its form is not known."""
    told = node["schema"] if isinstance(node["schema"], dict) else {}
    kinds = kinds_of(told, resolve)
    if "object" in kinds:
        return None
    style = node.get("style", "form" if place == "query" else "simple")
    separator = SEPARATORS.get(style) if isinstance(style, str) else None
    if separator is None:
        return None
    if "array" not in kinds:
        return lambda texts: value_of(texts[0], kinds)
    items = _resolved(told, resolve).get("items", {})
    inner = kinds_of(items if isinstance(items, dict) else {}, resolve)
    if place == "query" and node.get("explode", style == "form") is not False:
        return lambda texts: [value_of(text, inner) for text in texts]
    return lambda texts: [value_of(part, inner) for part in ",".join(texts).split(separator)]


def kinds_of(node: Mapping[str, Any], resolve: Resolve, deep: int = 0) -> frozenset[str]:
    """Return the types that a schema names, itself or in what it is combined of."""
    node = _resolved(node, resolve)
    kinds = node.get("type", ())
    found = {kinds} if isinstance(kinds, str) else {kind for kind in _list(kinds) if isinstance(kind, str)}
    if deep < DEEPEST:
        for word in ("allOf", "anyOf", "oneOf"):
            for part in _list(node.get(word)):
                if isinstance(part, dict):
                    found |= kinds_of(part, resolve, deep + 1)
    return frozenset(found)


def value_of(text: str, kinds: frozenset[str]) -> Any:
    """Return a text as the first of the types that it can be read as, or as it is."""
    if "string" in kinds:
        return text
    if INTEGER.fullmatch(text) and kinds & {"integer", "number"}:
        return int(text)
    if "number" in kinds and NUMBER.fullmatch(text):
        number = float(text)
        return text if number in (float("inf"), float("-inf")) else number
    if "boolean" in kinds and text in WORDS:
        return WORDS[text]
    return None if "null" in kinds and not text else text


def _list(found: Any) -> list[Any]:
    return [each for each in found if isinstance(each, str | dict)] if isinstance(found, list) else []


def _resolved(node: Mapping[str, Any], resolve: Resolve) -> Mapping[str, Any]:
    return resolve(dict(node)) if "$ref" in node else node
