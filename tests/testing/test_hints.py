"""`typing.get_type_hints` works on everything public of the kit."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest

from failover_iter import testing


def functions_of(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods and properties of a class, with `__init__` and `__call__`."""
    for name, member in vars(cls).items():
        function: Any = member
        match member:
            case property():
                function = member.fget
            case cached_property():
                function = member.func
            case classmethod() | staticmethod():
                function = member.__func__
        public = not name.startswith("_") or name in ("__init__", "__call__")
        if public and inspect.isfunction(function):
            yield f"{cls.__name__}.{name}", function


def annotated() -> Iterator[tuple[str, Any]]:
    """Everything public that has annotations."""
    for name in testing.__all__:
        value = getattr(testing, name)
        if callable(value):
            yield name, type(value) if isinstance(value, testing.Oracle) else value
        if isinstance(value, type):
            yield from functions_of(value)


@pytest.mark.parametrize("value", dict(annotated()).values(), ids=dict(annotated()))
def test_annotations_name_what_exists_at_run_time(value: Any) -> None:
    """Every name in an annotation can be looked up in its module."""
    typing.get_type_hints(value)


def test_hints_of_a_function_and_a_class() -> None:
    """The hints are the real types, not their names."""
    assert typing.get_type_hints(testing.verify)["return"] is testing.RunResult
    assert typing.get_type_hints(testing.RunResult)["plan"] is testing.Plan
    assert len(dict(annotated())) > 50
