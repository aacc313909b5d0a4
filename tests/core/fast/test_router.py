"""The compiled router: precedence, parameters, hosts, methods, and a cost that stays bounded."""

import random
import re
import string
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core._fast import route_table, router
from core._fast.router import Pattern, RouteConflict, RoutePatternInvalid, Router
from tests.oracles import router as oracle

UUID = "0b1e3a2c-9f00-4c1d-8e2f-aabbccddeeff"


def routes(*paths: str) -> Router:
    return Router([Pattern(path) for path in paths])


def found(table: Router, path: str, method: str = "GET", host: str = "") -> tuple[str, dict[str, str]] | int:
    """Match and name the route by its pattern instead of its index."""
    result = table.match(host.encode(), method.encode(), path.encode())
    return result if isinstance(result, int) else (table.routes[result[0]].path, result[1])


def pattern(path: str, methods: str = "", *hosts: str) -> Pattern:
    return Pattern(path, frozenset(methods.split()), hosts)


def test_is_compiled() -> None:
    assert router.__file__.endswith(".so")
    assert route_table.__file__.endswith(".so")


def test_matches_nothing_without_routes() -> None:
    assert found(Router([]), "/") == -1


def test_matches_a_literal_path() -> None:
    assert found(routes("/", "/markets", "/markets/top"), "/markets/top") == ("/markets/top", {})


def test_matches_the_root() -> None:
    assert found(routes("/", "/{x}"), "/") == ("/", {})


def test_counts_a_trailing_slash() -> None:
    table = routes("/a", "/b/")
    assert found(table, "/a/") == -1
    assert found(table, "/b") == -1
    assert found(table, "/b/") == ("/b/", {})


def test_does_not_take_an_empty_segment_as_a_parameter() -> None:
    assert found(routes("/a/{x}"), "/a/") == -1


@pytest.mark.parametrize("path", ["", "*", "a", "example.test:443"])
def test_matches_no_target_that_is_not_a_path(path: str) -> None:
    assert found(routes("/{x:path}"), path) == -1


def test_prefers_literals_then_parameters_then_the_rest() -> None:
    table = routes("/{x:path}", "/{x}", "/a", "/{x}/{y:path}")
    assert found(table, "/a") == ("/a", {})
    assert found(table, "/b") == ("/{x}", {"x": "b"})
    assert found(table, "/b/c") == ("/{x}/{y:path}", {"x": "b", "y": "c"})
    assert found(table, "/") == ("/{x:path}", {"x": ""})


def test_goes_back_when_a_literal_leads_nowhere() -> None:
    table = routes("/a/b/c", "/a/{x}/d", "/{x}/b/e", "/{p:path}")
    assert found(table, "/a/b/d") == ("/a/{x}/d", {"x": "b"})
    assert found(table, "/a/b/e") == ("/{x}/b/e", {"x": "a"})
    assert found(table, "/a/b/f") == ("/{p:path}", {"p": "a/b/f"})


def test_goes_back_when_a_narrower_path_does_not_take_the_method() -> None:
    table = Router([pattern("/a/b", "POST"), pattern("/a/{x}", "GET")])
    assert found(table, "/a/b") == ("/a/{x}", {"x": "b"})
    assert found(table, "/a/b", "PUT") == -2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/{UUID}", "/{x:uuid}"),
        (f"/{UUID.replace('-', '').upper()}", "/{x:uuid}"),
        (f"/{UUID[:-1]}", "/{x}"),
        (f"/{UUID}0", "/{x}"),
        ("/17", "/{x:int}"),
        ("/1.5", "/{x:float}"),
        ("/1.", "/{x}"),
        ("/.5", "/{x}"),
        ("/1.5.2", "/{x}"),
        ("/-1", "/{x}"),
        ("/1e5", "/{x}"),
        ("/%D9%A1", "/{x}"),
    ],
)
def test_prefers_the_narrowest_convertor_that_takes_the_value(path: str, expected: str) -> None:
    result = found(routes("/{x}", "/{x:float}", "/{x:int}", "/{x:uuid}"), path)
    assert isinstance(result, tuple)
    assert result[0] == expected


def test_takes_the_rest_of_the_path_even_when_it_is_empty() -> None:
    table = routes("/static/{file:path}")
    assert found(table, "/static/") == ("/static/{file:path}", {"file": ""})
    assert found(table, "/static/a/b.css") == ("/static/{file:path}", {"file": "a/b.css"})
    assert found(table, "/static") == -1


