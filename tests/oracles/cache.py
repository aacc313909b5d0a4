"""What RFC 9111 says a shared cache may do, as tables: slow, short, and without the code that it checks.

Headers are dicts of text with the names in small letters; directives come as lists of (name, argument).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

Directives = list[tuple[str, str]]
BY_DEFAULT = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}


def argument(directives: Directives, name: str) -> int | None:
    """Return the number; 0 for what is none or said twice in different ways."""
    given = {value for found, value in directives if found == name}
    if not given:
        return None
    value = given.pop()
    return int(value) if value.isdigit() and not given else 0


def has(directives: Directives, *names: str) -> bool:
    return any(found in names for found, _ in directives)


def when(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


def lifetime(status: int, said: Directives, headers: dict[str, str], received: float) -> float:
    """Section 4.2.1 and 4.2.2, with a tenth of the age of the content, a day at most."""
    date = when(headers["date"]) if "date" in headers else received
    rows: list[tuple[bool, Any]] = [
        (has(said, "s-maxage"), lambda: argument(said, "s-maxage")),
        (has(said, "max-age"), lambda: argument(said, "max-age")),
        (headers.get("expires") == "0", lambda: 0),
        ("expires" in headers, lambda: max(0, when(headers["expires"]) - date)),
        (status not in BY_DEFAULT and not has(said, "public"), lambda: 0),
        (
            "last-modified" in headers,
            lambda: min(86400, max(0, date - when(headers["last-modified"])) / 10),
        ),
        (True, lambda: 0),
    ]
    return float(next(value() for condition, value in rows if condition))


def may_keep(
    method: str,
    asked: Directives,
    status: int,
    said: Directives,
    headers: dict[str, str],
    authorization: bool,
) -> bool:
    """Section 3 and 3.5; what sets cookies is nobody else's."""
    explicit = has(said, "public", "max-age", "s-maxage") or "expires" in headers
    conditions = [
        method == "GET",
        status not in (206, 304),
        not has(asked, "no-store"),
        not has(said, "no-store") or has(said, "must-understand"),
        not has(said, "private"),
        headers.get("vary") != "*",
        "set-cookie" not in headers,
        not authorization or has(said, "public", "s-maxage", "must-revalidate"),
        explicit or status in BY_DEFAULT,
    ]
    return all(conditions)


def age(headers: dict[str, str], asked: float, received: float, now: float) -> float:
    """Section 4.2.3."""
    apparent_age = max(0, received - when(headers["date"])) if "date" in headers else 0
    corrected_age_value = int(headers.get("age", 0)) + (received - asked)
    return max(apparent_age, corrected_age_value) + (now - received)


def verdict(asked: Directives, said: Directives, lifetime: float, age: float) -> str:
    """Section 4 and 5.2.1, RFC 5861 section 3."""
    stale_for = age - lifetime
    meanwhile = argument(said, "stale-while-revalidate") or 0
    rows = [
        (has(said, "no-cache") or has(asked, "no-cache"), "ask"),
        (has(asked, "max-age") and age > (argument(asked, "max-age") or 0), "ask"),
        (has(asked, "min-fresh") and -stale_for < (argument(asked, "min-fresh") or 0), "ask"),
        (stale_for < 0, "fresh"),
        (has(said, "must-revalidate", "proxy-revalidate"), "ask"),
        (has(asked, "max-stale") and not has(said, "s-maxage") and ("max-stale", "") in asked, "stale"),
        (
            has(asked, "max-stale")
            and not has(said, "s-maxage")
            and stale_for <= (argument(asked, "max-stale") or 0),
            "stale",
        ),
        (stale_for < meanwhile, "meanwhile"),
    ]
    return next((result for condition, result in rows if condition), "ask")
