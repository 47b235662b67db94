"""The sources of one stream: read as they are needed, and which of them were opened before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from failover_iter._core.source_queue import Sources
from failover_iter._core.sources import Entry, read_factories
from failover_iter._options import Options
from failover_iter.errors import is_usage_error
from support.play import named

OPTIONS = Options(retry_on=OSError)


def sources_of(factories: Iterable[Any]) -> Sources:
    return Sources(read_factories(factories, "sync", OPTIONS), "sync", OPTIONS)


def take(sources: Sources) -> Entry:
    entry = sources.next()
    assert entry is not None
    return entry


def test_a_list_is_known_at_once() -> None:
    """All sources of a list are known, and come in its order, then none."""
    sources = sources_of([named("a"), named("b")])
    assert not sources.lazy
    assert [entry.name for entry in sources.known] == ["a", "b"]
    assert [take(sources).name, take(sources).name, sources.next()] == ["a", "b", None]


def test_a_lazy_iterable_is_read_one_by_one() -> None:
    """Of any other iterable nothing is known, and one factory is read for each source."""
    read: list[str] = []

    def factories() -> Iterator[Any]:
        for name in ("a", "b"):
            read.append(name)
            yield named(name)

    sources = sources_of(factories())
    assert (sources.lazy, sources.known, read) == (True, (), [])
    assert (take(sources).name, read) == ("a", ["a"])
    assert (take(sources).name, sources.next(), read) == ("b", None, ["a", "b"])


def test_unnamed_sources_have_the_place_in_which_they_were_read() -> None:
    """A lambda is called after its place, in a list and in a lazy iterable."""
    lambdas: list[Any] = [lambda: [1], lambda: [2]]
    for factories in (lambdas, iter(lambdas)):
        sources = sources_of(factories)
        assert [take(sources).name, take(sources).name] == ["source[0]", "source[1]"]


@pytest.mark.parametrize("wrong", [5, lambda table: table])
def test_what_is_wrong_is_a_wrong_use(wrong: object) -> None:
    """What is no source fails when it is reached, named by its place, and is no outage."""
    sources = sources_of(iter([named("a"), wrong]))
    sources.next()
    with pytest.raises(TypeError, match=r"^(source ')?source\[1\]'? must be ") as caught:
        sources.next()
    assert is_usage_error(caught.value)


def test_an_error_of_the_iterable_is_its_own() -> None:
    """What the iterable of factories raises by itself is no wrong use of the library."""

    def factories() -> Iterator[Any]:
        raise ValueError("no list of mirrors")
        yield

    with pytest.raises(ValueError, match="no list of mirrors") as caught:
        sources_of(factories()).next()
    assert not is_usage_error(caught.value)


def test_which_sources_were_opened_before() -> None:
    """A source was opened before if it was left before, by the same factory at any place."""
    a, b, c = (named(name) for name in "abc")
    sources = sources_of([a, b, a, c])
    one, two, again, other = (take(sources) for _ in range(4))
    assert not sources.opened_before(two, left=one)
    assert sources.opened_before(again, left=two)
    assert not sources.opened_before(other, left=again)


def test_the_last_64_are_remembered() -> None:
    """Of an endless number of sources the last 64 that were left are known again."""
    factories = [named(f"{number}") for number in range(66)]
    sources = sources_of(factories)
    entries = [take(sources) for _ in factories]
    for index in range(64):
        assert not sources.opened_before(entries[index + 1], left=entries[index])
    assert sources.opened_before(entries[0], left=entries[63])
    assert not sources.opened_before(entries[0], left=entries[64])
    assert sources.opened_before(entries[1], left=entries[64])


def test_a_method_is_one_source() -> None:
    """The same method of the same object is the same source, though it is made anew each time."""

    class Client:
        def rows(self) -> list[int]:
            return []

    client, spare = Client(), Client()
    sources = sources_of([client.rows, spare.rows, client.rows])
    one, other, again = (take(sources) for _ in range(3))
    assert not sources.opened_before(other, left=one)
    assert sources.opened_before(again, left=other)
