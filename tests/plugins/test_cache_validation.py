"""The cache plugin, before real servers: asking whether an answer has changed, conditions, ranges, purges."""

from __future__ import annotations

import pytest

from tests.harness import Client, Origin, Recorder
from tests.plugins.cached import Cached, cached, caching, configured, date, done, http

BODY = b"0123456789"
TAGGED = http(body=BODY, cache_control="max-age=60", etag='"v1"', last_modified=date(-100), date=date())
CONFIRMED = http(304, cache_control="max-age=30", etag='"v1"', date=date(60), x_new="1")


async def test_asks_whether_an_answer_has_changed_once_its_time_is_over() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = CONFIRMED
        answer = await served.get(accept="text/plain")
        assert origin.requests[1].header(b"if-none-match") == b'"v1"'
        assert origin.requests[1].header(b"if-modified-since") == date(-100).encode()
        assert (answer.status, answer.body) == (200, BODY)
        assert done(answer) == "fwd=stale; fwd-status=304"
        assert (answer.header(b"x-new"), answer.header(b"age")) == (b"1", b"0")
        assert answer.header(b"cache-control") == b"max-age=30"
        served.now += 29
        assert (await served.get()).header(b"cache-status") == b"gate; hit; ttl=1"
        assert len(origin.requests) == 2


async def test_an_answer_that_has_changed_takes_the_place_of_the_old_one() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = http(body=b"new", cache_control="max-age=60", etag='"v2"')
        assert (await served.get()).body == b"new"
        again = await served.get()
        assert (done(again), again.body, again.header(b"etag")) == ("hit", b"new", b'"v2"')


async def test_the_connection_on_which_an_answer_was_confirmed_is_used_again() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        origin.answer = CONFIRMED
        for _ in range(3):
            served.now += 60
            await served.get()
        assert (len(origin.requests), origin.connections) == (4, 1)


async def test_a_confirmation_may_say_that_the_answer_is_no_longer_to_be_kept() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = http(304, cache_control="private")
        assert (await served.get()).body == BODY
        origin.answer = TAGGED
        assert done(await served.get()) == "fwd=uri-miss; fwd-status=200; stored"


async def test_a_cookie_of_a_confirmation_is_nobody_elses() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = http(304, cache_control="max-age=60", set_cookie="a=b")
        await served.get()
        answer = await served.get()
        assert (done(answer), answer.header(b"set-cookie")) == ("hit", None)


async def test_what_must_always_be_asked_about_is() -> None:
    async with cached(http(cache_control="no-cache", etag='"v1"')) as (origin, served):
        await served.get()
        origin.answer = http(304)
        for _ in range(2):
            assert done(await served.get()) == "fwd=stale; fwd-status=304"
        assert len(origin.requests) == 3


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": '"v1"'}, 304),
        ({"if_none_match": 'W/"v1", "v2"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"v2"'}, 200),
        ({"if_none_match": '"v2"', "if_modified_since": date()}, 200),
        ({"if_modified_since": date(-100)}, 304),
        ({"if_modified_since": date(-101)}, 200),
        ({"if_modified_since": "yesterday"}, 200),
    ],
)
async def test_tells_clients_that_they_have_the_answer_already(fields: dict[str, str], status: int) -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        answer = await served.get(**fields)
        assert (answer.status, answer.body) == (status, BODY if status == 200 else b"")
        assert (done(answer), answer.header(b"etag"), answer.header(b"age")) == ("hit", b'"v1"', b"0")
        served.now += 60
        origin.answer = CONFIRMED
        answer = await served.get(**fields)
        assert (answer.status, answer.body) == (status, BODY if status == 200 else b"")
        assert len(origin.requests) == 2


async def test_a_condition_that_nothing_is_kept_for_is_the_targets_to_hold() -> None:
    async with cached(http(304, etag='"v1"', cache_control="max-age=60")) as (origin, served):
        for _ in range(2):
            answer = await served.get(if_none_match='"v1"')
            assert (answer.status, done(answer)) == (304, "fwd=uri-miss; fwd-status=304")
        assert [one.header(b"if-none-match") for one in origin.requests] == [b'"v1"', b'"v1"']


@pytest.mark.parametrize(
    ("fields", "status", "body", "range"),
    [
        ({"range": "bytes=2-4"}, 206, b"234", b"bytes 2-4/10"),
        ({"range": "bytes=7-"}, 206, b"789", b"bytes 7-9/10"),
        ({"range": "bytes=7-99"}, 206, b"789", b"bytes 7-9/10"),
        ({"range": "bytes=-3"}, 206, b"789", b"bytes 7-9/10"),
        ({"range": "bytes=-99"}, 206, BODY, b"bytes 0-9/10"),
        ({"range": "bytes=10-"}, 416, b"", b"bytes */10"),
        ({"range": "bytes=-0"}, 416, b"", b"bytes */10"),
        ({"range": "bytes=4-2"}, 200, BODY, None),
        ({"range": "bytes=1-2,4-5"}, 200, BODY, None),
        ({"range": "lines=1-2"}, 200, BODY, None),
        ({"range": "bytes=2-4", "if_range": '"v1"'}, 206, b"234", b"bytes 2-4/10"),
        ({"range": "bytes=2-4", "if_range": 'W/"v1"'}, 200, BODY, None),
        ({"range": "bytes=2-4", "if_range": '"v2"'}, 200, BODY, None),
        ({"range": "bytes=2-4", "if_range": date(-100)}, 206, b"234", b"bytes 2-4/10"),
        ({"range": "bytes=2-4", "if_range": date(-99)}, 200, BODY, None),
        ({"range": "bytes=2-4", "if_none_match": '"v1"'}, 304, b"", None),
    ],
)
async def test_gives_a_part_of_what_it_has(
    fields: dict[str, str], status: int, body: bytes, range: bytes | None
) -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        answer = await served.get(**fields)
        assert (answer.status, answer.body, answer.header(b"content-range")) == (status, body, range)
        assert (done(answer), len(origin.requests)) == ("hit", 1)


