from typing import Any

import msgspec
import pytest

from core import config
from core.config import (
    AdminConfig,
    Config,
    PluginUse,
    RespondConfig,
    RouteConfig,
    ServerConfig,
)
from core.decode import ConfigInvalid, Decoder
from core.describe import field_docs
from core.plugin import PluginConfig
from core.table import Table
from core.units import Duration

TABLES = [
    kind
    for kind in vars(config).values()
    if isinstance(kind, type) and issubclass(kind, Table) and kind is not Table
]
ANSWER: dict[str, Any] = {"name": "a", "path": "/", "respond": {}}


class Greeting:
    """Adds a greeting header."""

    class Config(PluginConfig, frozen=True):
        text: str = "hello"
        wait: Duration = Duration("5s")

    def response(self, exchange: object) -> None: ...


BALANCES = 'one of "consistent-hash", "ewma", "least-requests", "random-two", "round-robin", "weighted"'
GREETING = f"{__name__}:Greeting"


def decode(**tables: Any) -> Config:
    return Decoder().decode(tables, Config)


def problems(**tables: Any) -> list[str]:
    with pytest.raises(ConfigInvalid) as refusal:
        decode(**tables)
    return [f"{problem.key}: {problem.wrong}" for problem in refusal.value.problems]


def route(**changes: Any) -> dict[str, Any]:
    return ANSWER | changes


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_table_is_frozen_strict_and_says_what_each_field_is_for(table: type[Table]) -> None:
    assert table.__struct_config__.frozen
    assert table.__struct_config__.forbid_unknown_fields
    for name, doc in field_docs(table).items():
        assert doc.description or doc.words != "string", name


def test_an_empty_configuration_is_one_with_defaults() -> None:
    assert decode() == Config(server=ServerConfig(), admin=AdminConfig())
    assert decode().server.listen == ("127.0.0.1:8000",)


def test_decodes_the_tables_of_the_design() -> None:
    made = decode(
        server={"listen": "127.0.0.1:8000", "workers": 1, "data_dir": "var"},
        admin={"token": "a-token-written-here"},
        upstream=[{"name": "markets", "targets": ["http://127.0.0.1:9000"], "balance": "round-robin"}],
        consumer=[{"name": "alice", "keys": ["k"], "groups": ["traders"]}],
        route=[
            {
                "name": "market",
                "path": "/markets/{id}",
                "methods": ["GET"],
                "hosts": ["*.example.test"],
                "upstream": "markets",
                "plugin": [{"use": GREETING, "text": "hi", "wait": "1m"}],
            }
        ],
        plugin=[{"use": GREETING}],
    )
    assert made.route[0].plugin == (
        PluginUse(GREETING, Greeting, Greeting.Config(text="hi", wait=Duration(60))),
    )
    assert made.plugin[0].config == Greeting.Config()
    assert made.upstream[0].targets[0].url.port == 9000


def test_decoded_configurations_can_be_compared() -> None:
    tables = {"plugin": [{"use": GREETING, "text": "a"}], "route": [route()]}
    assert decode(**tables) == decode(**tables)
    assert decode(**tables) != decode(**tables | {"plugin": [{"use": GREETING, "text": "b"}]})


def test_nothing_can_be_changed() -> None:
    made = decode()
    with pytest.raises(AttributeError):
        made.server.workers = 2  # type: ignore[misc]


