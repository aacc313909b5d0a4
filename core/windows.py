"""The text of a rate limit's window: "100/minute", "5000/day", "20/10s".

A window allows so many requests at once and refills evenly over its period. Called when a configuration is
read, through core/_fast/limiter.
"""

from __future__ import annotations

import re

from core.errors import AgoraError

UNITS = {
    **dict.fromkeys(("s", "second", "seconds"), 1),
    **dict.fromkeys(("m", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
}
LONGEST = 366 * 86400  # seconds
FASTEST = 1_000_000  # requests a second: below a microsecond between two, rounding would show

_TEXT = re.compile(r"([1-9][0-9]{0,14})/([1-9][0-9]{0,8})?([a-z]+)", re.ASCII)


class WindowInvalid(AgoraError, ValueError):
    """Refuse the text of a window; says what would be right."""

    slug = "window-invalid"
    title = "Rate limit window invalid"


def parse_window(text: str) -> tuple[int, int]:
    """Return how many requests the window allows and its period in seconds; raises WindowInvalid."""
    if not isinstance(text, str):
        raise WindowInvalid(f"a window is a text such as '100/minute', not {text!r}")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise WindowInvalid(f"{text!r} is no window; write REQUESTS/PERIOD, such as '100/minute' or '20/10s'")
    limit, count, unit = int(match[1]), int(match[2] or 1), match[3]
    if unit not in UNITS:
        raise WindowInvalid(f"{text!r} has no known unit; use second, minute, hour or day (s, m, h, d)")
    seconds = count * UNITS[unit]
    if seconds > LONGEST:
        raise WindowInvalid(f"{text!r} is longer than {LONGEST // 86400} days")
    if limit > FASTEST * seconds:
        raise WindowInvalid(f"{text!r} is more than {FASTEST} requests a second")
    return limit, seconds
