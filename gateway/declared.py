"""Join what the API declares with what the configuration file says, and put the whole in force.

The rule it guards: the file's word stands; a declared resource that does not fit any more is left out and
told, it never keeps the gateway from serving. One for each data plane; the control plane's host.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.config import Config, ConsumerConfig, RouteConfig
from core.decode import ConfigInvalid, ConfigProblem, Decoder, FieldInvalid, nest
from core.upstream_config import UpstreamConfig
from engines.api_gateway.resource import Document, Key, Resource
from gateway.config import secret_resolver
from gateway.config_rules import find_problems
from gateway.plain import plain
from gateway.plugin_making import find_unmakable

if TYPE_CHECKING:
    from gateway.data_plane import DataPlane

log = logging.getLogger("agora.control")

STRUCTS: dict[str, type[Any]] = {"upstream": UpstreamConfig, "route": RouteConfig, "consumer": ConsumerConfig}
PLACE = re.compile(r"(upstream|route|consumer)\[(\d+)\]\.?")
Declared = Mapping[Key, Resource]


class DeclaredConfig:
    """Be the host of the control plane: one data plane, its file and what is declared beside it."""

    def __init__(self, plane: DataPlane, file: Config, folder: Path | None = None) -> None:
        self.file = file
        self._plane = plane
        self._folder = folder or Path.cwd()
        self._declared: Declared = {}
        self._left_out: dict[Key, str] = {}
        self._structs: dict[tuple[Key, int], Any] = {}  # decoded, by the version that was
        self._filed: tuple[Config, dict[Key, Document]] | None = None

    # -- what the control plane asks -------------------------------------------------------------------------

    def filed(self) -> Mapping[Key, Document]:
        """Return what the file declares, without secrets."""
        if self._filed is None or self._filed[0] is not self.file:
            found = {
                Key(kind, item.name): plain(item)  # type: ignore[arg-type]
                for kind in STRUCTS
                for item in getattr(self.file, kind)
            }
            self._filed = self.file, found
        return self._filed[1]

    def left_out(self) -> Mapping[Key, str]:
        """Return which declared resources are not in force, and why."""
        return self._left_out

    def check(self, declared: Declared, changed: set[Key], *, secrets: bool) -> None:
        """Raise ConfigInvalid if the gateway could not run with these resources. Runs in a thread."""
        decoder = self._decoder(self._resolver(secrets), literal_secrets=False)
        structs: dict[Key, Any] = {}
        problems: list[ConfigProblem] = []
        for key in sorted(changed):
            if key.kind in STRUCTS:
                try:
                    structs[key] = _decoded(decoder, key, declared[key].document)
                except ConfigInvalid as error:
                    problems += error.problems
        if problems:
            raise ConfigInvalid(problems)
        for key, resource in declared.items():
            if key.kind in STRUCTS and key not in structs and key not in self._left_out:
                structs[key] = self._struct(key, resource)
        config = self._merged(structs)
        problems = [_named(problem, config) for problem in find_problems(config)]
        alone = msgspec.structs.replace(
            config, plugin=(), route=tuple(structs[key] for key in sorted(changed) if key.kind == "route")
        )
        problems += [_named(problem, alone) for problem in find_unmakable(alone)]
        if problems:
            raise ConfigInvalid(problems)

    def admit(self, declared: Declared) -> None:
        """Put the keys in force that were issued, and no others."""
        self._plane.use_credentials(declared)

    def purge(self, wanted: Document) -> None:
        """Let go of cached answers in this worker; what it shares by Redis goes there too."""
        self._plane.purge(wanted)

    async def install(self, declared: Declared) -> None:
        """Put resources in force beside the file's; leave out those that do not fit."""
        self._declared = declared
        await self._put_in_force(self.file)

    async def reload(self, file: Config) -> None:
        """Put another file in force; raise what a swap raises, then the old one stays."""
        await self._put_in_force(file, reread=True)

    # -- private ---------------------------------------------------------------------------------------------

    async def _put_in_force(self, file: Config, *, reread: bool = False) -> None:
        left_out: dict[Key, str] = {}
        before, self.file = self.file, file
        try:
            structs = self._decode_all(left_out)
            try:
                await self._swap(self._merged(structs), reread)
            except Exception as error:
                # NOTE: something does not fit any more; what and why is worth looking for only now.
                if not self._leave_out(structs, left_out, error):
                    raise
                await self._swap(self._merged(structs), reread)
        except BaseException:
            self.file = before
            raise
        for key, why in left_out.items():
            if self._left_out.get(key) != why:
                log.error("%s is not in force: %s", key, why)
        self._left_out = left_out
        self._plane.use_drains(self._declared)

    async def _swap(self, config: Config, reread: bool) -> None:
        # NOTE: certificates and the like are read anew with the file, also if its text is the same.
        if reread or not self._plane.serves(config):
            await self._plane.swap(config)

    def _decode_all(self, left_out: dict[Key, str]) -> dict[Key, Any]:
        structs: dict[Key, Any] = {}
        filed = self.filed()
        for key, resource in self._declared.items():
            if key.kind not in STRUCTS:
                continue
            if key in filed:
                left_out[key] = "the configuration file declares it too, and the file's word stands"
                continue
            try:
                structs[key] = self._struct(key, resource)
            except ConfigInvalid as error:
                left_out[key] = str(error)
        kept = {(key, self._declared[key].position) for key in structs}
        self._structs = {place: struct for place, struct in self._structs.items() if place in kept}
        return structs

    def _struct(self, key: Key, resource: Resource) -> Any:
        """Return a declared resource, decoded; the same object while it is not changed."""
        place = key, resource.position
        found = self._structs.get(place)
        if found is None:
            found = _decoded(self._decoder(secret_resolver(self._folder, os.environ)), key, resource.document)
            self._structs[place] = found
        return found

    def _leave_out(self, structs: dict[Key, Any], left_out: dict[Key, str], error: Exception) -> bool:
        """Take out declared resources until the rest can run; tell whether there was any.

        Raises ConfigInvalid if the file cannot run by itself.
        """
        before = len(structs)
        while problems := find_problems(config := self._merged(structs)) or find_unmakable(config):
            blamed = [(_key_of(problem, config), problem) for problem in problems]
            ours = {key: problem for key, problem in blamed if key in structs}
            if not ours:
                raise ConfigInvalid(problems)
            for key, problem in ours.items():
                del structs[key]
                left_out[key] = str(_named(problem, config))
        if len(structs) == before and not self._plane.serving:
            # NOTE: what fails only when it is opened: the gateway starts with what its file says.
            left_out.update(dict.fromkeys(structs, f"the gateway could not start with it: {error}"))
            structs.clear()
        return len(structs) < before

    def _merged(self, structs: Mapping[Key, Any]) -> Config:
        """Return the file's configuration with more upstreams, routes and consumers."""
        more: dict[str, list[Any]] = {kind: [] for kind in STRUCTS}
        for key in sorted(structs):
            more[key.kind].append(structs[key])
        added = {kind: (*getattr(self.file, kind), *items) for kind, items in more.items() if items}
        return msgspec.structs.replace(self.file, **added) if added else self.file

    def _decoder(self, resolve: Callable[[str], str], *, literal_secrets: bool = True) -> Decoder:
        return Decoder(folder=self._folder, resolve=resolve, literal_secrets=literal_secrets)

    def _resolver(self, secrets: bool) -> Callable[[str], str]:
        return secret_resolver(self._folder, os.environ) if secrets else _refuse_secret


