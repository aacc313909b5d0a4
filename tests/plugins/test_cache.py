"""The cache plugin, before real servers: what is kept, for whom, and how it is given."""

from __future__ import annotations

import pytest

from tests.harness import Client, Origin, Recorder, responding, scripted
from tests.plugins.cached import cached, caching, configured, date, done, http, request

GOOD = http(cache_control="max-age=60", date=date(), etag='"v1"', content_type="text/plain")
STREAMED = (
    b"HTTP/1.1 200 X\r\ncache-control: max-age=60\r\n"
    b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)


async def test_asks_once_while_the_answer_is_good() -> None:
    async with cached(GOOD) as (origin, served):
        first = await served.get()
        assert (first.status, first.body, first.header(b"age")) == (200, b"hello", None)
        assert done(first) == "fwd=uri-miss; fwd-status=200; stored"
        served.now += 7.5
        again = await served.get()
        assert (again.status, again.body, again.header(b"content-length")) == (200, b"hello", b"5")
        assert (again.header(b"age"), again.header(b"date")) == (b"7", date().encode())
        assert again.header(b"cache-status") == b"gate; hit; ttl=52"
        assert (again.header(b"content-type"), again.header(b"etag")) == (b"text/plain", b'"v1"')
        served.now += 52.5
        assert done(await served.get()) == "fwd=stale; fwd-status=200; stored"
        assert len(origin.requests) == 2


async def test_the_age_that_an_answer_has_already_counts() -> None:
    async with cached(http(cache_control="max-age=60", age="50", date=date(-20))) as (_, served):
        assert (await served.get()).header(b"age") == b"50"
        served.now += 9
        again = await served.get()
        assert (again.header(b"age"), again.header(b"cache-status")) == (b"59", b"gate; hit; ttl=1")
        served.now += 1
        assert done(await served.get()) == "fwd=stale; fwd-status=200; stored"


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a", "/b"), ("/a", "/a?"), ("/a?x=1", "/a?x=2"), ("/a", "/A")],
)
async def test_another_url_is_another_answer(one: str, other: str) -> None:
    async with cached(GOOD) as (origin, served):
        for path in (one, other, one, other):
            await served.get(path)
        assert len(origin.requests) == 2


async def test_another_host_is_another_answer() -> None:
    async with cached(GOOD) as (origin, served):
        for host in ("a", "b", "a", "a:8080"):
            await served.get(host=host)
        assert len(origin.requests) == 3


async def test_head_is_answered_from_what_get_has_left_but_leaves_nothing() -> None:
    async with cached(GOOD) as (origin, served):
        origin.answer = GOOD.removesuffix(b"hello")
        assert done(await served.get(method="HEAD")) == "fwd=uri-miss; fwd-status=200"
        origin.answer = GOOD
        assert done(await served.get()) == "fwd=uri-miss; fwd-status=200; stored"
        head = await served.get(method="HEAD")
        assert (done(head), head.header(b"content-length"), head.body) == ("hit", b"5", b"")


async def test_keeps_an_answer_for_each_variant() -> None:
    async with cached(http(cache_control="max-age=60", vary="Accept-Encoding, X-Lang")) as (origin, served):
        assert done(await served.get(accept_encoding="gzip")) == "fwd=uri-miss; fwd-status=200; stored"
        assert done(await served.get(accept_encoding="gzip")) == "hit"
        assert done(await served.get(accept_encoding="br")) == "fwd=vary-miss; fwd-status=200; stored"
        assert done(await served.get()) == "fwd=vary-miss; fwd-status=200; stored"
        assert done(await served.get(accept_encoding="")) == "fwd=vary-miss; fwd-status=200; stored"
        for fields in ({"accept_encoding": "gzip"}, {"accept_encoding": "br"}, {}):
            assert done(await served.get(**fields)) == "hit"
        assert len(origin.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        http(cache_control="no-store"),
        http(cache_control="private, max-age=60"),
        http(cache_control="max-age=60", vary="*"),
        http(cache_control="max-age=60", set_cookie="a=b"),
        http(cache_control="max-age=0"),
        http(expires="0"),
        http(),
        http(500),
        http(206, cache_control="max-age=60", content_range="bytes 0-4/9"),
        http(299, cache_control="max-age=60"),
    ],
)
async def test_does_not_keep_what_is_not_for_everyone_or_not_good(answer: bytes) -> None:
    async with cached(answer) as (origin, served):
        for _ in range(2):
            assert "stored" not in done(await served.get())
        assert len(origin.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        http(404, cache_control="max-age=60"),
        http(301, cache_control="s-maxage=60", location="/x"),
        http(500, cache_control="max-age=60"),
        http(expires=date(60), date=date()),
        http(last_modified=date(-1000), date=date()),
        http(cache_control="no-store", cdn_cache_control="max-age=60"),
        http(204, b"", cache_control="max-age=60"),
        STREAMED,
    ],
)
async def test_keeps_what_says_that_it_is_good(answer: bytes) -> None:
    async with cached(answer) as (origin, served):
        first, again = await served.get(), await served.get()
        assert (first.status, first.body, done(again)) == (again.status, again.body, "hit")
        assert len(origin.requests) == 1


