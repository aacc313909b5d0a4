"""Build a snapshot from a configuration: the router, the plans, what they lead to.

The rule it guards: everything that can fail, fails here, off the request path and before anything is
swapped; what has not changed since the last snapshot (upstreams with their connections, applications) is
taken over. Called by gateway/data_plane.
"""

from __future__ import annotations

import asyncio
import importlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core._fast.app_target import App
from core._fast.balancer import Balancer
from core._fast.exchange import Target
from core._fast.head_writer import Wording
from core._fast.message import Response
from core._fast.meter import Meter
from core._fast.plan import Plan, Snapshot
from core._fast.reactor import Reactor
from core._fast.router import Router
from core._fast.targets import Respond, Unmatched
from core._fast.upstream import Upstream
from core._fast.upstream_server import Server
from core._fast.wheel import Wheel
from core.config import Config, PluginUse, RespondConfig, RouteConfig
from core.plugin import Plugin, bind_phase, plan_arguments
from core.route_pattern import Pattern, pattern_of
from core.site import Site
from core.upstream_config import UpstreamConfig
from gateway.addresses import addresses_of
from gateway.health_checks import HealthChecks
from gateway.lifespan import Lifespan
from gateway.plugin_making import make_plugin
from gateway.tls import client_context, file_times

TURN = 50  # plans that are made before requests have their turn; about a millisecond
KEPT = 20  # plans taken over cost as much as one that is made
SystemRoute = tuple[str, str, Target]  # name, path pattern, target


@dataclass(frozen=True)
class Place:
    """Be a route's plan with the plugins made for it, to be taken over while the route stays the same."""

    route: RouteConfig
    plan: Plan
    own: list[Plugin]


@dataclass(kw_only=True)
class Built:
    """Hold a snapshot and what must be opened before it serves and closed after it."""

    snapshot: Snapshot
    everywhere: list[Plugin]
    places: dict[str, Place]  # by the route's name
    uses: tuple[PluginUse, ...]  # what the plugins of every route were made of
    upstreams: dict[tuple[UpstreamConfig, str], Upstream]
    apps: dict[str, tuple[Lifespan, App]]

    @property
    def plugins(self) -> list[Plugin]:
        """Return all plugins in it."""
        return self.everywhere + [plugin for place in self.places.values() for plugin in place.own]


