"""The errors of the control plane: what a change asked that cannot be."""

from __future__ import annotations

from typing import ClassVar

from core.errors import AgoraError, Source


class ControlError(AgoraError):
    """Be the root of what the control plane refuses."""

    source: ClassVar[Source] = "client"


class ResourceUnknown(ControlError, LookupError):
    """Say that there is no such resource."""

    status = 404
    slug = "resource-unknown"
    title = "No such resource"


class ResourceExists(ControlError):
    """Refuse to make a resource whose name is taken."""

    status = 409
    slug = "resource-exists"
    title = "Name taken"


class ResourceOwned(ControlError):
    """Refuse to change what the configuration file declares."""

    status = 409
    slug = "owned-by-file"
    title = "The configuration file owns it"


class ResourceStale(ControlError):
    """Refuse a change of a version that is no longer the current one."""

    status = 412
    slug = "resource-stale"
    title = "It was changed meanwhile"


class ChangeInvalid(ControlError, ValueError):
    """Refuse a description that cannot be."""

    status = 422
    slug = "change-invalid"
    title = "Change invalid"


class RoleMissing(ControlError):
    """Refuse what a token's role does not allow."""

    status = 403
    slug = "role-missing"
    title = "The token's role does not allow it"


class PositionUnknown(ControlError, LookupError):
    """Refuse a position that the log does not have."""

    status = 404
    slug = "position-unknown"
    title = "No such position"


class ControlStopped(ControlError):
    """Refuse what needs the event log, where none is kept or the control plane does not run."""

    status = 503
    slug = "control-stopped"
    title = "Changes need the event log"
    source = "internal"
    retry_safe = True
