"""Read and write the dates of HTTP (RFC 9110 section 5.6.7).

The rule it guards: what is not exactly one of the three forms is no date. Used by core/cache.
"""

from __future__ import annotations

import calendar
import re
import time
from email.utils import formatdate

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
CLOCK = rb"(?P<clock>[0-2]\d:[0-5]\d:[0-6]\d)"
MONTH = rb"(?P<month>[A-Z][a-z]{2})"
FORMS = (
    re.compile(rb"[A-Z][a-z]{2}, (?P<day>\d\d) " + MONTH + rb" (?P<year>\d{4}) " + CLOCK + b" GMT"),
    re.compile(rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-" + MONTH + rb"-(?P<year>\d\d) " + CLOCK + b" GMT"),
    re.compile(rb"[A-Z][a-z]{2} " + MONTH + rb" (?P<day>[ \d]\d) " + CLOCK + rb" (?P<year>\d{4})"),
)


def read_date(text: bytes | None) -> float | None:
    """Return seconds since 1970; None: it is no date."""
    if text is None:
        return None
    found = next((match for form in FORMS if (match := form.fullmatch(text))), None)
    if found is None or found["month"] not in MONTHS:
        return None
    year, day = int(found["year"]), int(found["day"])
    month = MONTHS.index(found["month"]) + 1
    if len(found["year"]) == 2:
        this_year = time.gmtime().tm_year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    hour, minute, second = (int(part) for part in found["clock"].split(b":"))
    if year < 1 or hour > 23 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def write_date(seconds: float) -> bytes:
    """Return a time as a header's value."""
    return formatdate(seconds, usegmt=True).encode()
