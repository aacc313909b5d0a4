"""The validate plugin: bodies and parameters that are as a schema or an OpenAPI description says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

import msgspec
import yaml
from msgspec import Meta

from core.decode import FieldInvalid
from core.errors import PROBLEM_CONTENT_TYPE, Problem
from core.exchange import Exchange, Response
from core.json_body import JsonMalformed, is_json, media_type_of, read_json
from core.json_schema import Schema, Violation
from core.openapi import Content, Description, Operation
from core.plugin import Plugin, PluginConfig, Side
from core.site import Site
from core.table import END
from core.units import Size

MALFORMED = Problem(JsonMalformed.status, JsonMalformed.slug, JsonMalformed.title)
INVALID = Problem(422, "request-invalid", "The request is not as it should be")
MISSING = Problem(400, "body-missing", "The request needs a body")
WRONG_TYPE = Problem(415, "media-type-unsupported", "The body's media type is not taken here")
UNKNOWN = Problem(404, "operation-unknown", "There is no such operation")
NOT_ALLOWED = Problem(405, "method-not-allowed", "The path does not take this method")
ANSWER_INVALID = Problem(502, "response-invalid", "The target's answer is not as it should be", "upstream")
JSON = "application/json"
WITH_BODIES = frozenset({"POST", "PUT", "PATCH"})
BODILESS = frozenset({204, 205, 304})
Found = tuple[str, Violation]  # the place, such as "body" or "query parameter limit"


class Validate(Plugin):
    """Refuse requests whose JSON body or parameters break their schema; tell of responses that do.

    Schemas are given here, in a file of their own, or by an OpenAPI description (3.0 or 3.1), whose
    operation is found by path and method. What is wrong is listed with JSON pointers; of a body larger than
    4 KiB, only the first mistake. A body of the right kind that is no JSON is 400, of another kind 415.
    Members that come twice are refused: readers do not agree about them.
    """

    class Config(PluginConfig, frozen=True):
        """Options of validate."""

        schema: Annotated[dict[str, Any] | None, Meta(description="JSON Schema of request bodies")] = None
        schema_file: Annotated[Path | None, Meta(description="JSON or YAML file that it is in")] = None
        response_schema: Annotated[
            dict[str, Any] | None, Meta(description="JSON Schema of bodies of responses with a status of 2xx")
        ] = None
        response_schema_file: Annotated[Path | None, Meta(description="JSON or YAML file that it is in")] = (
            None
        )
        openapi: Annotated[
            Path | None, Meta(description="OpenAPI description, JSON or YAML, in place of schemas")
        ] = None
        base: Annotated[
            str,
            Meta(pattern=r"^(/[^/?#{}]+)*" + END, description='what stands before its paths, such as "/api"'),
        ] = ""
        unknown: Annotated[
            Literal["refuse", "pass"], Meta(description="requests for what it does not describe")
        ] = "refuse"
        required: Annotated[
            bool, Meta(description="refuse POST, PUT and PATCH without a body; a description says it itself")
        ] = True
        responses: Annotated[
            Literal["refuse", "log", "off"],
            Meta(description="responses: 502 in place of a wrong one, log and count it, or leave them alone"),
        ] = "off"
        max_body: Annotated[
            Size,
            Meta(description="size that is held of a body; a larger request is 413, a response 502"),
        ] = Size("1MiB")
        max_errors: Annotated[int, Meta(ge=1, le=100, description="mistakes that an answer lists")] = 10

        def __post_init__(self) -> None:
            if not self.max_body:
                raise FieldInvalid("is too small", "give the size of the largest body", "max_body")
            for name in ("schema", "response_schema"):
                if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                    raise FieldInvalid("is given twice", f"choose {name} or {name}_file", f"{name}_file")
            asked = self.schema is not None or self.schema_file is not None
            answered = self.response_schema is not None or self.response_schema_file is not None
            if self.openapi is not None and (asked or answered):
                raise FieldInvalid("stands beside schemas", "choose openapi or schemas", "openapi")
            if self.openapi is None and not (asked or answered):
                raise FieldInvalid("has nothing to go by", "give schema, schema_file or openapi")
            if answered and self.responses == "off":
                raise FieldInvalid(
                    "leaves response_schema without use", 'write "refuse" or "log"', "responses"
                )
            if self.responses != "off" and not answered and self.openapi is None:
                raise FieldInvalid(
                    "has no schema of responses", "give response_schema or openapi", "responses"
                )

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._refuses = config.responses == "refuse"
        self._description: Description | None = None
        self._fixed = Operation((), None, False, {})
        if config.openapi is not None:
            document = _load(config.openapi, "openapi")
            try:
                self._description = Description(
                    document, base=config.base, responses=config.responses != "off"
                )
            except FieldInvalid as error:
                raise FieldInvalid(error.wrong, error.right, "openapi") from None
        else:
            asked = _schema(config.schema, config.schema_file, "schema")
            answered = _schema(config.response_schema, config.response_schema_file, "response_schema")
            self._fixed = Operation(
                (),
                _content(asked),
                config.required,
                {"2XX": _content(answered), "default": None},
            )
        if self._description is not None or self._fixed.body is not None:
            self.request_body_limit = int(config.max_body)
        if self._refuses:
            self.response_body_limit = int(config.max_body)
        self.unused = frozenset({"request"} if self._fixed.body is None and not self._description else ())
        self.unused |= {"refuse": {"chunk"}, "log": set(), "off": {"chunk", "response"}}[config.responses]
        labels = {"route": site.route}
        self._counts = {
            side: site.metrics.counter(
                "agora_invalid_total", "Messages that broke their schema.", {**labels, "side": side}
            )
            for side in ("request", "response")
        }
        self._kept = object()  # key of a response's body that is kept, and of its schema
        self._log = site.logger

    # -- requests ---------------------------------------------------------------------------------

    def request(self, exchange: Exchange) -> Response | None:
        """Refuse what breaks the schema."""
        answer = self._judge(exchange)
        if answer is not None:
            self._counts["request"].add()
        return answer

    def _judge(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        operation, parameters = self._fixed, exchange.parameters
        if self._description is not None:
            found = self._description.find(request.method, request.path)
            if found is None:
                return self._undescribed(exchange)
            operation, parameters = found
            if self._config.responses != "off":
                exchange.state[self] = operation
        most = self._config.max_errors
        wrong = list(_wrong_parameters(operation, exchange, parameters, most))
        if operation.body is not None:
            body = request.body or b""
            answer = self._judge_body(operation, operation.body, exchange, body, wrong)
            if answer is not None:
                return answer
        return _refusal(INVALID, wrong[:most]) if wrong else None

    def _judge_body(
        self, operation: Operation, content: Content, exchange: Exchange, body: bytes, wrong: list[Found]
    ) -> Response | None:
        """Add to what is wrong with the request what is wrong with its body, or return the answer to it."""
        request = exchange.request
        if not body:
            needed = operation.body_required and (self._description or request.method in WITH_BODIES)
            return _refusal(MISSING) if needed else None
        if b"content-encoding" in request.headers:
            answer = _refusal(WRONG_TYPE, detail="Send it without Content-Encoding.")
            answer.headers.set(b"accept-encoding", b"identity")
            return answer
        media_type = media_type_of(request.headers.get(b"content-type", b""))
        known = content.range_for(media_type)
        if known is None:
            answer = _refusal(WRONG_TYPE, detail=f"Send {' or '.join(content) or 'no body'}.")
            answer.headers.set(b"accept", ", ".join(content).encode())
            return answer
        schema = content.schema(known)
        if schema is None or not is_json(media_type):
            return None
        try:
            document = read_json(body)
        except JsonMalformed as error:
            return _refusal(MALFORMED, detail=f"{error}"[:200])
        found = schema.violations(document, len(body), self._config.max_errors)
        wrong += [("body", violation) for violation in found]
        return None

    def _undescribed(self, exchange: Exchange) -> Response | None:
        if self._description is None or self._config.unknown == "pass":
            return None
        allowed = self._description.allowed(exchange.request.path)
        if not allowed:
            return _refusal(UNKNOWN)
        answer = _refusal(NOT_ALLOWED)
        answer.headers.set(b"allow", ", ".join(sorted(allowed)).encode())
        return answer

    # -- responses --------------------------------------------------------------------------------

    def response(self, exchange: Exchange) -> None:
        """Judge what the target answers by its head, and by its body where that is held."""
        exchange.state.pop(self._kept, None)  # of an answer that this one takes the place of
        response = exchange.response
        if exchange.target_elapsed is None or response.problem is not None or response.status == 101:
            return
        operation = exchange.state.get(self) if self._description is not None else self._fixed
        if operation is None:
            return
        described, content = operation.response(response.status)
        if not described:
            self._report(exchange, [("status", Violation("", f"{response.status} is not described"))])
        elif content is not None and response.status not in BODILESS and exchange.request.method != "HEAD":
            self._judge_answer(exchange, content)

    def _judge_answer(self, exchange: Exchange, content: Content) -> None:
        response = exchange.response
        if b"content-encoding" in response.headers or response.status == 206:
            return  # what these bytes stand for is not known here
        media_type = media_type_of(response.headers.get(b"content-type", b""))
        known = content.range_for(media_type)
        if known is None:
            if response.length != 0:
                wrong = Violation("", f"media type {media_type[:60]!r} is not described")
                self._report(exchange, [("body", wrong)])
            return
        schema = content.schema(known)
        if schema is not None and is_json(media_type):
            if response.body is not None:
                self._report(exchange, self._found(schema, response.body))
            else:
                exchange.state[self._kept] = (schema, bytearray())

    def chunk(self, exchange: Exchange, side: Side, piece: bytes, last: bool) -> None:
        """Keep a response's body as it passes, and judge it at its end; one that is too large is let go."""
        kept: tuple[Schema, bytearray] | None = exchange.state.get(self._kept)
        if side == "request" or kept is None:
            return
        schema, body = kept
        body += piece
        if len(body) > self._config.max_body:
            del exchange.state[self._kept]
        elif last:
            self._report(exchange, self._found(schema, bytes(body)))

    def _found(self, schema: Schema, body: bytes) -> list[Found]:
        try:
            document = read_json(body)
        except JsonMalformed as error:
            return [("body", Violation("", f"no JSON: {error}"[:200]))]
        found = schema.violations(document, len(body), self._config.max_errors)
        return [("body", violation) for violation in found]

    def _report(self, exchange: Exchange, wrong: list[Found]) -> None:
        """Count and log what is wrong with a response, and answer in its place if that is asked for."""
        if not wrong:
            return
        self._counts["response"].add()
        place, first = wrong[0]
        self._log.warning(
            "the answer to %s %s is not as it should be: %s %s: %s",
            exchange.request.method,
            exchange.request.path,
            place,
            first.pointer,
            first.detail,
        )
        if self._refuses:
            response = exchange.response
            for name in {name for name, _ in response.headers}:
                response.headers.remove(name)
            # NOTE: not what is wrong with it: that is between the operator and the target.
            refusal = Response.problem_of(ANSWER_INVALID)
            response.status, response.body = ANSWER_INVALID.status, refusal.body
            response.headers.set(b"content-type", PROBLEM_CONTENT_TYPE)
            response.problem = exchange.problem = ANSWER_INVALID.slug


