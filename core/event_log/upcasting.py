"""Read old events as if they had been written today: named steps from one schema version to the next.

The rule it guards: stored events are never changed; each step is a pure function, named, and leads to exactly
the next version, so that what an event becomes can be told step by step. Whoever reads events calls `upcast`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from core.event_log.errors import EventInvalid

Data = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Lead the events of one type from one schema version to the next."""

    name: str  # such as "split the name in two"
    type: str  # of the events it takes
    version: int  # of the schema that it takes, from 1
    change: Callable[[Data], Data]  # returns new data, and leaves what it is given alone
    renamed: str = ""  # the type from then on; empty: the same


class Upcaster:
    """Hold the steps of all types and take events through them.

    Raises ValueError if two steps begin at the same place, or a version has a step but an older one has none.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps: dict[tuple[str, int], Step] = {}
        for step in steps:
            if step.version < 1:
                raise ValueError(f"step {step.name!r}: versions start at 1, not {step.version}")
            taken = self._steps.setdefault((step.type, step.version), step)
            if taken is not step:
                raise ValueError(
                    f"steps {taken.name!r} and {step.name!r} both take {step.type} of version {step.version}"
                )
        arrivals = {(step.renamed or step.type, step.version + 1) for step in self._steps.values()}
        for kind, version in self._steps:
            if version > 1 and (kind, version) not in arrivals:
                name = self._steps[kind, version].name
                raise ValueError(f"step {name!r} takes {kind} of version {version}, but no step leads there")

    def current(self, kind: str) -> int:
        """Return the schema version that new events of a type have."""
        version = 1
        known = {(step.renamed or step.type, step.version + 1) for step in self._steps.values()}
        while (kind, version + 1) in known or (kind, version) in self._steps:
            version += 1
        return version

    def path(self, kind: str, version: int) -> list[Step]:
        """Return the steps that an event of a type and schema version takes, in order."""
        steps: list[Step] = []
        while (step := self._steps.get((kind, version))) is not None:
            steps.append(step)
            kind, version = step.renamed or kind, version + 1
        return steps

    def upcast(self, kind: str, version: int, data: Data) -> tuple[str, int, Data]:
        """Return type, schema version and data as they would be written today; raise EventInvalid."""
        for step in self.path(kind, version):
            try:
                data = step.change(data)
            except Exception as error:
                wrong = f"step {step.name!r} cannot take this {kind} of version {version}"
                raise EventInvalid(f"{wrong}: {type(error).__name__}: {error}") from error
            kind, version = step.renamed or kind, version + 1
        return kind, version, data
