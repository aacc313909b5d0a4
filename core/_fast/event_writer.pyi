from core._fast.event_env import EventEnv

class EventWriter:  # its commits are for compiled code alone: see event_writer.pxd
    def __init__(self, env: EventEnv) -> None: ...