def test_takes_what_lies_between_two_ends_as_a_path() -> None:
    table = routes("/v2/{name:path}/manifests/{reference}", "/v2/{name:path}/tags", "/v2/{name:path}.zip")
    assert found(table, "/v2/library/x/manifests/7") == (
        "/v2/{name:path}/manifests/{reference}",
        {"name": "library/x", "reference": "7"},
    )
    assert found(table, "/v2/manifests/manifests/manifests") == (
        "/v2/{name:path}/manifests/{reference}",
        {"name": "manifests", "reference": "manifests"},
    )
    assert found(table, "/v2/a/b/tags") == ("/v2/{name:path}/tags", {"name": "a/b"})
    assert found(table, "/v2/a/b/c.zip") == ("/v2/{name:path}.zip", {"name": "a/b/c"})
    assert found(table, "/v2/tags") == -1


@pytest.mark.parametrize(
    ("path", "text", "values"),
    [
        ("/{name}.json", "a.b.json", {"name": "a.b"}),
        ("/v{major:int}", "v12", {"major": "12"}),
        ("/v1{minor:int}", "v123", {"minor": "23"}),
        ("/{a}-{b}", "x-y-z", {"a": "x-y", "b": "z"}),
        ("/{id:int}-{slug}", "42-hello-7", {"id": "42", "slug": "hello-7"}),
        ("/{slug}-{id:int}", "hello-7-42", {"slug": "hello-7", "id": "42"}),
        ("/{y:int}-{m:int}-{d:int}.txt", "2024-02-29.txt", {"y": "2024", "m": "02", "d": "29"}),
        ("/{version:float}.tar.gz", "1.5.tar.gz", {"version": "1.5"}),
        ("/{a}x{n:int}y{b}", "1x2y3x4yz5", {"a": "1x2y3", "n": "4", "b": "z5"}),
        ("/{a}-{id:uuid}", f"x-{UUID}", {"a": "x", "id": UUID}),
        ("/{a}0", "x%200", {"a": "x "}),
        ("/pre{rest:path}", "prefix/more", {"rest": "fix/more"}),
    ],
)
def test_divides_a_segment(path: str, text: str, values: dict[str, str]) -> None:
    assert found(routes(path), "/" + text) == (path, values)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/{name}.json", ".json"),
        ("/{a}-{b}", "-x"),
        ("/{a}-{b}", "x-"),
        ("/{y:int}-{m:int}", "2024-x"),
        ("/ab{x}ba", "aba"),
        ("/{a}0", "x%20"),
        ("/{a}2{b}", "%20"),
    ],
)
def test_refuses_a_segment_that_cannot_be_divided(path: str, text: str) -> None:
    assert found(routes(path), "/" + text) == -1


def test_prefers_the_longer_prefix_then_more_literal_bytes() -> None:
    table = routes("/{x}", "/a{x}", "/ab{x}", "/{x}.json", "/{x}.min.json", "/{x}-{y}")
    assert found(table, "/abc.json") == ("/ab{x}", {"x": "c.json"})
    assert found(table, "/ac.json") == ("/a{x}", {"x": "c.json"})
    assert found(table, "/c-d.min.json") == ("/{x}.min.json", {"x": "c-d"})
    assert found(table, "/c-d.json") == ("/{x}.json", {"x": "c-d"})
    assert found(table, "/c-d") == ("/{x}-{y}", {"x": "c", "y": "d"})


def test_decodes_parameters_once() -> None:
    assert found(routes("/{x}"), "/caf%C3%A9%2F%2541") == ("/{x}", {"x": "café/%41"})


def test_matches_literals_in_their_normalised_form() -> None:
    table = routes("/café au lait", "/%7euser%2fx")
    assert found(table, "/caf%C3%A9%20au%20lait") == ("/café au lait", {})
    assert found(table, "/~user%2Fx") == ("/%7euser%2fx", {})


def test_finds_literals_of_every_length() -> None:
    paths = ["/" + "x" * length + end for length in range(1, 60) for end in "yz"]
    table = routes(*paths)
    for path in paths:
        assert found(table, path) == (path, {})
        assert found(table, path + "x") == -1


def test_tells_unknown_paths_from_unknown_methods() -> None:
    table = Router([pattern("/a", "GET"), pattern("/a", "POST PROPFIND")])
    assert found(table, "/a", "DELETE") == -2
    assert found(table, "/b", "DELETE") == -1
    assert table.allowed(b"", b"/a") == {"GET", "HEAD", "POST", "PROPFIND"}
    assert table.allowed(b"", b"/b") == frozenset()


