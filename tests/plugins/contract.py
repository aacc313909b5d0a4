"""What every plugin must hold to, as a suite to inherit.

class TestGreeting(PluginContract):
    plugin = Greeting
    options = {"text": "hello"}     # the least it needs
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.decode import ConfigInvalid, Decoder
from core.describe import field_docs
from core.plugin import PHASES, bind_phase, check_plugin
from core.testing import PluginChain, Sent, site_for
from gateway.schema import config_schema


class PluginContract:
    """Hold one plugin class to the contract of plugins."""

    plugin: ClassVar[type[Any]]
    options: ClassVar[dict[str, Any]] = {}  # the least that it needs
    plain: ClassVar[int] = (
        200  # the answer to a request that nothing is known of: 401 of who wants credentials
    )

    def make(self, data_dir: Path, **more: Any) -> Any:
        """Return a plugin with the least options and ``more``."""
        config = Decoder().decode({**self.options, **more}, self.plugin.Config)
        return self.plugin(config, site_for(data_dir, route="test", parameters=("path",)))

    async def run(self, plugin: Any, url: str = "/", path: str = "/{path:path}") -> Sent:
        """Open the plugin, send it one request, close it."""
        if hasattr(plugin, "open"):
            await plugin.open()
        try:
            return await PluginChain(plugin, path=path).send_waiting("GET", url)
        finally:
            if hasattr(plugin, "close"):
                await plugin.close()

    def test_the_class_meets_the_contract(self) -> None:
        check_plugin(self.plugin)

    def test_constructs_from_the_least_options(self, tmp_path: Path) -> None:
        assert isinstance(self.make(tmp_path), self.plugin)

    def test_constructs_on_every_route(self, tmp_path: Path) -> None:
        config = Decoder().decode(self.options, self.plugin.Config)
        assert isinstance(self.plugin(config, site_for(tmp_path)), self.plugin)

    def test_refuses_an_option_that_it_does_not_know(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigInvalid, match="unknown key"):
            self.make(tmp_path, no_such_option=1)

    def test_its_options_are_frozen_and_compare_by_value(self) -> None:
        first = Decoder().decode(self.options, self.plugin.Config)
        assert first == Decoder().decode(self.options, self.plugin.Config)
        assert self.plugin.Config.__struct_config__.frozen

    def test_says_what_it_is_for(self) -> None:
        first = (inspect.getdoc(self.plugin) or "").partition("\n")[0]
        assert first.endswith("."), f"the first line of {self.plugin.__name__}'s docstring is a sentence"
        assert self.plugin.__doc__, "the docstring is the class's own"

    def test_says_what_each_option_is_for(self) -> None:
        silent = [name for name, field in field_docs(self.plugin.Config).items() if not field.description]
        assert silent == []

    def test_its_options_have_a_place_in_the_schema(self) -> None:
        described = config_schema({"it": self.plugin})["$defs"]["plugin.it"]["properties"]
        assert set(described) == {"use", *field_docs(self.plugin.Config)}

    def test_binds_a_method_for_each_phase_that_it_uses(self, tmp_path: Path) -> None:
        plugin = self.make(tmp_path)
        for phase in PHASES:
            assert all(callable(method) for method in bind_phase([plugin], phase))
        assert set(getattr(plugin, "unused", ())) <= set(PHASES)

    async def test_lets_a_plain_request_through(self, tmp_path: Path) -> None:
        sent = await self.run(self.make(tmp_path))
        assert (sent.status, sent.complete) == (self.plain, True)
        assert (sent.body == b"answer") == (self.plain == 200)

    async def test_bears_a_request_that_no_route_takes(self, tmp_path: Path) -> None:
        sent = await self.run(self.make(tmp_path), "/elsewhere", "/here")
        assert sent.status == (404 if self.plain == 200 else self.plain)

    async def test_opens_and_closes_more_than_once_beside_another(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        for plugin in (first, second):
            assert (await self.run(plugin)).status == self.plain
