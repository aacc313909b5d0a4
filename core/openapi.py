"""OpenAPI 3.0 and 3.1 descriptions: which operation a request asks for, and what may be sent and answered.

The rules it guards: a description is understood when it is read or refused; references lead to places in the
same document, and nothing is fetched. The validate plugin calls it; core/openapi_parameters reads parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import msgspec

from core._fast.router import Pattern, RouteConflict, RoutePatternInvalid, Router
from core.decode import FieldInvalid
from core.json_body import pointer_to, unescape
from core.json_schema import DOCUMENT, NEWEST, Drafts, Schema
from core.openapi_parameters import Parameter, read_parameter

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_REFERENCES = 32  # that lead to each other

Node = dict[str, Any]
Path = tuple[str, ...]  # of tokens, from the document's root


class Content:
    """Hold the schemas of a body by media type; None: the body is not looked at."""

    def __init__(self, schemas: dict[str, Schema | None]) -> None:
        self._schemas = schemas

    def __iter__(self) -> Iterator[str]:
        """Yield the media types, ranges such as ``image/*`` among them."""
        return iter(self._schemas)

    def range_for(self, media_type: str) -> str | None:
        """Return the narrowest range that takes a media type; None: none does."""
        kind, _, name = media_type.partition("/")
        suffix = name.rpartition("+")[2]
        for known in (media_type, f"{kind}/*+{suffix}", f"{kind}/*", "*/*"):
            if known in self._schemas:
                return known
        return None

    def schema(self, known: str) -> Schema | None:
        """Return the schema of a range."""
        return self._schemas[known]


@dataclass(frozen=True)
class Operation:
    """Say what one operation takes and answers."""

    parameters: tuple[Parameter, ...]
    body: Content | None  # None: the description says nothing of a body
    body_required: bool
    responses: dict[str, Content | None]  # by status, "2XX" or "default"; None: nothing is said of its body

    def response(self, status: int) -> tuple[bool, Content | None]:
        """Return whether a status is described, and the content of its answers."""
        for known in (str(status), f"{status // 100}XX", "default"):
            if known in self.responses:
                return True, self.responses[known]
        return False, None