def test_secrets_never_show() -> None:
    made = decode(admin={"token": "hunter2"}, consumer=[{"name": "a", "keys": ["hunter3"]}])
    assert "hunter" not in repr(made)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"respond": None}, ["route[0]: has no target"]),
        ({"upstream": "u"}, ["route[0]: has upstream and respond"]),
        ({"app": "a:b", "upstream": "u"}, ["route[0]: has upstream and app and respond"]),
        ({"model": "m"}, ["route[0].model: unknown key"]),
        ({"path": "/{x"}, ["route[0].path: a brace in '{x' has no partner"]),
        ({"path": "/{x:nope}"}, ["route[0].path: {x:nope} has an unknown convertor 'nope'"]),
        (
            {"path": "/a//b", "hosts": ["[1:2]"]},
            [
                "route[0].path: it has an empty segment; paths are normalised before they are matched",
                "route[0].hosts[0]: it is no IPv6 literal",
            ],
        ),
        (
            {"methods": ["get"]},
            ['route[0].methods[0]: must be a method in capitals, such as "GET", not the string "get"'],
        ),
        (
            {"hosts": ["a:80"]},
            [
                'route[0].hosts[0]: must be a host without a port, such as "example.test" or '
                '"*.example.test", not the string "a:80"'
            ],
        ),
        (
            {"name": "a\n"},
            [
                "route[0].name: must be a name of at most 64 letters, digits, '.', '_' or '-', "
                r'not the string "a\n"'
            ],
        ),
        (
            {"app": "shop", "respond": None},
            ['route[0].app: must be an import path such as "package.module:name", not the string "shop"'],
        ),
        ({"respond": {"body": "a", "json": 1}}, ["route[0].respond: has both body and json"]),
        (
            {"respond": {"status": 204, "json": None}},
            ["route[0].respond: an answer with status 204 has no body"],
        ),
        (
            {"respond": {"status": 100}},
            ["route[0].respond.status: must be a whole number from 200 to 599, not the number 100"],
        ),
        (
            {"respond": {"headers": {"a b": "c", "d": "e\r\nf: g"}}},
            [
                'route[0].respond.headers["a b"]: must be a name of a header, not the string "a b"',
                "route[0].respond.headers.d: must be a value of a header, on one line, "
                r'not the string "e\r\nf: g"',
            ],
        ),
        ({"respond": {"headers": {"d": "e\n"}}}, None),
    ],
)
def test_refuses_wrong_routes(changes: dict[str, Any], found: list[str] | None) -> None:
    assert problems(route=[route(**changes)]) == found or found is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"targets": []}, ["targets: must be a list of server URLs (1 to 4096), not an empty list"]),
        ({"targets": ["a:1"]}, ['targets[0]: must be a server\'s URL, not the string "a:1"']),
        ({"balance": "best"}, [f'balance: must be {BALANCES}, not the string "best"']),
        ({"host": "a b"}, ['host: must be a host name, "preserve" or "target", not the string "a b"']),
        ({"tls": {"key": "k"}}, ["tls.certificate: is missing"]),
        ({"tls": {"certificate": "c"}}, ["tls.key: is missing"]),
        ({"max_connections": 0}, ["max_connections: must be a whole number of at least 1, not the number 0"]),
        ({"connect_timeout": True}, ["connect_timeout: must be a duration, not true"]),
    ],
)
def test_refuses_wrong_upstreams(changes: dict[str, Any], found: list[str]) -> None:
    table = {"name": "u", "targets": ["http://a"]} | changes
    assert problems(upstream=[table]) == [f"upstream[0].{problem}" for problem in found]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"limits": {"request_line": 0}}, "limits.request_line: must be from 256B to 16MiB"),
        ({"limits": {"header_block": "1GiB"}}, "limits.header_block: must be from 256B to 16MiB"),
        (
            {"limits": {"header_count": 0}},
            "limits.header_count: must be a whole number from 1 to 65535, not the number 0",
        ),
        ({"workers": -1}, "workers: must be a whole number from 0 to 1024, not the number -1"),
        ({"workers": True}, "workers: must be a whole number from 0 to 1024, not true"),
        ({"via": 1}, "via: must be true or false, not the number 1"),
        ({"timeouts": {"haed": 1}}, "timeouts.haed: unknown key"),
        ({"tls": {"certificate": "c"}}, "tls.key: is missing"),
        (
            {"tls": {"certificate": "c", "key": "k", "client_auth": "required"}},
            "tls.client_ca: is needed to check clients' certificates",
        ),
        ({"tls": {"certificate": "c", "key": "k", "client_ca": "a"}}, "tls.client_ca: is never used"),
        (
            {"tls": {"certificate": "c", "key": "k", "min_version": 1.2}},
            'tls.min_version: must be one of "1.2", "1.3", not the number 1.2',
        ),
        (
            {"trusted_proxies": ["10.0.0.1/8"]},
            'trusted_proxies[0]: must be a network, not the string "10.0.0.1/8"',
        ),
    ],
)
def test_refuses_wrong_servers(changes: dict[str, Any], found: str) -> None:
    assert problems(server=changes) == [f"server.{found}"]


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("x", 'plugin[0]: must be a table, not the string "x"'),
        ({}, "plugin[0].use: is missing"),
        ({"use": 3}, "plugin[0].use: must be a string, not the number 3"),
        ({"use": "no-such"}, "plugin[0].use: no plugin is called 'no-such'"),
        (
            {"use": "nope.nope:Nope"},
            "plugin[0].use: 'nope.nope:Nope' cannot be imported: No module named 'nope'",
        ),
        ({"use": GREETING, "txt": "a"}, "plugin[0].txt: unknown key"),
        ({"use": GREETING, "text": 3}, "plugin[0].text: must be a string, not the number 3"),
        ({"use": GREETING, "wait": "x"}, 'plugin[0].wait: must be a duration, not the string "x"'),
        ({"use": f"{__name__}:decode"}, f"plugin[0].use: '{__name__}:decode' is not a class"),
    ],
)
def test_refuses_wrong_plugins(use: Any, found: str) -> None:
    assert problems(plugin=[use]) == [found]
    assert problems(route=[route(plugin=[use])]) == [f"route[0].{found}"]


def test_an_answers_json_may_be_null() -> None:
    assert decode(route=[route(respond={"json": None})]).route[0].respond == RespondConfig(json=None)
    assert RespondConfig().json is msgspec.UNSET


def test_structs_can_be_made_in_code() -> None:
    made = RouteConfig(name="a", path="/", respond=RespondConfig(body="x"))
    assert made == decode(route=[route(respond={"body": "x"})]).route[0]
    with pytest.raises(ConfigInvalid, match="has no target"):
        RouteConfig(name="a", path="/")
