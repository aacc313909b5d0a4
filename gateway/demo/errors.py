"""Why the demonstration cannot go on; each says what to do about it."""

from __future__ import annotations

from core.errors import AgoraError


class DemoFailed(AgoraError):
    """Be the root of what ends the demonstration."""

    slug = "demo-failed"
    title = "Demonstration failed"


class AddressInvalid(DemoFailed, ValueError):
    """Refuse an address that is no http:// URL."""


class GatewayUnreachable(DemoFailed):
    """Say that nobody answers where the gateway should be."""


class MarketMissing(DemoFailed):
    """Say that the gateway answers, but no market is served there."""


class AnswerUnexpected(DemoFailed):
    """Say that the market answered what it should not."""
