"""Finds the programs that the benchmark runs, and says how to install those that are missing.

A benchmark never goes on without a contender that was asked for: a missing program stops it with one
line to paste. Called by the contenders, the upstream and the load generator.
"""

import shutil
from pathlib import Path

DEBIAN_PACKAGES = Path(__file__).with_name("requirements-debian.txt")

# NOTE: Debian installs servers into sbin, which is not on the PATH of an ordinary user.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BinaryMissing(RuntimeError):
    """A program that a measurement needs is not installed."""


def install_command() -> str:
    """Return the line that installs every Debian package that the benchmark needs."""
    packages = " ".join(DEBIAN_PACKAGES.read_text().split())
    return f"sudo apt-get install --yes --no-install-recommends {packages}"


def find_binary(name: str) -> str:
    """Return the path of program `name`; raise BinaryMissing naming the cure."""
    path = shutil.which(name) or shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise BinaryMissing(f"{name} is not installed; install it with: {install_command()}")
    return path


def require_binaries(names: list[str]) -> None:
    """Raise BinaryMissing naming all of `names` that are not installed."""
    missing = [n for n in names if not (shutil.which(n) or shutil.which(n, path=SEARCH_PATH))]
    if missing:
        raise BinaryMissing(f"not installed: {', '.join(missing)}; install with: {install_command()}")
