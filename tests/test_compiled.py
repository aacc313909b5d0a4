"""Prove that the compiled modules are what runs: extension modules from their own place, without twins."""

import importlib
import importlib.machinery
from pathlib import Path

import pytest

import core._fast

FAST = Path(core._fast.__path__[0])
ROOT = Path(__file__).parents[1]
MODULES = sorted(path.stem for path in FAST.glob("*.pyx"))


def test_there_are_modules_to_compile() -> None:
    assert {"head", "client", "exchange", "pool", "router"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_loads_the_extension_module_beside_its_source(name: str) -> None:
    module = importlib.import_module(f"core._fast.{name}")
    assert module.__spec__ is not None
    assert isinstance(module.__spec__.loader, importlib.machinery.ExtensionFileLoader)
    assert Path(str(module.__file__)).parent == FAST


@pytest.mark.parametrize("name", MODULES)
def test_is_not_older_than_its_source(name: str) -> None:
    module = importlib.import_module(f"core._fast.{name}")
    built = Path(str(module.__file__)).stat().st_mtime
    assert (FAST / f"{name}.pyx").stat().st_mtime <= built, "run `make setup`"


def test_no_compiled_module_has_a_pure_twin() -> None:
    assert [path.name for path in FAST.glob("*.py")] == ["__init__.py"]


def test_runs_this_tree_and_no_other() -> None:
    assert FAST == ROOT / "core" / "_fast"
