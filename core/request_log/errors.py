"""The errors of the request log. The running writer counts trouble; only start-up and readers raise."""

from __future__ import annotations

from core.errors import AgoraError


class RequestLogMissing(AgoraError, LookupError):
    """Say that there is no request log in a directory."""

    status = 404
    slug = "request-log-missing"
    title = "Request log missing"


class RequestLogUnreadable(AgoraError):
    """Say that the request log's file cannot be opened or walked."""

    slug = "request-log-unreadable"
    title = "Request log unreadable"


class RequestLogUnwritable(AgoraError):
    """Say that the request log cannot be opened for writing, or that a batch did not reach the disk."""

    slug = "request-log-unwritable"
    title = "Request log unwritable"
    retry_safe = True
