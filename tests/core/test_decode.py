import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from core.decode import ConfigInvalid, ConfigProblem, Decoder, FieldInvalid, did_you_mean, join_key, nest
from core.table import Table
from core.units import Duration


class Leaf(Table, frozen=True):
    count: Annotated[int, Meta(ge=1)] = 1  # how many
    wait: Duration = Duration(1)  # how long
    low: int = 0
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise FieldInvalid("is above high", "make it smaller", key="low")
        if self.low == 7:
            raise ValueError("seven is taken")


class Tree(Table, frozen=True):
    name: str  # its name
    leaf: Leaf | None = None
    leaves: Annotated[tuple[Leaf, ...], Meta(max_length=2)] = ()
    by_name: Mapping[str, Leaf] = {}
    one_or_many: str | list[str] = ""
    home: Path = Path()
    free: Any = None


class Inner:
    @classmethod
    def from_plain(cls, value: Any, decoder: Decoder) -> "Inner":
        decoder.decode(value, Leaf)
        return cls()


class Outer(Table, frozen=True):
    inner: Inner


def problems(data: object, kind: Any = Tree, **options: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigInvalid) as refusal:
        Decoder(**options).decode(data, kind)
    return [(problem.key, problem.wrong, problem.right) for problem in refusal.value.problems]


def test_decodes_what_is_right() -> None:
    data = {
        "name": "a",
        "leaf": {"wait": "2m"},
        "leaves": [{"count": 3}],
        "by_name": {"x y": {}},
        "home": "b",
    }
    tree = Decoder(folder=Path("/etc")).decode(data, Tree)
    assert tree.leaf == Leaf(wait=Duration(120))
    assert tree.leaves == (Leaf(count=3),)
    assert tree.home == Path("/etc/b")


def test_an_absolute_path_stays() -> None:
    assert Decoder(folder=Path("/etc")).decode({"name": "a", "home": "/b"}, Tree).home == Path("/b")


def test_reports_every_problem_and_where_it_is() -> None:
    data = {
        "nmae": "a",
        "leaf": {"count": 0, "wait": "soon", "other": 1},
        "leaves": [{"count": 1}, {"count": "x"}],
        "by_name": {"x y": {"wait": -1}, "z": 3},
        "one_or_many": ["a", 3],
        "home": 7,
    }
    found = {key: wrong for key, wrong, _ in problems(data)}
    assert found == {
        "nmae": "unknown key",
        "name": "is missing",
        "leaf.other": "unknown key",
        "leaf.count": "must be a whole number of at least 1, not the number 0",
        "leaf.wait": 'must be a duration, not the string "soon"',
        "leaves[1].count": 'must be a whole number of at least 1, not the string "x"',
        'by_name["x y"].wait': "must be a duration between 0 and 100 years, not the number -1",
        "by_name.z": "must be a table, not the number 3",
        "one_or_many[1]": "must be a string, not the number 3",
        "home": "must be the path of a file or folder, not the number 7",
    }


def test_says_what_would_be_right() -> None:
    found = {key: right for key, _, right in problems({"nam": 1, "leaf": {"count": 0}})}
    assert found == {"nam": "did you mean 'name'?", "name": "its name", "leaf.count": "how many (default: 1)"}


def test_a_rule_over_several_fields_points_at_the_one_it_means() -> None:
    assert problems({"name": "a", "leaf": {"low": 3, "high": 2}}) == [
        ("leaf.low", "is above high", "make it smaller")
    ]
    assert problems({"name": "a", "leaves": [{"low": 7}]}) == [("leaves[0]", "seven is taken", "")]


def test_a_problem_of_the_whole_is_reported_when_its_parts_are_well() -> None:
    [(key, wrong, _)] = problems({"name": "a", "leaves": [{}, {}, {}]})
    assert (key, wrong) == ("leaves", "must be a list of tables (at most 2), not a list of 3")


def test_a_table_where_a_list_of_tables_belongs_is_told_how_to_write_one() -> None:
    [(key, wrong, right)] = problems({"name": "a", "leaves": {}})
    assert (key, wrong) == ("leaves", "must be a list of tables (at most 2), not a table")
    assert right == "write [[leaves]] in TOML, a list in YAML and JSON"


def test_problems_of_a_nested_decoding_keep_their_place() -> None:
    assert problems({"inner": {"count": 0, "wait": "x"}}, Outer)[0][0] == "inner.count"
    assert problems({"inner": 3}, Outer)[0][:2] == ("inner", "must be a table, not the number 3")


def test_key_paths_may_start_elsewhere() -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        Decoder(file="a.toml").decode({"count": 0}, Leaf, key="route[2]")
    assert str(refusal.value).startswith("a.toml: route[2].count: must be")


def test_a_type_without_from_plain_is_a_mistake_of_its_author() -> None:
    with pytest.raises(NotImplementedError, match="has no `from_plain`"):
        Decoder().decode({"a": 1}, dict[str, complex])


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ConfigProblem("a.toml", "b.c", "is wrong", "write d"), "a.toml: b.c: is wrong; write d"),
        (ConfigProblem("a.toml", "", "is not TOML", line=3, column=7), "a.toml:3:7: is not TOML"),
        (ConfigProblem("a.toml", "", "is not TOML", line=3), "a.toml:3: is not TOML"),
        (ConfigProblem("", "b", "is wrong"), "b: is wrong"),
        (ConfigProblem("", "", "is wrong"), "is wrong"),
    ],
)
def test_a_problem_prints_on_one_line(problem: ConfigProblem, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize(
    ("wrong", "known", "words"),
    [
        ("limt", ["limit", "by"], "did you mean 'limit'?"),
        ("Rate_Limit", ["rate-limit"], "did you mean 'rate-limit'?"),
        ("zzz", ["limit", "by"], "known here: by, limit"),
        ("x", [], "nothing may stand here"),
        (7, ["a"], "known here: a"),
    ],
)
def test_names_the_nearest_word_that_is_known(wrong: object, known: list[str], words: str) -> None:
    assert did_you_mean(wrong, known) == words


def test_key_paths_are_joined() -> None:
    assert join_key("", "a") == "a"
    assert join_key("a", "b c") == 'a["b c"]'
    assert nest("a", "b") == "a.b"
    assert nest("a", "[0].b") == "a[0].b"
    assert nest("a", "") == "a"
    assert nest("", "b") == "b"


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=3),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Tree.__struct_fields__, *Leaf.__struct_fields__, "x"]), part, max_size=5
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_any_data_is_decoded_or_refused_with_places_that_exist(data: object) -> None:
    for problem in found(data):
        assert problem.wrong
        assert problem.wrong == "is missing" or exists(data, problem.key)
        assert " - at `$" not in problem.wrong  # msgspec's own words


def found(data: object) -> tuple[ConfigProblem, ...]:
    try:
        Decoder().decode(data, Tree)
    except ConfigInvalid as refusal:
        return refusal.problems
    return ()


def exists(data: Any, key: str) -> bool:
    for name, quoted, index in re.findall(r'\.?([A-Za-z0-9_-]+)|\["(.*?)"\]|\[(\d+)\]', key):
        data = data[int(index)] if index else data[name or quoted]
    return True


@given(plain)
def test_refuses_exactly_what_the_fast_decoder_refuses(data: object) -> None:
    decoder = Decoder()
    try:
        expected = msgspec.convert(data, Tree, dec_hook=decoder.build)
    except msgspec.ValidationError:
        assert found(data)
    else:
        assert decoder.decode(data, Tree) == expected
