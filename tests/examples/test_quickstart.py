"""Run the quickstart as `make run` does, on ports of its own, and try what it says one can try."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"


class Quickstart:
    """Be the running quickstart: its process, and what it printed at start."""

    def __init__(self, process: subprocess.Popen[str], banner: str) -> None:
        self.process = process
        self.banner = banner

    @property
    def address(self) -> str:
        return str(re.findall(r"Agora listens on (\S+)", self.banner)[0])

    @property
    def curl_lines(self) -> list[tuple[str, str]]:
        """Return method and URL of every curl line."""
        found = []
        for line in re.findall(r"^ *(curl .*)$", self.banner, re.MULTILINE):
            words = shlex.split(line)
            found.append((words[words.index("-X") + 1] if "-X" in words else "GET", words[-1]))
        return found


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    folder = tmp_path_factory.mktemp("quickstart") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("var", "__pycache__"))
    for port in ("8000", "9000"):
        own = str(free_port())
        for path in folder.iterdir():
            path.write_text(path.read_text().replace(port, own))
    command = [sys.executable, str(folder / "quickstart.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or not re.match(r" *its token", lines[-1]):
                line = process.stdout.readline()
                assert line, "ended before it served:\n" + "".join(lines)
                lines.append(line)
            yield Quickstart(process, "".join(lines))
        finally:
            process.terminate()


def test_prints_a_curl_line_for_each_route(quickstart: Quickstart) -> None:
    routes = (EXAMPLES / "quickstart.toml").read_text().count("[[route]]")
    assert len(quickstart.curl_lines) == routes


def test_answers_what_the_curl_lines_ask(quickstart: Quickstart) -> None:
    order = {"side": "yes", "price": 60}
    for method, url in quickstart.curl_lines:
        with httpx.stream(method, url, json=order if method == "POST" else None) as response:
            assert response.is_success, (url, response.read())
            assert response.headers["x-request-id"]
            assert next(response.iter_bytes())


def test_shows_the_three_kinds_of_target(quickstart: Quickstart) -> None:
    welcome = httpx.get(quickstart.address + "/")
    assert welcome.json()["gateway"] == "Agora"
    assert welcome.headers["x-greeting"] == "good to see you"
    assert httpx.get(quickstart.address + "/hello/ada").json()["message"] == "Hello, ada!"
    assert httpx.get(quickstart.address + "/markets/1").json()["id"] == 1


def test_opens_the_control_api_with_the_token_it_shows(quickstart: Quickstart) -> None:
    token = re.findall(r"its token +(\S+)", quickstart.banner)[0]
    url = quickstart.address + "/api/v1/api-gateway/status"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"authorization": f"Bearer {token}"}).json()["status"] == "ready"


def test_ends_with_everything_it_started(quickstart: Quickstart) -> None:
    quickstart.process.send_signal(signal.SIGINT)
    assert quickstart.process.wait(30) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(quickstart.address)
