"""The rate-limit plugin, with a clock of the tests' own."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core._fast.limiter import Limiter, table_size
from core.decode import ConfigInvalid
from core.exchange import Exchange, Response
from core.site import Site
from core.testing import PluginChain, Sent, site_for
from tests.plugins.make import plugin

SECOND = 1_000_000_000


@dataclass
class Clock:
    """Be a clock that stands still until it is set."""

    now: int = 1000 * SECOND

    def __call__(self) -> int:
        return self.now


def chain(
    clock: Clock | None = None, site: Site | None = None, before: Any = (), **options: Any
) -> PluginChain:
    """Return a chain of `before` and one rate-limit plugin."""
    gate = plugin("rate-limit", site, **options)
    gate.clock = clock or Clock()
    return PluginChain(*before, gate, route="test")


def statuses(limited: PluginChain, count: int, **request: Any) -> list[int]:
    """Return the statuses of so many requests."""
    return [limited.send(**request).status for _ in range(count)]


class Consumer:
    """Says who a request speaks for, by a header."""

    def request(self, exchange: Exchange) -> None:
        name = exchange.request.headers.get(b"x-who")
        exchange.consumer = None if name is None else Named(name.decode())


@dataclass
class Named:
    name: str


def test_admits_the_limit_and_no_more() -> None:
    assert statuses(chain(limit="3/minute"), 5) == [200, 200, 200, 429, 429]


def test_a_refused_request_does_not_reach_the_target() -> None:
    limited = chain(limit="1/minute")
    assert limited.send().forwarded is not None
    assert limited.send().forwarded is None


def test_says_how_long_to_wait() -> None:
    clock = Clock()
    limited = chain(clock, limit="2/minute")
    statuses(limited, 2)
    refused = limited.send()
    assert refused.headers.get(b"retry-after") == b"30"
    assert refused.headers.get(b"content-type") == b"application/problem+json"
    problem = msgspec.json.decode(refused.body)
    assert (problem["status"], problem["type"]) == (429, "urn:agora:problem:rate-limited")
    assert problem["detail"] == "The limit of 2/minute is used up; try again in 30 s."
    assert refused.exchange.problem == "rate-limited"
    clock.now += 29 * SECOND
    assert limited.send().headers.get(b"retry-after") == b"1"
    clock.now += SECOND
    assert limited.send().status == 200


def test_a_refusal_takes_nothing() -> None:
    clock = Clock()
    limited = chain(clock, limit="1/10s")
    assert statuses(limited, 50) == [200] + [429] * 49
    clock.now += 10 * SECOND
    assert limited.send().status == 200


def test_tells_the_figures_of_the_tightest_window() -> None:
    limited = chain(limit=["3/minute", "100/hour"])
    first, second = limited.send(), limited.send()
    policy = b'"3/minute";q=3;w=60, "100/hour";q=100;w=3600'
    assert first.headers.get(b"ratelimit") == b'"3/minute";r=2;t=20'
    assert second.headers.get(b"ratelimit") == b'"3/minute";r=1;t=40'
    assert first.headers.get(b"ratelimit-policy") == policy
    limited.send()
    refused = limited.send()
    assert refused.status == 429
    assert refused.headers.get(b"ratelimit") == b'"3/minute";r=0;t=60'
    assert refused.headers.get(b"ratelimit-policy") == policy


def test_any_window_refuses() -> None:
    clock = Clock()
    limited = chain(clock, limit=["2/s", "3/minute"])
    assert statuses(limited, 3) == [200, 200, 429]
    clock.now += SECOND
    assert statuses(limited, 2) == [200, 429]
    clock.now += 2 * SECOND
    assert limited.send().headers.get(b"ratelimit") == b'"3/minute";r=0;t=57'


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ("none", set()),
        ("ratelimit", {b"ratelimit", b"ratelimit-policy"}),
        ("x-ratelimit", {b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset"}),
        (
            "both",
            {
                b"ratelimit",
                b"ratelimit-policy",
                b"x-ratelimit-limit",
                b"x-ratelimit-remaining",
                b"x-ratelimit-reset",
            },
        ),
    ],
)
def test_writes_the_headers_that_are_configured(headers: str, names: set[bytes]) -> None:
    sent = chain(limit="5/minute", headers=headers).send()
    assert {name for name, _ in sent.headers if b"rate" in name} == names
    if b"x-ratelimit-limit" in names:
        figures = [sent.headers.get(b"x-ratelimit-" + name) for name in (b"limit", b"remaining", b"reset")]
        assert figures == [b"5", b"4", b"12"]


def test_two_rules_on_a_route_tell_their_figures_beside_each_other() -> None:
    site = site_for(route="test")
    gates = [
        plugin("rate-limit", site, limit="5/minute"),
        plugin("rate-limit", site, limit="7/hour", by="header:x-key"),
    ]
    sent = PluginChain(*gates).send(headers={"x-key": "k"})
    assert sorted(sent.headers.get_all(b"ratelimit")) == [b'"5/minute";r=4;t=12', b'"7/hour";r=6;t=515']
    assert len(sent.headers.get_all(b"ratelimit-policy")) == 2


def test_leaves_the_targets_own_figures_beside_its_own() -> None:
    gate = plugin("rate-limit", limit="5/minute")
    answer = Response(200, [(b"ratelimit", b'"theirs";r=1;t=1')], b"")
    sent = PluginChain(gate, answer=answer).send()
    assert len(sent.headers.get_all(b"ratelimit")) == 2


def test_counts_each_address_for_itself() -> None:
    limited = chain(limit="1/minute")
    assert statuses(limited, 2, client="192.0.2.1") == [200, 429]
    assert statuses(limited, 2, client="192.0.2.2") == [200, 429]


def test_counts_an_ipv6_network_as_one_client() -> None:
    limited = chain(limit="2/minute")
    assert statuses(limited, 1, client="2001:db8:1:2::1") == [200]
    assert statuses(limited, 2, client="2001:db8:1:2:ffff::9") == [200, 429]
    assert statuses(limited, 1, client="2001:db8:1:3::1") == [200]


def test_counts_single_ipv6_addresses_if_asked() -> None:
    limited = chain(limit="1/minute", ipv6_prefix=128)
    assert statuses(limited, 1, client="2001:db8::1") == [200]
    assert statuses(limited, 2, client="2001:db8::2") == [200, 429]


@pytest.mark.parametrize("by", ["ip", "ip+route"])
def test_an_ipv4_address_inside_ipv6_is_the_same_client(by: str) -> None:
    limited = chain(limit="1/minute", by=by)
    first = limited.send(client="192.0.2.1").status
    second = limited.send(client="::ffff:192.0.2.1").status
    assert (first, second) == (200, 429)


def test_counts_a_consumer_wherever_it_comes_from() -> None:
    limited = chain(limit="1/minute", by="consumer", before=[Consumer()])
    assert limited.send(headers={"x-who": "alice"}, client="192.0.2.1").status == 200
    assert limited.send(headers={"x-who": "alice"}, client="192.0.2.2").status == 429
    assert limited.send(headers={"x-who": "bob"}, client="192.0.2.1").status == 200


def test_counts_by_a_header() -> None:
    limited = chain(limit="1/minute", by="header:X-Api-Key")
    assert limited.send(headers={"x-api-key": "a"}).status == 200
    assert limited.send(headers={"X-API-KEY": "a"}, client="192.0.2.9").status == 429
    assert limited.send(headers={"x-api-key": "b"}).status == 200


def test_counts_by_several_things_together() -> None:
    limited = chain(limit="1/minute", by="ip+header:x-key")
    for client in ("192.0.2.1", "192.0.2.2"):
        for key in ("a", "b"):
            assert statuses(limited, 2, client=client, headers={"x-key": key}) == [200, 429]


@given(st.lists(st.text("ab,", max_size=70), min_size=2, max_size=2))
def test_the_parts_of_a_key_never_run_into_each_other(values: list[str]) -> None:
    limited = chain(limit="1/minute", by="header:x-one+header:x-two", missing="together")
    one, two = values
    assert limited.send(headers={"x-one": one, "x-two": two}).status == 200
    other = 429 if one.strip() == two.strip() else 200
    assert limited.send(headers={"x-one": two, "x-two": one}).status == other


def test_long_values_are_told_apart_to_their_end() -> None:
    limited = chain(limit="1/minute", by="header:x-key")
    assert limited.send(headers={"x-key": "k" * 4000 + "a"}).status == 200
    assert limited.send(headers={"x-key": "k" * 4000 + "b"}).status == 200
    assert limited.send(headers={"x-key": "k" * 4000 + "a"}).status == 429


@pytest.mark.parametrize("by", ["consumer", "header:x-key"])
def test_what_lacks_the_key_is_counted_by_its_address(by: str) -> None:
    limited = chain(limit="1/minute", by=by, before=[Consumer()])
    assert statuses(limited, 2, client="192.0.2.1") == [200, 429]
    assert statuses(limited, 2, client="192.0.2.2") == [200, 429]


def test_a_key_that_looks_like_an_address_is_not_that_client() -> None:
    limited = chain(limit="1/minute", by="header:x-key")
    assert limited.send(headers={"x-key": "192.0.2.1"}).status == 200
    assert limited.send(client="192.0.2.1").status == 200


def test_what_lacks_the_key_can_be_counted_together() -> None:
    limited = chain(limit="1/minute", by="consumer", missing="together")
    assert limited.send(client="192.0.2.1").status == 200
    assert limited.send(client="192.0.2.2").status == 429


def test_what_lacks_the_key_can_go_unlimited() -> None:
    limited = chain(limit="1/minute", by="consumer", missing="unlimited")
    sent = [limited.send() for _ in range(3)]
    assert [one.status for one in sent] == [200] * 3
    assert all(b"ratelimit" not in one.headers for one in sent)


def on(site: Site, route: str, **options: Any) -> PluginChain:
    """Return a chain with the rule on a route of a site that several share."""
    return chain(site=Site(**{**vars(site), "route": route}), **options)


def test_routes_count_for_themselves() -> None:
    site = site_for()
    assert statuses(on(site, "one", limit="1/minute"), 2) == [200, 429]
    assert statuses(on(site, "two", limit="1/minute"), 2) == [200, 429]


def test_a_shared_name_joins_the_counts_of_routes() -> None:
    site = site_for()
    assert on(site, "one", limit="1/minute", shared="api").send().status == 200
    assert on(site, "two", limit="1/minute", shared="api").send().status == 429
    assert on(site, "two", limit="1/minute", shared="else").send().status == 200


def test_a_reload_goes_on_counting() -> None:
    site = site_for()
    assert on(site, "one", limit="1/minute").send().status == 200
    assert on(site, "one", limit="1/minute").send().status == 429


def full_site() -> Site:
    """Return a site whose table of rates has no free cell."""
    site = site_for(route="test")
    limiter = Limiter(mmap.mmap(-1, table_size(16)), bytes(16))
    filled = chain(site=Site(**{**vars(site), "limiter": limiter}), limit="1/day", by="header:x-key")
    for index in range(400):
        filled.send(headers={"x-key": str(index)})
    return Site(**{**vars(site), "limiter": limiter})


def counted(site: Site, name: str, **labels: str) -> int:
    """Return a counter's value."""
    return site.metrics.counter(name, _HELP[name], labels).value


