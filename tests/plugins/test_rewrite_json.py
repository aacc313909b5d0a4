"""The rewrite-json plugin, over sockets."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import ConfigInvalid, FieldInvalid
from core.exchange import Exchange, Response
from core.json_body import pointer_to
from core.testing import PluginChain, site_for
from plugins.rewrite_json import put, remove, rename
from tests.core.test_json_body import documents
from tests.harness import Client, Gateway, Origin, Recorder, scripted, serving, upstream
from tests.plugins.make import plugin
from tests.plugins.test_validate import answering, posting

GET = b"GET /markets/7 HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def before(target: Origin, *others: dict[str, Any], **options: Any) -> AsyncIterator[Gateway]:
    """Serve the plugin, behind others, before a target."""
    async with target:
        config = upstream(target)
        config["route"][0]["path"] = "/markets/{id}"
        config["route"][0]["plugin"] = [*others, {"use": "rewrite-json", **options}]
        async with serving(config) as gateway:
            yield gateway


def to_market(body: bytes, *fields: bytes) -> bytes:
    return posting(body, *fields, start=b"POST /markets/7?x=1")


async def forwarded(body: bytes, *fields: bytes, **edits: Any) -> bytes:
    """Return the body that a target gets of a request."""
    target = Recorder()
    async with before(target, request=edits) as gateway:
        assert (await gateway.ask(to_market(body, *fields))).status == 200
    (received,) = target.requests
    assert received.header(b"content-length") == b"%d" % len(received.body)
    return bytes(received.body)


async def returned(answer: bytes, **edits: Any) -> bytes:
    """Return the body that a client gets of an answer."""
    async with before(Recorder(answer), response=edits) as gateway:
        return bytes((await gateway.ask(GET)).body)


# -- requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "edits", "expected"),
    [
        ('{"a":1,"b":2}', {"remove": ["/a"]}, '{"b":2}'),
        ('{"a":{"b":[1,2,3]}}', {"remove": ["/a/b/1"]}, '{"a":{"b":[1,3]}}'),
        ('{"a":1,"b":2}', {"rename": {"/a": "c"}}, '{"b":2,"c":1}'),
        ('{"a":1,"b":2}', {"rename": {"/a": "b"}}, '{"b":1}'),
        ('{"a/b":{"c~d":1}}', {"rename": {"/a~1b/c~0d": "e"}}, '{"a/b":{"e":1}}'),
        ("{}", {"set": {"/a": 1}}, '{"a":1}'),
        ("{}", {"set": {"/a/b/c": None}}, '{"a":{"b":{"c":null}}}'),
        ('{"a":[1]}', {"set": {"/a/-": {"b": True}, "/a/0": 0}}, '{"a":[0,{"b":true}]}'),
        ('[{"a":1}]', {"set": {"/0/a": [1, "{client}"]}}, '[{"a":[1,"127.0.0.1"]}]'),
        ("{}", {"set": {"/id": "{param:id}/{query}", "/b": "{{}}"}}, '{"id":"7/x=1","b":"{}"}'),
        ("{}", {"set": {"/x": "{header:x-none}"}}, '{"x":""}'),
        ('{"a":1}', {"remove": ["/a"], "rename": {"/b": "c"}, "set": {"/a": 2}}, '{"a":2}'),
        ('{"a":1.50,"b":1E+2,"c":12345678901234567890}', {"set": {"/d": 0}},
         '{"a":1.50,"b":1E+2,"c":12345678901234567890,"d":0}'),
        ('{"a":1,"a":2}', {"set": {"/b": 1}}, '{"a":2,"b":1}'),
    ],
)  # fmt: skip
async def test_changes_a_requests_body(body: str, edits: dict[str, Any], expected: str) -> None:
    assert await forwarded(body.encode(), **edits) == expected.encode()


@pytest.mark.parametrize(
    ("body", "edits"),
    [
        ('{ "a" : 1 }', {"remove": ["/b", "/a/b", "/a/0"], "rename": {"/b": "c", "/a": "a"}}),
        ("[ 1 ]", {"remove": ["/1", "/-", "/00", "/a"], "set": {"/1": 1, "/a": 1}, "rename": {"/0": "a"}}),
        ("5", {"set": {"/a": 1}, "remove": ["/a"]}),
        ('"text"', {"set": {"/0": 1}, "remove": ["/0"]}),
        ("null ", {"set": {"/a": 1}}),
        ('{ "a": [] }', {"set": {"/a/b": 1, "/a/0/b": 1, "/a/-/b": 1}}),
        ('{ "a": null }', {"set": {"/a/b": 1}}),
    ],
)
async def test_what_a_pointer_does_not_fit_stays_byte_by_byte(body: str, edits: dict[str, Any]) -> None:
    assert await forwarded(body.encode(), **edits) == body.encode()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{", []),
        (b"[" * 100_000, []),
        (b'{"a":' * 100_000, []),
        (b"\xff", []),
        (b"9" * 5000, []),
        (b'{"b":1}', [b"Content-Type: text/plain"]),
        (b'{"b":1}', [b"Content-Encoding: gzip"]),
        (b"", []),
    ],
)
async def test_what_is_no_json_passes_untouched(body: bytes, fields: list[bytes]) -> None:
    assert await forwarded(body, *fields, set={"/a": 1}) == body


async def test_a_body_may_come_byte_by_byte() -> None:
    target = Recorder()
    async with before(target, request={"set": {"/a": 1}}) as gateway:
        client = await gateway.connect()
        chunked = b"POST /markets/7 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        chunked += b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"b"\r\n3\r\n:2}\r\n0\r\n\r\n'
        for byte in to_market(b'{"b":1}') + chunked:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        for _ in range(2):
            assert (await client.response()).status == 200
    assert [bytes(each.body) for each in target.requests] == [b'{"b":1,"a":1}', b'{"b":2,"a":1}']


async def test_a_body_that_is_too_large_to_hold_is_refused() -> None:
    target = Recorder()
    async with before(target, request={"set": {"/a": 1}}, max_body=20) as gateway:
        assert (await gateway.ask(to_market(b'{"b": "0123456789"}'))).status == 200
        assert (await gateway.ask(to_market(b'{"b": "0123456789012"}'))).status == 413
    assert len(target.requests) == 1


async def test_what_was_said_of_the_very_bytes_goes_where_they_change() -> None:
    target = Recorder()
    async with before(target, request={"remove": ["/a"]}) as gateway:
        for body in (b'{"a":1}', b'{"b":1}'):
            await gateway.ask(to_market(body, b"Content-Digest: sha-256=:AAAA:"))
    assert [each.header(b"content-digest") for each in target.requests] == [None, b"sha-256=:AAAA:"]


# -- responses --------------------------------------------------------------------------------------------


async def test_changes_a_responses_body() -> None:
    edits = {"remove": ["/secret"], "rename": {"/mail": "email"}, "set": {"/by": "{route}"}}
    body = await returned(answering(b'{"secret":1,"mail":"a","n":1.0}'), **edits)
    assert body == b'{"n":1.0,"email":"a","by":"r"}'


async def test_an_answer_that_streams_goes_out_whole_when_it_is_whole() -> None:
    async def script(client: Client) -> None:
        await client.request()
        for byte in answering(b'{"a":1,"b":2}'):
            client.send(bytes([byte]))
            await asyncio.sleep(0)

    async with before(Origin(script), response={"remove": ["/a"]}) as gateway:
        got = await gateway.ask(GET)
        assert got.body == b'{"b":2}'
        assert got.header(b"transfer-encoding") == b"chunked"
        assert got.header(b"content-length") is None


async def test_an_answer_that_is_whole_has_its_length() -> None:
    def answer(exchange: Exchange) -> Response:
        return Response(200, [(b"content-type", b"application/json")], b'{"a":1,"b":2}')

    edits = {"use": "rewrite-json", "response": {"remove": ["/a"]}}
    config = {
        "plugin": [edits, scripted(request=answer)],
        "route": [{"name": "r", "path": "/{rest:path}", "respond": {"body": ""}}],
    }
    async with serving(config) as gateway:
        got = await gateway.ask(GET)
        assert got.body == b'{"b":2}'
        assert got.header(b"content-length") == b"7"


@pytest.mark.parametrize(
    "answer",
    [
        answering(b"not json"),
        answering(b'{"a":1}', b"Content-Type: text/plain"),
        answering(b'{"a":1}', b"Content-Encoding: br"),
        answering(b'{ "b" : 1 }'),
        answering(b""),
    ],
)
async def test_an_answer_that_is_not_to_be_changed_passes_untouched(answer: bytes) -> None:
    assert await returned(answer, remove=["/a"]) == answer.partition(b"\r\n\r\n")[2]


async def test_answers_of_other_types_keep_their_length_and_may_be_of_any() -> None:
    body = b"x" * 5000
    target = Recorder(answering(body, b"Content-Type: text/plain"))
    async with before(target, response={"remove": ["/a"]}, max_body=100) as gateway:
        got = await gateway.ask(GET)
        assert got.body == body
        assert got.header(b"content-length") == b"5000"


async def test_an_answer_that_is_known_to_be_too_large_is_a_502() -> None:
    target = Recorder(answering(b'{"a":"%b"}' % (b"x" * 100), b"X-Inner: 1"))
    async with before(target, response={"remove": ["/a"]}, max_body=100) as gateway:
        got = await gateway.ask(GET)
        assert got.status == 502
        assert json.loads(got.body)["type"].endswith(":response-too-large")
        assert got.header(b"x-inner") is None
        assert got.header(b"content-length") == b"%d" % len(got.body)


async def test_an_answer_that_turns_out_to_be_too_large_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    target = Recorder(head + b'%x\r\n"%b"\r\n0\r\n\r\n' % (202, b"x" * 200))
    async with before(target, response={"remove": ["/a"]}, max_body=100) as gateway:
        got = await gateway.exchange(GET)
        assert b"xxx" not in got
        assert not got.endswith(b"0\r\n\r\n")


async def test_targets_are_asked_for_nothing_that_hides_what_is_to_be_changed() -> None:
    target = Recorder(answering(b'{"a":1}'))
    fields = b"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\nRange: bytes=0-9\r\n\r\n"
    async with before(target, response={"remove": ["/a"]}) as gateway:
        await gateway.ask(GET[:-2] + fields)
    (received,) = target.requests
    assert received.all(b"accept-encoding") == [b"identity"]
    assert received.header(b"range") is None


@pytest.mark.parametrize("first", [True, False])
async def test_what_it_changed_can_be_compressed_afterwards(first: bool) -> None:
    target = Recorder(answering(json.dumps({"a": 1, "text": "x" * 5000}).encode()))
    plugins = [{"use": "compress"}, {"use": "rewrite-json", "response": {"remove": ["/a"]}}]
    async with target:
        config = upstream(target)
        config["plugin"] = plugins[:1] if first else []
        config["route"][0]["plugin"] = plugins[1:] if first else plugins
        async with serving(config) as gateway:
            got = await gateway.ask(GET[:-2] + b"Accept-Encoding: gzip\r\n\r\n")
            assert got.header(b"content-encoding") == b"gzip"
            assert json.loads(gzip.decompress(got.body)) == {"text": "x" * 5000}


async def test_an_answer_to_head_promises_no_length() -> None:
    target = Recorder(answering(b"").replace(b"Length: 0", b"Length: 9"))
    async with before(target, response={"remove": ["/a"]}) as gateway:
        got = await gateway.ask(GET.replace(b"GET", b"HEAD"), to_head=True)
        assert (got.status, got.header(b"content-length")) == (200, None)


async def test_a_changed_answers_etag_is_weak_and_its_digest_gone() -> None:
    target = Recorder(answering(b'{"a":1}', b'ETag: "x"', b"Repr-Digest: a=:AA:", b"Accept-Ranges: bytes"))
    async with before(target, response={"remove": ["/a"]}) as gateway:
        got = await gateway.ask(GET)
        assert got.header(b"etag") == b'W/"x"'
        assert got.header(b"repr-digest") is None
        assert got.header(b"accept-ranges") is None


# -- rules ------------------------------------------------------------------------------------------------

tokens = st.lists(st.sampled_from(["", "0", "1", "-", "a", "é"]), min_size=1, max_size=3).map(tuple)


@given(documents, tokens, documents)
def test_what_is_set_is_found_and_removed_again(document: Any, path: tuple[str, ...], value: Any) -> None:
    before, made = copy.deepcopy(document), copy.deepcopy(document)
    if not put(made, path, value):
        assert made == before
        return
    if path[-1] == "-":
        return
    found = made
    for token in path:
        found = found[int(token)] if isinstance(found, list) else found[token]
    assert found == value
    assert remove(made, path)


@given(documents, tokens)
def test_what_is_removed_is_not_there_and_what_is_not_there_is_not_removed(
    document: Any, path: tuple[str, ...]
) -> None:
    made = copy.deepcopy(document)
    if not remove(made, path):
        assert made == document
    else:
        assert made != document


@given(documents, tokens, st.text(max_size=3))
def test_renaming_keeps_the_value(document: Any, path: tuple[str, ...], name: str) -> None:
    made = copy.deepcopy(document)
    if not rename(made, path, name):
        assert made == document
        return
    assert not remove(made, path)
    assert remove(made, (*path[:-1], name))


@given(st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()))
def test_whatever_a_body_is_it_arrives(body: bytes) -> None:
    sent = CHAIN.send("POST", "/", body=body, headers={"content-type": "application/json"})
    assert sent.status == 200
    assert sent.forwarded is not None


CHAIN = PluginChain(plugin("rewrite-json", request={"remove": ["/a"], "set": {"/b/c": "x", "/0": 1}}))


# -- options ----------------------------------------------------------------------------------------------


def test_joins_no_phase_without_work() -> None:
    assert plugin("rewrite-json").unused == {"forward", "response", "chunk"}
    inwards = plugin("rewrite-json", request={"remove": ["/a"]})
    assert (inwards.unused, inwards.request_body_limit) == ({"response", "chunk"}, 1 << 20)
    outwards = plugin("rewrite-json", response={"remove": ["/a"]})
    assert (outwards.unused, outwards.request_body_limit) == (set(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"request": {"remove": ["a"]}}, r"request\.remove\[0\]: must be a JSON pointer"),
        ({"request": {"remove": [""]}}, r"request\.remove\[0\]: must be a JSON pointer"),
        ({"request": {"rename": {"/a": 1}}}, "request.rename"),
        ({"response": {"set": {"a": 1}}}, "response.set"),
        ({"max_body": 0}, "max_body: is too small"),
    ],
)
def test_refuses_what_it_cannot_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("rewrite-json", **options)


@pytest.mark.parametrize("value", ["{nobody}", "{param:market}", {"b": ["{nobody}"]}])
def test_refuses_variables_that_there_are_not(value: Any) -> None:
    pointer = pointer_to(["a"])
    with pytest.raises(FieldInvalid, match=r"is no (variable|parameter)") as caught:
        plugin("rewrite-json", site_for(route="test", parameters=("id",)), request={"set": {pointer: value}})
    assert caught.value.key == 'request.set["/a"]'
