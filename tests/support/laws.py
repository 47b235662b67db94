"""Laws in tables, and mutants that break them: how a test module runs both.

A mutant is a bug in the library: a row with the law that it breaks, the class or module, the name
there, and the wrong implementation. Where a module has one law, the row does not name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import Phase

from support.worlds import FLAVOURS

#: Options of Hypothesis for a law that has to fail: the failure is found, and not shrunk.
SEARCH: dict[str, Any] = {"phases": [Phase.generate], "database": None}


def table(*laws: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The laws by their names."""
    return {law.__name__: law for law in laws}


def each_law(laws: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Run a test with each law, in each flavour."""
    by_law = pytest.mark.parametrize("law", laws.values(), ids=laws)
    by_flavour = pytest.mark.parametrize("flavour", FLAVOURS)
    return lambda test: by_flavour(by_law(test))


def each_mutant(mutants: Iterable[tuple[Any, ...]]) -> Callable[[Any], Any]:
    """Run a test with each mutant: its fixture `mutated` puts the bug into the library."""
    rows = [(*row[:-3], row[-3:]) for row in mutants]
    arguments = ["law", "mutated"][-len(rows[0]) :]
    names = [_name_of(mutant) for *_, (_, _, mutant) in rows]
    return pytest.mark.parametrize(arguments, rows, indirect=["mutated"], ids=names)


def _name_of(mutant: Any) -> str:
    function = mutant.fget if isinstance(mutant, property) else mutant
    return str(function.__name__).strip("_")