async def test_a_part_is_asked_for_and_not_kept_where_there_is_nothing() -> None:
    part = http(206, b"23", cache_control="max-age=60", content_range="bytes 2-3/10")
    async with cached(part) as (origin, served):
        for _ in range(2):
            answer = await served.get(range="bytes=2-3")
            assert (answer.status, answer.body) == (206, b"23")
        assert [one.header(b"range") for one in origin.requests] == [b"bytes=2-3"] * 2


async def test_a_part_of_an_old_answer_is_given_once_it_is_confirmed() -> None:
    async with cached(TAGGED) as (origin, served):
        await served.get()
        served.now += 60
        origin.answer = CONFIRMED
        answer = await served.get(range="bytes=2-4")
        assert (answer.status, answer.body, origin.requests[1].header(b"range")) == (206, b"234", None)


# -- what lets go of answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "gone"),
    [
        ("POST", 200, True),
        ("PUT", 204, True),
        ("DELETE", 302, True),
        ("PURGE", 200, True),
        ("POST", 404, False),
        ("POST", 500, False),
        ("OPTIONS", 200, False),
        ("HEAD", 200, False),
    ],
)
async def test_an_unsafe_request_that_succeeds_lets_go_of_its_url(
    method: str, status: int, gone: bool
) -> None:
    async with cached(TAGGED) as (origin, served):
        for path in ("/a?x", "/a"):
            await served.get(path)
        origin.answer = http(status, b"")
        await served.get("/a?x", method=method)
        origin.answer = TAGGED
        assert (done(await served.get("/a?x")) == "hit") != gone
        assert done(await served.get("/a")) == "hit"


async def test_also_of_where_its_answer_leads_but_not_on_other_hosts() -> None:
    async with cached(TAGGED) as (origin, served):
        for path in ("/a", "/b", "/c", "/d"):
            await served.get(path)
        origin.answer = http(201, b"", location="/b", content_location="http://a/c")
        await served.get("/x", method="POST")
        origin.answer = http(201, b"", location="http://elsewhere/d")
        await served.get("/x", method="POST")
        origin.answer = TAGGED
        found = [done(await served.get(path)) == "hit" for path in ("/a", "/b", "/c", "/d")]
        assert found == [True, False, False, True]


async def held(served: Cached) -> dict[str, bool]:
    paths = ("/a", "/a?x", "/ab", "/b")
    return {path: done(await served.get(path, cache_control="only-if-cached")) == "hit" for path in paths}


async def test_purges_by_url_prefix_and_tag() -> None:
    async def script(client: Client) -> None:
        while True:
            asked = await client.request()
            tags = {b"/a": "red, blue", b"/b": "blue"}.get(asked.target, "green")
            client.send(http(cache_control="max-age=60", cache_tag=tags, surrogate_key="all of these"))

    async with Origin(script) as origin, caching(configured(origin)) as served:

        async def refill() -> None:
            await served.cache.purge()
            for path in ("/a", "/a?x", "/ab", "/b"):
                await served.get(path)

        wanted: list[tuple[dict[str, str], set[str]]] = [
            ({"url": "http://a/a"}, {"/a"}),
            ({"url": "http://a/c"}, set()),
            ({"prefix": "http://a/a"}, {"/a", "/a?x", "/ab"}),
            ({"prefix": "https://"}, set()),
            ({"tag": "blue"}, {"/a", "/b"}),
            ({"tag": "of"}, {"/a", "/a?x", "/ab", "/b"}),
            ({"tag": "unknown"}, set()),
            ({}, {"/a", "/a?x", "/ab", "/b"}),
        ]
        for purge, gone in wanted:
            await refill()
            assert await served.cache.purge(**purge) == len(gone)
            assert {path for path, there in (await held(served)).items() if not there} == gone


async def test_a_purge_by_url_goes_by_what_clients_ask_for() -> None:
    rewriting = {"use": "rewrite", "add_prefix": "/v2"}
    async with Recorder(TAGGED) as origin, caching(configured(origin, before=(rewriting,))) as served:
        await served.get("/a?x=1")
        assert origin.requests[0].target == b"/v2/a?x=1"
        assert await served.cache.purge(url="http://a/a?x=1") == 1


@pytest.mark.parametrize("purge", [{"url": "http://a/"}, {"prefix": "http://"}, {"tag": "red"}, {}])
async def test_what_was_asked_for_before_a_purge_is_not_kept_after_it(purge: dict[str, str]) -> None:
    async def script(client: Client) -> None:
        while True:
            await client.request()
            await served.cache.purge(**purge)
            client.send(http(cache_control="max-age=60", cache_tag="red"))

    async with Origin(script) as origin, caching(configured(origin)) as served:
        await served.get()
        assert len(served.cache.store) == 0
