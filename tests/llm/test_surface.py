"""The public names of the package, their annotations, and the imports of its modules."""

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
ROOT = Path(llm.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def test_all_is_sorted_and_whole() -> None:
    """`__all__` is sorted and lists every public name."""
    public = {
        name
        for name, value in vars(llm).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert llm.__all__ == sorted(public)


@pytest.mark.parametrize("name", llm.__all__)
def test_each_function_has_an_example(name: str) -> None:
    """The docstring of each public function has an example."""
    value = getattr(llm, name)
    if inspect.isfunction(value):
        assert ">>> " in (value.__doc__ or "")


def annotated(value: object) -> Iterator[object]:
    """Yield a public name and its overloads, public methods and properties."""
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
    """`typing.get_type_hints` works on each public name and on its public members."""
    for value in annotated(getattr(llm, name)):
        assert typing.get_type_hints(value, include_extras=True) is not None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_only_public_names(path: Path) -> None:
    """A module imports only public names of failover_iter, and modules of this package."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("failover_iter") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "failover_iter":
                assert {alias.name for alias in node.names} <= set(failover_iter.__all__)
            elif module.startswith("failover_iter"):
                assert module.startswith(("failover_iter.llm.", "failover_iter.typing"))
