"""Hold the layers: each may import those before it, never those after; compiled code by its cimports too.

import-linter checks what Python files import (`make check`); here is what it cannot see.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("core._fast", "core", "engines", "plugins", "gateway")
ABOVE = ("tests", "bench", "examples")
ENGINES = ("api_gateway", "event_sourcing", "market", "chaos", "mlops")
IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)
TYPES_ONLY = re.compile(r'""".*?"""', re.DOTALL)
# What compiled code must not know, not even through what it imports: it deals in bytes, numbers and tuples.
SETTINGS = {
    f"core.{name}" for name in ("config", "decode", "describe", "plugin", "plugins", "secret", "site")
}

SOURCES = sorted(
    path
    for layer in ("core", "engines", "plugins", "gateway")
    for ending in ("*.py", "*.pyx", "*.pxd", "*.pyi")
    for path in (ROOT / layer).rglob(ending)
)
COMPILED = [path for path in SOURCES if path.parent.name == "_fast" and path.suffix in (".pyx", ".pxd")]


def layer_of(module: str) -> int | None:
    """Return a module's place in the list of layers; None: it is none of ours."""
    if module == "core._fast" or module.startswith("core._fast."):
        return 0
    top = module.partition(".")[0]
    return LAYERS.index(top) if top in LAYERS else None


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports while it runs, wherever in it that stands."""
    source = path.read_text()
    if path.suffix == ".py":
        yield from imports_at_runtime(ast.parse(source))
        return
    for taken_from, imported in IMPORT.findall(TYPES_ONLY.sub("", source)):
        yield taken_from or imported


def imports_at_runtime(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.ImportFrom(module=str(module)):
                yield module
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
        yield from imports_at_runtime(node)


def reached_from(path: Path) -> set[str]:
    """Return every module of ours that a file imports, or that what it imports does."""
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        for imported in imports_of(waiting.pop()):
            found = ROOT / (imported.replace(".", "/") + ".py")
            if imported not in seen and layer_of(imported) is not None:
                seen.add(imported)
                waiting += [found] if found.is_file() else []
    return seen


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_no_layer_that_stands_on_it(path: Path) -> None:
    own = layer_of(name_of(path))
    assert own is not None
    for imported in imports_of(path):
        layer = layer_of(imported)
        assert imported.partition(".")[0] not in ABOVE
        if own > 0:
            assert layer is None or layer <= own, imported


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_compiled_code_knows_no_configuration_and_no_domain(path: Path) -> None:
    seen = reached_from(path)
    assert not seen & SETTINGS
    assert not {imported for imported in seen if (layer_of(imported) or 0) > LAYERS.index("core")}


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_what_compiled_code_is_built_from_imports_nothing_compiled_in_return(path: Path) -> None:
    for module in {imported for imported in reached_from(path) if layer_of(imported) == LAYERS.index("core")}:
        source = ROOT / (module.replace(".", "/") + ".py")
        assert not [imported for imported in imports_of(source) if layer_of(imported) == 0], module


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_imports_another(engine: str) -> None:
    others = {f"engines.{other}" for other in ENGINES if other != engine}
    for path in SOURCES:
        if name_of(path).startswith(f"engines.{engine}"):
            assert not {".".join(imported.split(".")[:2]) for imported in imports_of(path)} & others


def test_import_linter_holds_the_same_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layered = next(contract for contract in settings["contracts"] if contract["type"] == "layers")
    assert tuple(layered["layers"]) == tuple(reversed(LAYERS[1:]))
