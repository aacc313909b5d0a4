from core._fast.exchange import Target
from core._fast.message import Response

class Respond(Target):
    def __init__(self, name: str, response: Response) -> None: ...

class Unmatched(Target):
    def __init__(self) -> None: ...
