"""What reaches the upstream of a request, and the client of an answer: fields, paths, and who is believed."""

from typing import Any

import pytest

from tests.harness import Received, Recorder, connect, scripted, serving, upstream

LOCAL = {"server": {"trusted_proxies": ["127.0.0.0/8"]}}


async def forwarded(*fields: bytes, target: bytes = b"/", host: bytes = b"a.test", **config: Any) -> Received:
    """Send a request with these fields through a gateway; return it as the upstream received it."""
    async with Recorder() as origin, serving({**upstream(origin), **config}) as gateway:
        head = b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: " + host, *fields))
        assert (await gateway.ask(head + b"\r\n\r\n")).status == 200
        return origin.requests[0]


async def answered(*fields: bytes) -> list[tuple[bytes, bytes]]:
    """Return what reaches a client of an upstream's answer with these fields."""
    answer = (
        b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields) + b"Content-Length: 0\r\n\r\n"
    )
    async with Recorder(answer) as origin, serving(upstream(origin)) as gateway:
        return (await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).fields


async def test_end_to_end_fields_pass_as_they_are() -> None:
    fields = (b"X-Mixed-CASE: a  b\tc", b"Cookie: a=1", b"Cookie: b=2", b"X-Empty: ", b"X-Bytes: \xe4\xf6")
    received = await forwarded(*fields)
    assert received.all(b"cookie") == [b"a=1", b"b=2"]
    for field in fields:
        assert b"\r\n" + field + b"\r\n" in received.head


async def test_hop_by_hop_fields_end_here() -> None:
    received = await forwarded(
        b"Connection: keep-alive, X-Hop, x-other",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic x",
        b"TE: gzip",
        b"Trailer: X-T",
        b"X-Hop: 1",
        b"X-OTHER: 2",
        b"X-Kept: 3",
    )
    names = {name.lower() for name, _ in received.fields}
    assert b"x-kept" in names
    gone = {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"te",
        b"x-hop",
        b"x-other",
    }
    assert not names & gone


async def test_connection_cannot_name_away_what_the_gateway_adds() -> None:
    named = (
        b"Connection: close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded, Via, Host, Date"
    )
    received = await forwarded(named)
    assert received.header(b"x-forwarded-for") == b"127.0.0.1"
    assert received.header(b"x-forwarded-proto") == b"http"
    assert received.header(b"x-forwarded-host") == b"a.test"
    assert received.header(b"host") == b"a.test"
    assert received.header(b"forwarded")
    assert received.header(b"via")


async def test_a_trusted_proxys_word_cannot_be_named_away_by_its_client() -> None:
    received = await forwarded(
        b"Connection: X-Forwarded-For, X-Forwarded-Host",
        b"X-Forwarded-For: 192.0.2.1",
        **LOCAL,  # type: ignore[arg-type]
    )
    assert received.all(b"x-forwarded-for") == [b"192.0.2.1, 127.0.0.1"]


async def test_connection_cannot_name_away_who_is_asking() -> None:
    received = await forwarded(
        b"Connection: Authorization, Cookie", b"Authorization: Bearer x", b"Cookie: a=1"
    )
    assert received.header(b"authorization") == b"Bearer x"
    assert received.header(b"cookie") == b"a=1"


async def test_te_trailers_is_passed_on_as_the_gateways_own() -> None:
    received = await forwarded(b"TE: trailers, gzip", b"Connection: TE")
    assert received.all(b"te") == [b"trailers"]
    assert received.all(b"connection") == [b"te"]


async def test_an_untrusted_client_cannot_say_where_it_comes_from() -> None:
    received = await forwarded(
        b"X-Forwarded-For: 6.6.6.6",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.test",
        b"X-Forwarded-Port: 1",
        b"X-Forwarded-Prefix: /evil",
        b"X-Forwarded-Anything: x",
        b"X-Real-IP: 6.6.6.6",
        b"Forwarded: for=6.6.6.6",
    )
    assert received.all(b"x-forwarded-for") == [b"127.0.0.1"]
    assert received.all(b"x-forwarded-proto") == [b"http"]
    assert received.all(b"x-forwarded-host") == [b"a.test"]
    assert received.all(b"forwarded") == [b'for=127.0.0.1;host="a.test";proto=http']
    assert b"6.6.6.6" not in received.head
    assert b"evil" not in received.head
    assert b"anything" not in received.head.lower()


