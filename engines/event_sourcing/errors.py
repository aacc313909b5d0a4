"""Why the engine refuses or gives up a command; what a domain refuses has its own errors."""

from core.errors import AgoraError


class EngineError(AgoraError):
    """Be the root of what the event sourcing engine raises."""

    slug = "event-sourcing"
    title = "Event sourcing error"


class CommandInvalid(EngineError, ValueError):
    """Refuse a command that no domain reads, or whose fields are missing, unknown or out of range."""

    status = 422
    slug = "command-invalid"
    title = "Command invalid"
    source = "client"


class CommandReused(EngineError):
    """Refuse a command under the id that another command had."""

    status = 409
    slug = "command-id-reused"
    title = "Command id in use"
    source = "client"


class CommandContended(EngineError):
    """Give up a command whose streams others keep changing; nothing of it was done."""

    status = 503
    slug = "command-contended"
    title = "Command contended"
    retry_safe = True


class EngineStopped(EngineError):
    """Refuse a command because the engine is not running."""

    status = 503
    slug = "event-sourcing-stopped"
    title = "Event sourcing stopped"
    retry_safe = True
