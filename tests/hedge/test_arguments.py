"""What `hedge` accepts, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Percentile, failover_stream, hedge
from failover_iter.testing import VirtualClock
from hedge.streams import POLICY, slow


def test_a_hedge_without_a_policy() -> None:
    """`hedge` takes the options of a policy."""
    race = hedge([lambda: [1], lambda: [2]], after=60, retry_on=OSError, name="race")
    assert race.name == "race"
    assert repr(race.factory) == "<Policy.hedge>"
    assert list(failover_stream([race], retry_on=OSError)) == [1]
    with pytest.raises(TypeError, match=r"factories of a Policy\.hedge must be a list"):
        POLICY.hedge(iter([lambda: [1]]), after=1)


@pytest.mark.parametrize("after", ["1", None, True, Percentile])
def test_a_wrong_delay(after: Any) -> None:
    """`after` is a duration, or learns it."""
    with pytest.raises(TypeError, match="after must be seconds, a timedelta or a Percentile"):
        POLICY.hedge([lambda: [1]], after=after)
    with pytest.raises(ValueError, match="after must be finite and not negative, got -1"):
        POLICY.hedge([lambda: [1]], after=-1)


def test_a_hedge_in_a_hedge_is_refused() -> None:
    """At the call where the sources are a list, else when it is reached."""
    inner = POLICY.hedge([lambda: [1], lambda: [2]], after=1)
    for sources in ([inner], [POLICY.source([inner])]):
        with pytest.raises(ValueError, match="another hedge: put the sources of both into one"):
            POLICY.hedge(sources, after=1)
    group = POLICY.source([POLICY.source([lambda: [1]])])
    assert list(POLICY.stream([POLICY.hedge([group], after=1)])) == [1]

    class Lazy:
        def __iter__(self) -> Iterator[Any]:
            yield inner

    with pytest.raises(ValueError, match="a hedge in a hedge"):
        list(POLICY.stream([POLICY.hedge(Lazy(), after=1)]))


def test_without_a_loop() -> None:
    """An async hedge needs asyncio or trio, as a timeout does."""
    stream = POLICY.astream([POLICY.hedge([slow(), slow()], after=1)])
    with pytest.raises(RuntimeError, match="neither runs this stream"):
        stream.__anext__().send(None)


def test_an_iterable_beside_its_iterator(virtual: VirtualClock) -> None:
    """The winner may be any iterable; what it is not is a failure."""

    class Pages:
        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise ConnectionError("no pages")

    def refused() -> Any:
        raise ConnectionError("refused")

    def leaks() -> Any:
        raise StopIteration

    def not_iterable() -> Any:
        return 5

    race = POLICY.hedge([refused, Broken, Pages], after=1)
    assert list(POLICY.stream([race])) == [1, 2]
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(POLICY.stream([POLICY.hedge([leaks, Pages], after=1)]))
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(POLICY.stream([POLICY.hedge([not_iterable, Pages], after=1)]))
