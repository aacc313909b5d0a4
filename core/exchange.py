"""The names that a plugin's author needs: an exchange, its request and response, their headers.

They are compiled; this file only gives them a place to be imported from. Plugins use it.
"""

from core._fast.exchange import Exchange
from core._fast.headers import Headers
from core._fast.message import Request, Response

__all__ = ["Exchange", "Headers", "Request", "Response"]
