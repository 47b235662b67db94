"""A stream whose `close` does nothing is closed later, by the interpreter: the kit sees that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter.testing import BrokenLaw, Plan, verify


class ClosesNothing:
    def __init__(self, factory: Any) -> None:
        def delegate() -> Iterator[Any]:
            yield from factory()

        self.source = delegate()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.source)

    def close(self) -> None:
        """Leave the source open."""


def test_an_interruption_of_a_late_close() -> None:
    """Nobody gets the error of a close that the interpreter makes."""
    plan = Plan("ab|", consumer="cancel_close 1")
    with pytest.raises(BrokenLaw, match="the interruption did not reach the consumer"):
        verify(lambda factory: ClosesNothing(factory), plan, oracles="transparent")


def test_an_error_that_a_plan_raises_again_and_again() -> None:
    """Something of the test refers to it: it is not kept by the pipeline."""
    down = ConnectionError("down")
    plan = Plan("a#", "a|", errors=[lambda: down])

    def pipeline(*factories: Any) -> Iterator[Any]:
        for factory in factories:
            try:
                yield from factory()
            except ConnectionError:
                continue
            return

    verify(pipeline, plan, oracles="no_kept_error")