async def test_keeps_what_does_not_say_where_the_route_says_so() -> None:
    async with cached(http(), unmarked=True) as (origin, served):
        await served.get()
        served.now += 299
        assert done(await served.get()) == "hit"
        served.now += 1
        await served.get()
        assert len(origin.requests) == 2


@pytest.mark.parametrize(
    ("control", "kept"),
    [("max-age=60", False), ("public, max-age=60", True), ("s-maxage=60", True)],
)
async def test_what_was_asked_for_with_credentials_is_kept_only_where_that_is_allowed(
    control: str, kept: bool
) -> None:
    async with cached(http(cache_control=control)) as (_, served):
        await served.get(authorization="Basic eA==")
        for fields in ({}, {"authorization": "Basic eQ=="}):
            assert (done(await served.get(**fields)) == "hit") == kept


async def test_what_anyone_gets_is_not_given_to_who_has_credentials() -> None:
    async with cached(GOOD) as (origin, served):
        await served.get()
        assert done(await served.get(authorization="Basic eA==")) == "fwd=bypass; fwd-status=200"
        assert done(await served.get()) == "hit"
        assert len(origin.requests) == 2


async def test_what_was_only_guessed_to_be_good_is_not_for_who_has_cookies() -> None:
    async with cached(http(last_modified=date(-1000), date=date())) as (origin, served):
        assert "stored" not in done(await served.get(cookie="a=b"))
        await served.get()
        assert done(await served.get()) == "hit"
        assert done(await served.get(cookie="a=b")) == "fwd=bypass; fwd-status=200"
        origin.answer = GOOD
        await served.get("/good", cookie="a=b")
        assert done(await served.get("/good", cookie="c=d")) == "hit"


async def test_an_answer_without_a_date_gets_that_of_its_coming() -> None:
    async with cached(http(cache_control="max-age=60")) as (_, served):
        await served.get()
        served.now += 5
        assert (await served.get()).header(b"date") == date().encode()


async def test_who_speaks_for_a_consumer_has_credentials() -> None:
    def authenticate(exchange: object) -> None:
        exchange.consumer = "alice"  # type: ignore[attr-defined]

    async with Recorder(GOOD) as origin:
        async with caching(configured(origin, before=(scripted(request=authenticate),))) as served:
            for _ in range(2):
                assert "stored" not in done(await served.get())


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"cache_control": "no-cache"}, "fwd=request; fwd-status=200; stored"),
        ({"pragma": "no-cache"}, "fwd=request; fwd-status=200; stored"),
        ({"cache_control": "max-age=5"}, "fwd=request; fwd-status=200; stored"),
        ({"cache_control": "min-fresh=55"}, "fwd=request; fwd-status=200; stored"),
        ({"cache_control": "max-age=20, min-fresh=50"}, "hit"),
        ({"cache_control": "no-cache", "pragma": "x"}, "fwd=request; fwd-status=200; stored"),
    ],
)
async def test_heeds_what_the_client_says(fields: dict[str, str], result: str) -> None:
    async with cached(GOOD) as (_, served):
        await served.get()
        served.now += 10
        assert done(await served.get(**fields)) == result