def test_compares_unusual_methods_by_name() -> None:
    table = Router([pattern("/a", "PROPFIND"), pattern("/a", "MKCOL"), pattern("/b")])
    assert table.match(b"", b"PROPFIND", b"/a") == (0, {})
    assert table.match(b"", b"MKCOL", b"/a") == (1, {})
    assert table.match(b"", b"PROPFIN", b"/a") == -2
    assert table.match(b"", b"get", b"/a") == -2
    assert table.match(b"", b"BREW", b"/b") == (2, {})
    assert table.allowed(b"", b"/b") >= {"GET", "PUT", "MKCOL"}


def test_gives_head_to_get_routes_unless_a_route_names_head() -> None:
    table = Router(
        [pattern("/a", "GET"), pattern("/b", "GET"), pattern("/b", "HEAD"), pattern("/{x}", "HEAD")]
    )
    assert table.match(b"", b"HEAD", b"/a") == (0, {})
    assert table.match(b"", b"HEAD", b"/b") == (2, {})


def test_prefers_a_route_that_names_the_method() -> None:
    table = Router([pattern("/a"), pattern("/a", "GET")])
    assert table.match(b"", b"GET", b"/a") == (1, {})
    assert table.match(b"", b"HEAD", b"/a") == (1, {})
    assert table.match(b"", b"POST", b"/a") == (0, {})


def test_prefers_the_exact_host_then_the_longest_wildcard_then_any() -> None:
    table = Router(
        [
            pattern("/a"),
            pattern("/a", "", "*.test"),
            pattern("/a", "", "*.example.test"),
            pattern("/a", "", "api.example.test", "[::1]"),
            pattern("/{x}", "", "api.example.test"),
        ]
    )
    hosts = [
        "other",
        "x.test",
        "y.x.example.test",
        "api.example.test",
        "[::1]",
        "test",
        ".test",
        "example.test",
        "",
    ]
    assert [table.match(host.encode(), b"GET", b"/a") for host in hosts] == [
        (index, {}) for index in (0, 1, 2, 3, 3, 0, 0, 1, 0)
    ]
    assert table.match(b"api.example.test", b"GET", b"/b") == (4, {"x": "b"})


@pytest.mark.parametrize(
    "host", ["API.Example.TEST", "api.example.test.", "api.example.test:8080", "Api.example.test.:1"]
)
def test_compares_hosts_without_case_port_and_final_dot(host: str) -> None:
    assert found(Router([pattern("/a", "", "api.EXAMPLE.test.")]), "/a", host=host) == ("/a", {})


@pytest.mark.parametrize("host", ["[::1", "::1", "[::1]x", "a" * 300, "a" * 300 + ".a.test", ":80", "."])
def test_gives_odd_hosts_to_routes_for_any_host(host: str) -> None:
    table = Router([pattern("/a"), pattern("/a", "", "[::1]", "*.a.test")])
    assert table.match(host.encode(), b"GET", b"/a")[0] == (1 if host == "[::1]x" else 0)  # type: ignore[index]


def test_falls_back_to_wider_hosts_for_other_paths_and_methods() -> None:
    table = Router([pattern("/a", "GET"), pattern("/b"), pattern("/a", "POST", "a.test")])
    assert table.match(b"a.test", b"GET", b"/a") == (0, {})
    assert table.match(b"a.test", b"GET", b"/b") == (1, {})
    assert table.match(b"a.test", b"PUT", b"/a") == -2
    assert table.allowed(b"a.test", b"/a") == {"GET", "HEAD", "POST"}


def test_refuses_routes_that_no_request_tells_apart() -> None:
    with pytest.raises(
        RouteConflict, match=r"routes 0 .'/a/\{x\}'. and 2 .'/a/\{y\}'. .*GET.*any host"
    ) as caught:
        Router([pattern("/a/{x}", "GET"), pattern("/a/{x}", "POST"), pattern("/a/{y}", "GET PUT")])
    assert (caught.value.first, caught.value.second) == (0, 2)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pattern("/a"), pattern("/a")),
        (pattern("/a", "", "a.test"), pattern("/a", "", "b.test", "A.TEST.")),
        (pattern("/{x:path}"), pattern("/{y:path}")),
    ],
)
def test_refuses_doubles(one: Pattern, two: Pattern) -> None:
    with pytest.raises(RouteConflict):
        Router([one, two])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pattern("/a"), pattern("/a/")),
        (pattern("/a", "", "a.test"), pattern("/a", "", "*.a.test")),
        (pattern("/a", "", "a.test"), pattern("/a")),
        (pattern("/{x}"), pattern("/{x:int}")),
        (pattern("/a", "GET"), pattern("/a", "HEAD")),
        (pattern("/a", "GET"), pattern("/a")),
    ],
)
def test_accepts_what_can_be_told_apart(one: Pattern, two: Pattern) -> None:
    assert len(Router([one, two])) == 2


