"""Schedules for `wait`: pure functions of the failure, with the randomness handed in."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_iter._validation import check_bool, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from failover_iter.events import Failed


def backoff(
    initial: float | timedelta = 0.1,
    *,
    maximum: float | timedelta = 30.0,
    factor: float = 2.0,
    jitter: bool = True,
    rng: random.Random | None = None,
) -> Callable[[Failed], float]:
    """Build a `wait` that grows exponentially, with full jitter.

    The n-th failure in a row is followed by a pause between 0 and
    `min(maximum, initial * factor ** (n - 1))` seconds, drawn evenly. The count starts anew once
    an item was received (`Failed.consecutive`). Nothing is remembered between calls, so one
    schedule may serve many streams; it can be compared, and pickled.

    Args:
        initial: upper bound of the first pause, in seconds or as a timedelta.
        maximum: no pause is longer, in seconds or as a timedelta.
        factor: how much the bound grows with each failure in a row; at least 1.
        jitter: `False`: always the upper bound itself.
        rng: where the randomness comes from; the module `random` unless given.

    Raises:
        ValueError: a negative or infinite duration, a factor below 1.
        TypeError: an argument of a wrong type.

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

    Source: "full jitter" is from Marc Brooker, Exponential Backoff And Jitter (AWS Architecture
    Blog, 2015): of the ways to spread retries that he compares it needs the fewest calls.
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


@dataclass(frozen=True, slots=True)
class _Backoff:
    """What `backoff` builds."""

    initial: float
    maximum: float
    factor: float
    jitter: bool
    rng: random.Random | None

    def __call__(self, failed: Failed) -> float:
        """Pause after this failure, in seconds."""
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
