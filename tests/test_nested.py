"""Streams in streams, seen by a consumer of either flavour: as if they were flat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import (
    AllSourcesFailed,
    Closed,
    Decide,
    DivergedStream,
    Failed,
    Policy,
    ReusedIterator,
    Skip,
    Source,
    SourceError,
    Takeover,
)
from failover_iter._core.usage import mark_usage_error
from support.flavour import AsyncFlavour, SyncFlavour
from support.size import FEW


@pytest.fixture(params=[SyncFlavour, AsyncFlavour])
def flavour(request: pytest.FixtureRequest) -> Iterator[SyncFlavour]:
    flavour: SyncFlavour = request.param()
    yield flavour
    flavour.finish()


def reset() -> ConnectionError:
    return ConnectionError("reset by peer")


def source(
    flavour: SyncFlavour, *items: Any, error: BaseException | None = None, name: str = "a"
) -> Any:
    """A factory of a generator with these items, that takes a `Progress` and ignores it."""

    def factory(progress: object = None) -> Iterator[Any]:
        yield from items
        if error is not None:
            raise error

    factory.__name__ = name
    return flavour.generator(factory)


EAGER = Policy(retry_on=Exception)


def inside(*factories: Any, depth: int = 1, **options: Any) -> Any:
    """A nested source, `depth` streams deep, that takes every error for an outage."""
    policy = Policy(**{"retry_on": Exception, **options})
    nested = policy.source(list(factories))
    return nested if depth == 1 else inside(nested, depth=depth - 1, **options)


@pytest.fixture(params=[1, 2])
def depth(request: pytest.FixtureRequest) -> int:
    """How many streams the source is in, the outermost not counted."""
    return int(request.param)


# An outer stream does not count what the consumer does as an outage.


def never(*_: object) -> Any:
    raise AssertionError("a source was opened that nobody needs")


def test_a_value_for_a_source_without_send(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives the AttributeError of a source without `send`, from any depth."""
    nested = inside(lambda: flavour.iterator(lambda: 1), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(AttributeError, match="send"):
        flavour.send(stream, "value")


def test_a_value_for_held_items(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives the TypeError for a value sent too early, from any depth."""
    nested = inside(source(flavour, 1, 2, 3), never, depth=depth, commit_when=2)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(TypeError, match="^cannot send a str while held items are delivered"):
        flavour.send(stream, "value")


def test_what_the_consumer_throws(flavour: SyncFlavour, depth: int) -> None:
    """An error that is thrown in is raised as the same object, and opens no source."""
    thrown = reset()
    stream = flavour.of(EAGER, [inside(source(flavour, 1, 2), never, depth=depth), never])
    flavour.next(stream)
    with pytest.raises(ConnectionError) as caught:
        flavour.throw(stream, thrown)
    assert caught.value is thrown


def test_an_error_that_answers_a_throw(flavour: SyncFlavour, depth: int) -> None:
    """The consumer also receives what a source raises in answer, whatever its class."""

    def throw(*_: object) -> Any:
        raise OSError("answer")

    nested = inside(lambda: flavour.iterator(lambda: 1, throw=throw), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(OSError, match="answer"):
        flavour.throw(stream, reset())


def test_after_an_answered_throw_the_source_is_to_blame_again(
    flavour: SyncFlavour, depth: int
) -> None:
    """A throw that a source inside answers with an item excuses no failure that comes later."""
    pulls = iter([1])

    def pull() -> int:
        for item in pulls:
            return item
        raise reset()

    first = flavour.iterator(pull, throw=lambda *_: "answer")
    stream = flavour.of(EAGER, [inside(lambda: first, depth=depth), source(flavour, 2)])
    assert flavour.next(stream) == 1
    assert flavour.throw(stream, KeyError("mine")) == "answer"
    assert flavour.drain(stream) == [2]


def test_a_closing_error_of_a_closing_consumer(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives what a source raises at a close, and no source is opened."""

    def close() -> None:
        raise OSError("closing")

    nested = inside(lambda: flavour.iterator(lambda: 1, close=close), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(OSError, match="closing"):
        flavour.close(stream)


def test_a_source_that_ends_when_it_is_sent_a_value(flavour: SyncFlavour, depth: int) -> None:
    """It has ended well, and so have all streams around it."""

    def takes_one() -> Iterator[Any]:
        yield "first"

    stream = flavour.of(EAGER, [inside(flavour.generator(takes_one), never, depth=depth), never])
    assert flavour.next(stream) == "first"
    with pytest.raises(flavour.stop):
        flavour.send(stream, "value")


def test_a_loop_that_closes_all_streams_at_once(depth: int) -> None:
    """When asyncio shuts down, each abandoned stream and its source are closed without a word."""
    complaints: list[Any] = []
    closed: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("source")

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        streams = [EAGER.astream([inside(endless, depth=depth)]) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        return streams

    with asyncio.Runner() as runner:
        kept = runner.run(main())
    assert (closed, complaints, len(kept)) == (["source"] * 3, [], 3)


# An outer stream does not count what an inner callback raises as an outage.


def raises(*_: object) -> Any:
    raise ConnectionError("callback")


def at(kind: type) -> Any:
    return lambda event: raises() if isinstance(event, kind) else None


@pytest.mark.parametrize(
    "options",
    [
        {"retry_on": raises},
        {"wait": raises, "attempts": 2},
        {"commit_when": raises},
        {"complete_when": raises},
        {"on_event": raises},
        {"on_event": at(Failed)},
        {"mid_stream": Skip(key=raises)},
        {"mid_stream": Decide(raises)},
    ],
    ids=lambda options: ", ".join(options),
)
def test_a_callback_that_raises(flavour: SyncFlavour, depth: int, options: dict[str, Any]) -> None:
    """Its error reaches the consumer at once, though it is of a class that all streams retry."""
    fails = () if "complete_when" in options else (reset(),)
    error = fails[0] if fails else None
    policy = Policy(**{"retry_on": Exception, **options})
    nested = policy.source([source(flavour, 1, error=error), never])
    for _ in range(depth - 1):
        nested = EAGER.source([nested, never])
    with pytest.raises(ConnectionError, match=r"^callback(\n|$)"):
        flavour.drain(flavour.of(EAGER, [nested, never]))


def test_what_a_callback_raised_is_told_around(flavour: SyncFlavour) -> None:
    """The stream around tells its listener that it was ended from outside, and by what."""
    events: list[Any] = []
    nested = inside(source(flavour, 1), commit_when=raises)
    policy = Policy(retry_on=Exception, on_event=events.append)
    with pytest.raises(ConnectionError, match="callback") as caught:
        flavour.drain(flavour.of(policy, [nested, never]))
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value


# Wrong use.


@pytest.mark.parametrize(
    "wrong",
    [mark_usage_error(TypeError("wrong")), ReusedIterator("wrong"), mark_usage_error(reset())],
)
def test_a_wrong_use_in_a_group_is_no_outage(
    flavour: SyncFlavour, depth: int, wrong: Exception
) -> None:
    """A task group around a wrong use does not hide it: no stream takes it for an outage."""
    group = ExceptionGroup("tasks", [reset(), ExceptionGroup("more", [wrong])])
    for retry_on in (Exception, (ExceptionGroup,), lambda error: True):
        nested = inside(source(flavour, error=group), never, depth=depth, retry_on=retry_on)
        for sources in ([source(flavour, error=group), never], [nested, never]):
            with pytest.raises(ExceptionGroup) as caught:
                flavour.drain(flavour.stream(sources, retry_on=retry_on))
            assert caught.value is group


def test_a_group_of_outages_is_one(flavour: SyncFlavour, depth: int) -> None:
    """A group without a wrong use goes on to the next source, inside and around."""
    group = ExceptionGroup("tasks", [reset(), reset()])
    nested = inside(source(flavour, error=group), depth=depth)
    assert flavour.drain(flavour.of(EAGER, [nested, source(flavour, 1)])) == [1]


# A source that does not replay what was delivered.


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


# The markers.


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


# The failures of a group are those of the flat list.


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


def test_a_listener_that_raises_when_a_group_is_closed(flavour: SyncFlavour) -> None:
    """The outer listener gets an event that its source was closed, with the reason."""
    events: list[Any] = []
    nested = inside(source(flavour, 1, 2), on_event=at(Closed))
    stream = flavour.of(Policy(retry_on=Exception, on_event=events.append), [nested, never])
    flavour.next(stream)
    with pytest.raises(ConnectionError, match="callback") as caught:
        flavour.close(stream)
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value
