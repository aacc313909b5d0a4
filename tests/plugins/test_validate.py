"""The validate plugin, over sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.decode import ConfigInvalid, FieldInvalid
from core.testing import PluginChain
from tests.core.test_json_body import documents
from tests.core.test_openapi import OLD
from tests.harness import Answer, Client, Gateway, Origin, Recorder, serving, upstream
from tests.plugins.make import plugin

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"side": {"enum": ["buy", "sell"]}, "lines": {"items": {"required": ["id"]}}},
    "required": ["side"],
}
JSON = b"Content-Type: application/json"


def posting(body: bytes, *fields: bytes, start: bytes = b"POST /orders") -> bytes:
    """Return a request with a body in JSON, unless a field says something else."""
    kind = [] if any(field.lower().startswith(b"content-type") for field in fields) else [JSON]
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([start + b" HTTP/1.1", b"Host: a", *kind, *fields, length, b"", body])


def answering(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a target's answer, in JSON."""
    kind = [] if any(field.lower().startswith(b"content-type") for field in fields) else [JSON]
    return b"\r\n".join([b"HTTP/1.1 " + status, *kind, *fields, b"Content-Length: %d" % len(body), b"", body])


@asynccontextmanager
async def before(target: Origin, **options: Any) -> AsyncIterator[Gateway]:
    """Serve the plugin before a target."""
    async with target:
        config = upstream(target)
        config["route"][0]["plugin"] = [{"use": "validate", **options}]
        async with serving(config) as gateway:
            yield gateway


def problem(got: Answer) -> tuple[int, str]:
    """Return a refusal's status and name."""
    assert got.header(b"content-type") == b"application/problem+json"
    return got.status, json.loads(got.body)["type"].rpartition(":")[2]


def errors(got: Answer) -> list[tuple[str, str]]:
    """Return the places and pointers of what is listed as wrong."""
    return [(error["in"], error["pointer"]) for error in json.loads(got.body)["errors"]]


# -- bodies of requests -----------------------------------------------------------------------------------


async def test_a_body_that_is_as_it_should_be_reaches_the_target_unchanged() -> None:
    target = Recorder()
    body = b'{ "side" : "buy", "more": 1.50 }'
    async with before(target, schema=ORDER) as gateway:
        assert (await gateway.ask(posting(body))).status == 200
        assert (await gateway.ask(posting(body, b"Content-Type: application/order+json"))).status == 200
    assert [bytes(each.body) for each in target.requests] == [body, body]
    assert target.requests[0].header(b"content-length") == b"%d" % len(body)


async def test_a_body_may_come_byte_by_byte() -> None:
    target = Recorder()
    async with before(target, schema=ORDER) as gateway:
        client = await gateway.connect()
        for byte in posting(b'{"side": "buy"}') + posting(b'{"side": "no"}'):
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.response()).status == 200
        assert problem(await client.response()) == (422, "request-invalid")
    assert len(target.requests) == 1


async def test_each_mistake_is_listed_with_a_pointer_to_it() -> None:
    target = Recorder()
    async with before(target, schema=ORDER) as gateway:
        got = await gateway.ask(posting(b'{"side": "hold", "lines": [{"id": 1}, {}]}'))
        assert problem(got) == (422, "request-invalid")
        assert sorted(errors(got)) == [("body", "/lines/1"), ("body", "/side")]
        details = [error["detail"] for error in json.loads(got.body)["errors"]]
        assert 'the value is not one of "buy" or "sell"' in details
        assert gateway.count("agora_invalid_total", side="request", route="r") == 1
    assert target.requests == []


async def test_no_more_mistakes_are_listed_than_asked_for() -> None:
    lines = json.dumps({"side": "buy", "lines": [{}] * 50}).encode()
    async with before(Recorder(), schema=ORDER, max_errors=3) as gateway:
        assert len(errors(await gateway.ask(posting(lines)))) == 3


@pytest.mark.parametrize(
    ("request_", "status", "slug"),
    [
        (posting(b"{"), 400, "json-malformed"),
        (posting(b'{"side": "buy", "side": "sell"}'), 400, "json-malformed"),
        (posting(b"[" * 100_000), 400, "json-malformed"),
        (posting(b'{"a":' * 20_000), 400, "json-malformed"),
        (posting("{}".encode("utf-16")), 400, "json-malformed"),
        (posting(b""), 400, "body-missing"),
        (posting(b"", start=b"PATCH /"), 400, "body-missing"),
        (posting(b"{}", b"Content-Type: text/plain"), 415, "media-type-unsupported"),
        (posting(b"{}", b"Content-Type: application/json-seq"), 415, "media-type-unsupported"),
        (posting(b"{}", b"Content-Type:"), 415, "media-type-unsupported"),
        (posting(b"{}", b"Content-Encoding: gzip"), 415, "media-type-unsupported"),
        (posting(b"{}"), 422, "request-invalid"),
        (posting(b"[]", start=b"GET /"), 422, "request-invalid"),
        (posting(b"1" * (1 << 20) + b"1"), 413, "body-too-large"),
    ],
)
async def test_says_in_which_way_a_body_is_wrong(request_: bytes, status: int, slug: str) -> None:
    target = Recorder()
    async with before(target, schema=ORDER) as gateway:
        assert problem(await gateway.ask(request_)) == (status, slug)
    assert target.requests == []


