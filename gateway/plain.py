"""Turn a part of the configuration into plain data, as a file would write it, without its secrets.

Called to note in the log what the file declares, and to show it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.config import PluginUse


def plain(value: Any) -> Any:
    """Return a struct's keys and values as JSON has them; a secret as its reference, or hidden."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, PluginUse):
        return {"use": value.use, **plain(value.config)}
    if isinstance(value, frozenset | set | tuple):
        return [plain(item) for item in value]
    return str(value)
