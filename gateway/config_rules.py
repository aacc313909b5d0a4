"""The rules of a configuration that only show when its tables are seen together, or beside the machine.

Each rule is a function from a whole Config to its problems; `RULES` lists them. `gateway/config.py` calls
them after every value has been found right by itself; so does whoever wants to change a running
configuration.
"""

from __future__ import annotations

import importlib
import operator
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from core.address import ListenAddress, TargetUrl
from core.config import Config, ServerTlsConfig
from core.decode import ConfigProblem, did_you_mean
from core.route_pattern import pattern_of
from core.route_tree import RouteConflict, RouteTree
from core.upstream_config import UpstreamTlsConfig
from gateway.plugin_view import plugin_phases
from gateway.system_paths import system_patterns

MOST_CONFLICTS = 20  # route conflicts reported at once
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Problems = Iterator[ConfigProblem]


def find_problems(config: Config) -> list[ConfigProblem]:
    """Return what is wrong with a configuration whose single values are all right."""
    return [problem for rule in RULES for problem in rule(config)]


def _problem(key: str, wrong: str, right: str) -> ConfigProblem:
    return ConfigProblem("", key, wrong, right)


def names_are_unique(config: Config) -> Problems:
    """Hold upstreams, routes and consumers to one name each."""
    tables: dict[str, Iterable[str]] = {
        "upstream": [upstream.name for upstream in config.upstream],
        "route": [route.name for route in config.route],
        "consumer": [consumer.name for consumer in config.consumer],
    }
    for table, names in tables.items():
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if first.setdefault(name, index) != index:
                taken = f"{name!r} is already the name of {table}[{first[name]}]"
                yield _problem(f"{table}[{index}].name", taken, f"give each {table} its own name")


def keys_are_unique(config: Config) -> Problems:
    """Hold each key to one consumer."""
    owner: dict[str, str] = {}
    for index, consumer in enumerate(config.consumer):
        for number, key in enumerate(consumer.keys):
            place = f"consumer[{index}].keys[{number}]"
            other = owner.setdefault(key.reveal(), place)
            if other != place:
                yield _problem(place, f"is the same key as {other}", "give each consumer keys of its own")


def upstreams_exist(config: Config) -> Problems:
    """Hold every route to an upstream that is there."""
    names = {upstream.name for upstream in config.upstream}
    for index, route in enumerate(config.route):
        if route.upstream is not None and route.upstream not in names:
            wrong = f"no upstream is called {route.upstream!r}"
            right = did_you_mean(route.upstream, names) if names else "add an [[upstream]] of that name"
            yield _problem(f"route[{index}].upstream", wrong, right)


def routes_can_be_told_apart(config: Config) -> Problems:
    """Hold routes to patterns that can be told apart, from each other and from the gateway's own paths."""
    system = system_patterns()
    patterns = system + [pattern_of(route.path, route.methods, route.hosts) for route in config.route]
    indices = list(range(-len(system), len(config.route)))  # below zero: the gateway's own
    for _ in range(MOST_CONFLICTS):
        try:
            RouteTree(patterns, ordered=False)
        except RouteConflict as conflict:
            del patterns[conflict.second]
            first, second = indices[conflict.first], indices.pop(conflict.second)
            other = (
                f"route[{first}] ({config.route[first].name!r})" if first >= 0 else "the gateway's own path"
            )
            right = "give one of them another path, other methods or other hosts"
            yield _problem(f"route[{second}]", f"takes the same requests as {other}", right)
        else:
            return


def plugins_stand_where_they_run(config: Config) -> Problems:
    """Hold plugins that act only before routing to the list of plugins of every route."""
    for index, route in enumerate(config.route):
        for number, use in enumerate(route.plugin):
            phases = plugin_phases(use.plugin)
            if "accept" in phases and "request" not in phases:
                wrong = f"{use.use!r} acts before a route is chosen (phase `accept`): here it never would"
                yield _problem(
                    f"route[{index}].plugin[{number}]", wrong, "move it to [[plugin]], for every route"
                )


def applications_can_be_imported(config: Config) -> Problems:
    """Hold `app` to a callable that can be imported."""
    for index, route in enumerate(config.route):
        if route.app is not None and (wrong := _import_failure(route.app)):
            right = "modules are looked for beside the file, in the current folder and among installed ones"
            yield _problem(f"route[{index}].app", wrong, right)


def event_sourcing_can_be_installed(config: Config) -> Problems:
    """Hold `install` to functions that can be imported and called, and to a log that they stand on."""
    install = config.event_sourcing.install
    if not install:
        return
    if config.event_log is None:
        yield _problem("event_log", "is missing", "add the table [event_log]: what is installed needs a log")
    from engines.event_sourcing import EventSourcingEngine  # NOTE: with asyncio; most checks need neither

    engine = EventSourcingEngine()
    for index, path in enumerate(install):
        key = f"event_sourcing.install[{index}]"
        if wrong := _import_failure(path):
            yield _problem(key, wrong, "name a function `module:install` that takes the engine")
            continue
        try:
            imported(path)(engine)
        except Exception as error:
            wrong = f"{path!r} cannot be installed: {type(error).__name__}: {error}"
            yield _problem(key, wrong, "give each name to one domain, projection, handler or process")


