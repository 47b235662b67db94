"""Type checkers must accept this: the item type of sync streams."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import cycle
from typing import Any, assert_type

from failover_iter import (
    Bookmark,
    Decide,
    Failed,
    Percentile,
    Policy,
    Progress,
    Resume,
    Skip,
    Source,
    Takeover,
    Trace,
    backoff,
    failover_stream,
    hedge,
)
from failover_iter.typing import Factories

Ints = Generator[int, Any, Any]
Announced = Generator[int | Takeover, Any, Any]


def numbers() -> Iterator[int]:
    """A generator function."""
    yield 1


def words() -> Generator[str, None, None]:
    """One with another item type."""
    yield "a"


def listed() -> list[int]:
    """A function that returns an iterable."""
    return [1]


def table(name: str, size: int = 0) -> Iterator[int]:
    """One with parameters, to be bound."""
    yield len(name) + size


def rest(progress: Progress[int]) -> Iterator[int]:
    """A resumable one."""
    yield progress.delivered


def rest_of_any(progress: Progress) -> Iterator[int]:
    """A resumable one that does not name the item type."""
    yield progress.delivered


def rest_or_all(progress: Progress[int] = Progress()) -> Iterator[int]:
    """A resumable one that can be called without a progress."""
    yield progress.delivered


class Rows:
    """An iterable class: the class itself is the factory."""

    def __iter__(self) -> Iterator[int]:
        return iter([1])


class Reader:
    """Its method is a factory, and so is the object."""

    def rows(self) -> Iterator[int]:
        yield 1

    def __call__(self) -> Iterable[int]:
        return [1]


reader = Reader()
bound = partial(table, "a")

# Callables of every kind.
assert_type(failover_stream([numbers], retry_on=OSError), Ints)
assert_type(failover_stream([numbers, numbers], retry_on=OSError), Ints)
assert_type(failover_stream([numbers, listed], retry_on=OSError), Ints)
assert_type(failover_stream((numbers, listed), retry_on=OSError), Ints)
assert_type(failover_stream([lambda: [1, 2]], retry_on=OSError), Ints)
assert_type(failover_stream([lambda: table("a"), lambda: table("b")], retry_on=OSError), Ints)
assert_type(failover_stream([numbers, lambda: table("b")], retry_on=OSError), Ints)
assert_type(failover_stream([reader.rows, numbers], retry_on=OSError), Ints)
assert_type(failover_stream([reader], retry_on=OSError), Ints)
assert_type(failover_stream([Rows], retry_on=OSError), Ints)
assert_type(failover_stream([bound, partial(table, "b", size=2)], retry_on=OSError), Ints)

# Source objects.
assert_type(failover_stream([Source(numbers)], retry_on=OSError), Ints)
assert_type(failover_stream([Source(lambda: table("a"), name="a")], retry_on=OSError), Ints)
assert_type(failover_stream([Source(numbers), Source(listed, attempts=2)], retry_on=OSError), Ints)

# Kinds that have no base class in common: mypy takes the elements of such a list for `object`,
# but keeps the types of a tuple.
assert_type(failover_stream((numbers, Source(listed)), retry_on=OSError), Ints)
assert_type(failover_stream((reader.rows, reader, Rows, bound), retry_on=OSError), Ints)
in_a_list: Iterator[int] = failover_stream([numbers, Source(listed), Rows, bound], retry_on=OSError)
race = hedge([numbers], after=1, retry_on=OSError)
assert_type(failover_stream((race, numbers, Source(listed)), retry_on=OSError), Ints)
assert_type(failover_stream((race, lambda: table("a")), retry_on=OSError), Ints)
in_an_annotated_list: Factories[int] = [race, numbers, Source(listed), lambda: table("a")]
assert_type(failover_stream(in_an_annotated_list, retry_on=OSError), Ints)
mixed = (Source(numbers), listed)
assert_type(failover_stream(mixed, retry_on=OSError), Ints)

# Items of several types: mypy needs an annotation, pyright infers the union.
both: Iterator[int | str] = failover_stream([numbers, words], retry_on=OSError)

# Variables, generators, endless iterables.
known = [numbers, numbers]
assert_type(failover_stream(known, retry_on=OSError), Ints)
annotated: list[Callable[[], Iterable[int]]] = [numbers, listed, Rows]
assert_type(failover_stream(annotated, retry_on=OSError), Ints)
sources = [Source(numbers), Source(numbers)]
assert_type(failover_stream(sources, retry_on=OSError), Ints)
assert_type(failover_stream(cycle([numbers]), retry_on=OSError), Ints)
assert_type(failover_stream((partial(table, n) for n in "ab"), retry_on=OSError), Ints)

# Resumable factories.
assert_type(failover_stream([rest, rest], retry_on=OSError, mid_stream="resume"), Ints)
assert_type(failover_stream([rest_of_any], retry_on=OSError, mid_stream="resume"), Ints)
assert_type(failover_stream([rest_or_all], retry_on=OSError, mid_stream=Resume(keep=None)), Ints)
assert_type(failover_stream([Source(rest)], retry_on=OSError, mid_stream="resume"), Ints)
assert_type(failover_stream((rest, Source(rest)), retry_on=OSError, mid_stream="resume"), Ints)
assert_type(failover_stream((rest, rest_or_all), retry_on=OSError, mid_stream="resume"), Ints)
assert_type(
    failover_stream([lambda p: table("a", p.delivered)], retry_on=OSError, mid_stream="resume"),
    Ints,
)
assert_type(Progress().last, Any | None)
assert_type(Progress[int]().last, int | None)
assert_type(Progress[int]().items, tuple[int, ...])
assert_type(Progress[int]().failures, Sequence[Failed])

# The marker is part of the item type if it may be yielded.
assert_type(failover_stream([numbers], retry_on=OSError, mark_takeovers=False), Ints)
assert_type(failover_stream([numbers], retry_on=OSError, mark_takeovers=True), Announced)


def announced(flag: bool) -> Announced:
    """If the value is known only at run time, it may be yielded."""
    stream = failover_stream([numbers], retry_on=OSError, mark_takeovers=flag)
    assert_type(stream, Announced)
    for item in failover_stream([numbers], retry_on=OSError, mark_takeovers=True):
        if isinstance(item, Takeover):
            assert_type(item, Takeover)
        else:
            assert_type(item, int)
    return stream


# The options have the documented types.
everything = failover_stream(
    [numbers],
    retry_on=lambda error: "busy" in str(error),
    mid_stream=Skip(key=str),
    attempts=None,
    reset_on_progress=True,
    wait=backoff(0.1),
    commit_when=lambda item: item is not None,
    complete_when=lambda item: item == "end",
    allow_empty=False,
    on_exhausted="group",
    on_event=Trace(),
)
assert_type(everything, Ints)
decided = Decide(lambda progress: "raise" if progress.last is None else "skip", key=str)
assert_type(failover_stream([rest], retry_on=(OSError, ValueError), mid_stream=decided), Ints)

# A cursor. A bookmark is never delivered: it is not part of the item type.


def marked(progress: Progress[int]) -> Iterator[int | Bookmark]:
    """A source with a cursor."""
    yield progress.cursor
    yield Bookmark(progress.cursor)
    yield Bookmark()


def advance(cursor: int, item: int) -> int:
    """The next cursor."""
    return cursor + item


cursor = Resume(start=0, advance=advance)
assert_type(failover_stream([marked], retry_on=OSError, mid_stream=cursor), Ints)
assert_type(failover_stream([Source(marked, mid_stream=cursor)], retry_on=OSError), Ints)
with_rest = failover_stream([marked, rest], retry_on=OSError, mid_stream="resume", expect_items=3)
assert_type(with_rest, Ints)
failover_stream([listed], retry_on=OSError, mid_stream=Skip(size=len, key=bytes))

# Policy, and a source that is a failover itself.
policy = Policy(retry_on=OSError)
assert_type(policy.stream([numbers]), Ints)
assert_type(policy.stream((numbers, Source(listed))), Ints)
assert_type(policy.stream([numbers], mark_takeovers=True), Announced)
inner = policy.source([numbers, listed], name="inner")
assert_type(policy.stream([policy.hedge([numbers, listed], after=0.3)]), Ints)
assert_type(policy.stream([hedge([numbers], after=Percentile(0.95), retry_on=OSError)]), Ints)
assert_type(inner, Source[Iterable[int]])
assert_type(policy.stream([inner]), Ints)
assert_type(policy.stream((numbers, inner)), Ints)
assert_type(policy.stream([policy.source([listed]), policy.source([inner])]), Ints)

with closing(failover_stream([numbers], retry_on=OSError)) as stream:
    assert_type(stream, Ints)