def _refuse_secret(reference: str) -> str:
    # SAFETY: a plugin can be told to send a secret anywhere: whoever names one could read it.
    raise FieldInvalid(f"{reference!r} is a secret of the gateway", "only a token of role admin may use it")


def _decoded(decoder: Decoder, key: Key, document: Document) -> Any:
    """Return a document as its struct; raise ConfigInvalid with the resource's name in the problems."""
    try:
        struct = decoder.decode(document, STRUCTS[key.kind])
    except ConfigInvalid as error:
        raise ConfigInvalid([_below(key, problem) for problem in error.problems]) from None
    if struct.name != key.name:
        wrong = f"is {struct.name!r}, and the resource is called {key.name!r}"
        raise ConfigInvalid([_below(key, ConfigProblem("", "name", wrong, "a name stays as it is"))])
    if isinstance(struct, ConsumerConfig) and struct.keys:
        right = "leave it out, and issue credentials: POST /api/v1/api-gateway/credentials"
        raise ConfigInvalid([_below(key, ConfigProblem("", "keys", "stands in files only", right))])
    return struct


def _below(key: Key, problem: ConfigProblem) -> ConfigProblem:
    return msgspec.structs.replace(problem, key=nest(str(key), problem.key))


def _key_of(problem: ConfigProblem, config: Config) -> Key | None:
    """Return which resource a problem is about."""
    found = PLACE.match(problem.key)
    if found is None:
        return None
    kind, index = found[1], int(found[2])
    items: Sequence[Any] = getattr(config, kind)
    return Key(kind, items[index].name)  # type: ignore[arg-type]


def _named(problem: ConfigProblem, config: Config) -> ConfigProblem:
    """Return a problem with the resource's name in the place of its number."""
    key = _key_of(problem, config)
    if key is None:
        return problem
    return _below(key, msgspec.structs.replace(problem, key=PLACE.sub("", problem.key, count=1)))


def drained(declared: Declared) -> Iterable[tuple[str, str]]:
    """Yield the upstream and the URL of each target that is to be drained."""
    for key, resource in declared.items():
        if key.kind == "drain":
            yield resource.document["upstream"], resource.document["target"]
