"""Route patterns: what is accepted, how literals are normalised, and what a refusal says."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core._fast.path import normalise
from core.errors import AgoraError
from core.route_pattern import Kind, Pattern, RoutePatternInvalid, Segment, parse_host


def literal(text: str) -> Segment:
    return Segment((text.encode(),))


def test_divides_a_path_into_segments() -> None:
    pattern = Pattern("/markets/{id:int}/{rest:path}/end/")
    assert pattern.segments == (
        literal("markets"),
        Segment((b"", b""), (Kind.INT,)),
        Segment((b"", b""), (Kind.PATH,), 2),
        literal("end"),
        literal(""),
    )
    assert pattern.names == ("id", "rest")


def test_reads_several_parameters_of_a_segment() -> None:
    pattern = Pattern("/v{major:int}.{minor:int}-{name}.json")
    assert pattern.segments == (Segment((b"v", b".", b"-", b".json"), (Kind.INT, Kind.INT, Kind.STR)),)
    assert pattern.names == ("major", "minor", "name")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("café", "caf%C3%A9"),
        ("a b", "a%20b"),
        ("%7euser", "~user"),
        ("%41%2f%2F", "A%2F%2F"),
        ("caf%c3%a9", "caf%C3%A9"),
        ("a+b;c=d,@!$&'()*:", "a+b;c=d,@!$&'()*:"),
        ("%7Bx%7D", "%7Bx%7D"),
    ],
)
def test_normalises_literals(text: str, expected: str) -> None:
    assert Pattern("/" + text).segments == (literal(expected),)


@given(st.text(max_size=12) | st.text("%/.-~aF2e9c3{}", max_size=12))
def test_accepts_only_literals_that_normalised_paths_can_have(text: str) -> None:
    try:
        pattern = Pattern("/" + text)
    except RoutePatternInvalid:
        return
    assume(not pattern.names)
    assume("%2f" not in text.lower() and "%5c" not in text.lower() and ";" not in text)  # may hide dots
    path = b"/" + b"/".join(segment.literals[0] for segment in pattern.segments)
    assert normalise(path) == path


@pytest.mark.parametrize(
    ("path", "problem", "cure"),
    [
        ("", "no leading slash", "write '/'"),
        ("markets/{id}", "no leading slash", "write '/markets/{id}'"),
        ("//a", "empty segment", "write '/a'"),
        ("/a//{x}", "empty segment", "write '/a/{x}'"),
        ("/./a", "'.' is resolved", "leave it out"),
        ("/a/%2E%2e", "'%2E%2e' is resolved", "leave it out"),
        ("/{x", "brace in '{x' has no partner", "{name}"),
        ("/x}", "brace in 'x}' has no partner", "%7D"),
        ("/{{x}}", "no partner", "%7B"),
        ("/{a/b}", "brace in '{a' has no partner", "{name}"),
        ("/{}", "{} has no proper name", "{order_id}"),
        ("/{1x}", "{1x} has no proper name", "letters"),
        ("/{a-b}", "{a-b} has no proper name", "'_'"),
        ("/{x:number}", "unknown convertor 'number'", "str, int, float, uuid or path"),
        ("/{x:INT}", "unknown convertor 'INT'", "str, int, float, uuid or path"),
        ("/{x:}", "unknown convertor ''", "str, int"),
        ("/{x}/{x}", "{x} is there twice", "own name"),
        ("/" + "/".join(f"{{p{n}}}" for n in range(17)), "17 parameters", "at most 16"),
        ("/a" * 65, "65 segments", "at most 64"),
        ("/" + "a" * 4096, "4097 characters", "at most 4096"),
        ("/{a:path}/x/{b:path}", "two {:path}", "keep one"),
        ("/{a}-{b:path}", "beside a {:path}", "a slash"),
        ("/{a}{b}", "two parameters touch", "{a}-{b}"),
        ("/{a}1{b:int}", "a number follows a digit", "another character"),
        ("/{a:int}1{b}", "a number is followed by a digit", "another character"),
        ("/{a}.{b:float}", "a float follows a '.'", "another character"),
        ("/a?b=c", "no path contains '?'", "percent-encode"),
        ("/a#b", "no path contains '#'", "leave it out"),
        ("/a\\b", r"no path contains '\\'", "leave it out"),
        ("/a\nb", r"no path contains '\n'", "leave it out"),
        ("/a%", "'%' is not followed by two hex digits", "%25"),
        ("/a%4", "'%' is not followed by two hex digits", "%25"),
        ("/a%0d", "control byte %0d", "leave it out"),
        ("/a%ff", "no UTF-8", "whole characters"),
    ],
)
def test_says_what_is_wrong_with_a_path_and_what_would_be_right(path: str, problem: str, cure: str) -> None:
    with pytest.raises(RoutePatternInvalid) as caught:
        Pattern(path)
    assert problem in caught.value.problem
    assert cure in caught.value.cure
    assert str(caught.value).startswith("route path '")
    assert str(caught.value).endswith(f": {caught.value.problem}; {caught.value.cure}")


def test_refusals_are_errors_of_agora_and_of_values() -> None:
    assert issubclass(RoutePatternInvalid, AgoraError)
    assert issubclass(RoutePatternInvalid, ValueError)


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("api.example.test", b"api.example.test"),
        ("API.Example.Test.", b"api.example.test"),
        ("*.example.test", b".example.test"),
        ("localhost", b"localhost"),
        ("10.0.0.1", b"10.0.0.1"),
        ("[2001:DB8::1]", b"[2001:db8::1]"),
        ("xn--mller-kva.test", b"xn--mller-kva.test"),
        ("my_host-1", b"my_host-1"),
    ],
)
def test_normalises_hosts(host: str, key: bytes) -> None:
    assert parse_host(host) == key


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("", "no host name"),
        ("*", "every host"),
        ("*.", "every host"),
        ("a.*.test", "whole first label"),
        ("a*.test", "whole first label"),
        ("a.test:80", "more than a host name"),
        ("http://a.test", "more than a host name"),
        ("a.test/x", "more than a host name"),
        ("[::1]:80", "no IPv6 literal"),
        ("[::1", "no IPv6 literal"),
        ("[1.2.3.4]", "no IPv6 literal"),
        ("müller.test", "not ASCII"),
        ("a..test", "no host name"),
        ("-a.test", "no host name"),
        ("a b", "no host name"),
        ("a" * 64 + ".test", "no host name"),
        (".".join(["a" * 60] * 5), "no host name"),
    ],
)
def test_says_what_is_wrong_with_a_host(host: str, problem: str) -> None:
    with pytest.raises(RoutePatternInvalid, match=problem):
        Pattern("/", hosts=(host,))


@pytest.mark.parametrize(
    ("method", "problem"), [("", "no method"), ("GET POST", "no method"), ("get", "write 'GET'")]
)
def test_says_what_is_wrong_with_a_method(method: str, problem: str) -> None:
    with pytest.raises(RoutePatternInvalid, match=problem):
        Pattern("/", frozenset({method}))


def test_takes_unusual_methods_as_they_are() -> None:
    assert Pattern("/", frozenset({"PROPFIND", "M-SEARCH"})).methods == {"PROPFIND", "M-SEARCH"}


def test_counts_equal_hosts_once() -> None:
    assert Pattern("/", hosts=("a.test", "A.TEST.")).host_keys == (b"a.test",)