async def test_a_wrong_type_is_answered_with_the_right_ones() -> None:
    async with before(Recorder(), schema=ORDER) as gateway:
        got = await gateway.ask(posting(b"{}", b"Content-Type: text/plain"))
        assert got.header(b"accept") == b"application/json, application/*+json"
        got = await gateway.ask(posting(b"{}", b"Content-Encoding: br"))
        assert got.header(b"accept-encoding") == b"identity"


async def test_a_request_without_a_body_needs_one_only_where_its_method_has_one() -> None:
    async with before(Recorder(), schema=ORDER) as gateway:
        assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        assert (await gateway.ask(b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    async with before(Recorder(), schema=ORDER, required=False) as gateway:
        assert (await gateway.ask(posting(b""))).status == 200


@given(st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()))
def test_whatever_a_body_is_it_passes_or_is_refused(body: bytes) -> None:
    sent = CHAIN.send("POST", "/", body=body, headers={"content-type": "application/json"})
    assert sent.status in (200, 400, 422)
    assert (sent.forwarded is None) == (sent.status != 200)


CHAIN = PluginChain(plugin("validate", schema=ORDER, required=False))


async def test_a_schema_may_stand_in_a_file(tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(ORDER)), ("a.yaml", yaml.safe_dump(ORDER))):
        (tmp_path / name).write_text(text)
        async with before(Recorder(), schema_file=str(tmp_path / name)) as gateway:
            assert problem(await gateway.ask(posting(b"{}"))) == (422, "request-invalid")
            assert (await gateway.ask(posting(b'{"side": "buy"}'))).status == 200


# -- OpenAPI ----------------------------------------------------------------------------------------------


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "api.yaml"
    path.write_text(yaml.safe_dump(OLD))
    return str(path)


async def test_an_operation_is_found_by_path_and_method(document: str) -> None:
    target = Recorder()
    right = b'{"note": "a", "price": 0.5, "secret": "s"}'
    async with before(target, openapi=document, base="/api") as gateway:
        start = b"POST /api/markets/7/orders"
        assert (await gateway.ask(posting(right, start=start))).status == 200
        assert (await gateway.ask(posting(b"x", b"Content-Type: text/csv", start=start))).status == 200
        got = await gateway.ask(posting(right, b"Content-Type: image/png", start=start))
        assert problem(got) == (415, "media-type-unsupported")
        assert problem(await gateway.ask(posting(b"", start=start))) == (400, "body-missing")
        assert problem(await gateway.ask(posting(b"{", start=start))) == (400, "json-malformed")
        got = await gateway.ask(posting(b'{"price": 1}', start=start.replace(b"7", b"x")))
        assert problem(got) == (422, "request-invalid")
        assert errors(got) == [("path parameter market-id", ""), ("body", ""), ("body", "")]
    assert len(target.requests) == 2


async def test_parameters_are_held_to_their_schemas(document: str) -> None:
    async with before(Recorder(), openapi=document) as gateway:
        start = b"GET /markets/7/orders?limit=%b HTTP/1.1\r\nHost: a\r\n"
        assert (await gateway.ask(start % b"5" + b"X-Version: 1\r\n\r\n")).status == 200
        got = await gateway.ask(start % b"101" + b"\r\n")
        assert problem(got) == (422, "request-invalid")
        assert sorted(errors(got)) == [("header parameter x-version", ""), ("query parameter limit", "")]
        got = await gateway.ask(start % b"%FF" + b"X-Version: 1\r\n\r\n")
        assert errors(got) == [("query parameter limit", "")]


async def test_what_is_not_described_is_refused_unless_it_may_pass(document: str) -> None:
    unknown, other = (b"GET /else HTTP/1.1\r\nHost: a\r\n\r\n", posting(b"", start=b"PUT /markets/new"))
    async with before(Recorder(), openapi=document) as gateway:
        assert problem(await gateway.ask(unknown)) == (404, "operation-unknown")
        got = await gateway.ask(other)
        assert problem(got) == (405, "method-not-allowed")
        assert got.header(b"allow") == b"GET, HEAD"
    async with before(Recorder(), openapi=document, unknown="pass") as gateway:
        assert (await gateway.ask(unknown)).status == 200
        assert (await gateway.ask(other)).status == 200


# -- responses --------------------------------------------------------------------------------------------


