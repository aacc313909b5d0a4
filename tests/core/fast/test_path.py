"""Paths: one normal form for every way to write the same path, and no way around it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core._fast import path as path_module
from core._fast.head import PROBLEMS
from core._fast.path import normalise
from tests.core.fast import messages
from tests.oracles.agreement import check_path

more_examples = settings(max_examples=600, deadline=None)


def test_the_compiled_module_is_the_one_loaded() -> None:
    assert path_module.__file__.endswith(".so")


@more_examples
@given(messages.paths())
def test_paths_are_normalised_as_the_oracle_does(path: bytes) -> None:
    check_path(path)


@more_examples
@given(messages.broken(messages.paths()) | st.binary())
def test_broken_paths_are_judged_as_the_oracle_does(path: bytes) -> None:
    check_path(path)


@more_examples
@given(st.text())
def test_any_text_escaped_as_utf_8_is_a_path_unless_it_holds_controls_or_hidden_dots(text: str) -> None:
    check_path(b"/" + b"".join(b"%%%02x" % byte for byte in text.encode(errors="surrogatepass")))


@pytest.mark.parametrize("template", [b"/a@b", b"@", b"/@", b"/%@0", b"/%4@", b"/.@", b"/..@/x", b"/%C3%@0"])
def test_every_byte_in_every_place_is_judged_as_the_oracle_does(template: bytes) -> None:
    for byte in range(256):
        check_path(template.replace(b"@", bytes([byte])))


def test_every_escape_is_judged_as_the_oracle_does() -> None:
    for byte in range(256):
        for form in (b"/%%%02x", b"/%%%02X", b"/%%%02x/..", b"/a%%%02x..", b"/..%%%02xa", b"/%%E1%%%02X%%80"):
            check_path(form % byte)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/", b"/"),
        (b"*", b"*"),
        (b"/a/b", b"/a/b"),
        (b"/a/b/", b"/a/b/"),
        (b"//", b"/"),
        (b"//a///b//", b"/a/b/"),
        (b"/.", b"/"),
        (b"/..", b"/"),
        (b"/../..", b"/"),
        (b"/../../etc/passwd", b"/etc/passwd"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/a//../b", b"/b"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/.%2e/b", b"/b"),
        (b"/%2e/b", b"/b"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/..a/...", b"/..a/..."),
        (b"/%7euser/%41%2d%5f%2E", b"/~user/A-_."),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%5cb", b"/a%5Cb"),
        (b"/a%3bb%20c", b"/a%3Bb%20c"),
        (b"/%c3%a9", b"/%C3%A9"),
        (b"/a;v=1/b", b"/a;v=1/b"),
        (b"/users/@me:x!$&'()*+,;=", b"/users/@me:x!$&'()*+,;="),
        (b"/%2525", b"/%2525"),
    ],
)
def test_writes_the_normal_form(path: bytes, normal: bytes) -> None:
    assert check_path(path) == normal


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        (b"", "path-form"),
        (b"a", "path-form"),
        (b"**", "path-form"),
        (b"/a\\b", "path-backslash"),
        (b"/a b", "path-character"),
        (b"/a\0", "path-character"),
        (b"/a\x7f", "path-character"),
        (b"/\xc3\xa9", "path-character"),
        (b"/a?b", "path-character"),
        (b"/a#b", "path-character"),
        (b"/%", "path-escape-malformed"),
        (b"/%4", "path-escape-malformed"),
        (b"/%zz", "path-escape-malformed"),
        (b"/%u0041", "path-escape-malformed"),
        (b"/%+1", "path-escape-malformed"),
        (b"/a%00", "path-escape-control"),
        (b"/a%0d%0aSet-Cookie:x", "path-escape-control"),
        (b"/a%7F", "path-escape-control"),
        (b"/%c0%ae%c0%ae/", "path-not-utf8"),
        (b"/%e0%80%af", "path-not-utf8"),
        (b"/%ed%a0%80", "path-not-utf8"),
        (b"/%f4%90%80%80", "path-not-utf8"),
        (b"/%ff", "path-not-utf8"),
        (b"/%c3", "path-not-utf8"),
        (b"/%c3/%a9", "path-not-utf8"),
        (b"/%c3%41", "path-not-utf8"),
        (b"/%a9", "path-not-utf8"),
        (b"/a/..%2fadmin", "path-dots-hidden"),
        (b"/a/%2e%2e%2fadmin", "path-dots-hidden"),
        (b"/a/b%2f..%2fadmin", "path-dots-hidden"),
        (b"/a%5c..%5cadmin", "path-dots-hidden"),
        (b"/a%2f..", "path-dots-hidden"),
        (b"/a%2f.", "path-dots-hidden"),
        (b"/a/..;/admin", "path-dots-hidden"),
        (b"/a/..;x=1/admin", "path-dots-hidden"),
        (b"/a/.;/admin", "path-dots-hidden"),
    ],
)
def test_refuses_ways_around_the_normal_form(path: bytes, slug: str) -> None:
    problem = check_path(path)
    assert isinstance(problem, int)
    assert PROBLEMS[problem][1] == slug


def test_takes_any_buffer() -> None:
    assert normalise(bytearray(b"/a/../b")) == b"/b"
    assert normalise(memoryview(b"/a")) == b"/a"


def test_a_long_path_costs_no_more_than_its_length() -> None:
    path = b"/a" * 4000 + b"/.." * 4000
    assert normalise(path) == b"/"