def test_refuses_more_methods_than_it_can_count() -> None:
    with pytest.raises(RoutePatternInvalid, match="at most 62"):
        Router([pattern(f"/{number}", f"M{number}") for number in range(60)])


def test_takes_long_paths() -> None:
    table = routes("/{x:path}/end/{y}", "/" + "a/" * 63)
    path = "/" + "b/" * 5000 + "end/z"
    assert found(table, path) == ("/{x:path}/end/{y}", {"x": ("b/" * 5000)[:-1], "y": "z"})
    assert found(table, "/" + "a/" * 63) == ("/" + "a/" * 63, {})
    assert found(table, "/" + "a/" * 64) == -1


# ---- against the oracle ----

LITERALS = st.text("a1-.", min_size=1, max_size=3)
PARAMETERS = st.sampled_from(["", "", ":int", ":float", ":uuid", ":path"])
WORDS = st.lists(st.sampled_from(["a", "1", "-", ".", "%2F", "1.1", UUID]), max_size=6).map("".join)
HOSTS = ["a.test", "b.a.test", "*.test", "*.a.test", "*.b.a.test", "[::1]"]


@st.composite
def segments(draw: st.DrawFn) -> str:
    """Make a segment: mostly a short literal or one parameter, sometimes several parameters."""
    if draw(st.booleans()):
        return draw(LITERALS)
    text = draw(st.just("") | LITERALS)
    for number in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        text += f"{{p{number}_NUMBER{draw(PARAMETERS)}}}" + draw(st.just("") | LITERALS)
    return text


@st.composite
def patterns(draw: st.DrawFn) -> Pattern | None:
    """Make a pattern; None where what was drawn is not one."""
    texts = draw(st.lists(segments(), min_size=1, max_size=4))
    path = "".join("/" + text.replace("NUMBER", str(number)) for number, text in enumerate(texts))
    methods = draw(st.frozensets(st.sampled_from(["GET", "HEAD", "POST", "MKCOL"]), max_size=2))
    hosts = draw(st.lists(st.sampled_from(HOSTS), max_size=2))
    try:
        return Pattern(path + draw(st.sampled_from(["", "", "/"])), methods, tuple(hosts))
    except RoutePatternInvalid:
        return None


@st.composite
def tables(draw: st.DrawFn, conflicts: bool = False) -> list[Pattern]:
    """Make a table; without patterns that conflict with earlier ones, unless `conflicts`."""
    table: list[Pattern] = []
    for pattern in draw(st.lists(patterns(), min_size=1, max_size=8)):
        if pattern is not None and (conflicts or not oracle.conflict([*table, pattern])):
            table.append(pattern)
    return table or [Pattern("/a", frozenset(), ())]


@st.composite
def requests(draw: st.DrawFn, table: Sequence[Pattern]) -> tuple[str, str, str]:
    """Make a request: a route's path with its parameters filled in, or any path."""
    parts = draw(st.sampled_from(table)).path.split("{")
    path = parts[0] + "".join(draw(WORDS) + part.partition("}")[2] for part in parts[1:])
    if draw(st.integers(0, 3)) == 0:
        path = "/" + "/".join(draw(st.lists(WORDS, max_size=5)))
    host = draw(st.sampled_from(["", "a.test", "B.a.test:80", "x.b.a.test.", "c.test", "[::1]:1", "test"]))
    return host, draw(st.sampled_from(["GET", "HEAD", "POST", "MKCOL", "PUT", "BREW"])), path


@settings(max_examples=200)
@given(st.data())
def test_agrees_with_the_oracle(data: st.DataObject) -> None:
    table = data.draw(tables(conflicts=True))
    try:
        compiled = Router(table)
    except RouteConflict:
        assert oracle.conflict(table)
        return
    assert not oracle.conflict(table)
    for host, method, path in data.draw(st.lists(requests(table), min_size=1, max_size=8)):
        request = host.encode(), method.encode(), path.encode()
        result = compiled.match(*request)
        assert result == oracle.match(table, host, method, path)
        allowed = compiled.allowed(request[0], request[2])
        assert bool(allowed) == (result != -1)
        if method not in ("BREW", "MKCOL"):
            assert (method in allowed) == (result not in (-1, -2))
        steps = compiled.explain(*request)
        assert [step.routes for step in steps if step.matched] == (
            [] if isinstance(result, int) else [result[:1]]
        )


