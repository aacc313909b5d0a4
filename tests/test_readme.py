"""Hold the README to what is there: commands run, links lead somewhere, the plugin is the example's."""

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import free_port

ROOT = Path(__file__).parents[1]
AGORA = Path(sys.executable).with_name("agora")
README = (ROOT / "README.md").read_text()
SERVING = ("serve", "requests")  # end only when told to, or need a gateway that has served
SERVED = ("demo", "log")  # need a market that is served
COMMANDS = [
    line.split("  #")[0].split()[1:]
    for line in re.findall(r"^\.venv/bin/agora .*$", README, re.MULTILINE)
    if line.split()[1] not in SERVING
]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", README))))
def test_names_targets_that_make_knows(target: str) -> None:
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_links_to_files_that_exist(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve the market as `make run` does, from a copy on a port of its own; return folder and address."""
    folder, port = tmp_path_factory.mktemp("market"), free_port()
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("var"))
    file = folder / "examples" / "market.toml"
    file.write_text(file.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    command = [str(AGORA), "serve", "examples/market.toml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        assert served.stdout.readline().startswith("Agora listens on")
        yield folder, f"http://127.0.0.1:{port}/market"
        served.terminate()


@pytest.mark.parametrize("arguments", [it for it in COMMANDS if it[0] in SERVED], ids=" ".join)
def test_runs_the_commands_beside_make_run(arguments: list[str], market: tuple[Path, str]) -> None:
    folder, address = market
    extra = [address, "--orders", "200"] if arguments == ["demo"] else []
    done = subprocess.run([AGORA, *arguments, *extra], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("arguments", [it for it in COMMANDS if it[0] not in SERVED], ids=" ".join)
def test_runs_the_commands_as_written(arguments: list[str]) -> None:
    done = subprocess.run([AGORA, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_shows_the_plugin_that_the_quickstart_uses() -> None:
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert textwrap.dedent(shown) in (ROOT / "examples" / "greeting.py").read_text()
    used = re.findall(r"```toml\n\[\[route.plugin\]\]\n(.*?)```", README, re.DOTALL)[0]
    quickstart = re.sub(r" *#.*| +", "", (ROOT / "examples" / "quickstart.toml").read_text())
    assert re.sub(" +", "", used) in quickstart
