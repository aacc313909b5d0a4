from typing import Any

import pytest

from core.config import Config
from core.plugin import PluginConfig
from gateway.config import from_data
from gateway.explanation import Explanation, RequestInvalid, explain_request


class Everywhere:
    class Config(PluginConfig, frozen=True): ...

    def __init__(self, config: object, site: object) -> None: ...
    def accept(self, exchange: object) -> None: ...
    def request(self, exchange: object) -> None: ...
    def forward(self, exchange: object) -> None: ...
    def response(self, exchange: object) -> None: ...
    def log(self, exchange: object) -> None: ...


class First(Everywhere): ...


class Second(Everywhere): ...


def use(plugin: type) -> dict[str, Any]:
    return {"use": f"{__name__}:{plugin.__name__}"}


FIRST, SECOND = use(First)["use"], use(Second)["use"]


@pytest.fixture(scope="module")
def config() -> Config:
    return from_data(
        {
            "server": {"listen": ["127.0.0.1:8099"]},
            "plugin": [use(First)],
            "upstream": [{"name": "markets", "targets": ["http://a:1", "https://b"]}],
            "route": [
                {
                    "name": "market",
                    "path": "/markets/{id}",
                    "methods": ["GET"],
                    "hosts": ["*.example.test"],
                    "upstream": "markets",
                    "plugin": [use(Second)],
                },
                {"name": "create", "path": "/markets/{id}", "methods": ["POST"], "respond": {"status": 201}},
                {
                    "name": "rest",
                    "path": "/files/{rest:path}",
                    "app": "tests.gateway.test_explanation:application",
                },
            ],
        }
    )


async def application(scope: object, receive: object, send: object) -> None: ...


def test_a_route_is_explained_with_parameters_target_and_plugins_phase_by_phase(config: Config) -> None:
    told = explain_request(config, "GET", "http://www.example.test/markets/%37?x=1")
    assert (told.host, told.path, told.status) == ("www.example.test", "/markets/7", 0)
    assert told.route is not None
    assert told.route.route == "market"
    assert told.route.target == "upstream markets: http://a:1, https://b:443"
    assert told.route.plugins == (FIRST, SECOND)
    assert told.parameters == {"id": "7"}
    assert told.phases == {
        "accept": (FIRST,),
        "request": (FIRST, SECOND),
        "forward": (FIRST, SECOND),
        "response": (SECOND, FIRST),
        "log": (SECOND, FIRST),
    }
    assert told.steps[-1].matched
    assert told.steps[-1].routes == ("market",)


def test_a_method_that_no_route_takes_is_405_with_those_allowed(config: Config) -> None:
    told = explain_request(config, "PUT", "/markets/7")
    assert (told.route, told.status, told.reason) == (None, 405, "allowed here: POST")
    assert list(told.phases) == ["accept", "request", "response", "log"]
    assert not any(step.matched for step in told.steps)


def test_a_path_that_no_route_takes_is_404_and_says_what_was_tried(config: Config) -> None:
    told = explain_request(config, "GET", "/market/7")
    assert (told.route, told.status, told.reason) == (None, 404, "no route matches")
    assert told.steps


def test_a_host_that_keeps_a_request_from_its_route_is_named(config: Config) -> None:
    told = explain_request(config, "GET", "/markets/7")
    assert told.status == 405
    assert any("the host is '127.0.0.1:8099'" in step.reason for step in told.steps)


def test_the_host_header_counts_unless_the_url_names_a_host(config: Config) -> None:
    def route(url: str, *headers: str) -> str:
        told = explain_request(config, "GET", url, headers)
        return told.route.route if told.route else str(told.status)

    assert route("/markets/7", "Host: a.example.test:8000") == "market"
    assert route("/markets/7", "hOST:a.example.test", "x-other: 1") == "market"
    assert route("http://a.example.test/markets/7", "Host: other.test") == "market"
    assert route("/markets/7", "Host: example.test") == "405"


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "/%zz", 400),
        ("GET", "/a%00", 400),
        ("CONNECT", "/", 405),
        ("TRACE", "/", 405),
        ("OPTIONS", "*", 204),
        ("GET", "*", 400),
    ],
)
def test_what_the_gateway_answers_before_routing_is_said(
    config: Config, method: str, url: str, status: int
) -> None:
    told = explain_request(config, method, url)
    assert (told.route, told.status) == (None, status)
    assert told.reason
    assert list(told.phases) == ["accept", "response", "log"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v1/mlops/status"])
def test_the_gateways_own_paths_are_explained(config: Config, path: str) -> None:
    told = explain_request(config, "GET", path)
    assert told.route is not None
    assert told.route.route.startswith("agora.")
    assert told.phases == {"accept": (FIRST,)}


def test_a_path_is_explained_in_its_normal_form(config: Config) -> None:
    told = explain_request(config, "GET", "/x/../files//a/%2e/b")
    assert told.path == "/files/a/b"
    assert told.parameters == {"rest": "a/b"}


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("G T", "/", []),
        ("", "/", []),
        ("GET", "", []),
        ("GET", "ftp://a/", []),
        ("GET", "a/b", []),
        ("GET", "http://u@a/", []),
        ("GET", "/", ["no colon"]),
        ("GET", "/", ["a b: c"]),
        ("GET", "/#x", []),
    ],
)
def test_what_is_no_request_is_refused(config: Config, method: str, url: str, headers: list[str]) -> None:
    with pytest.raises(RequestInvalid):
        explain_request(config, method, url, headers)


def test_a_url_without_a_path_is_its_root(config: Config) -> None:
    told: Explanation = explain_request(config, "GET", "http://a.example.test")
    assert (told.host, told.path) == ("a.example.test", "/")
