"""Every built-in plugin holds to the contract; a new one is found here by itself."""

from __future__ import annotations

from typing import Any

import pytest

from core.plugin import Plugin
from core.plugins import builtin_plugins
from plugins import BUILT_IN
from tests.plugins.contract import PluginContract

NEEDED: dict[str, dict[str, Any]] = {
    "allow": {"consumers": ["alice"]},
    "concurrency-limit": {"limit": 10},
    "cors": {"origins": ["*"]},
    "jwt": {"keys": [{"secret": "a secret of at least thirty-two bytes"}]},
    "mirror": {"url": "http://127.0.0.1:1"},
    "rate-limit": {"limit": "100/minute"},
    "forward-auth": {"url": "http://127.0.0.1:1/"},
    "authenticate": {"any": [{"use": "api-key"}]},
    "validate": {"schema": {"type": "object"}},
}
PLAIN = {
    "allow": 401,
    "api-key": 401,
    "authenticate": 401,
    "basic-auth": 401,
    "forward-auth": 503,
    "jwt": 401,
}

for use, plugin in builtin_plugins().items():
    name = "Test" + "".join(word.capitalize() for word in use.split("-"))
    attributes = {
        "plugin": plugin,
        "options": NEEDED.get(use, {}),
        "plain": PLAIN.get(use, 200),
        "__module__": __name__,
    }
    globals()[name] = type(name, (PluginContract,), attributes)


def test_the_table_names_a_class_for_each_use() -> None:
    assert list(BUILT_IN) == sorted(BUILT_IN)
    assert set(builtin_plugins()) == set(BUILT_IN)


@pytest.mark.parametrize("use", BUILT_IN)
def test_a_built_in_says_itself_what_it_leaves_unused(use: str) -> None:
    assert issubclass(builtin_plugins()[use], Plugin)