async def test_a_trusted_proxy_is_believed_and_kept_in_the_chain() -> None:
    received = await forwarded(
        b"X-Forwarded-For: 192.0.2.1, 192.0.2.2",
        b"X-Forwarded-For: 192.0.2.3",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: front.test",
        b"X-Forwarded-Prefix: /app",
        b"Forwarded: for=192.0.2.1",
        **LOCAL,  # type: ignore[arg-type]
    )
    assert received.all(b"x-forwarded-for") == [b"192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"]
    assert received.all(b"x-forwarded-proto") == [b"https"]
    assert received.all(b"x-forwarded-host") == [b"front.test"]
    assert received.all(b"x-forwarded-prefix") == [b"/app"]
    assert received.all(b"forwarded") == [b"for=192.0.2.1", b'for=127.0.0.1;host="a.test";proto=http']


async def test_an_empty_word_of_a_trusted_proxy_leaves_no_hole_in_the_chain() -> None:
    received = await forwarded(b"X-Forwarded-For:", **LOCAL)  # type: ignore[arg-type]
    assert received.all(b"x-forwarded-for") == [b"127.0.0.1"]


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("x-forwarded", {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}),
        ("forwarded", {b"forwarded"}),
        ("none", set()),
    ],
)
async def test_the_style_of_forwarding_can_be_chosen(style: str, names: set[bytes]) -> None:
    received = await forwarded(b"X-Forwarded-For: 6.6.6.6", server={"forwarded": style})
    sent = {name.lower() for name, _ in received.fields}
    assert {name for name in sent if b"forward" in name} == names
    assert b"6.6.6.6" not in received.head


async def test_identity_and_ambiguous_names_from_outside_are_stripped() -> None:
    received = await forwarded(
        b"X-Consumer-Name: root",
        b"X-Consumer-Groups: admin",
        b"X-Userinfo: root",
        b"X-Authenticated-User: root",
        b"X-Credential-Identifier: root",
        b"X_Forwarded_For: 6.6.6.6",
        b"X_Consumer_Name: root",
        b"X-Own-Identity: root",
        b"Connection: X-Consumer-Name",
        server={"identity_headers": ["X-Own-Identity"]},
    )
    assert b"root" not in received.head
    assert b"6.6.6.6" not in received.head
    assert not any(b"_" in name for name, _ in received.fields)


async def test_the_gateway_is_named_in_via_both_ways() -> None:
    config = {"server": {"name": "edge-1"}}
    async with Recorder() as origin, serving({**upstream(origin), **config}) as gateway:
        answer = await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 before\r\n\r\n")
        assert answer.all(b"via") == [b"1.1 edge-1"]
        assert origin.requests[0].all(b"via") == [b"1.1 before", b"1.1 edge-1"]


async def test_via_can_be_left_out() -> None:
    received = await forwarded(server={"via": False})
    assert received.header(b"via") is None


@pytest.mark.parametrize("via", [b"1.1 edge-1", b"1.0 x, 1.1 edge-1 (comment)", b"HTTP/1.1 a, 2 edge-1"])
async def test_a_request_that_was_here_before_is_a_loop(via: bytes) -> None:
    config = {"server": {"name": "edge-1"}}
    async with Recorder() as origin, serving({**upstream(origin), **config}) as gateway:
        answer = await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\nVia: " + via + b"\r\n\r\n")
        assert answer.status == 508
        assert not origin.requests


async def test_a_gateway_whose_upstream_is_itself_stops_at_once() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        await gateway.configure(upstream(f"http://127.0.0.1:{gateway.port}"))
        answer = await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 508
        assert gateway.count("agora_requests_total") == 2


