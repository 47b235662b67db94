"""`typing.get_type_hints` and `help()` work on everything public."""

from __future__ import annotations

import inspect
import pydoc
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

import pytest

import failover_iter
from failover_iter import Policy, budget, checkpoint, errors, events, health, policy, trace
from failover_iter import typing as public_typing

MODULES = [failover_iter, budget, checkpoint, errors, events, health, policy, public_typing, trace]


def exported() -> Iterator[tuple[str, Any]]:
    """Each public class and function, and each public method of these classes."""
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue  # an alias
            yield f"{module.__name__}.{name}", value
            for method, function in inspect.getmembers(value, inspect.isfunction):
                if method in ("__init__", "__call__") or not method.startswith("_"):
                    yield f"{module.__name__}.{name}.{method}", function


PUBLIC = dict(exported())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_type_hints_can_be_read(name: str) -> None:
    """Each name in an annotation is found at run time, with extras or without."""
    assert get_type_hints(PUBLIC[name]) is not None
    assert get_type_hints(PUBLIC[name], include_extras=True) is not None


def test_the_list_is_complete() -> None:
    """The list above includes functions, classes, methods and typing helpers."""
    for name in ("failover_stream", "Policy", "Policy.source", "Source.__init__", "Trace.__call__"):
        assert f"failover_iter.{name}" in PUBLIC
    assert "failover_iter.typing.StreamOptions" in PUBLIC
    assert "failover_iter.typing.Decorator.__call__" in PUBLIC


@dataclass(frozen=True, kw_only=True)
class Named(Policy):
    """A user's policy, in a module that does not import the names in our annotations."""

    title: str = "orders"


def test_the_hints_of_a_subclass_can_be_read() -> None:
    """A dataclass that extends `Policy` has all hints, also those of its `__init__`."""
    assert get_type_hints(Named)["title"] is str
    assert get_type_hints(Named.__init__)["attempts"] == int | None


@pytest.mark.parametrize("name", public_typing.__all__)
def test_the_types_are_real(name: str) -> None:
    """Each name of `failover_iter.typing` exists at run time, and holds no string to evaluate."""
    assert "ForwardRef" not in repr(getattr(public_typing, name))


@pytest.mark.parametrize("alias", [public_typing.Factories, public_typing.AFactories])
def test_factories_can_be_subscribed(alias: Any) -> None:
    """The alias takes the type of the items."""
    assert "str" in repr(alias[str])
    assert typing.get_args(alias[str])


@pytest.mark.parametrize("name", ["failover_stream", "afailover_stream", "failover", "Policy"])
def test_help_shows_each_option(name: str) -> None:
    """`help()` shows each option, and that `retry_on` is required."""
    value = getattr(failover_iter, name)
    parameters = inspect.signature(value).parameters
    assert parameters["retry_on"].default is inspect.Parameter.empty
    assert not any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    text = pydoc.plain(pydoc.render_doc(value))
    assert "retry_on" in text
    assert "give_up_after" in text
