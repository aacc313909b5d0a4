"""Hold every hand-written stub to the compiled module beside it: the same names, the same parameters."""

import ast
import importlib
import inspect
import logging
import re
from collections.abc import Iterator
from enum import Enum
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import core._fast

FAST = Path(core._fast.__path__[0])
MODULES = sorted(path.stem for path in FAST.glob("*.pyx"))
CONSTRUCTORS = ("__new__", "__init__")
# What makes a name part of a class's face though it begins with two underscores.
OPERATORS = {"__contains__", "__len__", "__iter__", "__next__", "__getitem__", "__setitem__", "__call__",
             "__await__", "__enter__", "__exit__", "__aenter__", "__aexit__"}  # fmt: skip
IMPORTED = re.compile(r"^(?:from [\w.]+ )?c?import +(\((?:[^)]*)\)|[^\n]*)", re.MULTILINE)
COMMA = re.compile(r",(?![^(]*\))")  # between parameters, not within a default
CONSTRUCTOR = re.compile(r"^    def __c?init__\((.*?)\):", re.MULTILINE | re.DOTALL)

Node = ast.FunctionDef | ast.AsyncFunctionDef
Parameter = tuple[str, str, bool]  # name, kind, has a default; `self` and `cls` are left out


class Stub:
    """What a ``.pyi`` says of a module or of one class: functions, other names, classes."""

    def __init__(self, body: list[ast.stmt]) -> None:
        self.functions: dict[str, list[Node]] = {}  # more than one where it is overloaded
        self.values: set[str] = set()
        self.classes: dict[str, Stub] = {}
        for node in body:
            self._take(node)

    @classmethod
    def of(cls, module: str) -> "Stub":
        return cls(ast.parse((FAST / f"{module}.pyi").read_text()).body)

    def _take(self, node: ast.stmt) -> None:
        match node:
            case ast.ClassDef(name=name, body=body):
                self.classes[name] = Stub(body)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list):
                    self.values.add(name)
                elif not any(isinstance(mark, ast.Attribute) for mark in node.decorator_list):  # a setter
                    self.functions.setdefault(name, []).append(node)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                self.values.add(name)
            case ast.ImportFrom(names=names):
                self.values.update(alias.name for alias in names if alias.asname == alias.name)

    @property
    def names(self) -> set[str]:
        found = {*self.functions, *self.values, *self.classes} - {*CONSTRUCTORS, "__buffer__"}
        return {name for name in found if is_public(name)}


def is_public(name: str) -> bool:
    return not name.startswith("_") or name in OPERATORS


def imported_names(module: str) -> set[str]:
    """Return what a module's source imports: visible in it, but no part of its face."""
    source = (FAST / f"{module}.pyx").read_text()
    lists = (names.strip("()").split(",") for names in IMPORTED.findall(source))
    return {name.split(" as ")[-1].split(".")[0].strip() for name in chain.from_iterable(lists)}


def names_in_module(module: ModuleType) -> set[str]:
    imported = imported_names(module.__name__.rpartition(".")[2])
    return {
        name
        for name, value in vars(module).items()
        if is_public(name) and name not in imported and not isinstance(value, logging.Logger)
        if getattr(value, "__module__", None) in (None, module.__name__)
    }


def names_in_class(owner: type) -> set[str]:
    if issubclass(owner, Enum):
        return set(owner.__members__)
    inherited = set().union(*(vars(base) for base in owner.__mro__[1:]))
    return {name for name in vars(owner) if is_public(name) and not (name in inherited and name.islower())}


def parameters_in_stub(overloads: list[Node]) -> list[Parameter]:
    """Return a function's parameters; what not every overload has, has a default."""
    fullest = max(map(parameters_of, overloads), key=len)
    everywhere = set.intersection(*({name for name, _, _ in parameters_of(node)} for node in overloads))
    return [(name, kind, has or name not in everywhere) for name, kind, has in fullest]