@settings(max_examples=60)
@given(tables(), st.data())
def test_does_not_depend_on_the_order_of_routes(table: list[Pattern], data: st.DataObject) -> None:
    one, two = Router(table), Router(data.draw(st.permutations(table)))
    for host, method, path in data.draw(st.lists(requests(table), min_size=1, max_size=4)):
        assert found(one, path, method, host) == found(two, path, method, host)


@settings(max_examples=100)
@given(tables(), st.binary(max_size=40), st.binary(max_size=5), st.binary())
def test_survives_any_bytes(table: list[Pattern], host: bytes, method: bytes, path: bytes) -> None:
    compiled = Router(table)
    for target in (path, b"/" + path):
        result = compiled.match(host, method, target)
        assert (result == -1) == (not compiled.allowed(host, target))
        assert compiled.explain(host, method, target)


# ---- size and cost ----


def test_finds_each_of_ten_thousand_routes() -> None:
    chance = random.Random(7)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(1, 40))) for _ in range(10_000)]
    table = [pattern(f"/{word}{number}/{{id}}/{word[:3]}/{{x:int}}") for number, word in enumerate(words)]
    compiled = Router(table)
    for number, word in enumerate(words):
        path = f"/{word}{number}/x{number}/{word[:3]}/{number}".encode()
        assert compiled.match(b"h", b"GET", path) == (number, {"id": f"x{number}", "x": str(number)})
        assert compiled.match(b"h", b"GET", path + b"x") == -1


def test_looks_at_as_much_among_ten_thousand_routes_as_among_ten() -> None:
    def table(count: int) -> Router:
        return routes(*(f"/svc{number}/{{id}}/items/{{item}}" for number in range(count)))

    request = b"", b"GET", b"/svc7/1/items/2"
    assert table(10).steps(*request) == table(10_000).steps(*request) == 3


def test_looks_at_no_node_that_the_number_of_segments_rules_out() -> None:
    table = routes(*(f"/{{a}}/{{b}}/{{c}}/{{d}}/svc{number}" for number in range(1000)))
    for count in (1, 2, 3, 4, 6, 100, 8000):
        assert table.steps(b"", b"GET", b"/x" * count) == 1


def test_looks_at_each_node_at_most_once() -> None:
    """The worst table: every choice of literal and parameter at each of twelve levels."""
    paths = [""]
    for level in range(12):
        paths = [path + end for path in paths for end in ("/a", f"/{{x{level}}}")]
    table = routes(*paths)
    assert table.table.nodes == 2**13 - 1
    assert table.steps(b"", b"PUT", b"/a" * 12) == 13
    assert table.steps(b"", b"GET", b"/a" * 11 + b"/") <= table.table.nodes
    refused = Router([pattern(path, "GET") for path in paths])
    assert refused.match(b"", b"PUT", b"/a" * 12) == -2
    assert refused.steps(b"", b"PUT", b"/a" * 12) == table.table.nodes


def test_looks_only_at_prefixes_that_exist() -> None:
    table = routes(*(f"/user-{number:04}-{{x}}" for number in range(1000)), "/{x}.json")
    assert table.steps(b"", b"GET", b"/user-0700-me") == 4


def test_divides_a_very_long_segment_in_linear_time() -> None:
    """A square of this length would take minutes."""
    table = routes(
        "/{a}-{b:int}:{c}-{d}", "/{n:int}x{b:int}", "/{x:float}.{y:int}", "/{u}-{v:uuid}", "/{i:uuid}-{j}"
    )
    for text in ("1", "-1.", "1x", "1.1", "-a1", "-x:", "1:-", "-", UUID, f"-{UUID}"):
        for end in ("", "-", "1", "x1", "-!"):
            path = "/" + text * 50_000 + end
            result = found(table, path)
            if isinstance(result, tuple):
                assert re.sub(r":\w+\}", "}", result[0]).format(**result[1]) == path


def test_explains_a_search_of_more_steps_than_it_tells() -> None:
    paths = [""]
    for level in range(9):
        paths = [path + end for path in paths for end in ("/a", f"/{{x{level}}}")]
    table = Router([pattern(path, "GET") for path in paths] + [pattern("/{x:path}")])
    steps = table.explain(b"", b"PUT", b"/a" * 9)
    assert steps[-1].matched
    assert steps[-1].pattern == "/{x:path}"
