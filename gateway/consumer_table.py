"""Fill the directory of consumers from a configuration.

The rule it guards: what plugins remember of credentials is void only when consumers changed. Called by
gateway/data_plane when a configuration takes effect, and when credentials are issued or revoked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.authentication.consumers import Consumer, Consumers, Credential, key_digest
from core.config import ConsumerConfig
from engines.api_gateway.resource import Key, Resource

Issued = Mapping[bytes, Credential]  # SHA-256 of a key -> whose it is


def fill_consumers(directory: Consumers, consumers: tuple[ConsumerConfig, ...], issued: Issued) -> None:
    """Put a configuration's consumers in force, with the keys that were issued by the API."""
    written = {
        key_digest(key.reveal()): Credential(consumer=item.name, id=f"{item.name}/{number}")
        for item in consumers
        for number, key in enumerate(item.keys)
    }
    passwords = {
        item.name: (Credential(consumer=item.name, id=f"{item.name}/password"), item.password.reveal())
        for item in consumers
        if item.password is not None
    }
    directory.fill(
        [Consumer(name=item.name, groups=frozenset(item.groups)) for item in consumers],
        {**issued, **written},
        passwords,
    )


def issued_keys(declared: Mapping[Key, Resource]) -> Iterator[tuple[bytes, Credential]]:
    """Yield the keys among declared resources."""
    for key, resource in declared.items():
        if key.kind == "credential":
            document = resource.document
            yield (
                bytes.fromhex(document["sha256"]),
                Credential(consumer=document["consumer"], id=key.name, expires_ns=document["expires"]),
            )