async def test_the_host_sent_can_be_chosen() -> None:
    async with Recorder() as origin:
        port = str(origin.port).encode()
        for host, sent in [
            ("preserve", b"a.test"),
            ("target", b"127.0.0.1:" + port),
            ("b.test:81", b"b.test:81"),
        ]:
            async with serving(upstream(origin, host=host)) as gateway:
                await gateway.ask(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert origin.requests[-1].all(b"host") == [sent]
                assert origin.requests[-1].all(b"x-forwarded-host") == [b"a.test"]


async def test_a_plugin_that_chooses_another_host_leaves_the_one_asked_for_to_be_seen() -> None:
    def choose(exchange: Any) -> None:
        exchange.request.host = "inside.test"

    received = await forwarded(plugin=[scripted(forward=choose)])
    assert received.all(b"host") == [b"inside.test"]
    assert received.all(b"x-forwarded-host") == [b"a.test"]
    assert received.all(b"forwarded") == [b'for=127.0.0.1;host="a.test";proto=http']


# -- paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"/a/b?x=1&y=%20", b"/a/b?x=1&y=%20"),
        (b"/?", b"/?"),
        (b"/a//b", b"/a/b"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/../../etc", b"/etc"),
        (b"/%2e%2e/%2E/x", b"/x"),
        (b"/%41%7e", b"/A~"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/%C3%A4", b"/%C3%A4"),
        (b"/a/..", b"/"),
        (b"/x?/../y", b"/x?/../y"),
    ],
)
async def test_the_path_is_normalised_and_the_query_is_not(sent: bytes, received: bytes) -> None:
    assert (await forwarded(target=sent)).target == received


async def test_what_is_matched_is_what_is_forwarded() -> None:
    """No spelling of a path reaches the public upstream and is read as the guarded one there."""
    spellings = [
        b"/admin/x",
        b"//admin/x",
        b"/public/../admin/x",
        b"/./admin/x",
        b"/%61dmin/x",
        b"/public/%2e%2e/admin/x",
        b"/public//../admin/x",
        b"http://a.test/admin/x",
    ]
    async with Recorder() as origin:
        config = upstream(origin)
        config["route"].insert(
            0, {"name": "guarded", "path": "/admin/{rest:path}", "respond": {"status": 403}}
        )
        async with serving(config) as gateway:
            for spelling in spellings:
                answer = await gateway.ask(b"GET " + spelling + b" HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert (spelling, answer.status) == (spelling, 403)
            assert not origin.requests


async def test_a_long_path_is_normalised_as_a_short_one() -> None:
    long = b"/a" * 3000
    assert (await forwarded(target=b"/x/.." + long)).target == long


# -- answers ----------------------------------------------------------------------------------------------


async def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    fields = await answered(
        b"Connection: keep-alive, X-Hop",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"X-Hop: 1",
        b"X-Kept: 2",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
    )
    names = [name.lower() for name, _ in fields]
    assert names.count(b"set-cookie") == 2
    assert b"x-kept" in names
    assert not {b"connection", b"keep-alive", b"proxy-authenticate", b"upgrade", b"x-hop"} & set(names)


async def test_a_missing_date_is_added_and_a_present_one_kept() -> None:
    date = b"Mon, 01 Jan 2024 00:00:00 GMT"
    assert [value for name, value in await answered(b"Date: " + date) if name == b"Date"] == [date]
    dates = [value for name, value in await answered() if name == b"Date"]
    assert len(dates) == 1
    assert dates[0].endswith(b" GMT")


async def test_an_upstreams_reason_is_passed_on() -> None:
    async with Recorder(b"HTTP/1.1 299 Very \xe9special\r\nContent-Length: 0\r\n\r\n") as origin:
        async with serving(upstream(origin)) as gateway:
            answer = await gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer.start == b"HTTP/1.1 299 Very \xe9special"


async def test_a_clients_address_is_told_through_ipv6_brackets() -> None:
    async with Recorder() as origin, serving(upstream(origin)) as gateway:
        client = await connect(gateway.port)
        client.send(b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
        assert (await client.response()).status == 200
        assert origin.requests[0].header(b"forwarded") == b'for=127.0.0.1;host="[::1]:8080";proto=http'
        client.abort()


async def test_http2_cannot_be_smuggled_in_by_an_upgrade() -> None:
    received = await forwarded(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    )
    names = {name.lower() for name, _ in received.fields}
    assert not names & {b"upgrade", b"http2-settings", b"connection"}
