"""`Percentile`: a hedge whose delay follows the latency of its sources."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import Sequence
from datetime import timedelta
from math import inf
from typing import Any, Final, TypeAlias

from failover_iter._types import AnyDelay, public
from failover_iter._validation import check_count, offers, seconds_of, suggest_options

_LEAST: Final = 20  # samples, before it knows enough
_RENEWED: Final = 16  # how often the quantile is computed anew, as a part of the samples


@public
@suggest_options
class Percentile:
    """A delay for `Policy.hedge(after=...)`: as long as most sources take to commit.

    It keeps the latest times of all streams that share it. The delay is the given quantile of these
    times. With `Percentile(0.95)`, about one stream of twenty opens a second source. Before it
    knows 20 times, no second source is opened.

    A source that was superseded would have taken longer than it was given. Its time is a lower
    bound, and counts as such (the estimator of Kaplan and Meier). Without these times, the delay
    would become shorter and shorter.

    It is safe to share between threads, tasks and event loops. Use one for sources that are
    equally fast, as for the replicas of one service.

    Args:
        quantile: a number between 0 and 1.
        floor: the delay is never shorter, in seconds or as a timedelta.
        keep: how many times it keeps.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: `quantile` is not between 0 and 1, `floor` is negative, or `keep` is below 20.

    Example:
        >>> from failover_iter import Percentile, Policy, failover_stream
        >>> def fast():
        ...     yield from (1, 2)
        >>> policy = Policy(retry_on=ConnectionError)
        >>> race = policy.hedge([fast, fast], after=Percentile(0.95, floor=0.01))
        >>> list(failover_stream([race], retry_on=ConnectionError))
        [1, 2]

    Source: Dean and Barroso, "The Tail at Scale" (2013); Finagle's `BackupRequestFilter`.
    """

    def __init__(
        self, quantile: float, *, floor: float | timedelta = 0.001, keep: int = 256
    ) -> None:
        if isinstance(quantile, bool) or not isinstance(quantile, int | float):
            raise TypeError(f"quantile must be a number between 0 and 1, got {quantile!r}")
        if not 0 < quantile < 1:
            raise ValueError(f"quantile must be a number between 0 and 1, got {quantile!r}")
        check_count("keep", keep, least=_LEAST, allowed=f"an int of at least {_LEAST}")
        self._quantile = quantile
        self._floor = seconds_of("floor", floor)
        self._keep = keep
        #: The last times, each with whether it is a lower bound; a ring.
        self._times: list[tuple[float, bool]] = []
        self._next = self._known = 0
        self._seconds = inf

    def seconds(self) -> float:
        """Return the delay in seconds; infinite as long as too little is known."""
        times, known = self._times, self._known
        # Anew after each time would be no better, and each costs as much as a hundred items.
        if len(times) >= _LEAST and (self._seconds == inf or known * _RENEWED >= len(times)):
            self._known = 0
            self._seconds = quantile_of(times[:], self._quantile)
        return max(self._floor, self._seconds)

    def won(self, seconds: float, /) -> None:
        """A source has committed after this time."""
        self._note(seconds, is_bound=False)

    def lost(self, seconds: float, /) -> None:
        """A source was superseded after this time: it would have taken longer."""
        self._note(seconds, is_bound=True)

    def _note(self, seconds: float, *, is_bound: bool) -> None:
        # No lock: each line is atomic, and a time that two threads write over is one of many.
        if len(self._times) < self._keep:
            self._times.append((seconds, is_bound))
        else:
            self._times[self._next % self._keep] = (seconds, is_bound)
            self._next += 1
        self._known += 1

    def __repr__(self) -> str:
        """Return the quantile and the delay."""
        return f"Percentile({self._quantile:g}), now {self.seconds():.3g} s"


def quantile_of(times: Sequence[tuple[float, bool]], quantile: float) -> float:
    """The quantile of times, some of which are lower bounds (Kaplan and Meier).

    If the bounds leave it open, the longest time.
    """
    ordered = sorted(times)
    longer = 1.0  # the share of all that take longer
    for index, (seconds, is_bound) in enumerate(ordered):
        if not is_bound:
            longer *= 1 - 1 / (len(ordered) - index)
            if longer <= 1 - quantile + 1e-9:
                return seconds
    return ordered[-1][0]


class _Fixed:
    """A delay that is always the same."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self) -> float:
        """Return it."""
        return self._seconds

    def won(self, seconds: float, /) -> None:
        """Learn nothing."""

    def lost(self, seconds: float, /) -> None:
        """Learn nothing."""


#: When a hedge opens its next source: after this time, or as a `Percentile` says.
After: TypeAlias = float | timedelta | AnyDelay


def read_after(after: Any) -> AnyDelay:
    """The delay of a hedge, checked."""
    if not isinstance(after, type) and all(
        offers(after, each) for each in ("seconds", "won", "lost")
    ):
        return after  # type: ignore[no-any-return]  # it has the methods
    if isinstance(after, bool) or not isinstance(after, int | float | timedelta):
        raise TypeError(f"after must be seconds, a timedelta or a Percentile, got {after!r}")
    return _Fixed(inf if after == inf else seconds_of("after", after))
