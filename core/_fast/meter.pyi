from core.metrics import Metrics

CLASSES: tuple[str, ...]
ROUTES: int

class Meter:
    route: str
    def __init__(self, metrics: Metrics | None = None, route: str = "") -> None: ...
