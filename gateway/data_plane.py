"""Hold what serves traffic in one worker process: the snapshot in force and the services under it.

The rule it guards: a new configuration is built whole, off the request path, and swapped by one assignment,
or refused and the old one kept; what the old one used is closed when its last exchange has ended. Used by
both doors.
"""

from __future__ import annotations

import asyncio
import logging
import operator
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from core._fast.client import ClientConnection
from core._fast.door import Door
from core._fast.exchange import Target
from core._fast.head_writer import Wording
from core._fast.plan import Snapshot
from core._fast.reactor import Reactor
from core._fast.router import Router
from core._fast.upstream import Upstream
from core._fast.wheel import Wheel
from core.cache.http_cache import HttpCache, http_caches
from core.config import Config, ServerConfig
from core.errors import CacheUnreachable
from core.plugin import Plugin
from core.site import Site
from core.upstream_config import UpstreamConfig
from gateway.consumer_table import Issued, fill_consumers, issued_keys
from gateway.declared import Declared, DeclaredConfig, drained
from gateway.engines import Engines
from gateway.forwarding import TrustedProxies
from gateway.identity import gateway_name
from gateway.lifespan import Lifespan
from gateway.meters import Meters
from gateway.snapshot import Built, SnapshotBuilder, SystemRoute

log = logging.getLogger("agora")


