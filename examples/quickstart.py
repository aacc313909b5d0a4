"""Run the quickstart: the example service, and the gateway in front of it. `make run` calls this.

The service starts first and ends when the gateway has ended. Ctrl-C reaches this script alone, which tells
the gateway to finish what it has begun.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
AGORA = Path(sys.executable).with_name("agora")


@contextlib.contextmanager
def running(*command: str | Path, output: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program out of the terminal's reach; end it when the block ends."""
    with subprocess.Popen(command, stdout=output, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def example_service() -> Iterator[None]:
    """Run the example service; it accepts connections once this has begun."""
    with running(sys.executable, HERE / "markets_service.py", output=subprocess.PIPE) as service:
        assert service.stdout is not None
        line = service.stdout.readline()  # printed when it listens; empty when it could not
        if not line:
            sys.exit(1)
        print(line, end="", flush=True)
        yield


def main() -> int:
    """Serve until told to stop; return the gateway's exit code."""
    with example_service(), running(AGORA, "serve", HERE / "quickstart.toml") as gateway:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: gateway.terminate())
        return gateway.wait()


if __name__ == "__main__":
    sys.exit(main())
