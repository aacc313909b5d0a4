"""OpenAPI descriptions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import FieldInvalid
from core.openapi import Description, Operation
from core.openapi_parameters import value_of

OLD: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "markets", "version": "1"},
    "paths": {
        "/markets/{market-id}/orders": {
            "parameters": [{"$ref": "#/components/parameters/market"}],
            "post": {
                "requestBody": {"$ref": "#/components/requestBodies/order"},
                "responses": {
                    201: {"$ref": "#/components/responses/order"},
                    "4XX": {"description": "wrong"},
                    "default": {"content": {"application/problem+json": {}}},
                },
            },
            "get": {
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}},
                    {"name": "X-Version", "in": "header", "required": True, "schema": {"type": "string"}},
                    {"name": "market-id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "Accept", "in": "header", "required": True, "schema": {"type": "integer"}},
                    {"name": "seen", "in": "cookie", "required": True, "schema": {"type": "integer"}},
                ],
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}},
            },
        },
        "/markets/new": {"get": {}},
    },
    "components": {
        "parameters": {
            "market": {"name": "market-id", "in": "path", "required": True, "schema": {"type": "integer"}}
        },
        "requestBodies": {
            "order": {
                "required": True,
                "content": {
                    "application/json; charset=utf-8": {"schema": {"$ref": "#/components/schemas/Order"}},
                    "text/*": {},
                },
            }
        },
        "responses": {
            "order": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
        },
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["id", "note", "price", "secret"],
                "properties": {
                    "id": {"$ref": "#/components/schemas/Id"},
                    "note": {"type": "string", "nullable": True, "enum": ["a", "b"]},
                    "price": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                    "secret": {"type": "string", "writeOnly": True},
                    "parent": {"$ref": "#/components/schemas/Order"},
                },
            },
            "Id": {"type": "integer", "readOnly": True},
        },
    },
}


def described(document: dict[str, Any] = OLD, **options: Any) -> Description:
    return Description(copy.deepcopy(document), responses=True, **options)


def operation(method: str, path: str, document: dict[str, Any] = OLD) -> Operation:
    found = described(document).find(method, path)
    assert found is not None
    return found[0]


def wrong_body(body: Any, side: str = "request") -> list[str]:
    """Return the pointers to what is wrong with an order on its way there or back."""
    told = operation("POST", "/markets/1/orders")
    content = told.body if side == "request" else told.response(201)[1]
    assert content is not None
    schema = content.schema("application/json")
    assert schema is not None
    return [violation.pointer for violation in schema.violations(body, 10, 10)]


def one_parameter(told: dict[str, Any], texts: list[str], **more: Any) -> list[str]:
    """Return what is wrong with the texts of a single parameter."""
    document = {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"parameters": [{"name": "p", "in": "query", **told}]}}},
        **more,
    }
    (parameter,) = operation("GET", "/a", document).parameters
    return [violation.pointer + ": " + violation.detail for violation in parameter.violations(texts, 10)]


def test_finds_an_operation_by_path_and_method() -> None:
    description = described(base="/api")
    found = description.find("POST", "/api/markets/a%20b/orders")
    assert found is not None
    assert found[1] == {"market-id": "a b"}
    assert description.find("POST", "/markets/1/orders") is None
    assert description.find("PUT", "/api/markets/1/orders") is None
    assert description.allowed("/api/markets/1/orders") == {"GET", "HEAD", "POST"}
    assert description.allowed("/api/else") == set()


def test_head_asks_for_what_get_does() -> None:
    description = described()
    path = "/markets/1/orders"
    assert description.find("HEAD", path) == description.find("GET", path) is not None


def test_an_operations_parameter_takes_the_place_of_its_paths() -> None:
    own = {(each.place, each.name): each for each in operation("GET", "/markets/1/orders").parameters}
    assert set(own) == {("path", "market-id"), ("query", "limit"), ("header", "x-version")}
    assert own["path", "market-id"].violations(["a"], 1) == []
    (shared,) = operation("POST", "/markets/1/orders").parameters
    assert [violation.detail for violation in shared.violations(["a"], 1)] == [
        'the value is not of type "integer"'
    ]


def test_a_member_is_needed_only_on_the_side_on_which_it_is_sent() -> None:
    sent = {"note": "a", "price": 0.5, "secret": "s"}
    assert wrong_body(sent) == []
    assert wrong_body(sent, "response") == [""]
    assert wrong_body({"note": "a", "price": 0.5, "id": 1}, "response") == []
    assert wrong_body({"note": "a", "price": 0.5}) == [""]


def test_old_descriptions_have_words_of_their_own() -> None:
    right = {"note": None, "price": 0.5, "secret": "s"}
    assert wrong_body(right) == []
    assert wrong_body({**right, "note": "c"}) == ["/note"]
    assert wrong_body({**right, "price": 0}) == ["/price"]
    assert wrong_body({**right, "parent": {**right, "price": "x"}}) == ["/parent/price"]


def test_a_status_is_looked_for_from_the_narrowest_to_the_widest() -> None:
    told = operation("POST", "/markets/1/orders")
    assert told.response(201)[1] is not None
    assert told.response(404) == (True, None)
    assert list(told.response(500)[1] or ()) == ["application/problem+json"]
    assert operation("GET", "/markets/1/orders").response(404) == (False, None)


def test_a_media_type_is_looked_for_from_the_narrowest_to_the_widest() -> None:
    content = operation("POST", "/markets/1/orders").body
    assert content is not None
    assert content.range_for("application/json") == "application/json"
    assert content.range_for("text/csv") == "text/*"
    assert content.range_for("image/png") is None


@pytest.mark.parametrize(
    ("told", "texts", "wrong"),
    [
        ({"schema": {"type": "integer"}}, ["12"], 0),
        ({"schema": {"type": "integer"}}, ["-1"], 0),
        ({"schema": {"type": "integer"}}, ["1.5"], 1),
        ({"schema": {"type": "integer"}}, ["١"], 1),
        ({"schema": {"type": "integer"}}, [""], 1),
        ({"schema": {"type": "number", "maximum": 2}}, ["1.5e0"], 0),
        ({"schema": {"type": "number", "maximum": 2}}, ["3"], 1),
        ({"schema": {"type": "number"}}, ["inf"], 1),
        ({"schema": {"type": "boolean"}}, ["true"], 0),
        ({"schema": {"type": "boolean"}}, ["1"], 1),
        ({"schema": {"type": ["integer", "null"]}}, [""], 0),
        ({"schema": {"type": "string", "maxLength": 2}}, ["12"], 0),
        ({"schema": {"type": "string", "maxLength": 2}}, ["123"], 1),
        ({"schema": {"enum": ["a"]}}, ["b"], 1),
        ({"schema": {"allOf": [{"$ref": "#/components/schemas/n"}]}}, ["7"], 0),
        ({"schema": {"allOf": [{"$ref": "#/components/schemas/n"}]}}, ["11"], 1),
        ({"schema": {"type": "array", "items": {"type": "integer"}}}, ["1", "2"], 0),
        ({"schema": {"type": "array", "items": {"type": "integer"}}}, ["1,2"], 1),
        ({"explode": False, "schema": {"type": "array", "items": {"type": "integer"}}}, ["1,2"], 0),
        ({"style": "pipeDelimited", "schema": {"type": "array", "maxItems": 1}}, ["1|2"], 1),
        ({"style": "deepObject", "schema": {"type": "object", "minProperties": 3}}, ["x"], 0),
        ({"content": {"application/json": {"schema": {"type": "object"}}}}, ["{}"], 0),
        ({"content": {"application/json": {"schema": {"type": "object"}}}}, ["[]"], 1),
        ({"content": {"application/json": {"schema": {"type": "object"}}}}, ["{"], 1),
        ({"content": {"text/plain": {}}}, ["x"], 0),
        ({"required": True}, [], 1),
        ({}, [], 0),
        ({"schema": {"type": "string"}}, ["\ud800"], 0),
    ],
)
def test_reads_a_parameter_as_its_schema_means_it(told: dict[str, Any], texts: list[str], wrong: int) -> None:
    schemas = {"components": {"schemas": {"n": {"type": "integer", "maximum": 10}}}}
    assert len(one_parameter(told, texts, **schemas)) == wrong


def test_says_which_of_several_values_is_wrong() -> None:
    told = {"schema": {"type": "array", "items": {"type": "integer"}}}
    assert one_parameter(told, ["1", "x"]) == ['/1: the value is not of type "integer"']


@given(st.text(max_size=30), st.sets(st.sampled_from(["integer", "number", "boolean", "null", "string"])))
def test_what_cannot_be_read_stays_a_text(text: str, kinds: set[str]) -> None:
    value = value_of(text, frozenset(kinds))
    if isinstance(value, str):
        assert value == text
    else:
        assert "string" not in kinds
        assert value is None or value is True or value is False or float(text) == float(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"openapi": "2.0"}, 'its root has a member openapi: "3.0.x" or "3.1.x"|is no OpenAPI description'),
        ({"paths": []}, "/paths: must be an object"),
        ({"paths": {"/a": 5}}, "/paths/~1a: must be an object"),
        ({"paths": {"a": {"get": {}}}}, "/paths/a: cannot be matched"),
        ({"paths": {"/a/{}": {"get": {}}, "/a/{x}": {"get": {}}}}, "cannot be told apart"),
        ({"paths": {"/a": {"$ref": "other.yaml#/a"}}}, "/paths/~1a: refers to another document"),
        ({"paths": {"/a": {"$ref": "https://example.test/a"}}}, "refers to another document"),
        ({"paths": {"/a": {"$ref": "#/paths/~1a"}}}, "leads to itself"),
        (
            {"paths": {"/a": {"$ref": "#/components/none/0"}}},
            "/components/none/0: is referred to and not there",
        ),
        ({"paths": {"/a": {"get": {"parameters": {}}}}}, "/paths/~1a/get/parameters: must be a list"),
        ({"paths": {"/a": {"get": {"parameters": [{}]}}}}, "/paths/~1a/get/parameters/0: has no name"),
        (
            {"paths": {"/a": {"get": {"requestBody": {"content": {"a/json": {"schema": {"type": 5}}}}}}}},
            "is no JSON Schema at",
        ),
        (
            {
                "paths": {
                    "/a": {
                        "get": {
                            "requestBody": {"content": {"a/b": {"schema": {"$ref": "http://127.0.0.1:1/"}}}}
                        }
                    }
                }
            },
            "/paths/~1a/get/requestBody/content/a~1b/schema: is no JSON Schema: .*not supported",
        ),
    ],
)
def test_refuses_what_it_cannot_use(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldInvalid, match=message):
        described({**OLD, **change})


def test_refuses_a_document_that_contains_itself() -> None:
    document: dict[str, Any] = {"openapi": "3.1.0"}
    document["x"] = document
    with pytest.raises(FieldInvalid, match="contains itself"):
        Description(document)


places = st.sampled_from(
    [
        ("paths",),
        ("paths", "/markets/new"),
        ("paths", "/markets/new", "get"),
        ("paths", "/markets/new", "get", "parameters"),
        ("paths", "/markets/new", "get", "requestBody"),
        ("paths", "/markets/new", "get", "requestBody", "content"),
        ("paths", "/markets/new", "get", "responses"),
        ("components", "schemas", "Order"),
        ("components", "schemas", "Order", "properties"),
        ("components", "schemas", "Order", "required"),
        ("components", "parameters", "market"),
        ("components", "parameters", "market", "schema"),
        ("components", "parameters", "market", "content"),
        ("components", "parameters", "market", "in"),
        ("components", "parameters", "market", "style"),
    ]
)
words = st.sampled_from(
    ["name", "in", "type", "schema", "query", "array", "$ref", "content", "items", "allOf"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(places, plain)
def test_whatever_stands_in_a_document_it_is_understood_or_refused(
    place: tuple[str, ...], value: Any
) -> None:
    document = copy.deepcopy(OLD)
    node = document
    for token in place[:-1]:
        node = node.setdefault(token, {})
    node[place[-1]] = value
    try:
        description = described(document)
    except FieldInvalid:
        return
    found = description.find("POST", "/markets/1/orders")
    for parameter in found[0].parameters if found else ():
        parameter.violations(["1,x"], 10)
