"""Turn commands into events and events into tables, effects and processes, on one event log."""

from engines.event_sourcing.aggregate import Aggregate
from engines.event_sourcing.command import Command
from engines.event_sourcing.decider import Decider
from engines.event_sourcing.engine import EventSourcingEngine, event_sourcing_engine
from engines.event_sourcing.event import Event
from engines.event_sourcing.handler import Handler
from engines.event_sourcing.process import Complete, Deadline, Fail, Process, Remember, Step
from engines.event_sourcing.projection import Projection
from engines.event_sourcing.retry import Retry

__all__ = [
    "Aggregate",
    "Command",
    "Complete",
    "Deadline",
    "Decider",
    "Event",
    "EventSourcingEngine",
    "Fail",
    "Handler",
    "Process",
    "Projection",
    "Remember",
    "Retry",
    "Step",
    "event_sourcing_engine",
]