_HELP = {
    "agora_rate_limit_refused_total": "Requests refused for their rate.",
    "agora_rate_limit_full_total": "Requests that met a full table of rates.",
}


def test_a_full_table_refuses_unless_told_otherwise() -> None:
    site = full_site()
    before = counted(site, "agora_rate_limit_full_total", rule="test", then="refuse")
    sent = chain(site=site, limit="5/minute").send()
    assert sent.status == 503
    assert sent.headers.get(b"retry-after") == b"1"
    assert sent.exchange.problem == "rate-limit-full"
    assert b"ratelimit" not in sent.headers
    assert counted(site, "agora_rate_limit_full_total", rule="test", then="refuse") == before + 1


def test_a_full_table_admits_and_counts_if_told_so() -> None:
    site = full_site()
    before = counted(site, "agora_rate_limit_full_total", rule="test", then="admit")
    assert statuses(chain(site=site, limit="1/minute", on_full="admit"), 3) == [200] * 3
    assert counted(site, "agora_rate_limit_full_total", rule="test", then="admit") == before + 3


def test_counts_what_it_refuses() -> None:
    site = site_for(route="counted")
    before = counted(site, "agora_rate_limit_refused_total", rule="counted")
    statuses(chain(site=site, limit="2/minute"), 5)
    assert counted(site, "agora_rate_limit_refused_total", rule="counted") == before + 3


