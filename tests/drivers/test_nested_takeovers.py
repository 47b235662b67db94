"""Streams in streams take over, mark and report as the flat list does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import reset, source
from failover_iter import (
    AllSourcesFailed,
    Decide,
    DivergedStream,
    Policy,
    Skip,
    Source,
    SourceError,
    Takeover,
)
from support.flavour import AsyncFlavour, SyncFlavour
from support.size import FEW

WAYS: list[Any] = ["skip", Skip(key=str)]


@pytest.mark.parametrize("mid_stream", WAYS)
@pytest.mark.parametrize("wrong", [(), (1,)])
def test_too_short_a_source_inside(
    flavour: SyncFlavour, depth: int, mid_stream: Any, wrong: tuple[int, ...]
) -> None:
    """The next source inside follows it, as if the list were flat."""
    first = source(flavour, 1, 2, error=reset())
    rest = [source(flavour, *wrong, name="short"), source(flavour, 1, 2, 3)]
    policy = Policy(retry_on=ConnectionError, mid_stream=mid_stream)
    nested = policy.source(rest)
    for _ in range(depth - 1):
        nested = policy.source([nested])
    assert flavour.drain(flavour.of(policy, [first, nested])) == [1, 2, 3]
    assert flavour.drain(flavour.of(policy, [first, *rest])) == [1, 2, 3]


def test_a_diverged_source_inside(flavour: SyncFlavour, depth: int) -> None:
    """With a key, what replays something else inside is followed by the next source inside."""
    first = source(flavour, 1, 2, error=reset())
    rest = [source(flavour, 1, "x", 3, name="other"), source(flavour, 1, 2, 3)]
    policy = Policy(retry_on=ConnectionError, mid_stream=Skip(key=str))
    nested = policy.source(rest)
    for _ in range(depth - 1):
        nested = policy.source([nested])
    assert flavour.drain(flavour.of(policy, [first, nested])) == [1, 2, 3]


def test_the_key_around_holds_inside(flavour: SyncFlavour) -> None:
    """An inner stream without a key uses the key of the outer one."""
    first = source(flavour, 1, 2, error=reset())
    nested = Policy(retry_on=ConnectionError, mid_stream="skip").source(
        [source(flavour, 1, "x", 3)]
    )
    stream = flavour.stream([first, nested], mid_stream=Skip(key=str))
    assert [flavour.next(stream), flavour.next(stream)] == [1, 2]
    message = "^a replayed other items than the 2 that were delivered: their keys differ\n"
    with pytest.raises(DivergedStream, match=message):
        flavour.next(stream)


def test_where_all_inside_have_diverged(flavour: SyncFlavour) -> None:
    """The source after the nested one takes over from what was delivered before it."""
    policy = Policy(retry_on=ConnectionError, mid_stream=Skip(key=str))
    nested = policy.source([source(flavour, "x", "y"), source(flavour, 1)])
    stream = flavour.of(
        policy, [source(flavour, 1, 2, error=reset()), nested, source(flavour, 1, 2, 3)]
    )
    assert flavour.drain(stream) == [1, 2, 3]


def marked(stream: Any, flavour: SyncFlavour) -> list[Any]:
    """The items of the consumer, markers as (mode, source, delivered)."""
    shown: list[Any] = []
    try:
        while True:
            item = flavour.next(stream)
            marker = isinstance(item, Takeover)
            shown.append((item.mode, item.source, item.delivered) if marker else item)
    except flavour.stop:
        return shown
    except (ConnectionError, SourceError) as error:
        return [*shown, (type(error), *error.args)]


scripts = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([True, True, False])), min_size=2, max_size=5
)


@pytest.mark.parametrize("flavour_class", [SyncFlavour, AsyncFlavour])
@settings(max_examples=FEW)
@given(scripts, st.integers(0, 4), st.sampled_from([None, "skip", "resume", "raise"]))
def test_markers_are_those_of_the_flat_list(
    flavour_class: Any, script: list[tuple[int, bool]], cut: int, mid_stream: Any
) -> None:
    """Each marker of a nested list has the mode, source and count that the flat one has."""
    flavour = flavour_class()
    policy = Policy(retry_on=ConnectionError, mid_stream=mid_stream)

    def scripted(name: str, count: int, fails: bool) -> Any:
        def factory(progress: Any = None) -> Iterator[int]:
            start = 0 if progress is None else progress.delivered
            yield from range(start, max(start, count))
            if fails:
                raise ConnectionError(name)

        factory.__name__ = name
        return flavour.generator(factory)

    sources = [scripted("abcde"[index], *each) for index, each in enumerate(script)]
    try:
        flat = marked(flavour.of(policy, sources, mark_takeovers=True), flavour)
        head, tail = sources[:cut], sources[cut:]
        for nested in (
            [*head, policy.source(tail)] if tail else [policy.source(head)],
            [policy.source(sources)],
            [policy.source([*head, policy.source(tail)])] if tail else [policy.source(head)],
        ):
            assert marked(flavour.of(policy, nested, mark_takeovers=True), flavour) == flat
    finally:
        flavour.finish()


def test_markers_in_both_flavours_of_one_iterable(flavour: SyncFlavour) -> None:
    """A source that is iterable and async iterable is nested and announced like any other."""

    class Both:
        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

        async def __aiter__(self) -> Any:
            for item in (1, 2):
                yield item

    policy = Policy(retry_on=ConnectionError)
    nested = policy.source([source(flavour, 1, error=reset()), Source(Both, name="both")])
    stream = flavour.of(policy, [nested], mark_takeovers=True)
    assert marked(stream, flavour) == [1, ("restart", "both", 1), 1, 2]


@pytest.mark.parametrize("shape", ["a(bc)d", "(a(b(c)))d", "a((b)c(d))"])
def test_notes_are_those_of_the_flat_list(flavour: SyncFlavour, shape: str) -> None:
    """The error that ends the stream names each failure before it once, in order."""
    policy = Policy(retry_on=ConnectionError)
    sources = {name: source(flavour, error=reset(), name=name) for name in "abcd"}

    def built(text: Iterator[str]) -> list[Any]:
        entries: list[Any] = []
        for letter in text:
            if letter == ")":
                break
            entries.append(policy.source(built(text)) if letter == "(" else sources[letter])
        return entries

    with pytest.raises(ConnectionError) as caught:
        flavour.drain(flavour.of(policy, built(iter(shape))))
    assert caught.value.__notes__ == [
        f"failure {number} before it: {name} (attempt 1): ConnectionError: reset by peer"
        for number, name in enumerate("abc", 1)
    ]


def test_a_source_with_its_own_mode_is_the_first_of_a_group(flavour: SyncFlavour) -> None:
    """It need not resume under an outer stream that does: its own mode says how it takes over."""
    policy = Policy(retry_on=ConnectionError, mid_stream="resume")
    replays = Source(source(flavour, 1, 2, 3), mid_stream="skip")
    first = source(flavour, 1, 2, error=reset())
    assert flavour.drain(flavour.of(policy, [first, policy.source([replays])])) == [1, 2, 3]


def test_a_group_takes_over_as_its_first_source_does(flavour: SyncFlavour) -> None:
    """The mode that its first source sets goes before the outer `Decide`, as in a flat list."""

    def asked(progress: object) -> Any:
        raise AssertionError("a source with its own mode was decided about")

    policy = Policy(retry_on=ConnectionError, mid_stream=Decide(asked))
    own = Source(source(flavour, 1, 2, 3), mid_stream="skip")
    first = source(flavour, 1, 2, error=reset())
    for entry in (own, policy.source([own]), policy.source([policy.source([own])])):
        assert flavour.drain(flavour.of(policy, [first, entry])) == [1, 2, 3]


@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_a_group_that_is_passed_over_is_no_failure(flavour: SyncFlavour, on_exhausted: Any) -> None:
    """If none of its sources may take over, the error before it is told once."""
    policy = Policy(retry_on=ConnectionError, on_exhausted=on_exhausted)
    shy = Source(source(flavour, 9), mid_stream="raise")
    entries = [source(flavour, error=reset()), source(flavour, 1, error=reset())]
    for nested in (shy, policy.source([shy]), policy.source([policy.source([shy]), shy])):
        with pytest.raises((ConnectionError, AllSourcesFailed)) as caught:
            flavour.drain(flavour.of(policy, [*entries, nested]))
        if on_exhausted == "group":
            assert len(caught.value.exceptions) == 2  # type: ignore[union-attr]  # a group
        else:
            assert len(caught.value.__notes__) == 1
