"""JSON Schemas, compiled."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import FieldInvalid
from core.json_schema import LISTED, LONGEST, Schema, Violation
from tests.core.test_json_body import documents

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "side": {"enum": ["buy", "sell"]},
        "price": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "lines": {"type": "array", "items": {"type": "object", "required": ["id"]}, "maxItems": 3},
    },
    "required": ["side"],
    "additionalProperties": False,
}
orders = st.fixed_dictionaries(
    {},
    optional={
        "side": st.sampled_from(["buy", "sell", "hold"]) | documents,
        "price": st.floats(-1, 2),
        "lines": st.lists(st.just({"id": 1}) | documents, max_size=4),
        "more": documents,
    },
)


@given(orders | documents)
def test_finds_mistakes_where_the_reference_finds_them(document: Any) -> None:
    expected = list(jsonschema.Draft202012Validator(ORDER).iter_errors(document))
    found = Schema(ORDER).violations(document, 10, 100)
    assert sorted(violation.pointer for violation in found) == sorted(
        "".join(f"/{token}" for token in error.absolute_path) for error in expected
    )


def test_says_where_and_what_without_the_value() -> None:
    document = {"side": "buy", "price": "secret"}
    assert Schema(ORDER).violations(document, 10, 10) == [
        Violation("/price", 'the value is not of type "number"')
    ]


def test_lists_a_bounded_number_of_mistakes_of_a_bounded_length() -> None:
    schema = Schema({"type": "object", "additionalProperties": {"type": "string"}})
    document = {"k" * 300 + str(number): number for number in range(20)}
    assert len(schema.violations(document, LISTED, 5)) == 5
    assert len(schema.violations(document, LISTED + 1, 5)) == 1
    for violation in schema.violations(document, LISTED, 20):
        assert len(violation.pointer) <= LONGEST
        assert len(violation.detail) <= LONGEST


def test_no_pattern_takes_long_on_any_text() -> None:
    # NOTE: by backtracking, these take 2 to the power of thousands of steps; the suite's time-out would tell.
    for pattern in ("^(a+)+$", "^(?=(a+)+$)"):
        assert Schema({"pattern": pattern}).violations("a" * 5000 + "!", 10, 10)


def test_bears_a_document_as_deep_as_can_be_read() -> None:
    schema = Schema({"$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"})
    document: list[Any] = []
    for _ in range(900):
        document = [document]
    assert schema.violations(document, 10, 10) == []


def test_goes_by_the_draft_that_the_schema_names() -> None:
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 0, "exclusiveMinimum": True}
    assert Schema(old).violations(0, 1, 1)
    with pytest.raises(FieldInvalid, match="/exclusiveMinimum"):
        Schema({"minimum": 0, "exclusiveMinimum": True})


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "is no JSON Schema at /type"),
        ({"properties": {"a": {"minimum": "1"}}}, "at /properties/a/minimum"),
        ({"pattern": "("}, "at /pattern"),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "cannot fetch"),
        ({"$ref": "https://example.test/schema"}, "cannot fetch"),
        ({"$ref": "file:///etc/passwd"}, "cannot fetch"),
        ({"$ref": "other.json"}, "No base URI"),
        ([], "is no JSON Schema"),
        ("x", "is no JSON Schema"),
    ],
)
def test_refuses_what_is_no_schema_and_fetches_nothing(schema: Any, message: str) -> None:
    with pytest.raises(FieldInvalid, match=message):
        Schema(schema)
