"""Decide what a shared cache may keep, for how long, and what it may answer with it (RFC 9111, RFC 5861).

The rule it guards: in doubt the server is asked. Pure: times are arguments, in seconds since 1970, and
nothing is read but what is given. Used by core/cache/entry and plugins/cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from core.cache.cache_control import LONGEST, Directives, read_directives, read_targeted, seconds
from core.cache.http_date import read_date

HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})  # RFC 9110 section 15.1
UNDERSTOOD = HEURISTIC | {
    201, 202, 302, 303, 307, 400, 401, 402, 403, 406, 408, 409, 411, 412, 413, 415, 417, 421, 422, 426,
    428, 429, 431, 451, 500, 502, 503, 504, 505,
}  # fmt: skip
ERRORS = frozenset({500, 502, 503, 504})  # RFC 5861 section 4
LONGEST_GUESS = 86400.0  # seconds

GetAll = Callable[[bytes], list[bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Say what an operator has decided."""

    unmarked: float = 0  # lifetime of answers that do not say how long they are good; 0: not kept
    heuristic: float = 0.1  # share of the time since the last change that such an answer is good for
    stale_while_revalidate: float = 0  # seconds, where an answer does not say
    stale_if_error: float = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Hold what an answer says to caches."""

    status: int
    directives: Directives
    date: float | None
    expires: float | None  # 0: there is one, and it is no date
    last_modified: float | None
    age: int
    validator: bool
    any_vary: bool  # Vary: *
    sets_cookie: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Hold what decides about the use of an answer that was kept."""

    born: float  # when its age was 0
    lifetime: float
    no_cache: bool  # never used without asking the server
    strict: bool  # what clients and operators would like of stale answers does not count
    shared: bool  # also good for requests with credentials
    explicit: bool  # it says itself that it may be kept: also good for requests with cookies
    while_revalidate: float  # seconds after its lifetime
    if_error: float

    def useful_for(self, now: float) -> float:
        """Return for how many seconds it is good, if only while others ask, or in the place of an error."""
        beyond = max(self.while_revalidate, self.if_error)
        return 0.0 if self.no_cache else self.born + self.lifetime + beyond - now


class Verdict(Enum):
    """Say what may be done with an answer that was kept."""

    FRESH = "fresh"
    STALE = "stale"  # old, and good enough for this client
    MEANWHILE = "meanwhile"  # old, and good enough while somebody asks the server
    ASK = "ask"  # the server has to be asked


def read_answer(status: int, get_all: GetAll) -> Said:
    """Return what an answer's headers say."""
    directives = read_targeted(targeted) if (targeted := get_all(b"cdn-cache-control")) else None
    expires = None
    if directives is None:
        directives = read_directives(get_all(b"cache-control"))
        if found := get_all(b"expires"):
            expires = min(read_date(value) or 0.0 for value in found)
    ages = get_all(b"age")
    modified = read_date(next(iter(get_all(b"last-modified")), None))
    return Said(
        status=status,
        directives=directives,
        date=read_date(next(iter(get_all(b"date")), None)),
        expires=expires,
        last_modified=modified,
        age=seconds({"age": ages[0].decode("latin-1")}, "age") or 0 if ages else 0,
        validator=modified is not None or bool(get_all(b"etag")),
        any_vary=any(b"*" in value for value in get_all(b"vary")),
        sets_cookie=bool(get_all(b"set-cookie")),
    )


def read_request(get_all: GetAll) -> Directives:
    """Return what a request says to caches."""
    if found := get_all(b"cache-control"):
        return read_directives(found)
    if any("no-cache" in read_directives([value]) for value in get_all(b"pragma")):
        return {"no-cache": ""}
    return {}


def explicit_lifetime(said: Said, received: float) -> float | None:
    """Return the lifetime that an answer gives itself; None: it does not say."""
    for name in ("s-maxage", "max-age"):
        if (found := seconds(said.directives, name)) is not None:
            return found
    if said.expires is not None:
        return max(0.0, said.expires - (received if said.date is None else said.date))
    return None


