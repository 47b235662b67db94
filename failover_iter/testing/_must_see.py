"""`must_see`: a guard against tests that pass because nothing happened in them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

from failover_iter.testing._runs import RunResult

F = TypeVar("F", bound=Callable[..., Any])

CONDITIONS: Final[dict[str, Callable[[RunResult], bool]]] = {
    "switched": lambda run: run.switches > 0,
    "switched mid-stream": lambda run: run.switched_mid_stream,
    "a source failed": lambda run: bool(run.entries("fail")),
    "ended normally": lambda run: run.ended,
    "raised": lambda run: run.error is not None,
    "left early": lambda run: run.left is not None,
    "time passed": lambda run: run.seconds > 0,
}

_watching: ContextVar[tuple[_Watch, ...]] = ContextVar("failover_iter.testing", default=())


class _Watch:
    def __init__(self, conditions: dict[str, Callable[[RunResult], bool]]) -> None:
        self.missing = dict(conditions)
        self.runs = 0

    def saw(self, run: RunResult) -> None:
        self.runs += 1
        for name in [name for name, happened in self.missing.items() if happened(run)]:
            del self.missing[name]


def saw(run: RunResult) -> None:
    """Show a run to every active `must_see`."""
    for watch in _watching.get():
        watch.saw(run)


def must_see(*conditions: str | Callable[[RunResult], bool]) -> Callable[[F], F]:
    """Decorate a test so that it fails unless each condition is true in at least one run.

    Put it above `@given`, so that it covers all examples. Only runs of `verify` count. Without
    `must_see`, a test passes silently even if no source ever failed.

    Args:
        conditions: predicates on a `RunResult`, or names: "switched", "switched mid-stream" (the
            default), "a source failed", "ended normally", "raised", "left early", "time passed".

    Raises:
        ValueError: a name is unknown.
        TypeError: the test is an `async def` function, whose runs would come too late.
        AssertionError: the test passed, but a condition was never true. Raised when the test runs.

    Example:
        >>> from hypothesis import given
        >>> from failover_iter.testing import plans, must_see, verify
        >>> @must_see("switched mid-stream")
        ... @given(plans(sources=1, errors=[OSError]))
        ... def test_reads_one_source(plan):
        ...     verify(lambda source: source(), plan, oracles="no_duplicates")
        >>> try:
        ...     test_reads_one_source()
        ... except AssertionError as error:
        ...     print(str(error).split(" in ")[0])
        this never happened

    Source: the "sometimes" assertions of Antithesis.
    """
    wanted = dict(map(_condition, conditions or ("switched mid-stream",)))

    def decorate(test: F) -> F:
        if inspect.iscoroutinefunction(test):
            raise TypeError(f"must_see is for plain functions, got {test!r}")

        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> Any:
            watch = _Watch(wanted)
            token = _watching.set((*_watching.get(), watch))
            try:
                result = test(*args, **kwargs)
            finally:
                _watching.reset(token)
            if watch.missing:
                raise AssertionError(
                    f"this never happened in {watch.runs} runs: {', '.join(watch.missing)}"
                )
            return result

        return cast("F", watched)

    return decorate


def _condition(
    condition: str | Callable[[RunResult], bool],
) -> tuple[str, Callable[[RunResult], bool]]:
    if callable(condition):
        return getattr(condition, "__name__", repr(condition)), condition
    if condition not in CONDITIONS:
        known = ", ".join(map(repr, CONDITIONS))
        raise ValueError(f"a condition must be a predicate or one of {known}; got {condition!r}")
    return condition, CONDITIONS[condition]
