from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from core.address import ListenAddresses, Network, TargetUrl
from core.describe import describe_value, field_docs, key_is_plain, literal, type_words
from core.plugin import PluginConfig
from core.secret import Secret
from core.units import Duration, Size


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Base(PluginConfig, frozen=True):
    text: str = "hello"  # value of the header
    within: Duration = Duration("5s")  # longest wait
    both: Annotated[int, Meta(description="said in the type")] = 3  # said in the comment
    several: tuple[str, ...] = ()  # after several lines
    bare: bool = False
    hidden: int = 1  # noqa: RUF100


class Derived(Base, frozen=True):
    text: str  # now required
    own: list[int] = []  # noqa: RUF012 - a struct copies it


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a string"),
        (Annotated[int, Meta(ge=1)], "a whole number of at least 1"),
        (Annotated[int, Meta(ge=1, le=9)], "a whole number from 1 to 9"),
        (Annotated[float, Meta(gt=0, lt=1)], "a number above 0 and below 1"),
        (list[str], "a list of strings"),
        (tuple[Annotated[int, Meta(ge=0)], ...], "a list of whole numbers of at least 0"),
        (Annotated[list[str], Meta(min_length=1)], "a list of strings (at least 1)"),
        (Annotated[str, Meta(max_length=9)], "a string (at most 9 characters)"),
        (
            Annotated[str, Meta(pattern="^a", min_length=1, max_length=9)],
            "a string that matches ^a (1 to 9 characters)",
        ),
        (list[list[str]], "a list of lists of strings"),
        (str | list[str], "a string or a list of strings"),
        (str | None, "a string"),
        (Literal["a", "b"], 'one of "a", "b"'),
        (Literal["a"], '"a"'),
        (Colour, 'one of "red", "blue"'),
        (dict[str, int], "a table"),
        (Base, "a table"),
        (list[Base], "a list of tables"),
        (Path, "a path"),
        (Duration, "a duration"),
        (list[Size], "a list of sizes"),
        (ListenAddresses, "an address, or list of them"),
        (list[TargetUrl], "a list of server URLs"),
        (list[Network] | None, "a list of networks"),
        (Secret, "a secret"),
        (Any, "a value"),
        (Annotated[str, Meta(title="name of a thing")], "a name of a thing"),
        (list[Annotated[str, Meta(title="name of a thing")]], "a list of names of a thing"),
    ],
)
def test_says_what_a_type_accepts(kind: Any, words: str) -> None:
    assert type_words(kind) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing (null)"),
        (True, "true"),
        (3, "the number 3"),
        (0.5, "the number 0.5"),
        ("x\ny", r'the string "x\ny"'),
        ("x" * 99, f'the string "{"x" * 57}..."'),
        ({}, "a table"),
        ([1], "a list of 1"),
        ([], "an empty list"),
        (date(2030, 1, 2), "the date 2030-01-02"),
    ],
)
def test_says_what_a_wrong_value_is(value: object, words: str) -> None:
    assert describe_value(value) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (msgspec.UNSET, ""),
        (Base(), ""),
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        ("é", '"é"'),
        (("a", 1), '["a", 1]'),
        ({"a": Duration("5s")}, '{a = "5s"}'),
        (Duration(0), "0"),
        (Size("8KiB"), '"8KiB"'),
        (Path("var"), '"var"'),
    ],
)
def test_writes_a_value_as_a_file_would(value: object, text: str) -> None:
    assert literal(value) == text


def test_a_fields_purpose_is_the_description_or_the_comment_on_its_line() -> None:
    docs = field_docs(Base)
    assert {name: doc.description for name, doc in docs.items()} == {
        "text": "value of the header",
        "within": "longest wait",
        "both": "said in the type",
        "several": "after several lines",
        "bare": "",
        "hidden": "",
    }
    assert docs["within"].advice == 'longest wait (default: "5s")'
    assert docs["within"].words == "duration"
    assert docs["several"].default_text == ""


def test_an_inherited_field_keeps_its_purpose_and_an_overridden_one_gets_its_own() -> None:
    docs = field_docs(Derived)
    assert docs["text"].description == "now required"
    assert docs["text"].required
    assert docs["within"].description == "longest wait"
    assert docs["own"].default == []


def test_a_struct_without_source_has_no_comments() -> None:
    made = msgspec.defstruct("Made", [("field", int, 3)])
    doc = field_docs(made)["field"]
    assert (doc.description, doc.default_text, doc.advice) == ("", "3", " (default: 3)")


@pytest.mark.parametrize("key", ["a", "a_b-c", "route[2]", "A1"])
def test_plain_keys_need_no_quotes(key: str) -> None:
    assert key_is_plain(key)


@pytest.mark.parametrize("key", ["", "a b", "a.b", 'a"', "é"])
def test_other_keys_do(key: str) -> None:
    assert not key_is_plain(key)