def lifetime(said: Said, rules: Rules, received: float) -> float:
    """Return for how long an answer is good, from when its age was 0."""
    found = explicit_lifetime(said, received)
    if found is not None:
        return found
    if said.status not in HEURISTIC and "public" not in said.directives:
        return 0
    if rules.heuristic and said.last_modified is not None:
        unchanged = (received if said.date is None else said.date) - said.last_modified
        return min(max(0.0, unchanged * rules.heuristic), LONGEST_GUESS)
    return rules.unmarked


def why_not_kept(
    method: str, request: Directives, said: Said, *, credentials: bool = False, cookies: bool = False
) -> str:
    """Return why an answer may not be kept; empty: it may.

    credentials: the request has an Authorization field, or speaks for a consumer; cookies: it has some
    """
    directives = said.directives
    if method != "GET":
        return "method"
    if said.status not in UNDERSTOOD:
        return "status"
    if "no-store" in request:
        return "request-no-store"
    if "no-store" in directives and "must-understand" not in directives:
        return "no-store"
    if "private" in directives:
        return "private"
    if said.any_vary:
        return "vary"
    if said.sets_cookie:
        return "set-cookie"
    if credentials and not is_shared(directives):
        return "credentials"
    if cookies and not is_explicit(said):
        return "cookies"
    return "" if is_explicit(said) or said.status in HEURISTIC else "unmarked"


def is_explicit(said: Said) -> bool:
    """Tell whether an answer says that it may be kept, or for how long."""
    return "public" in said.directives or explicit_lifetime(said, 0) is not None


def is_shared(directives: Directives) -> bool:
    """Tell whether an answer is also good for requests with credentials (RFC 9111 section 3.5)."""
    return not directives.keys().isdisjoint({"public", "s-maxage", "must-revalidate"})


def keep(said: Said, rules: Rules, *, asked: float, received: float) -> Kept:
    """Return what decides about the answer's use; asked, received: the times of request and answer."""
    directives = said.directives
    apparent = max(0.0, received - said.date) if said.date is not None else 0.0
    age = max(apparent, said.age + max(0.0, received - asked))
    # NOTE: s-maxage forbids stale answers too, but servers that say it together with stale-* mean the latter.
    strict = not directives.keys().isdisjoint({"must-revalidate", "proxy-revalidate", "s-maxage"})
    never = not directives.keys().isdisjoint({"must-revalidate", "proxy-revalidate", "no-cache"})
    meanwhile, if_error = (
        0.0 if never else usual if given is None else given
        for given, usual in (
            (seconds(directives, "stale-while-revalidate"), 0.0 if strict else rules.stale_while_revalidate),
            (seconds(directives, "stale-if-error"), 0.0 if strict else rules.stale_if_error),
        )
    )
    return Kept(
        born=received - age,
        lifetime=lifetime(said, rules, received),
        no_cache="no-cache" in directives,
        strict=strict,
        shared=is_shared(directives),
        explicit=is_explicit(said),
        while_revalidate=meanwhile,
        if_error=if_error,
    )


def is_useful(kept: Kept, said: Said, now: float) -> bool:
    """Tell whether the answer will be of use: it is good for a while, or the server can be asked about it."""
    return said.validator or kept.useful_for(now) > 0


def judge(kept: Kept, request: Directives, now: float) -> Verdict:
    """Decide about an answer that was kept, for a request that says this."""
    age = max(0.0, now - kept.born)
    left = kept.lifetime - age
    most, least = seconds(request, "max-age"), seconds(request, "min-fresh")
    if kept.no_cache or "no-cache" in request or (most is not None and age > most):
        return Verdict.ASK
    if least is not None and left < least:
        return Verdict.ASK
    if left > 0:
        return Verdict.FRESH
    if "max-stale" in request and not kept.strict:
        bound = LONGEST if request["max-stale"] == "" else seconds(request, "max-stale") or 0
        if -left <= bound:
            return Verdict.STALE
    return Verdict.MEANWHILE if -left < kept.while_revalidate else Verdict.ASK


def stands_in(kept: Kept, request: Directives, now: float) -> bool:
    """Tell whether a stale answer may be given in the place of an error."""
    if kept.no_cache or "no-cache" in request:
        return False
    longest = max(kept.if_error, 0 if kept.strict else seconds(request, "stale-if-error") or 0)
    return now - kept.born - kept.lifetime < longest
