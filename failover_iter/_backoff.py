"""Schedules for `wait`: pure functions of the failure, with an injectable source of randomness."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from failover_iter._types import public
from failover_iter._validation import check_bool, seconds_of
from failover_iter.events import Failed


@public
def backoff(
    initial: float | timedelta = 0.1,
    *,
    maximum: float | timedelta = 30.0,
    factor: float = 2.0,
    jitter: bool = True,
    rng: random.Random | None = None,
) -> Callable[[Failed], float]:
    """Return a schedule for `wait`: exponential backoff with full jitter.

    The pause after the n-th failure in a row is random, evenly distributed between 0 and
    `min(maximum, initial * factor ** (n - 1))` seconds. Each received item resets n
    (`Failed.consecutive`). The schedule has no state, so many streams may share it. It can be
    compared and pickled.

    Args:
        initial: upper bound of the first pause, in seconds or as a timedelta.
        maximum: upper bound of every pause, in seconds or as a timedelta.
        factor: growth of the bound with each failure in a row; at least 1.
        jitter: `False`: always wait for the upper bound.
        rng: random generator. Default: the module `random`.

    Raises:
        ValueError: a duration is negative or infinite, or the factor is below 1.
        TypeError: an argument has the wrong type.

    Example:
        >>> from failover_iter import backoff, failover_stream
        >>> calls = []
        >>> def flaky():
        ...     calls.append("call")
        ...     if len(calls) < 3:
        ...         raise ConnectionError("refused")
        ...     yield "hello"
        >>> list(failover_stream([flaky], retry_on=ConnectionError, attempts=5,
        ...                      wait=backoff(0.001)))
        ['hello']

    Source: Marc Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015). Of the
    variants compared there, full jitter needs the fewest calls.
    """
    first = seconds_of("initial", initial)
    ceiling = seconds_of("maximum", maximum)
    check_bool("jitter", jitter)
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise TypeError(f"factor must be a number of at least 1, got {factor!r}")
    if not 1 <= factor < float("inf"):
        raise ValueError(f"factor must be a finite number of at least 1, got {factor!r}")
    if not isinstance(rng, random.Random | None):
        raise TypeError(f"rng must be a random.Random or None, got {rng!r}")
    return _Backoff(first, ceiling, factor, jitter, rng)


@dataclass(frozen=True, slots=True, repr=False)
class _Backoff:
    """The schedule that `backoff` returns."""

    initial: float
    maximum: float
    factor: float
    jitter: bool
    rng: random.Random | None

    def __repr__(self) -> str:
        """Show the call that made it."""
        rng = "" if self.rng is None else f", rng={self.rng!r}"
        return (
            f"backoff({self.initial}, maximum={self.maximum}, factor={self.factor}, "
            f"jitter={self.jitter}{rng})"
        )

    def __call__(self, failed: Failed) -> float:
        """Return the pause after this failure, in seconds."""
        bound = self._bound(failed.consecutive)
        if not self.jitter:
            return bound
        return (self.rng or random).uniform(0.0, bound)

    def _bound(self, consecutive: int) -> float:
        if not self.initial:
            return 0.0
        try:
            return min(self.maximum, self.initial * float(self.factor) ** (consecutive - 1))
        except OverflowError:
            return self.maximum
