"""Texts that a pattern describes."""

from __future__ import annotations

import re

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from core.authentication.credential_place import CredentialPlace
from core.client_key import ClientKey
from core.decode import ConfigInvalid, Decoder
from core.pattern_text import PatternText
from core.upstream_config import HashKey
from plugins.cors import OriginPattern
from plugins.jwt import KeySetAddress

KINDS = [CredentialPlace, ClientKey, HashKey, OriginPattern, KeySetAddress]


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_taken_and_described(kind: type[PatternText]) -> None:
    schema = Draft202012Validator(kind.json_schema)
    assert kind.examples
    for example in kind.examples:
        decoded = Decoder().decode(example, kind)
        assert (decoded, type(decoded)) == (example, kind)
        schema.validate(example)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["", " ", "\n", 7, None, ["ip"], "no such\x00thing"])
def test_anything_else_is_refused_with_what_would_be_right(kind: type[PatternText], value: object) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(kind.right)):
        Decoder().decode(value, kind)
    assert not Draft202012Validator(kind.json_schema).is_valid(value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_feed_at_the_end_is_no_part_of_it(kind: type[PatternText]) -> None:
    with pytest.raises(ConfigInvalid):
        Decoder().decode(kind.examples[0] + "\n", kind)
