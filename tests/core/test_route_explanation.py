"""Explanations of a search: each candidate in the order tried, with its reason."""

from core._fast.router import Pattern, Router, Step

ROUTES = [
    Pattern("/markets/top", frozenset({"GET"})),
    Pattern("/markets/{id:int}", frozenset({"GET"})),
    Pattern("/markets/{id:int}", frozenset({"DELETE"})),
    Pattern("/markets/{name}/{rest:path}.json"),
    Pattern("/admin", hosts=("admin.test", "*.admin.test")),
    Pattern("/admin", frozenset({"POST"})),
]


def explain(method: str, path: str, host: str = "") -> list[Step]:
    return Router(ROUTES).explain(host.encode(), method.encode(), path.encode())


def test_tells_the_route_that_matches_last() -> None:
    assert explain("GET", "/markets/7") == [
        Step("any host", "/markets/{id:int}", (1,), True, "path and method match")
    ]


def test_tells_candidates_that_do_not_take_the_method() -> None:
    assert explain("PUT", "/markets/7") == [
        Step(
            "any host", "/markets/{id:int}", (1, 2), False, "the path matches, but PUT is none of DELETE, GET"
        ),
        Step(
            "any host",
            "/markets/{name}/...",
            (3,),
            False,
            "the path has another number of segments (2) than every route from here on",
        ),
    ]


def test_tells_values_that_do_not_fit() -> None:
    assert explain("GET", "/markets/7x")[0] == Step(
        "any host", "/markets/{id:int}", (1, 2), False, "segment 2, '7x', does not fit '{id:int}'"
    )
    assert explain("GET", "/markets/x/y/z.xml")[-1] == Step(
        "any host",
        "/markets/{name}/{rest:path}.json",
        (3,),
        False,
        "the rest from segment 3 on, 'y/z.xml', does not fit '{rest:path}.json'",
    )


def test_tells_where_no_literal_fits() -> None:
    assert explain("GET", "/users/7") == [
        Step(
            "any host",
            "/...",
            (5, 0, 1, 2, 3),
            False,
            "segment 1, 'users', is none of 'admin', 'markets'",
        )
    ]


def test_tells_routes_that_only_the_host_keeps_away() -> None:
    assert explain("GET", "/admin", "api.test:80")[-2:] == [
        Step("admin.test", "/admin", (4,), False, "path and method match, but the host is 'api.test:80'"),
        Step("*.admin.test", "/admin", (4,), False, "path and method match, but the host is 'api.test:80'"),
    ]


def test_names_the_host_pattern_that_was_followed() -> None:
    assert explain("GET", "/admin", "x.admin.test") == [
        Step("*.admin.test", "/admin", (4,), True, "path and method match")
    ]


def test_tells_when_no_route_takes_the_host() -> None:
    router = Router([Pattern("/a", hosts=("a.test",))])
    assert [step.reason for step in router.explain(b"b.test", b"GET", b"/b")] == [
        "no route takes the host 'b.test'"
    ]


def test_tells_that_a_target_is_no_path() -> None:
    assert [step.reason for step in explain("OPTIONS", "*")] == ["the path does not begin with a slash"]


def test_names_only_the_first_of_many_alternatives() -> None:
    router = Router([Pattern(f"/r{number}") for number in range(9)])
    reason = router.explain(b"", b"GET", b"/x")[0].reason
    assert reason == "segment 1, 'x', is none of 'r0', 'r1', 'r2', 'r3', 'r4' and 4 more"
