"""The cost per item of an open stream, for each shape of source and each option.

The unit is the time per item of the naive loop over a generator. The cost of a stream is
`(stream - naive loop over the same source) / unit`, so a cost of 1 means that the stream adds as
much as a naive loop over a generator takes. All times come from one process, in turn.
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from failover_iter import Policy, Resume, Skip, Takeover

from .measure import fastest, rounds, seconds_to_drain
from .streams import async_naive, naive, quiet_logger, run

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Callable,
        Iterable,
        Iterator,
    )

    Source = Callable[[int], Any]

#: Items per sync and per async stream: few enough that a round is shorter than the time slice of a
#: process, but enough that per item neither the clock nor the end of the stream counts, which takes
#: some microseconds.
ITEMS, ASYNC_ITEMS = 20_000, 10_000
#: Items per stream where each costs much more.
FEW_ITEMS = 1_000
NANOSECONDS = 1e9


# The shapes. Their items cost nothing, so that the cost of a stream weighs most.


def generator(items: int) -> Iterator[None]:
    """Yield in a generator that returns None."""
    for _ in range(items):
        yield None


def returning_generator(items: int) -> Iterator[None]:
    """Yield in a generator that returns a value."""
    for _ in range(items):
        yield None
    return items


def list_iterator(items: int) -> Iterator[None]:
    """Return the iterator of a list."""
    return iter([None] * items)


class ClassIterator:
    """An iterator with a `__next__` method written in Python."""

    def __init__(self, items: int) -> None:
        self._left = items

    def __iter__(self) -> ClassIterator:
        return self

    def __next__(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StopIteration


async def async_generator(items: int) -> AsyncIterator[None]:
    """Yield in an async generator."""
    for _ in range(items):
        yield None


class AsyncClassIterator:
    """An async iterator with an `__anext__` method written in Python."""

    def __init__(self, items: int) -> None:
        self._left = items

    def __aiter__(self) -> AsyncClassIterator:
        return self

    async def __anext__(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StopAsyncIteration


#: Sync shapes, then async ones. The first of each is the generator that defines the unit.
SHAPES: dict[str, dict[str, Source]] = {
    "sync": {
        "generator, returns None": generator,
        "generator, returns a value": returning_generator,
        "list iterator": list_iterator,
        "class iterator": ClassIterator,
    },
    "async": {
        "async generator": async_generator,
        "async class iterator": AsyncClassIterator,
    },
}


# The least that a stream can do.


def bare(factory: Callable[[], Iterable[None]]) -> Iterator[None]:
    """Count the items of one source and keep the last one, both in C, and do nothing else."""
    items = itertools.filterfalse(deque[None](maxlen=1).append, factory())
    yield from itertools.compress(items, itertools.repeat(True, sys.maxsize))


async def async_bare(factory: Callable[[], AsyncIterable[None]]) -> AsyncGenerator[None, Any]:
    """Count the items, hold the last one, and notice what the consumer throws or sends."""
    count = 0
    thrown: BaseException | None = None
    async for item in factory():
        count += 1
        try:
            sent = yield item
        except BaseException as error:
            thrown = error
            break
        if sent is not None:
            break
    if thrown is not None:
        raise thrown


# The options.


def _ignore(_: object) -> None:
    pass


def _is_last(_: object) -> bool:
    return True


def _key(_: object) -> int:
    return 1


def _cut(_: int) -> Iterator[None]:
    yield None
    raise ConnectionError("reset")


async def _async_cut(_: int) -> AsyncIterator[None]:
    yield None
    raise ConnectionError("reset")


@dataclass(frozen=True)
class Option:
    """A stream to measure. `kind` is the class of options whose goal applies."""

    kind: str
    policy: Policy
    #: Whether the factory is called with a `Progress`.
    resumes: bool = False
    #: Number of nested `Policy.source` levels.
    levels: int = 0
    #: Whether another source fails after an item, so that this one takes over.
    takes_over: bool = False

    def stream(self, source: Source, items: int, *, is_async: bool) -> Any:
        """Return a stream of this many items of the source."""
        sources: list[Any] = [self._factory(source, items)]
        for _ in range(self.levels):
            sources = [self.policy.source(sources)]
        if self.takes_over:
            sources.insert(0, partial(_async_cut if is_async else _cut, items))
        make = self.policy.astream if is_async else self.policy.stream
        return make(sources, mark_takeovers=self.takes_over)

    @property
    def pulls(self) -> int:
        """How many items to pull before the clock starts."""
        return 3 if self.takes_over else 1  # the item of the first source, the marker, an item

    def _factory(self, source: Source, items: int) -> Callable[..., Any]:
        return (lambda _: source(items)) if self.resumes else (lambda: source(items))


def _option(kind: str, /, **options: Any) -> Option:
    return Option(kind, Policy(retry_on=OSError, **options))


def _resuming(mid_stream: Any) -> Option:
    return Option("kept", Policy(retry_on=OSError, mid_stream=mid_stream), resumes=True)


POLICY = Policy(retry_on=OSError)
SIX_LEVELS = "six levels of Policy.source"
DEFAULTS = "defaults"

OPTIONS: dict[str, Option] = {
    DEFAULTS: Option("defaults", POLICY),
    "after a takeover in this stream": Option("defaults", POLICY, takes_over=True),
    SIX_LEVELS: Option("defaults", POLICY, levels=6),
    "mid_stream=raise": _option("counted", mid_stream="raise"),
    "mid_stream=skip": _option("counted", mid_stream="skip"),
    "commit_when=3": _option("counted", commit_when=3),
    "complete_when": _option("counted", complete_when=_is_last),
    "on_event": _option("counted", on_event=_ignore),
    "mid_stream=resume": _resuming("resume"),
    "Resume(keep=10)": _resuming(Resume(keep=10)),
    "Skip(key=...)": _option("keyed", mid_stream=Skip(key=_key)),
}

#: The goal for the cost of each class of options; the async streams are one class.
GOALS: dict[str, float | None] = {
    "defaults": 0.60,
    "counted": 0.80,
    "kept": 1.30,
    "keyed": None,
    "async": 0.25,
}


def goal_of(kind: str, *, is_async: bool) -> float | None:
    """The goal for an option of this class."""
    return GOALS["async"] if is_async and kind != "keyed" else GOALS[kind]


# The measurements.


def everything(seconds: float) -> dict[str, Any]:
    """Measure each shape with each option, before and after a takeover in this process."""
    quiet_logger()
    gc.collect()
    gc.disable()  # as timeit does, because a collection would distort a single round
    try:
        before = _times(2 * seconds)  # many options share this time
        _take_over()
        return {"before": before, "after": _times(2 * seconds), "limits": _limits(seconds)}
    finally:
        gc.enable()


def _times(seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    return {
        flavour: {
            name: _shape(source, next(iter(shapes.values())), seconds, is_async=flavour == "async")
            for name, source in shapes.items()
        }
        for flavour, shapes in SHAPES.items()
    }


def _shape(source: Source, unit: Source, seconds: float, *, is_async: bool) -> dict[str, float]:
    """Nanoseconds per item: of the unit, of the naive and the bare loop, and with each option."""
    loop = async_naive if is_async else naive
    bare_loop: Callable[..., Any] = async_bare if is_async else bare
    items = ASYNC_ITEMS if is_async else ITEMS
    timers = {
        "unit": _timer(lambda: loop([partial(unit, items)]), items, is_async=is_async),
        "naive": _timer(lambda: loop([partial(source, items)]), items, is_async=is_async),
        "bare": _timer(lambda: bare_loop(partial(source, items)), items, is_async=is_async),
    }
    for name, option in OPTIONS.items():
        many = FEW_ITEMS if option.kind == "keyed" else items
        make = partial(option.stream, source, many, is_async=is_async)
        timers[name] = _timer(make, many, is_async=is_async, pulls=option.pulls)
    return {name: fastest(times) for name, times in rounds(timers, seconds).items()}


def _timer(
    make: Callable[[], Any], items: int, *, is_async: bool, pulls: int = 1
) -> Callable[[], float]:
    """Return a function that measures one stream: nanoseconds per item once it is open."""

    def timed() -> float:
        stream = make()
        for _ in range(pulls):
            if is_async:
                run(anext(stream))
            else:
                next(stream)
        return seconds_to_drain(stream, is_async=is_async) / items * NANOSECONDS

    return timed


def _take_over() -> None:
    """Let one sync and one async stream take over, and yield a `Takeover` marker."""
    option = Option("defaults", POLICY, takes_over=True)
    stream = option.stream(generator, FEW_ITEMS, is_async=False)
    markers = [item for item in itertools.islice(stream, 3) if isinstance(item, Takeover)]
    astream = option.stream(async_generator, FEW_ITEMS, is_async=True)
    markers += [item for _ in range(3) if isinstance(item := run(anext(astream)), Takeover)]
    assert len(markers) == 2
    stream.close()
    run(astream.aclose())


#: A time limit that never expires, in seconds: the cases measure the cost of having one.
LIMIT = 3600
#: Each time limit, and the goal in microseconds per item. With most of them, a sync source runs in
#: its own thread.
LIMITS: dict[str, tuple[str, dict[str, float], float | None]] = {
    "idle_timeout, sync (separate thread)": ("sync", {"idle_timeout": LIMIT}, 31.0),
    "total_timeout, sync (separate thread)": ("sync", {"total_timeout": LIMIT}, None),
    "give_up_after, sync": ("sync", {"give_up_after": LIMIT}, None),
    "idle_timeout, async": ("async", {"idle_timeout": LIMIT}, None),
    "total_timeout, async": ("async", {"total_timeout": LIMIT}, None),
    "give_up_after, async": ("async", {"give_up_after": LIMIT}, None),
}


def _limits(seconds: float) -> dict[str, float]:
    """Microseconds per item that each time limit adds to the naive loop."""
    figures = {}
    for name, (flavour, options, _) in LIMITS.items():
        is_async = flavour == "async"
        source, loop = (async_generator, async_naive) if is_async else (generator, naive)
        items = FEW_ITEMS
        option = Option("limits", Policy(retry_on=OSError, **options))
        timers = {
            "naive": _timer(partial(loop, [partial(source, items)]), items, is_async=is_async),
            "ours": _timer(
                partial(option.stream, source, items, is_async=is_async),
                items,
                is_async=is_async,
            ),
        }
        times = rounds(timers, seconds / 2)
        figures[name] = (fastest(times["ours"]) - fastest(times["naive"])) / 1000
    return figures
