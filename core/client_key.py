"""The option that says what tells clients apart.

Written as "ip", "consumer", "route", "header:NAME", or several joined with "+". Plugins that count exchanges
have it; core/_fast/client_keys reads it.
"""

from __future__ import annotations

from core.pattern_text import PatternText

KIND = r"(ip|consumer|route|header:[!#$%&'*.^_`|~0-9A-Za-z-]+)"  # a header's name cannot hold "+" here


class ClientKey(PatternText):
    """Be what tells clients apart: ip, consumer, route or header:NAME, several joined with +."""

    __slots__ = ()
    noun = "client key"
    pattern = rf"^{KIND}(\+{KIND}){{0,7}}$"
    examples = ("ip", "consumer", "header:x-api-key", "consumer+route")
    wrong = "tells no clients apart"
    right = "write ip, consumer, route or header:NAME, or several joined with +"
