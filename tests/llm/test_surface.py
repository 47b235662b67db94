"""The package's surface, and what it is built on."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import failover_iter
from failover_iter import llm

PACKAGE = llm.__name__
HOUSE = Path(llm.__file__).parent
MODULES = sorted(HOUSE.glob("*.py"))


def test_all_is_sorted_and_whole() -> None:
    """`__all__` is sorted, and lists each public name."""
    public = {
        name
        for name, value in vars(llm).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert llm.__all__ == sorted(public)


@pytest.mark.parametrize("name", llm.__all__)
def test_each_function_has_an_example(name: str) -> None:
    """What a user calls shows how; records and options are told by those."""
    value = getattr(llm, name)
    if inspect.isfunction(value):
        assert ">>> " in (value.__doc__ or "")


def annotated(value: object) -> Iterator[object]:
    """A public name and everything public that it holds, for `typing.get_type_hints`."""
    if inspect.isfunction(value):
        yield value
        yield from typing.get_overloads(value)
    elif isinstance(value, type):
        # A base class from elsewhere is tested where it is defined.
        if all(base.__module__.startswith((PACKAGE, "builtins")) for base in value.__mro__):
            yield value
        for name, member in inspect.getmembers(value):
            if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
                yield member
            if isinstance(member, property):
                yield member.fget


@pytest.mark.parametrize("name", llm.__all__)
def test_annotations_resolve(name: str) -> None:
    """`typing.get_type_hints` works on each public name, its overloads, methods and properties."""
    for value in annotated(getattr(llm, name)):
        assert typing.get_type_hints(value, include_extras=True) is not None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_built_on_the_public_surface(path: Path) -> None:
    """A module sees what a user of failover_iter sees, and its own neighbours; no SDK."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("failover_iter") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "failover_iter":
                assert {alias.name for alias in node.names} <= set(failover_iter.__all__)
            elif module.startswith("failover_iter"):
                assert module.startswith("failover_iter.llm.")
