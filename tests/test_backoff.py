"""The exponential schedule: its bounds, its randomness, and that it has no state."""

from __future__ import annotations

import pickle
import random
import re
from datetime import timedelta
from fractions import Fraction
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from failover_iter import Failed, Policy, backoff, failover_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

seconds = st.floats(0, 1e6)
factors = st.floats(1, 1e6)
in_a_row = st.integers(1, 10**7)
huge = 10**18


def failure(consecutive: int) -> Failed:
    """The n-th failure in a row."""
    return Failed("a", 1, None, 0.0, OSError(), consecutive, consecutive, None)


def exact_bound(initial: float, maximum: float, factor: float, consecutive: int) -> Fraction:
    """The bound by the formula, in exact arithmetic."""
    bound, ceiling, step = Fraction(initial), Fraction(maximum), Fraction(factor)
    if not bound or bound >= ceiling or step == 1:
        return min(bound, ceiling)
    for _ in range(consecutive - 1):
        bound *= step
        if bound >= ceiling:
            return ceiling
    return bound


@given(seconds, seconds, st.floats(1.1, 1e6), st.integers(1, 300), st.integers())
@example(0.0, 30.0, 1e6, 300, 0)
def test_pauses_stay_within_the_bound(
    initial: float, maximum: float, factor: float, consecutive: int, seed: int
) -> None:
    """Every pause lies between 0 and min(maximum, initial * factor ** (n - 1)), jitter or not."""
    bound = exact_bound(initial, maximum, factor, consecutive)
    rng = random.Random(seed)
    wait = backoff(initial, maximum=maximum, factor=factor, rng=rng)
    assert 0 <= wait(failure(consecutive)) <= float(bound) * (1 + 1e-9)
    top = backoff(initial, maximum=maximum, factor=factor, jitter=False)(failure(consecutive))
    assert top == pytest.approx(float(bound), rel=1e-9)


@given(seconds, seconds, factors, in_a_row)
def test_the_bound_never_falls(
    initial: float, maximum: float, factor: float, consecutive: int
) -> None:
    """One more failure in a row never shortens the bound, however many there are."""
    wait = backoff(initial, maximum=maximum, factor=factor, jitter=False)
    here, next_, last = (wait(failure(n)) for n in (consecutive, consecutive + 1, huge))
    assert 0 <= here <= next_ <= last <= maximum


@pytest.mark.parametrize(
    ("initial", "maximum", "factor", "bound"),
    [
        (0.1, 30, 2, 30),
        (0.1, 30, 2.0, 30),
        (0.1, 30, 1.001, 30),
        (1, 1e6, 1.01, 1e6),
        (5, 1e300, 1, 5),
        (0, 30, 10, 0),
        (0.1, 0, 2, 0),
        (60, 1, 2, 1),
    ],
)
def test_a_huge_number_of_failures(
    initial: float, maximum: float, factor: float, bound: float
) -> None:
    """After very many failures in a row the formula still holds, without overflow."""
    wait = backoff(initial, maximum=maximum, factor=factor, jitter=False)
    assert wait(failure(10**6)) == pytest.approx(bound)
    assert wait(failure(huge)) == pytest.approx(bound)


def test_the_schedule_by_default() -> None:
    """0.1 s at most at first, doubled with each failure, never more than 30 s."""
    wait = backoff(jitter=False)
    pauses = [wait(failure(n)) for n in range(1, 12)]
    assert pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert pauses[-2:] == [30, 30]


def test_timedeltas_are_durations() -> None:
    """`initial` and `maximum` may be timedeltas."""
    wait = backoff(timedelta(seconds=2), maximum=timedelta(minutes=1), jitter=False)
    assert [wait(failure(n)) for n in (1, 2, 9)] == [2, 4, 60]


def test_the_randomness_can_be_injected() -> None:
    """The same seed of `rng` produces the same pauses, drawn evenly from the whole range."""
    one = backoff(8, rng=random.Random(3))
    two = backoff(8, rng=random.Random(3))
    pauses = [one(failure(1)) for _ in range(400)]
    assert pauses == [two(failure(1)) for _ in range(400)]
    assert 3.5 < sum(pauses) / 400 < 4.5
    assert min(pauses) < 0.2
    assert max(pauses) > 7.8


def test_without_rng_the_module_random_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """`random.seed` makes the pauses repeatable."""
    random.seed(5)
    first = backoff()(failure(4))
    random.seed(5)
    assert backoff()(failure(4)) == first


def test_a_schedule_has_no_state() -> None:
    """A schedule returns the same pause for the same failure, whatever came before."""
    wait = backoff(1, jitter=False)
    assert [wait(failure(n)) for n in (5, 1, 5, 1)] == [16, 1, 16, 1]


def test_one_schedule_serves_many_streams() -> None:
    """Two streams of one policy, pulled in turns, each count their own failures."""
    asked: list[int] = []
    schedule = backoff(0)

    def wait(failed: Failed) -> float:
        asked.append(failed.consecutive)
        return schedule(failed)

    def dead() -> Iterator[int]:
        raise ConnectionError("refused")
        yield

    policy = Policy(retry_on=OSError, attempts=3, wait=wait)
    for stream in (policy.stream([dead]), policy.stream([dead])):
        with pytest.raises(ConnectionError):
            next(stream)
    assert asked == [1, 2, 1, 2]


def test_a_received_item_resets_the_count() -> None:
    """After an attempt that made progress, the first pause is used again."""
    asked: list[int] = []

    def wait(failed: Failed) -> float:
        asked.append(failed.consecutive)
        return 0

    plans = iter([0, 0, 1, 0, 3])

    def source() -> Iterator[int]:
        items = next(plans)
        yield from range(items)
        if items < 3:
            raise ConnectionError("lost")

    options: dict[str, Any] = {"attempts": 9, "mid_stream": "skip", "wait": wait}
    assert list(failover_stream([source], retry_on=OSError, **options)) == [0, 1, 2]
    assert asked == [1, 2, 1, 2]


def test_a_schedule_travels() -> None:
    """A policy with a schedule can be pickled."""
    policy = Policy(retry_on=OSError, wait=backoff(2, maximum=9, jitter=False))
    wait: Any = pickle.loads(pickle.dumps(policy)).wait
    assert [wait(failure(n)) for n in (1, 2, 9)] == [2, 4, 9]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: backoff(-1), ValueError, "initial must be finite and not negative, got -1"),
        (lambda: backoff("1"), TypeError, "initial must be seconds (int or float) or a timedelta"),
        (lambda: backoff(maximum=inf), ValueError, "maximum must be finite and not negative"),
        (lambda: backoff(maximum=None), TypeError, "maximum must be seconds (int or float) or"),
        (lambda: backoff(factor=0.5), ValueError, "factor must be a finite number of at least 1"),
        (lambda: backoff(factor=nan), ValueError, "factor must be a finite number of at least 1"),
        (lambda: backoff(factor=inf), ValueError, "factor must be a finite number of at least 1"),
        (lambda: backoff(factor=True), TypeError, "factor must be a number of at least 1, got T"),
        (lambda: backoff(factor="2"), TypeError, "factor must be a number of at least 1, got '2'"),
        (lambda: backoff(jitter="no"), TypeError, "jitter must be True or False, got 'no'"),
        (lambda: backoff(rng=5), TypeError, "rng must be a random.Random"),
    ],
)
def test_wrong_arguments_are_refused(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    """Each wrong argument fails at once, and the message names it."""
    with pytest.raises(error, match="^" + re.escape(message)):
        build()
