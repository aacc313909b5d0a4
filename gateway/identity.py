"""Know who this gateway is: its name, its data directory's lock, the control API's token.

The rule it guards: one gateway on one data directory at a time; the token is made once, shown once, and
readable by the owner alone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO

from core.config import AdminConfig, ServerConfig
from core.errors import AgoraError, DataDirInUse

TOKEN_FILE = "admin-token"  # noqa: S105 (a file's name)


class DataDirUnusable(AgoraError):
    """Report that the data directory cannot be made or written to."""

    slug = "data-dir-unusable"
    title = "Data directory unusable"


def gateway_name(server: ServerConfig, data_dir: Path) -> str:
    """Return the pseudonym used in Via: the configured one, or one made once for the data directory."""
    if server.name is not None:
        return server.name
    return "agora-" + _made_once(data_dir / "name", lambda: secrets.token_hex(4))


def admin_token(admin: AdminConfig, data_dir: Path) -> tuple[str, bool]:
    """Return the control API's token, and whether it was made just now."""
    if admin.token is not None:
        return admin.token.reveal(), False
    path = data_dir / TOKEN_FILE
    existed = path.exists()
    return _made_once(path, lambda: secrets.token_urlsafe(24)), not existed


def _made_once(path: Path, make: Callable[[], str]) -> str:
    """Return a file's text; where there is no file, make it first, whole or not at all, with mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # NOTE: fails if another process was first; its text counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    text = path.read_text().strip()
    if not text:
        raise DataDirUnusable(f"{path} is empty; remove it, and the next start makes it anew")
    return text


def lock_data_dir(data_dir: Path, *, shared: bool = False) -> IO[str]:
    """Hold the data directory, made if it is missing, until the file is closed or the process dies.

    Gateways started by `agora serve` hold it alone; processes of the ASGI door share it. Raises DataDirInUse
    or DataDirUnusable.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "lock").open("a+")
    except OSError as error:
        raise DataDirUnusable(
            f"the data directory {data_dir} cannot be used: {error.strerror}: {error.filename}; "
            "make it a folder that this user may write to, or set server.data_dir to another"
        ) from error
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise DataDirInUse(
            f"{data_dir} is in use by another gateway (process {holder}); "
            "stop that one, or give this one a data_dir of its own"
        ) from None
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
