"""What `verify` and `run_plan` refuse at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from failover_iter.testing import Plan, run_plan, verify


def pipeline(factory: Any) -> Any:
    return factory()


@pytest.mark.parametrize("function", [verify, run_plan])
def test_a_pipeline_that_was_called(function: Callable[..., Any]) -> None:
    """An iterator is not a pipeline."""
    with pytest.raises(TypeError, match="must be a function that takes a factory .* got <list_"):
        function(iter([]), Plan("a|"))


@pytest.mark.parametrize("function", [verify, run_plan])
def test_marbles_without_a_plan(function: Callable[..., Any]) -> None:
    """The error shows how to write a plan."""
    with pytest.raises(TypeError, match=r"got 'ab\|': write Plan\('ab\|'\)"):
        function(pipeline, "ab|")
    with pytest.raises(TypeError, match="plan must be a Plan, got 3$"):
        function(pipeline, 3)
