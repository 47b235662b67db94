"""`Budget`: how many retries and hedges many streams may make together.

When a provider is slow or down, each stream that tries it again makes the load worse. Retries that
share a budget stay a fraction of the streams, whatever happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from failover_iter._validation import check_callback, suggest_options

if TYPE_CHECKING:
    from threading import RLock

__all__ = ["Budget"]


@suggest_options
class Budget:
    """A token bucket that streams share, so that their retries cannot become a storm.

    Each stream earns `ratio` tokens when it opens its first source. A retry of the same source, and
    a hedge, spend one. A switch to a source that the stream has not tried is free, and so is
    opening a source again after an attempt that made progress. If the budget is empty, a stream
    does not retry: it switches, or it is exhausted, and a note of the error says so.

    It is safe to share between threads, tasks and event loops.

    Args:
        ratio: how many retries a stream earns: 0.1 allows one retry for ten streams.
        reserve: the most tokens that it holds, and the number that it begins with.
        per_second: how many tokens it gains each second, so that few streams may retry too.
        clock: a function that returns the seconds of a monotonic clock; for tests.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a number is negative or not finite, or `reserve` is below 1.

    Example:
        >>> from failover_iter import Budget, failover_stream
        >>> def primary():
        ...     raise ConnectionError("refused")
        ...     yield
        >>> def replica():
        ...     yield from (1, 2)
        >>> budget = Budget(ratio=0, reserve=2, per_second=0)
        >>> list(failover_stream([primary, replica], retry_on=ConnectionError, attempts=5,
        ...                      budget=budget))
        [1, 2]
        >>> budget.tokens
        0.0

    Source: the retry budgets of Finagle (`com.twitter.finagle.service.RetryBudget`).
    """

    def __init__(
        self,
        *,
        ratio: float = 0.1,
        reserve: float = 10,
        per_second: float = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from threading import RLock  # a signal handler may run a stream, too

        self._ratio = _number("ratio", ratio, 0)
        self._reserve = _number("reserve", reserve, 1)
        self._per_second = _number("per_second", per_second, 0)
        check_callback("clock", clock, "a function () -> seconds")
        self._clock = clock
        self._lock: RLock = RLock()
        self._tokens = self._reserve
        self._filled_at = clock()

    @property
    def tokens(self) -> float:
        """How many retries are left now."""
        with self._lock:
            return self._refilled(0)

    def earn(self) -> None:
        """A stream opens its first source."""
        with self._lock:
            self._refilled(self._ratio)

    def spend(self) -> bool:
        """Take one token; False if the budget is empty."""
        with self._lock:
            if self._refilled(0) < 1:
                return False
            self._tokens -= 1
            return True

    def _refilled(self, earned: float) -> float:
        now = self._clock()
        gained = earned + max(0.0, now - self._filled_at) * self._per_second
        self._tokens = min(self._reserve, self._tokens + gained)
        self._filled_at = now
        return self._tokens

    def __repr__(self) -> str:
        """Return the rules and what is left, in one line."""
        return (
            f"Budget(ratio={self._ratio:g}, reserve={self._reserve:g}, "
            f"per_second={self._per_second:g}) with {self.tokens:.1f} left"
        )


def _number(option: str, value: Any, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option} must be a number of at least {least}, got {value!r}")
    if not least <= value < inf:
        raise ValueError(f"{option} must be a finite number of at least {least}, got {value!r}")
    return float(value)
