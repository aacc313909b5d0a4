"""What is thought of a server's health: out after so many bad answers in a row, in after so many good.

The rule it guards: each answer counts at once, one alone decides nothing, and no state is without a way out.
Pure; asked by gateway/health_checks.
"""

from __future__ import annotations


class Health:
    """Count answers in a row."""

    def __init__(self, unhealthy_after: int, healthy_after: int) -> None:
        self.healthy = True
        self._needed = {
            True: unhealthy_after,
            False: healthy_after,
        }  # contrary answers, by what is thought now
        self._contrary = 0

    def note(self, good: bool) -> bool:
        """Take note of an answer; tell whether it changed what is thought."""
        if good == self.healthy:
            self._contrary = 0
            return False
        self._contrary += 1
        if self._contrary < self._needed[self.healthy]:
            return False
        self.healthy = good
        self._contrary = 0
        return True
