"""The ip-filter plugin, compared with the ipaddress module."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decode import ConfigInvalid
from core.testing import PluginChain, site_for
from plugins.ip_filter import REMEMBERED, Address, Range, RangeSet
from tests.plugins.make import plugin

near_v4 = st.integers(0xC0000200, 0xC00002FF).map(ipaddress.IPv4Address)
near_v6 = st.integers(0x20010DB8 << 96, (0x20010DB8 << 96) + 0xFFFF).map(ipaddress.IPv6Address)
mapped = near_v4.map(lambda address: ipaddress.IPv6Address((0xFFFF << 32) + int(address)))
addresses = near_v4 | near_v6 | mapped | st.ip_addresses()
networks = st.builds(
    lambda address, bits: ipaddress.ip_network(
        f"{address}/{max(0, address.max_prefixlen - bits)}", strict=False
    ),
    near_v4 | near_v6 | mapped,
    st.integers(0, 12) | st.integers(0, 128),
)


def unmapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one, or the address."""
    inside = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return inside or address


def is_in(address: Address, ranges: list[Range]) -> bool:
    """Look through all networks; a v4 address is also in the v6 networks that are parts of ::ffff:0:0/96."""
    plain = unmapped(address)
    if any(plain in network for network in ranges if network.version == plain.version):
        return True
    if plain.version == 6:
        return False
    inner = ipaddress.IPv6Address((0xFFFF << 32) + int(plain))
    return any(inner in network for network in ranges if network.version == 6 and network.prefixlen >= 96)


def test_lets_everyone_in_unless_told_otherwise() -> None:
    assert PluginChain(plugin("ip-filter")).send().status == 200


def test_lets_in_who_is_allowed_and_nobody_else() -> None:
    chain = PluginChain(plugin("ip-filter", allow=["192.0.2.0/24", "2001:db8::/32"]))
    assert chain.send(client="192.0.2.77").status == 200
    assert chain.send(client="2001:db8::1").status == 200
    refused = chain.send(client="198.51.100.1")
    assert refused.status == 403
    assert refused.forwarded is None
    assert refused.exchange.problem == "address-refused"


def test_refuses_who_is_denied_even_if_allowed() -> None:
    chain = PluginChain(plugin("ip-filter", allow=["192.0.2.0/24"], deny=["192.0.2.7"]))
    assert chain.send(client="192.0.2.7").status == 403
    assert chain.send(client="192.0.2.8").status == 200


def test_looks_at_the_client_not_at_the_proxy_before_the_gateway() -> None:
    chain = PluginChain(plugin("ip-filter", deny=["192.0.2.7"]))
    assert chain.send(client="192.0.2.7", peer="10.0.0.1", trusted=True).status == 403
    assert chain.send(client="192.0.2.8", peer="192.0.2.7", trusted=True).status == 200


@given(addresses, st.lists(networks, max_size=6), st.lists(networks, max_size=6))
def test_decides_as_a_look_through_all_networks_would(
    client: Address, allow: list[Range], deny: list[Range]
) -> None:
    made = plugin("ip-filter", allow=[str(one) for one in allow], deny=[str(one) for one in deny])
    expected = not is_in(client, deny) and (not allow or is_in(client, allow))
    assert made.admits(str(client)) is expected


@given(st.lists(networks, max_size=8), addresses)
def test_a_set_of_ranges_holds_the_union(ranges: list[Range], address: Address) -> None:
    plain = unmapped(address)
    assert (plain in RangeSet(ranges)) is is_in(plain, ranges)


@pytest.mark.parametrize(("allow", "status"), [([], 200), (["192.0.2.0/24"], 403)])
def test_what_has_no_address_comes_in_only_where_everyone_may(allow: list[str], status: int) -> None:
    assert PluginChain(plugin("ip-filter", allow=allow)).send(client="unix").status == status


def test_gives_the_same_verdict_again() -> None:
    chain = PluginChain(plugin("ip-filter", deny=["192.0.2.7"]))
    assert [chain.send(client=f"192.0.2.{end}").status for end in (7, 8, 7, 8)] == [403, 200, 403, 200]


def test_remembers_no_more_addresses_than_it_may() -> None:
    made = plugin("ip-filter", deny=["192.0.2.7"])
    chain = PluginChain(made)
    for index in range(REMEMBERED + 10):
        chain.send(client=str(ipaddress.IPv4Address(index)))
    assert len(made.verdicts) <= REMEMBERED
    assert chain.send(client="192.0.2.7").status == 403


def test_on_every_route_it_acts_before_a_route_is_looked_for() -> None:
    made = plugin("ip-filter", site_for(), deny=["192.0.2.7"])
    chain = PluginChain(made, path="/here")
    assert made.unused == {"request"}
    assert chain.send(url="/elsewhere", client="192.0.2.7").status == 403
    assert chain.send(url="/elsewhere", client="192.0.2.8").status == 404


@pytest.mark.parametrize("network", ["", "192.0.2.7/24", "192.0.2.0/33", "example.test", 7])
def test_refuses_what_is_no_network(network: object) -> None:
    with pytest.raises(ConfigInvalid, match=r"deny\[0\]: must be a network"):
        plugin("ip-filter", deny=[network])
