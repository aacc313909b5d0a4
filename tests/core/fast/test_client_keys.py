"""Who shares a count, compared with the ipaddress module."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import core._fast.client_keys
from core._fast.client_keys import client_network


def network_by_ipaddress(text: str, prefix: int) -> bytes:
    """Return what an address is counted by."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address).encode()
    if address.ipv4_mapped:
        return str(address.ipv4_mapped).encode()
    return ipaddress.IPv6Network((int(address), prefix), strict=False).network_address.packed


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert core._fast.client_keys.__file__.endswith(".so")


@given(st.ip_addresses(), st.integers(16, 128))
@example(ipaddress.ip_address("::ffff:192.0.2.7"), 64)
@example(ipaddress.ip_address("fe80::1%eth0"), 64)
@example(ipaddress.ip_address("::"), 128)
def test_counts_an_ipv6_client_by_its_network(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int
) -> None:
    assert client_network(str(address).encode(), prefix) == network_by_ipaddress(str(address), prefix)


@pytest.mark.parametrize("text", [b"unix", b"", b"a" * 200])
def test_counts_what_is_no_address_by_its_text(text: bytes) -> None:
    assert client_network(text) == text[:63]
