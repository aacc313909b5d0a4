"""How often something is tried again, and after how long.

The rule it guards: waits grow twofold up to a bound and are drawn evenly from nothing to there (full jitter),
so that what failed together does not come back together. Chance is an argument. Called by the runners.
"""

from __future__ import annotations

from random import Random
from typing import Annotated

import msgspec

from core.errors import AgoraError


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how often and when to try again."""

    attempts: Annotated[int, msgspec.Meta(ge=1)] = 8  # in all, the first one too
    first: Annotated[float, msgspec.Meta(ge=0)] = 0.1  # seconds at most before the second attempt
    most: Annotated[float, msgspec.Meta(ge=0)] = 60.0  # seconds at most before any

    def limit(self, failed: int) -> float:
        """Return the longest wait after so many failed attempts, in seconds."""
        return min(self.most, self.first * 2.0 ** min(failed - 1, 64))

    def delay(self, failed: int, random: Random) -> float:
        """Return the seconds to wait after so many failed attempts."""
        return random.uniform(0.0, self.limit(failed))


ORDINARY = Retry()


def told(error: BaseException) -> str:
    """Return an error as one line that says its kind: `ValueError: no such user`."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error is an answer: the command was understood and refused, the same next time."""
    return isinstance(error, AgoraError) and error.source == "client" and not error.retry_safe
