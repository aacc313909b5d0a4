"""WebSocket frames and the words of the handshake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.websocket import (
    MESSAGE_LIMIT,
    Closed,
    WebSocketFrames,
    accept_token,
    agree_on_compression,
    is_key,
    new_key,
    split_list,
)


def pair(message_limit: int = MESSAGE_LIMIT) -> tuple[WebSocketFrames, WebSocketFrames]:
    client = WebSocketFrames(client=True, message_limit=message_limit)
    return client, WebSocketFrames(client=False, message_limit=message_limit)


@given(st.lists(st.one_of(st.text(), st.binary()), max_size=5), st.data())
def test_messages_survive_however_the_bytes_are_cut(payloads: list[str | bytes], data: st.DataObject) -> None:
    client, server = pair()
    stream = b"".join(client.message(payload) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    received: list[object] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events, reply = server.receive(stream[start:end])
        received += events
        assert reply == b""
    assert received == payloads


def test_answers_a_ping_but_not_after_its_own_close() -> None:
    ping = b"\x89\x81\x00\x00\x00\x00a"
    _, server = pair()
    assert server.receive(ping) == ([], b"\x8a\x01a")
    server.close()
    assert server.receive(ping) == ([], b"")


def test_a_close_is_answered_once_and_nothing_follows() -> None:
    client, server = pair()
    said = client.close(4000, "bye")
    events, reply = server.receive(said)
    assert events == [Closed(4000, "bye")]
    assert client.receive(reply) == ([Closed(4000, "bye")], b"")
    assert server.message("late") == client.message("late") == b""
    assert server.close() == client.close() == b""
    assert server.receive(b"anything") == ([], b"")


def test_messages_that_cross_a_close_are_dropped() -> None:
    client, server = pair()
    late = client.message("late")
    server.close()
    assert server.receive(late) == ([], b"")


def test_codes_that_may_not_be_sent_become_a_close_without_code() -> None:
    for code in (1005, 1006, 1015):
        client, server = pair()
        events, _ = server.receive(client.close(code, "never sent"))
        assert events == [Closed(1005, "")]


def test_a_long_reason_is_cut_between_characters() -> None:
    client, server = pair()
    events, _ = server.receive(client.close(4000, "ż" * 100))
    assert events == [Closed(4000, "ż" * 61)]


def test_a_message_over_the_limit_is_refused_as_soon_as_it_is_seen() -> None:
    client, server = pair(message_limit=4)
    assert server.receive(client.message("1234"))[0] == ["1234"]
    events, reply = server.receive(client.message("żżż"))
    assert events == [Closed(1009, "message too big")]
    assert client.receive(reply)[0] == [Closed(1009, "message too big")]


def test_the_limit_counts_each_message_for_itself() -> None:
    client, server = pair(message_limit=4)
    stream = client.message(b"1234") + client.message(b"5678")
    assert server.receive(stream)[0] == [b"1234", b"5678"]


def test_a_broken_frame_is_told_with_its_code() -> None:
    _, server = pair()
    events, reply = server.receive(b"\x81\x81\x00\x00\x00\x00\xff")
    assert isinstance(events[0], Closed)
    assert events[0].code == 1007
    assert reply[2:4] == (1007).to_bytes(2, "big")


def test_the_example_of_the_rfc() -> None:
    assert accept_token(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_keys_are_sixteen_bytes_in_base64() -> None:
    assert is_key(new_key())
    assert new_key() != new_key()
    assert not any(
        map(is_key, [b"", b"a", b"dGhlIHNhbXBsZQ==", b"dGhlIHNhbXBsZSBub25jZQ", b"\xff" * 24, b"*" * 24])
    )


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        (b"permessage-deflate", b"permessage-deflate"),
        (
            b"x-other, permessage-deflate; server_max_window_bits=10",
            b"permessage-deflate; server_max_window_bits=10",
        ),
        (b"x-other", None),
        (b"permessage-deflate; server_max_window_bits=oh", None),
    ],
)
def test_agrees_on_compression(offers: bytes, answer: bytes | None) -> None:
    agreed, said = agree_on_compression(offers)
    assert said == answer
    assert len(agreed) == (0 if answer is None else 1)


def test_splits_lists_as_headers_hold_them() -> None:
    assert list(split_list(b"a, b ,,c\t,")) == ["a", "b", "c"]
