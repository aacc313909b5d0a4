"""Header collections: what plugins get, set, add and remove, and what can never get in."""

import gc
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core._fast import headers as headers_module
from core._fast.head import read_request
from core._fast.headers import KNOWN_NAMES, FieldFlag, HeaderId, Headers, find_id
from core.errors import AgoraError, HeaderInvalid
from tests.oracles.headers import HeaderList, is_valid

names = st.sampled_from(
    (b"Accept", b"accept", b"X-A", b"x-a", b"X-B", b"Set-Cookie", b"a_b", b"^", b"~", b"x" * 33)
)
values = st.sampled_from((b"", b"1", b" padded\t ", b"a b", b"v" * 100, b"\xff"))
anything = st.binary(max_size=40) | st.text(max_size=5).map(str.encode)


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert headers_module.__file__.endswith(".so")


class HeadersAgainstAList(RuleBasedStateMachine):
    """Do the same to a Headers and to a list of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = Headers()
        self.model = HeaderList()

    @initialize(pairs=st.lists(st.tuples(names, values), max_size=20))
    def parse(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Start from a parsed request, whose fields are views into its bytes."""
        lines = [b"Host: a", *(name + b":" + value for name, value in pairs), b"", b""]
        self.headers = read_request(b"GET / HTTP/1.1\r\n" + b"\r\n".join(lines))[2]
        for name, value in [(b"Host", b"a"), *pairs]:
            self.model.add(name, value)

    @rule(name=names, value=values)
    def set(self, name: bytes, value: bytes) -> None:
        # Temporary objects: only the Headers keeps them alive.
        self.headers.set(bytes(bytearray(name)), bytes(bytearray(value)))
        self.model.set(name, value)

    @rule(name=names, value=values)
    def add(self, name: bytes, value: bytes) -> None:
        self.headers.add(bytes(bytearray(name)), bytes(bytearray(value)))
        self.model.add(name, value)

    @rule(name=names)
    def remove(self, name: bytes) -> None:
        assert self.headers.remove(name) == self.model.remove(name)

    @rule(name=names)
    def get(self, name: bytes) -> None:
        expected = self.model.get_all(name)
        assert self.headers.get_all(name) == expected
        assert self.headers.get(name) == (expected[0] if expected else None)
        assert (name in self.headers) == bool(expected)

    @rule(name=names, times=st.integers(1, 100))
    def set_again_and_again(self, name: bytes, times: int) -> None:
        for i in range(times):
            self.headers.set(name, b"%d" % i)
            self.model.set(name, b"%d" % i)

    @invariant()
    def both_hold_the_same(self) -> None:
        assert self.headers.items() == self.model.pairs
        assert list(self.headers) == self.model.pairs
        assert len(self.headers) == len(self.model.pairs)


TestHeadersAgainstAList = HeadersAgainstAList.TestCase
TestHeadersAgainstAList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@settings(max_examples=500, deadline=None)
@given(anything, anything)
def test_only_tokens_and_clean_values_get_in(name: bytes, value: bytes) -> None:
    for put in (Headers.set, Headers.add):
        headers = Headers()
        if is_valid(name, value):
            put(headers, name, value)
            assert headers.items() == [(name, value.strip(b" \t"))]
        else:
            with pytest.raises(HeaderInvalid):
                put(headers, name, value)
            assert len(headers) == 0


def test_every_byte_in_a_name_or_value_is_judged_by_the_rfc() -> None:
    for byte in range(256):
        for place in (b"%c", b"a%c", b"%ca", b"sixteen-bytes-and%cmore"):
            text = place % byte
            for name, value in ((text, b"x"), (b"x", text)):
                try:
                    Headers([(name, value)])
                except HeaderInvalid:
                    assert not is_valid(name, value)
                else:
                    assert is_valid(name, value)


@pytest.mark.parametrize(
    "value", [b"a\r\nSet-Cookie: b", b"a\nb", b"a\rb", b"a\0b", b"\r\n", b"a\x7f", b"\x1b"]
)
def test_a_value_cannot_start_another_header(value: bytes) -> None:
    headers = Headers([(b"X", b"before")])
    with pytest.raises(HeaderInvalid, match="control byte"):
        headers.set(b"X", value)
    assert headers.items() == [(b"X", b"before")]


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b" a", b"a\0", b"\xe9", b'"a"', b"a,b"])
def test_a_name_is_a_token(name: bytes) -> None:
    with pytest.raises(HeaderInvalid, match="not a token"):
        Headers().add(name, b"x")


def test_a_header_error_is_one_of_ours_and_a_value_error() -> None:
    assert issubclass(HeaderInvalid, AgoraError)
    assert issubclass(HeaderInvalid, ValueError)


@pytest.mark.parametrize(
    "pair", [("a", b"b"), (b"a", "b"), (None, b"b"), (b"a", None), (bytearray(b"a"), b"b"), (1, 2)]
)
def test_names_and_values_are_bytes(pair: tuple[object, object]) -> None:
    for put in (Headers.set, Headers.add):
        with pytest.raises(TypeError):
            put(Headers(), *pair)  # type: ignore[arg-type]


def test_names_compare_without_case_but_not_more() -> None:
    headers = Headers([(b"X-A", b"1"), (b"^", b"2"), (b"a-b", b"3")])
    assert headers.get(b"x-a") == b"1"
    assert headers.get(b"~") is None  # differs from ^ by the same bit as a letter's case
    assert headers.get(b"a\rb") is None  # as \r differs from -
    assert headers.get(b"A-B") == b"3"


