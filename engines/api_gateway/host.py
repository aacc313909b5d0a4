"""What the control plane asks of the gateway that it steers. gateway/declared.py answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engines.api_gateway.resource import Document, Key, Resource


class Host(Protocol):
    """Be a gateway, as the control plane sees it."""

    def filed(self) -> Mapping[Key, Document]:
        """Return what the configuration file declares now, without secrets."""

    def check(self, declared: Mapping[Key, Resource], changed: set[Key], *, secrets: bool) -> None:
        """Raise ConfigInvalid if the gateway could not run with these resources beside the file's.

        changed: of which resources to tell; secrets: whether these may refer to the gateway's secrets.
        """

    def admit(self, declared: Mapping[Key, Resource]) -> None:
        """Put credentials in force, at once."""

    def purge(self, wanted: Document) -> None:
        """Let go of cached answers: those to a URL, to all that begin with a prefix, with a tag, or all."""

    async def install(self, declared: Mapping[Key, Resource]) -> None:
        """Put resources in force beside the file's; those that do not fit any more are left out and told."""

    def left_out(self) -> Mapping[Key, str]:
        """Return which declared resources are not in force, and why."""
