"""The decisions of a shared cache, against the oracle and in words."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cache.cache_control import read_directives
from core.cache.freshness import (
    Kept,
    Rules,
    Said,
    Verdict,
    explicit_lifetime,
    is_useful,
    judge,
    keep,
    lifetime,
    read_answer,
    read_request,
    stands_in,
    why_not_kept,
)
from tests.oracles import cache as oracle

NOW = 1_700_000_000.0

numbers = st.sampled_from(["0", "1", "10", "60", "3600", "", "x", "-1"])
directives = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "max-age",
                "s-maxage",
                "stale-while-revalidate",
                "stale-if-error",
                "no-cache",
                "no-store",
                "private",
                "public",
                "must-revalidate",
                "proxy-revalidate",
                "must-understand",
                "unheard-of",
            ]
        ),
        numbers,
    ).map(lambda pair: pair if pair[0][0] == "s" or pair[0] == "max-age" else (pair[0], "")),
    max_size=4,
)
asked_directives = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["max-age", "min-fresh", "max-stale"]), numbers.filter(bool)),
        st.sampled_from([("max-stale", ""), ("no-cache", ""), ("no-store", "")]),
    ),
    max_size=2,
    unique_by=lambda pair: pair[0],
)
dates = st.integers(-100_000, 100).map(lambda offset: formatdate(NOW + offset, usegmt=True))
headers = st.fixed_dictionaries(
    {},
    optional={
        "date": dates,
        "expires": st.one_of(st.just("0"), dates),
        "last-modified": dates,
        "age": st.sampled_from(["0", "7", "3600"]),
        "vary": st.sampled_from(["accept", "*"]),
        "set-cookie": st.just("a=b"),
    },
)


def written(directives: oracle.Directives) -> bytes:
    return ", ".join(f"{name}={value}" if value else name for name, value in directives).encode()


def said_by(status: int, directives: oracle.Directives, headers: dict[str, str]) -> Said:
    fields = {name.encode(): [value.encode()] for name, value in headers.items()}
    if directives:
        fields[b"cache-control"] = [written(directives)]
    return read_answer(status, lambda name: fields.get(name, []))


@given(
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    status=st.sampled_from([200, 201, 206, 302, 304, 404, 500]),
    asked=asked_directives,
    said=directives,
    headers=headers,
    authorization=st.booleans(),
)
def test_keeps_what_the_oracle_keeps(
    method: str,
    status: int,
    asked: oracle.Directives,
    said: oracle.Directives,
    headers: dict[str, str],
    authorization: bool,
) -> None:
    reason = why_not_kept(
        method, read_directives([written(asked)]), said_by(status, said, headers), credentials=authorization
    )
    assert (reason == "") == oracle.may_keep(method, asked, status, said, headers, authorization), reason


@given(status=st.sampled_from([200, 302, 404]), said=directives, headers=headers)
def test_finds_the_oracles_lifetime(status: int, said: oracle.Directives, headers: dict[str, str]) -> None:
    found = lifetime(said_by(status, said, headers), Rules(), NOW)
    assert found == pytest.approx(oracle.lifetime(status, said, headers, NOW))


@given(
    asked=asked_directives,
    said=directives,
    headers=headers,
    delay=st.integers(0, 5),
    later=st.sampled_from([0, 1, 9, 10, 11, 59, 60, 61, 70, 3600, 9000]),
)
def test_decides_as_the_oracle(
    asked: oracle.Directives, said: oracle.Directives, headers: dict[str, str], delay: int, later: int
) -> None:
    kept = keep(said_by(200, said, headers), Rules(), asked=NOW - delay, received=NOW)
    age = oracle.age(headers, NOW - delay, NOW, NOW + later)
    assert NOW + later - kept.born == pytest.approx(age)
    wanted = oracle.verdict(asked, said, oracle.lifetime(200, said, headers, NOW), age)
    assert judge(kept, read_directives([written(asked)]), NOW + later).value == wanted


def kept(**parts: Any) -> Kept:
    plain = {
        "born": NOW,
        "lifetime": 10.0,
        "no_cache": False,
        "strict": False,
        "shared": False,
        "explicit": True,
    }
    return Kept(**{**plain, "while_revalidate": 0.0, "if_error": 0.0, **parts})


def test_the_operators_rules_fill_in_what_an_answer_does_not_say() -> None:
    rules = Rules(unmarked=300, stale_while_revalidate=5, stale_if_error=7)
    silent = keep(said_by(200, [], {}), rules, asked=NOW, received=NOW)
    assert (silent.lifetime, silent.while_revalidate, silent.if_error) == (300, 5, 7)
    own = [("max-age", "1"), ("stale-while-revalidate", "2"), ("stale-if-error", "3")]
    telling = keep(said_by(200, own, {}), rules, asked=NOW, received=NOW)
    assert (telling.lifetime, telling.while_revalidate, telling.if_error) == (1, 2, 3)
    for word in ("must-revalidate", "s-maxage", "no-cache"):
        strict = keep(said_by(200, [(word, "")], {}), rules, asked=NOW, received=NOW)
        assert (strict.while_revalidate, strict.if_error) == (0, 0)
    assert lifetime(said_by(500, [], {}), rules, NOW) == 0


def test_a_stale_answer_stands_in_for_an_error_within_its_time() -> None:
    assert stands_in(kept(if_error=5.0), {}, NOW + 14)
    assert not stands_in(kept(if_error=5.0), {}, NOW + 15)
    assert stands_in(kept(), {"stale-if-error": "5"}, NOW + 14)
    assert not stands_in(kept(strict=True), {"stale-if-error": "5"}, NOW + 14)
    assert not stands_in(kept(no_cache=True, if_error=5.0), {}, NOW + 14)
    assert not stands_in(kept(if_error=5.0), {"no-cache": ""}, NOW + 14)


def test_what_has_neither_a_lifetime_nor_a_validator_is_of_no_use() -> None:
    for said, useful in [([], False), ([("max-age", "1")], True), ([("max-age", "0")], False)]:
        answer = said_by(200, said, {})
        assert is_useful(keep(answer, Rules(), asked=NOW, received=NOW), answer, NOW) == useful
    answer = said_by(200, [("no-cache", "")], {"last-modified": formatdate(NOW, usegmt=True)})
    assert is_useful(keep(answer, Rules(), asked=NOW, received=NOW), answer, NOW)


def test_answers_to_who_has_cookies_are_kept_only_if_they_say_so() -> None:
    assert why_not_kept("GET", {}, said_by(200, [], {}), cookies=True) == "cookies"
    assert why_not_kept("GET", {}, said_by(200, [("max-age", "9")], {}), cookies=True) == ""


def test_what_is_said_to_delivery_networks_alone_counts_before_all_else() -> None:
    fields = {
        b"cdn-cache-control": [b"max-age=60"],
        b"cache-control": [b"no-store, s-maxage=5"],
        b"expires": [b"0"],
    }
    said = read_answer(200, lambda name: fields.get(name, []))
    assert (why_not_kept("GET", {}, said), explicit_lifetime(said, NOW)) == ("", 60)
    fields[b"cdn-cache-control"] = [b"max-age=60,,"]
    said = read_answer(200, lambda name: fields.get(name, []))
    assert (why_not_kept("GET", {}, said), explicit_lifetime(said, NOW)) == ("no-store", 5)


def test_pragma_counts_where_there_is_no_cache_control() -> None:
    fields = {b"pragma": [b"no-cache"]}
    assert "no-cache" in read_request(lambda name: fields.get(name, []))
    fields[b"cache-control"] = [b"max-age=1"]
    assert "no-cache" not in read_request(lambda name: fields.get(name, []))


def test_a_future_date_does_not_make_an_answer_younger_than_new() -> None:
    answer = said_by(200, [("max-age", "10")], {"date": formatdate(NOW + 50, usegmt=True)})
    assert judge(keep(answer, Rules(), asked=NOW, received=NOW), {}, NOW + 10) is Verdict.ASK