def test_refusals_are_told_apart_however_many_there_are() -> None:
    clock = Clock()
    limited = chain(clock, limit="1/hour")
    limited.send()
    waits = []
    for _ in range(600):
        clock.now += 5 * SECOND
        waits.append(int(limited.send().headers.get(b"retry-after") or b"0"))
    assert waits == [3600 - 5 * step for step in range(1, 601)]


def test_a_refusal_keeps_what_an_earlier_exchange_was_told() -> None:
    class Marker:
        def response(self, exchange: Exchange) -> None:
            assert exchange.response is not None
            exchange.response.headers.add(b"x-mark", b"1")

    limited = chain(limit="1/minute", before=[Marker()])
    limited.send()
    marks: list[Sent] = [limited.send() for _ in range(3)]
    assert [one.headers.get_all(b"x-mark") for one in marks] == [[b"1"]] * 3


@pytest.mark.parametrize(
    "limit", ["", "100", "100/fortnight", "0/minute", [], ["1/s", "1/s"], ["1/s", "1/1s"], 7, ["1/s", 7]]
)
def test_refuses_what_is_no_rate(limit: Any) -> None:
    with pytest.raises(ConfigInvalid, match="limit: "):
        plugin("rate-limit", limit=limit)


@pytest.mark.parametrize("by", ["", "address", "header", "header:", "header:a b", "ip+", "ip+who", 7])
def test_refuses_what_tells_no_clients_apart(by: Any) -> None:
    with pytest.raises(ConfigInvalid, match="by: tells no clients apart"):
        plugin("rate-limit", limit="1/s", by=by)


def test_the_limit_must_be_given() -> None:
    with pytest.raises(ConfigInvalid, match="limit: is missing"):
        plugin("rate-limit")