async def test_a_wrong_answer_is_refused_without_telling_what_it_was() -> None:
    target = Recorder(answering(b'{"side": "secret"}', b"X-Inner: 1"))
    async with before(target, response_schema=ORDER, responses="refuse") as gateway:
        client = await gateway.connect()
        client.send(posting(b""))
        got = await client.response()
        assert problem(got) == (502, "response-invalid")
        assert b"secret" not in got.body
        assert got.header(b"x-inner") is None
        target.answer = answering(b'{"side": "buy"}', b"X-Inner: 1")
        client.send(posting(b""))
        got = await client.response()
        assert (got.status, bytes(got.body)) == (200, b'{"side": "buy"}')
        assert got.header(b"x-inner") == b"1"
        assert gateway.count("agora_invalid_total", side="response") == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answering(b"{"), 502),
        (answering(b"{}", b"Content-Type: text/plain"), 502),
        (answering(b""), 502),
        (answering(b"", b"Content-Type: text/plain"), 200),
        (answering(b"{}", status=b"404 Not Found"), 404),
        (answering(b"{}", b"Content-Encoding: gzip"), 200),
        (answering(b'{"side": "buy"}' + b" " * (1 << 20)), 502),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    ],
)
async def test_answers_are_judged_by_what_is_known_of_them(answer: bytes, status: int) -> None:
    async with before(Recorder(answer), response_schema=ORDER, responses="refuse") as gateway:
        assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).status == status


async def test_a_wrong_answer_may_be_logged_and_counted_alone(caplog: pytest.LogCaptureFixture) -> None:
    body = b'{"side": "secret"}'

    async def script(client: Client) -> None:
        await client.request()
        for byte in answering(body):
            client.send(bytes([byte]))
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "agora.plugin"):
        async with before(Origin(script), response_schema=ORDER, responses="log") as gateway:
            got = await gateway.ask(posting(b"", start=b"POST /orders"))
            assert (got.status, bytes(got.body)) == (200, body)
            assert got.header(b"content-length") == b"%d" % len(body)
            assert gateway.count("agora_invalid_total", side="response") == 1
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("the answer to POST /orders is not as it should be: body /side: ")
    assert "secret" not in said


async def test_an_answer_that_is_too_large_to_keep_passes_where_answers_are_logged() -> None:
    body = b'{"lines": "' + b"x" * 2000 + b'"}'
    options = {"response_schema": ORDER, "responses": "log", "max_body": "1KiB"}
    async with before(Recorder(answering(body)), **options) as gateway:
        assert (await gateway.ask(posting(b""))).body == body
        assert gateway.count("agora_invalid_total", side="response") == 0


async def test_answers_are_held_to_a_description(document: str) -> None:
    target = Recorder(answering(b"{}"))
    async with before(target, openapi=document, responses="refuse") as gateway:
        asking = b"GET /markets/7/orders HTTP/1.1\r\nHost: a\r\nX-Version: 1\r\n\r\n"
        assert problem(await gateway.ask(asking)) == (502, "response-invalid")
        target.answer = answering(b"[]")
        assert (await gateway.ask(asking)).status == 200
        target.answer = answering(b"[]", status=b"201 Created")
        assert problem(await gateway.ask(asking)) == (502, "response-invalid")
        head = asking.replace(b"GET", b"HEAD")
        target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        assert (await gateway.ask(head, to_head=True)).status == 200


async def test_what_the_gateway_answers_itself_is_not_judged() -> None:
    async with before(Recorder(b"nonsense"), response_schema=ORDER, responses="refuse") as gateway:
        assert problem(await gateway.ask(posting(b"")))[1] == "upstream-malformed"
        assert gateway.count("agora_invalid_total", side="response") == 0


# -- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has nothing to go by; give schema, schema_file or openapi"),
        ({"schema": {}, "schema_file": "a"}, "schema_file: is given twice; choose schema or schema_file"),
        ({"schema": {}, "openapi": "a"}, "openapi: stands beside schemas; choose openapi or schemas"),
        ({"response_schema": {}}, 'responses: leaves response_schema without use; write "refuse"'),
        ({"schema": {}, "responses": "log"}, "responses: has no schema of responses"),
        ({"schema": {}, "max_errors": 0}, "max_errors"),
        ({"schema": {}, "max_body": 0}, "max_body: is too small"),
        ({"openapi": "a", "base": "/a/"}, "base"),
    ],
)
def test_refuses_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("validate", **options)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (None, "schema_file", "cannot be read: No such file"),
        ("{", "schema_file", "is neither JSON nor YAML"),
        ('{"type": "x"}', "schema_file", "is no JSON Schema at /type"),
        ("{}", "openapi", "is no OpenAPI description"),
    ],
)
def test_refuses_files_that_it_cannot_use(tmp_path: Path, text: str | None, key: str, message: str) -> None:
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FieldInvalid, match=message) as caught:
        plugin("validate", None, **{key: str(path)})
    assert caught.value.key == key


def test_joins_no_phase_without_work() -> None:
    assert plugin("validate", schema={}).unused == {"response", "chunk"}
    answers = plugin("validate", response_schema={}, responses="log")
    assert answers.unused == {"request"}
    assert (answers.request_body_limit, answers.response_body_limit) == (0, 0)
