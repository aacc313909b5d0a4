import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.address import ListenAddress, ListenAddresses, Network, TargetUrl
from core.decode import ConfigInvalid, Decoder, FieldInvalid


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000),
        ("[::1]:80", "::1", 80),
        ("localhost:0", "localhost", 0),
        ("Box_1.Example.TEST:65535", "box_1.example.test", 65535),
    ],
)
def test_reads_an_address_to_listen_on(text: str, host: str, port: int) -> None:
    address = ListenAddress(text)
    assert (address.host, address.port, address.path) == (host, port, "")
    assert ListenAddress(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8000",
        ":8000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:８000",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "[127.0.0.1]:80",
        "1.2.3:80",
        "256.0.0.1:80",
        "http://a:80",
        "a b:80",
        "-a:80",
        "a:80\n",
        "unix:",
        "a:80/x",
    ],
)
def test_refuses_what_cannot_be_listened_on(text: str) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        ListenAddress(text)
    assert refusal.value.right


def test_a_unix_socket_starts_in_the_folder_of_the_configuration() -> None:
    decoder = Decoder(folder=Path("/etc/agora"))
    assert ListenAddress.from_plain("unix:run/a.sock", decoder).path == "/etc/agora/run/a.sock"
    assert ListenAddress.from_plain("unix:/run/a.sock", decoder).path == "/run/a.sock"
    assert TargetUrl.from_plain("unix:a.sock", decoder).path == "/etc/agora/a.sock"


def test_one_address_needs_no_list() -> None:
    decoder = Decoder()
    assert ListenAddresses.from_plain("a:1", decoder) == ("a:1",)
    assert ListenAddresses.from_plain(["a:1", "a:2"], decoder) == ("a:1", "a:2")
    assert ListenAddresses.from_plain(["a:0", "a:0"], decoder) == ("a:0", "a:0")  # two free ports


@pytest.mark.parametrize("value", [[], ["a:1", "A:1"]])
def test_addresses_are_named_once_and_there_is_one(value: Any) -> None:
    with pytest.raises(FieldInvalid, match="must name each address once"):
        ListenAddresses.from_plain(value, Decoder())


def test_a_wrong_address_in_a_list_is_named_by_its_place() -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        ListenAddresses.from_plain(["a:1", "a:x", 7], Decoder())
    assert [problem.key for problem in refusal.value.problems] == ["[1]", "[2]"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://127.0.0.1:9000", (False, "127.0.0.1", 9000, "")),
        ("http://API.example.test", (False, "api.example.test", 80, "")),
        ("https://api.example.test/", (True, "api.example.test", 443, "")),
        ("https://[::1]:8443", (True, "::1", 8443, "")),
        ("unix:/run/app.sock", (False, "", 0, "/run/app.sock")),
    ],
)
def test_reads_a_server(text: str, parts: tuple[bool, str, int, str]) -> None:
    target = TargetUrl(text)
    assert (target.tls, target.host, target.port, target.path) == parts
    again = TargetUrl(str(target))
    assert again == target
    assert again.port == target.port


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:9000",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:65536",
        "http://u:p@a",
        "http://a?x",
        "http://a#x",
        "http://a b",
        "HTTP://a",
        "http://a\n",
        "unix:",
        "http://1.2.3",
        "http://[::1",
    ],
)
def test_refuses_what_is_no_server(text: str) -> None:
    with pytest.raises(FieldInvalid):
        TargetUrl(text)


def test_a_server_with_a_path_is_told_about_the_plugin_that_changes_paths() -> None:
    with pytest.raises(FieldInvalid) as refusal:
        TargetUrl("http://a:1/base")
    assert "`rewrite`" in refusal.value.right


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("::1", "::1/128"),
        ("FE80::/10", "fe80::/10"),
    ],
)
def test_reads_networks_and_single_addresses(text: str, normal: str) -> None:
    assert Network(text) == normal
    assert str(Network(text).range) == normal


def test_a_network_with_host_bits_is_told_what_it_may_have_meant() -> None:
    with pytest.raises(FieldInvalid) as refusal:
        Network("10.0.0.1/8")
    assert refusal.value.right == "did you mean '10.0.0.0/8'?"


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/33", "10.0.0", "example.test", "10.0.0.0-10.0.0.9", "::1/129"]
)
def test_refuses_what_is_no_network(text: str) -> None:
    with pytest.raises(FieldInvalid, match="must be a network"):
        Network(text)


@pytest.mark.parametrize("value", [7, None, True, {}, 1.5])
@pytest.mark.parametrize("kind", [ListenAddress, TargetUrl, Network])
def test_anything_but_a_string_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(FieldInvalid):
        kind.from_plain(value, Decoder())


@pytest.mark.parametrize(
    "value", [ListenAddress("a:1"), ListenAddresses("a:1", "b:2"), TargetUrl("https://a:1"), Network("::1")]
)
def test_they_survive_copying_and_pickling_with_their_parts(value: Any) -> None:
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert again == value
        assert type(again) is type(value)
        assert getattr(again, "host", None) == getattr(value, "host", None)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for kind in (ListenAddress, TargetUrl, Network):
        try:
            made = kind(text)
        except FieldInvalid:
            continue
        assert kind(str(made)) == made