def parameters_of(node: Node) -> list[Parameter]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [False] * (len(positional) - len(arguments.defaults)) + [True] * len(arguments.defaults)
    found = [(item.arg, "positional", has) for item, has in zip(positional, defaults, strict=True)]
    if arguments.vararg is not None:
        found.append((arguments.vararg.arg, "rest", False))
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((item.arg, "keyword", default is not None))
    if arguments.kwarg is not None:
        found.append((arguments.kwarg.arg, "keywords", False))
    return [parameter for parameter in found if parameter[0] not in ("self", "cls")]


KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "rest",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "keywords",
}


def parameters_in_module(function: Any) -> list[Parameter]:
    parameters = inspect.signature(function).parameters.values()
    found = [(item.name, KINDS[item.kind], item.default is not item.empty) for item in parameters]
    return [parameter for parameter in found if parameter[0] not in ("self", "cls")]


def parameters_of_constructor(module: str, owner: str) -> list[Parameter]:
    """Return what a class's constructor takes, from its source: a compiled constructor tells no signature."""
    source = (FAST / f"{module}.pyx").read_text()
    body = re.search(rf"^cdef class {owner}\b.*?(?=^\S|\Z)", source, re.MULTILINE | re.DOTALL)
    assert body is not None
    written = max(CONSTRUCTOR.findall(body[0]), key=len, default="self")  # __init__ or __cinit__
    found, kind = [], "positional"
    for parameter in COMMA.split(re.sub(r"#[^\n]*", "", written))[1:]:
        declared, has_default, _ = parameter.partition("=")
        name = re.sub(r"\s+(?:not|or) None$", "", declared.strip()).split(" ")[-1]
        if name == "*":
            kind = "keyword"
        elif name:
            found.append((name, kind, bool(has_default)))
    return found


def functions_of(module: str) -> Iterator[tuple[str, list[Node], Any]]:
    """Yield every function and method of a stub, each overload of it, with the compiled one."""
    stub, compiled = Stub.of(module), importlib.import_module(f"core._fast.{module}")
    for name, overloads in stub.functions.items():
        yield name, overloads, getattr(compiled, name)
    for owner, face in stub.classes.items():
        for name, overloads in face.functions.items():
            if name not in CONSTRUCTORS and is_public(name) and not name.startswith("__"):
                yield f"{owner}.{name}", overloads, getattr(getattr(compiled, owner), name)


@pytest.mark.parametrize("module", MODULES)
def test_has_a_stub(module: str) -> None:
    assert (FAST / f"{module}.pyi").is_file()


def test_has_no_stub_without_a_module() -> None:
    assert {path.stem for path in FAST.glob("*.pyi")} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_names_what_the_module_offers_and_nothing_else(module: str) -> None:
    stub, compiled = Stub.of(module), importlib.import_module(f"core._fast.{module}")
    reexported = {name for name in stub.values if hasattr(compiled, name)}
    assert stub.names - reexported == names_in_module(compiled) - reexported


@pytest.mark.parametrize("module", MODULES)
def test_names_what_each_class_offers_and_nothing_else(module: str) -> None:
    compiled = importlib.import_module(f"core._fast.{module}")
    told = {name: face.names for name, face in Stub.of(module).classes.items()}
    assert told == {name: names_in_class(getattr(compiled, name)) for name in told}


@pytest.mark.parametrize("module", MODULES)
def test_gives_each_function_the_parameters_it_has(module: str) -> None:
    told = {name: parameters_in_stub(overloads) for name, overloads, _ in functions_of(module)}
    assert told == {name: parameters_in_module(function) for name, _, function in functions_of(module)}


@pytest.mark.parametrize("module", MODULES)
def test_gives_each_constructor_the_parameters_it_has(module: str) -> None:
    told, found = {}, {}
    for owner, face in Stub.of(module).classes.items():
        constructors = [face.functions[name] for name in CONSTRUCTORS if name in face.functions]
        if constructors:
            told[owner] = parameters_in_stub(constructors[0])
            found[owner] = parameters_of_constructor(module, owner)
    assert told == found
