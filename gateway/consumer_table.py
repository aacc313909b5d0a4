"""Fill the directory of consumers from a configuration.

The rule it guards: what plugins remember of credentials is void only when consumers changed. Called by
gateway/data_plane when a configuration takes effect.
"""

from __future__ import annotations

from core.authentication.consumers import Consumer, Consumers, Credential, key_digest
from core.config import Config


def fill_consumers(directory: Consumers, config: Config, before: Config | None) -> None:
    """Put a configuration's consumers in force; ``before`` is the one in force until now."""
    if before is not None and before.consumer == config.consumer:
        return
    directory.fill(
        [Consumer(name=item.name, groups=frozenset(item.groups)) for item in config.consumer],
        {
            key_digest(key.reveal()): Credential(consumer=item.name, id=f"{item.name}/{number}")
            for item in config.consumer
            for number, key in enumerate(item.keys)
        },
    )
