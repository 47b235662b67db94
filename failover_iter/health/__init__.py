"""`Health`: streams that share it learn from each other which sources fail, and try these last.

A *key* identifies what is healthy or not: it is the name of a source, or its `health_key`. After a
few failures in a row it is *out*: it is tried last until a cool-down has passed. Then one stream,
the *probe*, tries it again. Its first item lets all streams in; its failure starts a longer
cool-down.

>>> from failover_iter import Health, Policy
>>> def primary():
...     raise ConnectionError("refused")
...     yield
>>> def replica():
...     yield from (1, 2)
>>> health = Health(failures=2, cooldown=30)
>>> policy = Policy(retry_on=ConnectionError, health=health)
>>> for _ in range(5):
...     assert list(policy.stream([primary, replica])) == [1, 2]
>>> health.snapshot()["primary"].state, health.snapshot()["replica"].state
('out', 'ok')
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from failover_iter._types import RetryOn
from failover_iter._validation import (
    check_callback,
    check_count,
    check_retry_on,
    seconds_of,
    suggest_options,
)
from failover_iter.health._cells import Admission, Outcome, Rules
from failover_iter.health._delay import requested_delay
from failover_iter.health._local import LocalStore, Store
from failover_iter.health._snapshot import Snapshot, SourceHealth

__all__ = [
    "Admission",
    "Health",
    "LocalStore",
    "Outcome",
    "Rules",
    "Snapshot",
    "SourceHealth",
    "Store",
]


@suggest_options
class Health:
    """What streams learn from each other about their sources: a failing source is tried last.

    Pass one `Health` as the option `health` of all policies whose streams are to share it. A
    source that has failed `failures` times in a row is out for `cooldown` seconds: streams try the
    other sources first, and open it only if none of these is left. After the cool-down one stream
    at a time, the probe, tries it before the others. Its first item lets all streams in again; its
    failure doubles the cool-down.

    Failures in the middle of a stream count, and so do the library's own (a timeout, an empty or
    truncated stream). A source that hangs is noticed with `first_item_timeout` or `idle_timeout`,
    but not with `total_timeout` alone. An error that neither `retry_on` nor `switch_on` lists never
    counts, and a consumer that leaves is no failure. A `Health` never makes a stream fail.

    It is safe to share between threads, tasks and event loops.

    Args:
        failures: how many failures in a row eject a source.
        cooldown: how long it is out at first: seconds or a timedelta.
        maximum: the longest cool-down.
        lease: how long the result of a probe is waited for, before another stream may probe.
        counts: which of the errors in `switch_on` count as failures: an exception class, a tuple of
            them, or a predicate. Default: only those that carry a Retry-After.
        retry_after: a function that returns how long an error asks to wait, or None. If it returns
            a time, the source is ejected at once, and the later of the two deadlines holds, but
            for three years at most. Default: the attribute `retry_after` of the error, or the
            header of its `response`: seconds, or a date, compared with the `Date` of the response.
        store: where the health is kept, for example in a `RedisStore` that many processes share.
            Default: in this process.
        clock: the clock of the process's own store, for tests.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a number is too small, or `clock` is given beside `store`.

    Example:
        >>> from failover_iter import Health, Policy
        >>> def primary():
        ...     raise ConnectionError("refused")
        ...     yield
        >>> def replica():
        ...     yield from (1, 2)
        >>> health = Health(failures=1, clock=lambda: 0.0)
        >>> policy = Policy(retry_on=ConnectionError, health=health)
        >>> list(policy.stream([primary, replica]))
        [1, 2]
        >>> print(health)
        source   state  failures   until  level
        primary  out           0  30.0 s      1
        replica  ok            0       -      0
    """

    def __init__(
        self,
        *,
        failures: int = 3,
        cooldown: float | timedelta = 30,
        maximum: float | timedelta = 300,
        lease: float | timedelta = 60,
        counts: RetryOn | None = None,
        retry_after: Callable[[Exception], float | None] = requested_delay,
        store: Store | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_count("failures", failures, least=1, allowed="an int of at least 1")
        self.rules = Rules(
            failures,
            _milliseconds("cooldown", cooldown),
            _milliseconds("maximum", maximum),
            _milliseconds("lease", lease),
        )
        if self.rules.maximum < self.rules.cooldown:
            raise ValueError(f"maximum must be at least cooldown ({cooldown!r}), got {maximum!r}")
        if counts is not None:
            check_retry_on("counts", counts)
        check_callback("retry_after", retry_after, "a function error -> seconds or None")
        self._counts = counts
        self._retry_after = retry_after
        self._store = _store_of(store, clock)

    # For streams.

    def admit(self, key: str) -> Admission:
        """Return whether a blocking stream is to open this source now."""
        return self._store.admit(key, self.rules)

    async def aadmit(self, key: str) -> Admission:
        """Return the same to an async stream."""
        return await self._store.aadmit(key, self.rules)

    def report(
        self,
        admission: Admission,
        outcome: Outcome,
        error: Exception | None = None,
        *,
        switches: bool = False,
    ) -> None:
        """Record the outcome of an attempt; `switches`: its error is in `switch_on`.

        It never blocks, and raises nothing.
        """
        delay = 0
        if error is not None:
            delay = self._asked(self._delay_of, error)
            if switches and not (delay or self._asked(self._is_counted, error)):
                outcome = "nothing"
        self._store.report(admission, outcome, delay, self.rules)

    def _asked(self, function: Callable[[Exception], int], error: Exception) -> int:
        """Call a function of the user. What it raises is logged, and fails no stream."""
        try:
            return function(error)
        except Exception:
            from logging import getLogger

            getLogger("failover_iter").exception("health: a function of its options raised")
            return 0

    def _delay_of(self, error: Exception) -> int:
        seconds = self._retry_after(error)
        if seconds is None:
            return 0
        return min(_LONGEST, _milliseconds("retry_after", seconds, least=0))

    def _is_counted(self, error: Exception) -> bool:
        counts = self._counts
        if isinstance(counts, type | tuple):
            return isinstance(error, counts)
        return counts is not None and bool(counts(error))

    # For people.

    def snapshot(self) -> Snapshot:
        """Return the health of each source by its key. It shows itself as a table."""
        return Snapshot(self._store.snapshot(self.rules))

    async def asnapshot(self) -> Snapshot:
        """Return the same, from a store with an asyncio client."""
        return Snapshot(await self._store.asnapshot(self.rules))

    def __repr__(self) -> str:
        """Return the rules, in one line."""
        cooldown, maximum, lease = (each / 1000 for each in self.rules[1:])
        return (
            f"Health(failures={self.rules.failures}, cooldown={cooldown:g}, "
            f"maximum={maximum:g}, lease={lease:g})"
        )

    def __str__(self) -> str:
        """Return the table."""
        return str(self.snapshot())

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""
        return self.snapshot()._repr_html_()  # pyright: ignore[reportPrivateUsage]


def _milliseconds(option: str, value: Any, *, least: int = 1) -> int:
    """Read a duration, in whole milliseconds."""
    milliseconds = round(seconds_of(option, value) * 1000)
    if milliseconds < least:
        raise ValueError(f"{option} must be at least 0.001 s, got {value!r}")
    return milliseconds


def _store_of(store: Any, clock: Callable[[], float] | None) -> Store:
    """Return the store, or one for this process."""
    if clock is not None:
        check_callback("clock", clock, "a function () -> seconds")
        if store is not None:
            raise ValueError(
                f"clock is for the store of this process alone, got {clock!r} beside {store!r}"
            )
    if store is None:
        return LocalStore() if clock is None else LocalStore(clock)
    if isinstance(store, type) or not all(map(partial(hasattr, store), _OF_A_STORE)):
        raise TypeError(f"store must be a RedisStore(client), or another Store, got {store!r}")
    return store  # type: ignore[no-any-return]  # it has the methods


#: Milliseconds, three years: Redis cannot add what is much longer to a time.
_LONGEST: Final = 10**11
_OF_A_STORE: Final = ("admit", "aadmit", "report", "snapshot", "asnapshot")