class Description:
    """Find the operations that a document describes; raises FieldInvalid if it cannot be understood."""

    def __init__(self, document: Any, *, base: str = "", responses: bool = False) -> None:
        """Read a document, given as plain data.

        base:      what stands before its paths, such as ``/api``
        responses: whether the schemas of responses are read too
        """
        try:
            self._read(msgspec.to_builtins(document, str_keys=True), base, responses)
        except RecursionError:
            raise FieldInvalid("is no OpenAPI description: it contains itself") from None

    def _read(self, document: Any, base: str, responses: bool) -> None:
        version = document.get("openapi") if isinstance(document, dict) else None
        if not isinstance(version, str) or not version.startswith(("3.0.", "3.1.")):
            right = 'its root has a member openapi: "3.0.x" or "3.1.x"'
            raise FieldInvalid("is no OpenAPI description", right)
        self._document = document
        old = version.startswith("3.0.")
        self._draft: Drafts = jsonschema_rs.Draft4Validator if old else NEWEST
        self._asked = self._variant("readOnly", old)
        self._answered = self._variant("writeOnly", old) if responses else None
        patterns: list[Pattern] = []
        self._operations: list[tuple[Operation, tuple[str, ...]]] = []
        for template, method, operation in self._all():
            methods = frozenset({method.upper()})
            try:
                path, names = _numbered(base + template)
                patterns.append(Pattern(path, methods))
            except RoutePatternInvalid as error:
                raise _wrong(f"cannot be matched: {error.problem}", ("paths", template)) from None
            self._operations.append((operation, names))
        try:
            self._router = Router(patterns)
        except RouteConflict as error:
            raise FieldInvalid(f"has paths that cannot be told apart: {error}") from None

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation and the path's parameters; None: the document knows no such operation."""
        found = self._router.match(b"", method.encode("ascii"), path.encode("ascii"))
        if isinstance(found, int):
            return None
        operation, names = self._operations[found[0]]
        return operation, {names[int(number[1:])]: value for number, value in found[1].items()}

    def allowed(self, path: str) -> frozenset[str]:
        """Return the methods that the document knows for a path."""
        return self._router.allowed(b"", path.encode("ascii"))

    # -- reading ----------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[str, str, Operation]]:
        for template, named in self._table(self._document, ("paths",)).items():
            item, place = self._resolved(named, ("paths", template))
            shared = self._parameters(item, place)
            for method in METHODS:
                if method in item:
                    node, inside = self._resolved(item[method], (*place, method))
                    own = shared | self._parameters(node, inside)
                    yield template, method, self._operation(node, inside, tuple(own.values()))

    def _operation(self, node: Node, place: Path, parameters: tuple[Parameter, ...]) -> Operation:
        body, responses = None, {}
        required = False
        if "requestBody" in node:
            asked, inside = self._resolved(node["requestBody"], (*place, "requestBody"))
            body = self._content(asked, inside, self._asked)
            required = asked.get("required") is True
        if self._answered is not None:
            for status, named in self._table(node, (*place, "responses")).items():
                answered, inside = self._resolved(named, (*place, "responses", status))
                responses[status.upper() if status != "default" else status] = self._content(
                    answered, inside, self._answered
                )
        return Operation(parameters, body, required, responses)

    def _parameters(self, node: Node, place: Path) -> dict[tuple[str, str], Parameter]:
        listed = node.get("parameters", [])
        if not isinstance(listed, list):
            raise _wrong("must be a list", (*place, "parameters"))
        found: dict[tuple[str, str], Parameter] = {}
        for number, named in enumerate(listed):
            told, inside = self._resolved(named, (*place, "parameters", str(number)))
            if not isinstance(told.get("name"), str):
                raise _wrong("has no name", inside)
            parameter = read_parameter(
                told,
                inside,
                lambda node: self._resolved(node, ())[0],
                lambda place: self._schema(place, self._asked),
            )
            if parameter is not None:
                found[parameter.place, parameter.name] = parameter
        return found

    def _content(self, node: Node, place: Path, within: jsonschema_rs.Registry) -> Content | None:
        if "content" not in node:
            return None
        schemas: dict[str, Schema | None] = {}
        for media_type, told in self._table(node, (*place, "content")).items():
            inside = (*place, "content", media_type)
            if not isinstance(told, dict):
                raise _wrong("must be an object", inside)
            known = media_type.partition(";")[0].strip().lower()
            schemas[known] = self._schema((*inside, "schema"), within) if "schema" in told else None
        return Content(schemas)

    def _schema(self, place: Path, within: jsonschema_rs.Registry) -> Schema:
        reference = f"{DOCUMENT}#{quote(pointer_to(place), safe='/~')}"
        try:
            return Schema({"$ref": reference}, draft=self._draft, within=within)
        except FieldInvalid as error:
            raise _wrong(error.wrong, place) from None

    def _table(self, node: Node, place: Path) -> Node:
        """Return the object that a member of a node is, or an empty one."""
        table = node.get(place[-1], {})
        if not isinstance(table, dict):
            raise _wrong("must be an object", place)
        return table

    def _resolved(self, node: Any, place: Path) -> tuple[Node, Path]:
        """Follow references; return the node they lead to, and where it is."""
        for _ in range(MOST_REFERENCES):
            if not isinstance(node, dict):
                raise _wrong("must be an object", place)
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node, place
            if not reference.startswith("#/"):
                raise _wrong(f"refers to another document: {reference}", place)
            place = tuple(unescape(token) for token in reference[2:].split("/"))
            node = self._at(place)
        raise _wrong("is a reference that leads to itself", place)

    def _at(self, place: Path) -> Any:
        node: Any = self._document
        for token in place:
            if isinstance(node, list) and token.isdecimal() and int(token) < len(node):
                node = node[int(token)]
            elif isinstance(node, dict) and token in node:
                node = node[token]
            else:
                raise _wrong("is referred to and not there", place)
        return node

    # -- what a schema means on one side ----------------------------------------------------------

    def _variant(self, hidden: str, old: bool) -> jsonschema_rs.Registry:
        """Return the document as it holds on one side, on which members marked ``hidden`` are not sent."""

        def left_out(member: Any) -> bool:
            if not isinstance(member, dict):
                return False
            return member.get(hidden) is True or (
                "$ref" in member and self._resolved(member, ())[0].get(hidden) is True
            )

        document = _changed(self._document, lambda node: _as_json_schema(node, left_out, old))
        return jsonschema_rs.Registry([(DOCUMENT, document)], draft=_draft_number(old))


def _draft_number(old: bool) -> int:
    return jsonschema_rs.Draft4 if old else jsonschema_rs.Draft202012


def _changed(node: Any, change: Callable[[Node], Node]) -> Any:
    """Return a copy in which each object is changed, the inner ones first."""
    if isinstance(node, dict):
        return change({name: _changed(member, change) for name, member in node.items()})
    if isinstance(node, list):
        return [_changed(member, change) for member in node]
    return node


def _as_json_schema(node: Node, left_out: Callable[[Any], bool], old: bool) -> Node:
    """Say in JSON Schema's words what OpenAPI has words of its own for."""
    if old and node.get("nullable") is True and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
    required, properties = node.get("required"), node.get("properties")
    if isinstance(required, list) and isinstance(properties, dict):
        node["required"] = [name for name in required if not left_out(properties.get(str(name)))]
        if not node["required"]:  # draft 4 allows no empty list
            del node["required"]
    return node


def _numbered(template: str) -> tuple[str, tuple[str, ...]]:
    """Return a path with numbers for its parameters' names, which may be any text, and the names."""
    names: list[str] = []
    path = ""
    for part in template.split("{"):
        name, brace, literal = part.partition("}")
        if brace:
            path += f"{{p{len(names)}}}{literal}"
            names.append(name)
        else:
            path += part
    return path, tuple(names)


def _wrong(wrong: str, place: Path) -> FieldInvalid:
    return FieldInvalid(f"is no OpenAPI description that can be used: {pointer_to(place)}: {wrong}")