async def test_clients_do_not_pass_by_where_they_are_not_to_be_heeded() -> None:
    async with cached(GOOD, obey_clients=False) as (_, served):
        await served.get()
        assert done(await served.get(cache_control="no-cache")) == "hit"


async def test_a_client_may_want_only_what_is_there() -> None:
    async with cached(GOOD) as (origin, served):
        refused = await served.get(cache_control="only-if-cached")
        assert (refused.status, b"not-cached" in refused.body, origin.requests) == (504, True, [])
        await served.get()
        assert (await served.get(cache_control="only-if-cached")).status == 200


async def test_a_client_may_take_what_is_old() -> None:
    async with cached(GOOD) as (_, served):
        await served.get()
        served.now += 70
        old = await served.get(cache_control="max-stale=10")
        assert old.header(b"cache-status") == b"gate; hit; ttl=-10"
        assert old.header(b"age") == b"70"
        assert done(await served.get(cache_control="max-stale=9")) == "fwd=stale; fwd-status=200; stored"


async def test_an_answer_that_is_too_large_is_passed_on_and_not_kept() -> None:
    for answer in (GOOD, STREAMED):
        async with cached(answer, max_body=4) as (origin, served):
            for _ in range(2):
                assert (await served.get()).body == b"hello"
            assert len(origin.requests) == 2


async def test_an_answer_that_breaks_off_is_not_kept() -> None:
    async def breaking(client: Client) -> None:
        await client.request()
        client.send(GOOD.replace(b"length: 5", b"length: 9"))
        await client.drain()
        client.close()

    async with Origin(breaking) as origin, caching(configured(origin)) as served:
        for _ in range(2):
            assert (await served.gateway.exchange(request())).endswith(b"hello")
        assert (origin.connections, len(served.cache.store)) == (2, 0)


async def test_a_request_with_a_body_passes_by() -> None:
    async with cached(GOOD) as (origin, served):
        await served.get()
        assert done(await served.get(body="x")) == "fwd=bypass; fwd-status=200"
        assert done(await served.get(if_match='"v1"')) == "fwd=bypass; fwd-status=200"
        assert len(origin.requests) == 3


async def test_what_other_caches_say_stays() -> None:
    async with cached(http(cache_control="max-age=60", cache_status="theirs; hit")) as (_, served):
        await served.get()
        assert (await served.get()).all(b"cache-status") == [b"theirs; hit", b"gate; hit; ttl=60"]


async def test_says_nothing_where_it_is_not_to() -> None:
    async with cached(GOOD, cache_status=False) as (_, served):
        for _ in range(2):
            assert (await served.get()).header(b"cache-status") is None
        assert (await served.get()).header(b"age") == b"0"


async def test_a_reload_keeps_answers_and_a_smaller_memory_lets_go_of_them() -> None:
    async with Recorder(GOOD) as origin:
        config = configured(origin)
        async with caching(config) as served:
            await served.get()
            await served.gateway.configure(config)
            assert done(await served.get()) == "hit"
            await served.gateway.configure(configured(origin, memory=100))
            assert done(await served.get()) == "fwd=uri-miss; fwd-status=200; stored"
            assert served.cache.store.used == 0


async def test_answers_made_by_the_gateway_itself_are_not_kept() -> None:
    config = responding(headers={"cache-control": "max-age=60"})
    config["route"][0]["plugin"] = [{"use": "cache"}]
    config["server"] = {"name": "gate"}
    async with caching(config) as served:
        for _ in range(2):
            assert done(await served.get()) == "fwd=uri-miss"


async def test_counts_what_it_does() -> None:
    async with cached(GOOD) as (_, served):
        for method in ("GET", "GET", "GET", "POST"):
            await served.get(method=method)
        for result, count in {"hit": 2, "miss": 1, "pass": 1}.items():
            assert served.gateway.count("agora_cache_requests_total", result=result) == count


async def test_plugins_before_it_see_the_answers_that_it_gives() -> None:
    headers = {"use": "headers", "response": {"set": {"x-mark": "here"}}}
    async with Recorder(GOOD) as origin, caching(configured(origin, before=(headers,))) as served:
        for _ in range(2):
            assert (await served.get()).all(b"x-mark") == [b"here"]
