"""Why the engine refuses what it is asked for; what a domain refuses has its own errors."""

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


class AggregateUnknown(EngineError, LookupError):
    """Say that there is no aggregate of that name, or that it never was at that version."""

    status = 404
    slug = "aggregate-unknown"
    title = "Aggregate unknown"
    source = "client"


class EventUnknown(EngineError, LookupError):
    """Say that no event stands at a position: there was none yet, or its segment was dropped."""

    status = 404
    slug = "event-unknown"
    title = "Event unknown"
    source = "client"


class EventForeign(EngineError):
    """Refuse to append an event by hand to a stream whose events come from commands alone."""

    status = 409
    slug = "event-foreign"
    title = "Events of this stream come from commands"
    source = "client"


class NameUnknown(EngineError, LookupError):
    """Refuse a domain, projection, handler or process that is not registered; names those that are."""

    status = 404
    slug = "name-unknown"
    title = "Not registered"
    source = "client"


class DeadLetterUnknown(EngineError, LookupError):
    """Say that no event is on the dead-letter list under an id."""

    status = 404
    slug = "dead-letter-unknown"
    title = "Dead letter unknown"
    source = "client"


class ProcessInstanceUnknown(EngineError, LookupError):
    """Say that a process was never begun for a key."""

    status = 404
    slug = "process-instance-unknown"
    title = "Process instance unknown"
    source = "client"


class ProcessNotStuck(EngineError):
    """Refuse to try a process again that goes on by itself, or has ended."""

    status = 409
    slug = "process-not-stuck"
    title = "Process not stuck"
    source = "client"
