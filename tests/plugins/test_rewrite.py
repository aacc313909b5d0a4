"""The rewrite plugin."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.decode import ConfigInvalid, FieldInvalid
from core.testing import PluginChain, Sent, site_for
from tests.plugins.make import plugin

names = st.text("ab é&=+%", min_size=1, max_size=4)
values = st.text("xy é&=+%", max_size=4)
segments = st.text("ab.-_~é /%?#;", min_size=1, max_size=6).filter(lambda text: text not in (".", ".."))


def rewritten(url: str, route: str = "/{path:path}", **options: Any) -> Sent:
    """Send one request through the plugin, on a route of that path."""
    return PluginChain(plugin("rewrite", **options), path=route).send(url=url)


def asked(url: str, route: str = "/{path:path}", **options: Any) -> str:
    """Return the path that the target was asked for."""
    sent = rewritten(url, route, **options)
    assert sent.forwarded is not None
    return sent.forwarded.path


@pytest.mark.parametrize(
    ("options", "url", "path"),
    [
        ({"strip_prefix": "/api"}, "/api/markets", "/markets"),
        ({"strip_prefix": "/api"}, "/api", "/"),
        ({"strip_prefix": "/api"}, "/api/", "/"),
        ({"strip_prefix": "/api"}, "/apiary", "/apiary"),
        ({"strip_prefix": "/api"}, "/v1/api", "/v1/api"),
        ({"add_prefix": "/v2"}, "/markets", "/v2/markets"),
        ({"add_prefix": "/v2"}, "/", "/v2/"),
        ({"strip_prefix": "/api", "add_prefix": "/v2"}, "/api/a%2Fb", "/v2/a%2Fb"),
        ({"strip_prefix": "/api", "add_prefix": "/v2"}, "/else", "/else"),
    ],
)
def test_changes_prefixes_by_whole_segments(options: dict[str, str], url: str, path: str) -> None:
    assert asked(url, **options) == path


@pytest.mark.parametrize(
    ("pattern", "replacement", "url", "path"),
    [
        ("^/old/(.*)$", r"/new/\1", "/old/a/b", "/new/a/b"),
        ("^/old/(.*)$", r"/new/\1", "/older", "/older"),
        (r"/(?P<id>\d+)$", r"/by-id/\g<id>", "/markets/17", "/markets/by-id/17"),
        ("b", "x", "/abab", "/axab"),
        ("(a)|(b)", r"(\1)", "/b", "/()"),
        ("^", "/v2", "/markets", "/v2/markets"),
        ("%C3%A9", "e", "/caf%c3%a9", "/cafe"),
    ],
)
def test_replaces_the_first_match_of_a_pattern(pattern: str, replacement: str, url: str, path: str) -> None:
    assert asked(url, pattern=pattern, replacement=replacement) == path


def test_no_pattern_takes_long_on_any_path() -> None:
    # NOTE: a backtracking engine would take 2 to the power of thousands of steps here; the suite's time-out
    # would tell.
    url = "/" + "a" * 4000 + "!"
    assert asked(url, pattern="^/(a+)+$", replacement="/x") == url


def test_makes_a_path_of_the_routes_parameters() -> None:
    assert asked("/markets/7/orders/a%2Fb", "/markets/{id}/orders/{order}", path="/v2/{order}/of/{id}") == (
        "/v2/a%2Fb/of/7"
    )


def test_a_path_parameter_keeps_its_slashes() -> None:
    assert asked("/files/a/b/c", "/files/{rest:path}", path="/v2/{rest:path}") == "/v2/a/b/c"
    assert asked("/files/a/b/c", "/files/{rest:path}", path="/v2/{rest}") == "/v2/a%2Fb%2Fc"


@given(segments)
def test_a_parameter_comes_out_as_it_came_in(value: str) -> None:
    encoded = quote_plus(value).replace("+", "%20").replace("%2E", ".")
    url = "/markets/" + encoded
    chain = PluginChain(plugin("rewrite", path="/v2/{id}/end"), path="/markets/{id}")
    again = PluginChain(path="/v2/{id}/end")
    sent = chain.send(url=url)
    assume(sent.status != 400)  # a path that hides dot segments, such as /markets/%2F..
    assert sent.forwarded is not None
    assert again.send(url=sent.forwarded.path).exchange.parameters == {"id": value}


def test_leaves_the_path_alone_where_the_route_lacks_a_parameter() -> None:
    assert asked("/markets/7", "/markets/{id}", path="/v2/{name}") == "/markets/7"


def test_does_not_change_which_route_was_taken_or_what_is_matched() -> None:
    sent = rewritten("/api/7", "/api/{id}", strip_prefix="/api")
    assert sent.exchange.route == "test"
    assert sent.exchange.parameters == {"id": "7"}


def test_never_leads_out_by_dot_segments() -> None:
    chain = PluginChain(plugin("rewrite", path="/private/{a}/x"), path="/{a}-{b}")
    sent = chain.send(url="/..-b")
    assert sent.status == 500
    assert sent.forwarded is None


@pytest.mark.parametrize(
    ("options", "query", "expected"),
    [
        ({"query_set": {"a": "1"}}, "", "a=1"),
        ({"query_set": {"a": "1"}}, "a=0&b=2&a=3", "b=2&a=1"),
        ({"query_set": {"a b": "é&"}}, "a+b=1&a%20b=2", "a+b=%C3%A9%26"),
        ({"query_remove": ["token"]}, "token=s&a=1&to%6ben=s&token", "a=1"),
        ({"query_remove": ["a"]}, "a=1", ""),
        ({"query_remove": ["a"]}, "b=%2f&&c", "b=%2f&c"),
        ({"query_set": {"who": "{client}"}}, "who=me", "who=192.0.2.1"),
    ],
)
def test_changes_the_query(options: dict[str, Any], query: str, expected: str) -> None:
    sent = rewritten(f"/?{query}" if query else "/", **options)
    assert sent.forwarded is not None
    assert (sent.forwarded.path, sent.forwarded.query) == ("/", expected)


@given(
    st.lists(st.tuples(names, values)),
    st.dictionaries(names, values, max_size=2),
    st.lists(names, max_size=2),
)
def test_the_query_holds_what_was_kept_and_what_was_set(
    sent: list[tuple[str, str]], put: dict[str, str], removed: list[str]
) -> None:
    literal = {name: value.replace("{", "{{") for name, value in put.items()}
    made = rewritten("/?" + urlencode(sent), query_set=literal, query_remove=removed)
    assert made.forwarded is not None
    kept = [(name, value) for name, value in sent if name not in put and name not in removed]
    assert parse_qsl(made.forwarded.query, keep_blank_values=True) == kept + list(put.items())


def test_changes_the_host() -> None:
    sent = rewritten("http://api.test/", host="internal.test:8080")
    assert sent.forwarded is not None
    assert sent.forwarded.host == "internal.test:8080"


def test_joins_no_phase_without_work() -> None:
    assert plugin("rewrite").unused == {"forward"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "a"}, "replacement: is missing; pattern and replacement go together"),
        ({"replacement": "a"}, "pattern: is missing"),
        ({"pattern": "(", "replacement": ""}, "pattern: is no regular expression: missing"),
        ({"pattern": "(?=a)", "replacement": ""}, "no look-around"),
        ({"pattern": "é", "replacement": ""}, "pattern: is not ASCII"),
        ({"pattern": "(a)", "replacement": r"\2"}, r"replacement: .*is no group of the pattern"),
        ({"pattern": "(?P<id>a)", "replacement": r"\g<ip>"}, r"did you mean '..g<id>'"),
        ({"pattern": "a", "replacement": "b c"}, "replacement: must be"),
        ({"strip_prefix": "/a/"}, "strip_prefix: must be a path"),
        ({"add_prefix": "a"}, "add_prefix: must be a path"),
        ({"path": "v2"}, "path: is no path"),
        ({"path": "/{a b}"}, "path: is no path"),
        ({"path": "/a", "strip_prefix": "/b"}, "several ways to change the path"),
        ({"path": "/a", "pattern": "b", "replacement": "c"}, "several ways to change the path"),
        ({"query_set": {"a": "{nobody}"}}, r"query_set\.a: \{nobody\} is no variable"),
        ({"host": "a b"}, "host: must be a host"),
    ],
)
def test_refuses_what_it_cannot_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        plugin("rewrite", **options)


@pytest.mark.parametrize(
    ("options", "key"),
    [({"path": "/{market}"}, "path"), ({"query_set": {"a": "{param:market}"}}, "query_set.a")],
)
def test_refuses_a_parameter_that_the_route_does_not_have(options: dict[str, Any], key: str) -> None:
    with pytest.raises(FieldInvalid, match="'market' is no parameter") as caught:
        plugin("rewrite", site_for(route="test", parameters=("id",)), **options)
    assert caught.value.key == key


def test_a_parameter_never_hides_a_dot_segment_behind_a_semicolon() -> None:
    assert asked("/markets/..%3B", "/markets/{id}", path="/v2/{id}/x") == "/v2/..%3B/x"
