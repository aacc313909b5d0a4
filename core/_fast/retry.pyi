from collections.abc import Iterable

class RetryPolicy:
    def __init__(
        self,
        attempts: int,
        slugs: Iterable[str],
        statuses: Iterable[int],
        *,
        backoff: int,
        most_backoff: int,
        most_wait: int,
        budget: float,
        least_budget: int,
    ) -> None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def slugs(self) -> frozenset[str]: ...
    @property
    def statuses(self) -> frozenset[int]: ...
    @property
    def backoff(self) -> int: ...  # ns
    @property
    def most_backoff(self) -> int: ...  # ns
    @property
    def most_wait(self) -> int: ...  # ns
    @property
    def budget(self) -> float: ...
    @property
    def least_budget(self) -> int: ...
    def pause_of(self, retries: int, *, asked: int = -1, random: float) -> int: ...