def test_a_missing_header_gives_the_default() -> None:
    assert Headers().get(b"x") is None
    assert Headers().get(b"x", b"d") == b"d"
    assert Headers().get_all(b"x") == []
    assert Headers().remove(b"x") == 0


def test_set_replaces_the_first_and_drops_the_others() -> None:
    headers = Headers([(b"A", b"1"), (b"X", b"1"), (b"B", b"1"), (b"x", b"2"), (b"C", b"1"), (b"X", b"3")])
    headers.set(b"x", b"new")
    assert headers.items() == [(b"A", b"1"), (b"x", b"new"), (b"B", b"1"), (b"C", b"1")]


def test_going_through_headers_while_changing_them_is_safe() -> None:
    headers = Headers([(b"X-%d" % i, b"v") for i in range(20)])
    for name, _ in headers:
        headers.remove(name)
        headers.add(b"y" + name, b"w" * 1000)
    assert len(headers) == 20


def test_values_stay_alive_with_their_headers() -> None:
    headers = Headers()
    for i in range(300):
        headers.add(b"name-%d" % i, b"value-%d" % i * 20)
    gc.collect()
    junk = [b"x" * 60 for _ in range(1000)]
    assert headers.items() == [(b"name-%d" % i, b"value-%d" % i * 20) for i in range(300)]
    del junk


def test_values_that_were_replaced_are_let_go() -> None:
    headers = Headers([(b"kept", b"for ever")])
    replaced = [b"value %d" % i for i in range(1000)]
    for value in replaced:
        headers.set(b"X", value)
    held = sum(sys.getrefcount(value) > 3 for value in replaced)
    assert held < 100
    assert headers.items() == [(b"kept", b"for ever"), (b"X", b"value 999")]


def test_parsed_headers_hold_the_buffer_they_point_into() -> None:
    data = bytearray(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    headers = read_request(data)[2]
    with pytest.raises(BufferError):
        data.clear()
    assert headers.get(b"host") == b"a"


def test_the_constructor_checks_what_it_is_given() -> None:
    with pytest.raises(HeaderInvalid):
        Headers([(b"ok", b"fine"), (b"not ok", b"fine")])


def test_headers_show_themselves() -> None:
    assert repr(Headers([(b"A", b"b")])) == "Headers([(b'A', b'b')])"


def test_every_known_name_is_found_by_its_id_in_any_case() -> None:
    assert len({name for _, name, _ in KNOWN_NAMES}) == len(KNOWN_NAMES) == HeaderId.H_COUNT - 1
    for known, name, flags in KNOWN_NAMES:
        assert name == name.lower()
        assert find_id(name) == find_id(name.upper()) == find_id(name.title()) == known
        assert known.name == "H_" + name.decode().upper().replace("-", "_")
        for changed in (
            name[:-1],
            name + b"s",
            b"x" + name,
            name.replace(b"-", b"_"),
            name[:-1] + b"%",
            name + b" ",
        ):
            assert find_id(changed) in {other for other, text, _ in KNOWN_NAMES if text == changed} | {0}
        headers = Headers([(name.title(), b"x")])
        assert headers.flags(name) == flags


@settings(max_examples=500)
@given(st.binary(max_size=40))
def test_unknown_names_have_no_id(name: bytes) -> None:
    assert find_id(name) == next((known for known, text, _ in KNOWN_NAMES if text == name.lower()), 0)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        (b"X-Forwarded-For", FieldFlag.FIELD_FORWARDING),
        (b"x-forwarded-anything", FieldFlag.FIELD_FORWARDING),
        (b"X-Forwarded", FieldFlag.FIELD_FORWARDING),
        (b"Forwarded", FieldFlag.FIELD_FORWARDING),
        (b"X-Real-IP", FieldFlag.FIELD_FORWARDING),
        (b"X_Real_IP", FieldFlag.FIELD_FORWARDING),
        (b"x_forwarded-for", FieldFlag.FIELD_FORWARDING),
        (b"X-Consumer-Name", FieldFlag.FIELD_IDENTITY),
        (b"X_CONSUMER_NAME", FieldFlag.FIELD_IDENTITY),
        (b"X-Userinfo", FieldFlag.FIELD_IDENTITY),
        (b"X-Authenticated-Scope", FieldFlag.FIELD_IDENTITY),
        (b"X-Credential-Identifier", FieldFlag.FIELD_IDENTITY),
        (b"a_b", FieldFlag.FIELD_UNDERSCORE),
        (b"X_Forwarded_For", FieldFlag.FIELD_UNDERSCORE),
        (b"a-name-of-more-than-sixteen_bytes", FieldFlag.FIELD_UNDERSCORE),
        (b"Content-Length", FieldFlag.FIELD_FRAMING),
        (b"Transfer-Encoding", FieldFlag.FIELD_FRAMING),
        (b"Transfer-Encoding", FieldFlag.FIELD_HOP_BY_HOP),
        (b"Keep-Alive", FieldFlag.FIELD_HOP_BY_HOP),
        (b"Authorization", FieldFlag.FIELD_NO_TRAILER),
    ],
)
def test_names_that_need_care_are_flagged(name: bytes, flag: FieldFlag) -> None:
    assert Headers([(name, b"x")]).flags(name) & flag


@pytest.mark.parametrize(
    "name", [b"X-Forward", b"X-Consumer", b"X-Real-IP2", b"X-Userinformation", b"Content-Digest"]
)
def test_other_names_are_not_flagged(name: bytes) -> None:
    assert Headers([(name, b"x")]).flags(name) == 0