def imported(path: str) -> Any:
    """Return what an import path such as ``package.module:name`` names; raise what importing it raises."""
    module, _, name = path.partition(":")
    return operator.attrgetter(name)(importlib.import_module(module))


def _import_failure(path: str) -> str:
    try:
        found = imported(path)
    except (Exception, SystemExit) as error:
        return f"{path!r} cannot be imported: {type(error).__name__}: {error}"
    return "" if callable(found) else f"{path!r} is not callable"


def targets_are_elsewhere(config: Config) -> Problems:
    """Hold upstreams to servers other than this gateway."""
    for index, upstream in enumerate(config.upstream):
        for number, server in enumerate(upstream.targets):
            target = server.url
            for address in config.server.listen:
                if leads_to(target, address):
                    wrong = f"{target} is this gateway itself ({address}): requests would go in circles"
                    yield _problem(f"upstream[{index}].targets[{number}]", wrong, "name another server")


def leads_to(target: TargetUrl, address: ListenAddress) -> bool:
    """Tell, without asking a name server, whether a target is an address that is listened on."""
    if target.path or address.path:
        return (
            bool(target.path and address.path) and Path(target.path).resolve() == Path(address.path).resolve()
        )
    if target.port != address.port:
        return False
    if address.host in WILDCARDS:
        here = target.host in LOOPBACK | WILDCARDS or target.host.startswith("127.")
        return here or target.host == socket.gethostname().lower()
    return target.host == address.host or {target.host, address.host} in (
        {"localhost", "127.0.0.1"},
        {"localhost", "::1"},
    )


def upstream_tls_is_used(config: Config) -> Problems:
    """Hold TLS settings to upstreams that speak TLS."""
    for index, upstream in enumerate(config.upstream):
        if upstream.tls != UpstreamTlsConfig() and not any(server.url.tls for server in upstream.targets):
            wrong = "has settings, but no target is https://: connections would not be encrypted"
            yield _problem(f"upstream[{index}].tls", wrong, "write https:// targets, or leave tls out")


def tls_files_are_usable(config: Config) -> Problems:
    """Hold certificates and keys to files that can be read and belong together."""
    if tls := config.server.tls:
        yield from _server_tls_problems(tls)
    for index, upstream in enumerate(config.upstream):
        key = f"upstream[{index}].tls"
        yield from _authority_problems(f"{key}.ca", upstream.tls.ca)
        if upstream.tls.certificate and upstream.tls.key:
            yield from _pair_problems(key, upstream.tls.certificate, upstream.tls.key)


def _server_tls_problems(tls: ServerTlsConfig) -> Problems:
    yield from _pair_problems("server.tls", tls.certificate, tls.key)
    yield from _authority_problems("server.tls.client_ca", tls.client_ca)
    for index, entry in enumerate(tls.sni):
        yield from _pair_problems(f"server.tls.sni[{index}]", entry.certificate, entry.key)


def _pair_problems(table: str, certificate: Path, key: Path) -> Problems:
    unreadable = [
        *_reading_problems(f"{table}.certificate", certificate),
        *_reading_problems(f"{table}.key", key),
    ]
    if unreadable:
        yield from unreadable
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        matching = error.reason == "KEY_VALUES_MISMATCH"
        wrong = (
            f"does not belong to the certificate {str(certificate)!r}"
            if matching
            else f"cannot be used: {error.reason or 'it or the certificate is damaged'}"
        )
        yield _problem(
            f"{table}.key",
            wrong,
            "certificate and key are PEM files of one pair, the key without a passphrase",
        )


def _authority_problems(key: str, path: Path | None) -> Problems:
    if path is None:
        return
    unreadable = list(_reading_problems(key, path))
    yield from unreadable
    if not unreadable:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError as error:
            yield _problem(key, f"holds no certificates: {error.reason}", "give a PEM file")


def _reading_problems(key: str, path: Path) -> Problems:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        yield _problem(
            key, f"{str(path)!r} cannot be read: {error.strerror}", "paths are relative to this file's folder"
        )


RULES: tuple[Callable[[Config], Problems], ...] = (
    names_are_unique,
    keys_are_unique,
    upstreams_exist,
    routes_can_be_told_apart,
    plugins_stand_where_they_run,
    applications_can_be_imported,
    event_sourcing_can_be_installed,
    targets_are_elsewhere,
    upstream_tls_is_used,
    tls_files_are_usable,
)
