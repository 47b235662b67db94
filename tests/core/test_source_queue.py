"""The sources of one stream, in their order, and the names that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any

import pytest

from core.factories import OPTIONS, queue_of, take
from failover_iter import Policy
from failover_iter._core.sources import Group, SourceQueue
from failover_iter._core.usage import is_usage_error
from failover_iter._source import Source
from support.play import named


def test_the_sources_of_a_list_are_known() -> None:
    """They come in the order of the list, then none."""
    queue = queue_of([named("a"), named("b")])
    assert not queue.lazy
    assert [source.name for source in queue.known] == ["a", "b"]
    assert [take(queue).name, take(queue).name, queue.next()] == ["a", "b", None]


def test_a_lazy_iterable_is_read_one_by_one() -> None:
    """One factory is read for each source, and none is known before."""
    read: list[str] = []

    def factories() -> Iterator[Any]:
        for name in ("a", "b"):
            read.append(name)
            yield named(name)

    queue = queue_of(factories())
    assert (queue.lazy, queue.known, read) == (True, (), [])
    assert (take(queue).name, read) == ("a", ["a"])
    assert (take(queue).name, queue.next(), read) == ("b", None, ["a", "b"])


def test_unnamed_sources_are_numbered() -> None:
    """A lambda has its position, in a list and in a lazy iterable."""
    lambdas: list[Any] = [lambda: [1], lambda: [2]]
    for factories in (lambdas, iter(lambdas)):
        queue = queue_of(factories)
        assert [take(queue).name, take(queue).name] == ["source[0]", "source[1]"]


@pytest.mark.parametrize("wrong", [5, lambda table: table])
def test_a_wrong_entry_is_a_wrong_use(wrong: object) -> None:
    """It fails when it is reached, with its position, and is not a failure of a source."""
    queue = queue_of(iter([named("a"), wrong]))
    queue.next()
    with pytest.raises(TypeError, match=r"^(source ')?source\[1\]'? must be ") as caught:
        queue.next()
    assert is_usage_error(caught.value)


def test_an_error_of_the_iterable_is_not_a_wrong_use() -> None:
    """An iterable of factories may raise what it likes."""

    def factories() -> Iterator[Any]:
        raise ValueError("no list of mirrors")
        yield

    with pytest.raises(ValueError, match="no list of mirrors") as caught:
        queue_of(factories()).next()
    assert not is_usage_error(caught.value)


def test_sources_that_were_opened_before() -> None:
    """A source was opened before if the same factory was left before, at any position."""
    a, b, c = (named(name) for name in "abc")
    queue = queue_of([a, b, a, c])
    one, two, again, other = (take(queue) for _ in range(4))
    assert not queue.opened_before(two, left=one)
    assert queue.opened_before(again, left=two)
    assert not queue.opened_before(other, left=again)


def test_64_sources_are_remembered() -> None:
    """Of an endless number of sources, the last 64 that were left are known again."""
    factories = [named(f"{number}") for number in range(66)]
    queue = queue_of(factories)
    sources = [take(queue) for _ in factories]
    for index in range(64):
        assert not queue.opened_before(sources[index + 1], left=sources[index])
    assert queue.opened_before(sources[0], left=sources[63])
    assert not queue.opened_before(sources[0], left=sources[64])
    assert queue.opened_before(sources[1], left=sources[64])


def test_a_method_is_one_source() -> None:
    """The same method of the same object is the same source, though it is a new object."""

    class Client:
        def rows(self) -> list[int]:
            return []

    client, spare = Client(), Client()
    queue = queue_of([client.rows, spare.rows, client.rows])
    one, other, again = (take(queue) for _ in range(3))
    assert not queue.opened_before(other, left=one)
    assert queue.opened_before(again, left=other)


def same(name: str, count: int) -> list[Any]:
    return [named(name) for _ in range(count)]


def names_in(queue: SourceQueue, count: int) -> list[str]:
    return [take(queue).name for _ in range(count)]


@pytest.mark.parametrize("of", [list, iter])
def test_sources_of_the_same_name_get_a_number(of: Callable[..., Any]) -> None:
    """Other names, and names that a `Source` sets, are numbered for themselves."""
    a, b, c = same("chunks", 3)
    factories = [a, named("rows"), Source(b), Source(named("x"), name="rows"), c]
    assert names_in(queue_of(of(factories)), 5) == [
        "chunks",
        "rows",
        "chunks#2",
        "rows#2",
        "chunks#3",
    ]


def test_the_same_factory_is_the_same_source() -> None:
    """It keeps its name wherever it appears: an endless cycle has two names."""
    a, b = same("chunks", 2)
    assert names_in(queue_of(cycle([a, b])), 5) == ["chunks", "chunks#2"] * 2 + ["chunks"]
    assert names_in(queue_of([a, a, b]), 3) == ["chunks", "chunks", "chunks#2"]
    twice: list[Any] = [Source(a, name="x"), Source(a, name="y")]
    assert names_in(queue_of(twice), 2) == ["x", "y"]


def test_names_of_an_endless_supply_are_told_apart() -> None:
    """Only the last 64 are remembered, and no number repeats."""
    queue = queue_of(named("new") for _ in count())
    names = names_in(queue, 200)
    assert names == ["new", *(f"new#{number}" for number in range(2, 201))]
    assert queue._names is not None
    assert len(queue._names._numbers) == 64


def test_the_names_of_a_group() -> None:
    """They are the same at each opening, and the group is named after them."""
    group = Policy(retry_on=OSError).source(same("chunks", 2))
    assert group.name == "chunks|chunks#2"
    assert isinstance(group.factory, Group)
    for _ in range(2):
        queue = SourceQueue(group.factory.factories, "sync", OPTIONS)
        assert names_in(queue, 2) == ["chunks", "chunks#2"]


def test_a_list_may_be_used_again() -> None:
    """The names are those of the stream: nothing is written to the factories."""
    factories = same("chunks", 2)
    for _ in range(2):
        assert names_in(queue_of(factories), 2) == ["chunks", "chunks#2"]