@dataclass(kw_only=True)
class SnapshotBuilder:
    """Build snapshots for one worker process."""

    site: Site
    reactor: Reactor
    wheel: Wheel
    count_upstream: Callable[[str, str], Callable[[str], None]]  # (upstream, server) -> slug -> None
    meter: Callable[[str], Meter]  # route -> what counts its exchanges
    system: list[SystemRoute] = field(default_factory=list)

    def patterns(self, config: Config) -> list[Pattern]:
        """Return what the router of a configuration matches, in the order of the snapshot's plans."""
        own = [Pattern(path, frozenset(), ()) for _, path, _ in self.system]
        return own + [pattern_of(route.path, route.methods, route.hosts) for route in config.route]

    async def build(self, config: Config, wording: Wording, router: Router, before: Built | None) -> Built:
        """Return the snapshot of a configuration; takes over from ``before`` what stayed the same.

        Requests go on meanwhile: it pauses after every few routes.
        """
        upstreams = self._upstreams(config, wording, before)
        by_name = {settings.name: upstream for (settings, _), upstream in upstreams.items()}
        apps = self._apps(config, before)
        known: dict[str, Place] = {}
        if before is not None and before.uses is config.plugin:
            everywhere, known = before.everywhere, before.places
        else:
            everywhere = [
                make_plugin(use, self.site, f"plugin[{place}]") for place, use in enumerate(config.plugin)
            ]
        places: dict[str, Place] = {}
        plans = [self._plan(name, index, target, []) for index, (name, _, target) in enumerate(self.system)]
        work = 0
        for number, route in enumerate(config.route):
            work += 1
            if work >= TURN * KEPT:
                work = 0
                await asyncio.sleep(0)
            place, target = known.get(route.name), self._kept_target(route, by_name, apps)
            if place is not None and place.route is route and target in (None, place.plan.target):
                places[route.name] = place
                plans.append(place.plan.at(len(plans)))
                continue
            work += KEPT
            names = router.routes[len(plans)].names
            own = [
                make_plugin(use, self.site, f"route[{number}].plugin[{index}]", route.name, names)
                for index, use in enumerate(route.plugin)
            ]
            plan = self._plan(route.name, len(plans), target or self._fixed(route), everywhere + own)
            places[route.name] = Place(route, plan, own)
            plans.append(plan)
        snapshot = Snapshot(
            router,
            plans,
            self._plan("", -1, Unmatched(), everywhere),
            accept=bind_phase(everywhere, "accept"),
            name=wording.name,
            identity_headers=[name.lower().encode() for name in config.server.identity_headers],
            max_request_body=int(config.server.limits.body),
            total_timeout=float(config.server.timeouts.exchange),
        )
        return Built(
            snapshot=snapshot,
            everywhere=everywhere,
            places=places,
            uses=config.plugin,
            upstreams=upstreams,
            apps=apps,
        )

    def _plan(self, name: str, index: int, target: Target, plugins: list[Plugin]) -> Plan:
        return Plan(name, index, target, self.meter(name), **plan_arguments(plugins))

    def _kept_target(
        self, route: RouteConfig, upstreams: dict[str, Upstream], apps: dict[str, tuple[Lifespan, App]]
    ) -> Target | None:
        """Return where a route leads; None: to a fixed answer, which is the route's own."""
        if route.upstream is not None:
            return upstreams[route.upstream]
        return apps[route.app][1] if route.app is not None else None

    def _fixed(self, route: RouteConfig) -> Target:
        assert route.respond is not None
        return Respond(route.name, _fixed_answer(route.respond))

    def _apps(self, config: Config, before: Built | None) -> dict[str, tuple[Lifespan, App]]:
        apps = {}
        for path in dict.fromkeys(route.app for route in config.route if route.app is not None):
            if before is not None and path in before.apps:
                apps[path] = before.apps[path]
                continue
            module, _, attribute = path.partition(":")
            application: Any = importlib.import_module(module)
            for part in attribute.split("."):
                application = getattr(application, part)
            lifespan = Lifespan(application)
            apps[path] = (lifespan, App(path, application, lifespan.state))
        return apps

    # -- upstreams -----------------------------------------------------------------------------------

    def _upstreams(
        self, config: Config, wording: Wording, before: Built | None
    ) -> dict[tuple[UpstreamConfig, str], Upstream]:
        made = {}
        for settings in config.upstream:
            # NOTE: a server keeps the wording it was made with, and the certificates that it has read.
            style = wording.name, config.server.forwarded, config.server.via
            key = (settings, repr((style, file_times(settings.tls))))
            kept = before.upstreams.get(key) if before is not None else None
            made[key] = kept or self._upstream(settings, wording)
        return made

    def _upstream(self, settings: UpstreamConfig, wording: Wording) -> Upstream:
        targets = [server.settings for server in settings.targets]
        balancer = Balancer(
            settings.balance,
            [str(target.url) for target in targets],
            weights=[target.weight for target in targets],
            priorities=[target.priority for target in targets],
            panic=settings.panic,
            slow_start=int(settings.slow_start * 1e9),
            eject_after=settings.eject.after,
            eject_time=int(settings.eject.time * 1e9),
            seed=secrets.randbits(64),
        )
        upstream = Upstream(
            settings.name,
            list(self._servers(settings, wording)),
            balancer,
            hash_by=str(settings.hash_by),
            answers_fail=settings.eject.on == "5xx",
        )
        for index, target in enumerate(targets):
            if target.drain:
                upstream.set_draining(index, True)
        if settings.health is not None:
            upstream.checks = HealthChecks(
                upstream,
                [target.url for target in targets],
                settings.health,
                host=None if settings.host in ("preserve", "target") else settings.host,
                tls=client_context(settings.tls) if any(target.url.tls for target in targets) else None,
                server_name=settings.tls.server_name,
            )
        return upstream

    def _servers(self, settings: UpstreamConfig, wording: Wording) -> Iterable[Server]:
        for url in (server.url for server in settings.targets):
            default_host = (url.partition("://")[2] if not url.path else "localhost").encode()
            host = {"preserve": None, "target": default_host}.get(settings.host, settings.host.encode())
            yield Server(
                self.reactor,
                self.wheel,
                wording,
                addresses_of(url, float(settings.dns_refresh)),
                text=str(url),
                host=host,
                default_host=default_host,
                tls=client_context(settings.tls) if url.tls else None,
                server_name=(settings.tls.server_name or url.host) if url.tls else None,
                count=self.count_upstream(settings.name, str(url)),
                max_connections=settings.max_connections,
                max_idle=settings.max_idle,
                max_waiting=settings.queue,
                keep_alive=float(settings.keep_alive),
                connect_timeout=float(settings.connect_timeout),
                first_byte_timeout=float(settings.first_byte_timeout),
                idle_timeout=float(settings.idle_timeout),
                queue_timeout=float(settings.queue_timeout),
            )


def _fixed_answer(config: RespondConfig) -> Response:
    headers = {name.lower().encode(): value.encode("latin-1") for name, value in config.headers.items()}
    body = b""
    if config.json is not msgspec.UNSET:
        body = msgspec.json.encode(config.json)
        headers.setdefault(b"content-type", b"application/json")
    elif config.body is not None:
        body = config.body.encode()
        headers.setdefault(b"content-type", b"text/plain; charset=utf-8")
    return Response(config.status, list(headers.items()), body)
