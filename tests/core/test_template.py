"""Texts with variables, compared with a plain replacement."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import Decoder, FieldInvalid
from core.exchange import Exchange
from core.template import VARIABLES, HeaderTemplate, HeaderTemplates, Template, check_parameters
from core.testing import exchange_for

TOKENS = ["{client}", "{route}", "{param:id}", "{header:x-b}", "{header:X-None}", "{{", "}}", "text ", "é"]
FILLED = {
    "{client}": "192.0.2.1",
    "{route}": "test",
    "{param:id}": "7 é",
    "{header:x-b}": "{client}",
    "{header:X-None}": "",
    "{{": "{",
    "}}": "}",
}


def exchange() -> Exchange:
    """Return an exchange that has something for every variable above."""
    return exchange_for(url="/m/7%20%C3%A9", path="/m/{id}", headers={"X-B": "{client}"})


@given(st.lists(st.sampled_from(TOKENS), max_size=8))
def test_fills_in_as_one_replacement_after_the_other_would(tokens: list[str]) -> None:
    expected = "".join(FILLED.get(token, token) for token in tokens)
    assert Template("".join(tokens)).fill(exchange()) == expected.encode()


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_has_a_value_on_a_fresh_exchange(name: str) -> None:
    assert isinstance(Template(f"{{{name}}}").fill(exchange()), bytes)


def test_knows_whether_it_is_constant() -> None:
    assert Template("a{{b").constant == b"a{b"
    assert Template("a{client}").constant is None
    assert Template("").constant == b""


def test_knows_its_parameters() -> None:
    assert Template("{param:a}{param:b}{header:c}").parameters == {"a", "b"}


@pytest.mark.parametrize("text", ["{", "}", "a{b", "{client", "client}", "{a{b}}", "{}}", "{}"])
def test_refuses_stray_braces_and_nameless_variables(text: str) -> None:
    with pytest.raises(FieldInvalid):
        Template(text)


@given(st.text("{}ab:", max_size=8))
def test_is_either_understood_or_refused(text: str) -> None:
    try:
        made = Template(text)
    except FieldInvalid:
        return
    assert made.fill(exchange()) == text.replace("{{", "{").replace("}}", "}").encode()


@pytest.mark.parametrize("text", [" a", "a ", "a\r\nb", "a\0b", "\x7f", "a\x85"])
def test_refuses_what_is_no_headers_value(text: str) -> None:
    with pytest.raises(FieldInvalid, match="must be a header's value"):
        HeaderTemplate(text)


@pytest.mark.parametrize("value", ["a", ["a"], ["a", "b"]])
def test_several_values_may_be_one(value: Any) -> None:
    made = HeaderTemplates.from_plain(value, Decoder())
    assert list(made) == ([value] if isinstance(value, str) else value)


def test_is_a_text_like_any_other() -> None:
    made = Template("{client}!")
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made == "{client}!"
        assert again.fill(exchange()) == b"192.0.2.1!"


def test_checks_parameters_where_they_are_known() -> None:
    check_parameters(frozenset({"id"}), ("id", "name"), "key")
    check_parameters(frozenset({"id"}), None, "key")
    with pytest.raises(FieldInvalid) as caught:
        check_parameters(frozenset({"idd"}), ("id",), "key")
    assert (caught.value.key, caught.value.right) == ("key", "did you mean 'id'?")