class DataPlane:
    """Serve one configuration after the other on the running event loop."""

    snapshot: Snapshot

    def __init__(
        self, config: Config, *, worker: int = 0, workers: int = 1, folder: Path | None = None
    ) -> None:
        self.config = config  # in force: what the file says, and what the API declared beside it
        self.declared = DeclaredConfig(self, config, folder)
        self.worker = worker
        self.workers = workers
        config.server.data_dir.mkdir(parents=True, exist_ok=True)
        self.ready = False  # for /readyz: serving, and not draining
        self._closers: list[Callable[[], None]] = []
        self._users: Counter[Upstream | Lifespan | Plugin] = Counter()  # how many snapshots use each
        self._background: set[asyncio.Task[None]] = set()
        self._swapping = asyncio.Lock()
        self._issued: Issued = {}

    async def start(self, system: Callable[[DataPlane], list[SystemRoute]] | None = None) -> None:
        """Open the services and put the first snapshot in force; raise AgoraError if that fails."""
        data_dir = Path(self.config.server.data_dir)
        self.reactor = Reactor(asyncio.get_running_loop())
        self.wheel = Wheel(asyncio.get_running_loop())
        self.meters = Meters(data_dir, workers=self.workers)
        self.refused = self.meters.refused
        self.gauge = self.meters.connections
        self.door = Door(self.wheel, ClientConnection, refused=self.refused, gauge=self.gauge)
        name = gateway_name(self.config.server, data_dir)
        self.site = Site(
            data_dir=data_dir,
            name=name,
            worker=self.worker,
            limiter=self.meters.limiter,
            metrics=self.meters.metrics,
            on_close=self._closers.append,
        )
        self.engines = Engines(self.config)
        self._builder = SnapshotBuilder(
            site=self.site,
            reactor=self.reactor,
            wheel=self.wheel,
            count_upstream=self.meters.upstream,
            meter=self.meters.route,
            system=system(self) if system is not None else [],
        )
        self._built: Built | None = None
        try:
            await self.engines.start()
            if self.engines.log is None:
                await self.swap(self.config)
            else:
                await self.engines.api_gateway.start_gateway(self.engines.log, self.declared)
        except BaseException:
            await self.engines.close()
            self._release()
            raise
        self.ready = True

    async def swap(self, config: Config) -> None:
        """Put a configuration in force; on any error the old one stays, untouched."""
        async with self._swapping:
            before = self._built
            wording = self._wording(config.server)
            # NOTE: ten thousand routes take half a second; requests go on meanwhile.
            router = await asyncio.to_thread(lambda: Router(self._builder.patterns(config)))
            built = await self._builder.build(config, wording, router, before)
            await self._open(built)
            proxies = TrustedProxies(network.range for network in config.server.trusted_proxies)
            if before is None or config.consumer != self.config.consumer:
                fill_consumers(self.site.consumers, config.consumer, self._issued)
            self.config, self.wording, self.snapshot, self._built = config, wording, built.snapshot, built
            self.trusts, self.client_of = proxies.trusts, proxies.client_of
            self._configure_door(config.server)
        if before is not None:
            before.snapshot.retire(lambda: self._discard(before))

    async def reload(self, file: Config) -> None:
        """Put another configuration file in force, beside what the API declares; raises as `swap`."""
        await self.declared.reload(file)
        if self.engines.log is not None:
            await self.engines.api_gateway.take_file()

    @property
    def serving(self) -> bool:
        """Tell whether a configuration is in force."""
        return self._built is not None

    def serves(self, config: Config) -> bool:
        """Tell whether a configuration is in force, part by part the same objects."""
        if self._built is None:
            return False
        mine, other = self.config, config
        return mine is other or (
            all(map(operator.is_, mine.route, other.route))
            and len(mine.route) == len(other.route)
            and all(
                getattr(mine, key) == getattr(other, key)
                for key in config.__struct_fields__
                if key != "route"
            )
        )

    def use_credentials(self, declared: Declared) -> None:
        """Put the keys in force that the API has issued, at once, for exchanges of every snapshot."""
        issued = dict(issued_keys(declared))
        if issued != self._issued:
            self._issued = issued
            fill_consumers(self.site.consumers, self.config.consumer, issued)

    def upstreams(self) -> Iterator[tuple[UpstreamConfig, Upstream]]:
        """Yield the upstreams in force."""
        if self._built is not None:
            for (settings, _), upstream in self._built.upstreams.items():
                yield settings, upstream

    def plugin_names(self) -> dict[int, str]:
        """Return the `use` of each plugin in force, by the plugin's identity."""
        assert self._built is not None
        placed = [(self.config.plugin, self._built.everywhere)]
        placed += [(place.route.plugin, place.own) for place in self._built.places.values()]
        return {id(plugin): use.use for uses, own in placed for use, plugin in zip(uses, own, strict=True)}

    def purge(self, wanted: Mapping[str, str]) -> None:
        """Let go of answers that are cached, by `url`, `prefix` or `tag`, in one `store` or in all."""
        for cache in http_caches(self.site.shared):
            if wanted.get("store", cache.name) == cache.name:
                self._in_background(purge_cache(cache, wanted))

    def use_drains(self, declared: Declared) -> None:
        """Let the upstreams' targets finish and take no more, as the API says."""
        wanted = set(drained(declared))
        for settings, upstream in self.upstreams():
            for index, target in enumerate(settings.targets):
                url = str(target.settings.url)
                upstream.set_draining(index, target.settings.drain or (settings.name, url) in wanted)

    async def close(self) -> None:
        """Close plugins, upstreams and applications; the caller has drained the doors."""
        self.ready = False
        if self._background:
            await asyncio.gather(*self._background, return_exceptions=True)
        if self._built is not None:
            await self._close(self._built)
        await self.engines.close()
        for close in reversed(self._closers):
            close()
        self._release()

    def _release(self) -> None:
        """Let go of the loop and of shared memory."""
        try:
            self.reactor.close()
            self.wheel.close()
        finally:
            self.meters.close()

    # -- a snapshot's life ---------------------------------------------------------------------------

    async def _open(self, built: Built) -> None:
        """Open plugins and new applications; if one fails, close those that were opened and raise."""
        started: list[Lifespan] = []
        opened: list[Plugin] = []
        try:
            for lifespan, _ in built.apps.values():
                if not self._users[lifespan]:
                    await lifespan.startup()
                    started.append(lifespan)
            for plugin in built.plugins:
                if self._users[plugin]:
                    continue
                if hasattr(plugin, "open"):
                    await plugin.open()
                opened.append(plugin)
        except BaseException:
            await self._close_plugins(opened)
            for lifespan in started:
                await lifespan.shutdown()
            raise
        for upstream in built.upstreams.values():
            if upstream.checks is not None and not self._users[upstream]:
                upstream.checks.start()
        self._users.update(lifespan for lifespan, _ in built.apps.values())
        self._users.update(built.upstreams.values())
        self._users.update(built.plugins)

    def _discard(self, old: Built) -> None:
        """Close what an old snapshot used and no other does; nothing runs on it any more."""
        self._in_background(self._close(old))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _close(self, old: Built) -> None:
        for upstream in old.upstreams.values():
            if self._released(upstream):
                upstream.close()
        await self._close_plugins([plugin for plugin in old.plugins if self._released(plugin)])
        for lifespan, app in old.apps.values():
            if self._released(lifespan):
                await app.close(float(self.config.server.timeouts.drain))
                await lifespan.shutdown()

    def _released(self, used: Upstream | Lifespan | Plugin) -> bool:
        """Note that one snapshot less uses it; tell whether that was the last."""
        self._users[used] -= 1
        if self._users[used]:
            return False
        del self._users[used]
        return True

    @staticmethod
    async def _close_plugins(plugins: list[Plugin]) -> None:
        for plugin in plugins:
            try:
                if hasattr(plugin, "close"):
                    await plugin.close()
            except Exception:
                log.exception("closing plugin %s failed", type(plugin).__name__)

    def may_read_metrics(self, address: str) -> bool:
        """Tell whether /metrics is open to a peer without the token."""
        networks = TrustedProxies(network.range for network in self.config.admin.metrics_allow)
        return address == "unix" or networks.trusts(address)

    # -- settings ------------------------------------------------------------------------------------

    def _wording(self, server: ServerConfig) -> Wording:
        return Wording(
            self.site.name.encode(),
            server.via,
            server.forwarded in ("x-forwarded", "both"),
            server.forwarded in ("forwarded", "both"),
        )

    def _configure_door(self, server: ServerConfig) -> None:
        timeouts, limits = server.timeouts, server.limits
        self.door.configure(
            self.snapshot,
            self.wording,
            trusts=self.trusts,
            client_of=self.client_of,
            request_line=int(limits.request_line),
            header_block=int(limits.header_block),
            header_count=limits.header_count,
            max_extensions=int(limits.chunk_extensions),
            head_timeout=float(timeouts.head),
            body_timeout=float(timeouts.body),
            keep_alive_timeout=float(timeouts.keep_alive),
            write_timeout=float(timeouts.write),
            max_connections=limits.connections,
            max_per_address=limits.connections_per_address,
        )


async def purge_cache(cache: HttpCache, wanted: Mapping[str, str]) -> None:
    """Let go of answers of one cache."""
    try:
        await cache.purge(url=wanted.get("url"), prefix=wanted.get("prefix"), tag=wanted.get("tag"))
    except CacheUnreachable as error:
        log.warning("the cache %s is purged in this worker, not in Redis: %s", cache.name, error)


def worker_count(server: ServerConfig) -> int:
    """Return how many worker processes a configuration asks for; 0 stands for one for each core."""
    return server.workers or len(os.sched_getaffinity(0))


__all__ = ["DataPlane", "SystemRoute", "Target", "worker_count"]
