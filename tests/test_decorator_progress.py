"""`@failover` under "resume": a progress that the caller passes, and names in messages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from failover_iter import Event, Progress, failover
from failover_iter._validation import shown

LOST = ConnectionError("lost")


def resumes(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield from range(progress.delivered, size)


def breaks(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield progress.delivered
    raise LOST


def in_either_way(size: int, progress: Progress[int] = Progress()) -> Iterator[int]:
    yield from range(progress.delivered, size)


def test_a_caller_may_start_in_the_middle() -> None:
    """The stream starts at the `progress` that the caller passes, and counts from there."""
    told: list[Progress[int]] = []

    def watches(size: int, *, progress: Progress[int] = Progress()) -> Iterator[int]:
        told.append(progress)
        return breaks(size, progress=progress)

    decorated = failover(watches, resumes, retry_on=OSError, mid_stream="resume")(watches)
    assert list(decorated(5, progress=Progress(delivered=2, last=1, total=2))) == [2, 3, 4]
    assert [(each.delivered, each.last) for each in told] == [(2, 1), (3, 2)]
    assert list(decorated(3, progress=Progress())) == [0, 1, 2]


def test_a_progress_may_be_given_by_position() -> None:
    """A function that declares it by position also takes it by position."""
    decorated = failover(retry_on=Exception, mid_stream="resume")(in_either_way)
    assert list(decorated(3, Progress(delivered=1))) == [1, 2]


@pytest.mark.parametrize("wrong", [5, "start"])
def test_a_progress_that_is_none_is_refused(wrong: Any) -> None:
    """A `progress` of another type is a TypeError at the call."""
    decorated = failover(retry_on=Exception, mid_stream="resume")(resumes)
    with pytest.raises(TypeError, match=f"progress must be a Progress, got {shown(wrong)}"):
        decorated(3, progress=wrong)


def test_elsewhere_progress_is_an_argument_like_any_other() -> None:
    """Under the other modes a parameter of that name is the caller's own."""

    @failover(retry_on=OSError)
    def read(progress: str = "none") -> Iterator[str]:
        yield progress

    assert list(read()) == ["none"]
    assert list(read(progress="own")) == ["own"]


@pytest.mark.parametrize("mid_stream", [None, "resume"])
def test_names_are_good_in_every_mode(mid_stream: Any) -> None:
    """Functions, partials, objects and lambdas have the same names in events under "resume"."""
    seen: list[Event] = []

    class Spare:
        def __call__(self, progress: Any = None) -> Iterator[int]:
            raise LOST

    def first(progress: Any = None) -> Iterator[int]:
        raise LOST

    others = [partial(first), Spare(), lambda progress=None: [1]]
    options: dict[str, Any] = {"mid_stream": mid_stream, "on_event": seen.append}
    assert list(failover(*others, retry_on=OSError, **options)(first)()) == [1]
    names = [event.source for event in seen if type(event).__name__ == "Opening"]
    assert names == ["first", "first#2", "Spare", "source[3]"]