def _wrong_parameters(
    operation: Operation, exchange: Exchange, path: Mapping[str, str], most: int
) -> Iterator[Found]:
    """Yield what is wrong with the parameters."""
    query: dict[str, list[str]] | None = None
    for parameter in operation.parameters:
        name = parameter.name
        if parameter.place == "path":
            texts = [path[name]] if name in path else []
        elif parameter.place == "header":
            texts = [value.decode("latin-1") for value in exchange.request.headers.get_all(name.encode())]
        else:
            if query is None:
                query = parse_qs(exchange.request.query, keep_blank_values=True)
            texts = query.get(name, [])
        for violation in parameter.violations(texts, most):
            yield f"{parameter.place} parameter {name}", violation


def _refusal(problem: Problem, wrong: Sequence[Found] = (), detail: str = "") -> Response:
    """Make the answer that reports a problem and lists what is wrong."""
    if not wrong:
        return Response.problem_of(problem, detail)
    answer = Response.problem_of(problem)
    errors = [
        {"in": place, "pointer": violation.pointer, "detail": violation.detail} for place, violation in wrong
    ]
    answer.body = msgspec.json.encode({**msgspec.json.decode(problem.body()), "errors": errors})
    return answer


def _content(schema: Schema | None) -> Content | None:
    return None if schema is None else Content({JSON: schema, "application/*+json": schema})


def _schema(inline: dict[str, Any] | None, path: Path | None, key: str) -> Schema | None:
    """Compile a schema that is given in one of two ways; None: it is not given."""
    if path is not None:
        key, inline = f"{key}_file", _load(path, f"{key}_file")
    if inline is None:
        return None
    try:
        return Schema(inline)
    except FieldInvalid as error:
        raise FieldInvalid(error.wrong, error.right, key) from None


def _load(path: Path, key: str) -> Any:
    """Read a file of JSON or YAML."""
    try:
        text = path.read_text("utf-8")
        # NOTE: YAML takes almost all JSON, but slowly.
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    except OSError as error:
        raise FieldInvalid(f"cannot be read: {error.strerror}: {path}", "name a file", key) from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise FieldInvalid(f"is neither JSON nor YAML: {path}: {error}", "", key) from None
